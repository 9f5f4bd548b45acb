# docs/releases.md: its walkthrough is run as it stands, with registries of our own.
bats_require_minimum_version 1.5.0
load lib
load serve
load release
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

# The commands of the walkthrough, one a line, with these registries in place of the examples.
walkthrough() { # STAGING PRODUCTION
    sed -n '/^## A walkthrough/,/^## Versions/s/^    \$ //p' "$COOPER_SOURCE_DIR/docs/releases.md" |
        sed "s,staging[.]example[.]org,$1,g; s,registry[.]example[.]org,$2,g"
}

walk() {
    mkdir "$1" && cd "$1"
    walkthrough "$2" "$3" >commands
    [ "$(wc -l <commands)" -gt 30 ]
    grep -q 'cooper rollback --yes' commands
    {
        # shellcheck disable=SC2016
        echo 'set -eu; cooper() { "$COOPER" "$@"; }'
        cat commands
    } >script
    run bash script
    echo "$output" >&2
    [ "$status" -eq 0 ]
    cd ..
}

@test "the walkthrough goes from docker-registry to cooper serve" {
    release_serve
    walk there "$REGISTRY" "$SERVED"
    R=$SERVED/shop
    [ "$(tag_of latest)" = "$(tag_of 1.2.1)" ]
    [ "$(tag_of latest)" != "$(tag_of 1.2.0)" ]
    [ "$(tag_of 1)" = "$(tag_of 1.2.1)" ]
}

@test "and from cooper serve to docker-registry" {
    release_serve
    walk back "$SERVED/second" "$REGISTRY/second"
    R=$REGISTRY/second/shop
    [ "$(tag_of latest)" = "$(tag_of 1.2.1)" ]
    [ "$(tag_of 1.1.1)" = "$(tag_of 1.1.1 "$SERVED/second/shop")" ]
}
