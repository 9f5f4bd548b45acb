#!/usr/bin/env bats
# With SOURCE_DATE_EPOCH, same inputs, same digest: as root and as an ordinary user, with one
# worker and with two, cold and from the cache. Each of the four builds in a store of its own.

bats_require_minimum_version 1.5.0
load lib
load rootless

setup_file() {
    # Base images are kept between runs where the user's other caches are.
    export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    rootless_begin
    export SOURCE_DATE_EPOCH=1700000000
    "$COOPER_SOURCE_DIR/examples/bases.sh"
    "$COOPER" save -o "$PLACE/bases.tar" debian:12 busybox
    cp -r "$COOPER_SOURCE_DIR/examples" "$PLACE/examples"
    chmod -R a+rX "$PLACE"
}

teardown_file() {
    rootless_end
    e2e_end
}

setup() { e2e_setup; }

# build root|user WORKERS EXAMPLE [OPTION...]: prints the digest; the log is in "log".
build() {
    local who=$1 workers=$2 example=$3 store

    shift 3
    if [ "$who" = root ]; then
        store=$PLACE/store-$workers
        [ -d "$store" ] || "$COOPER" --root "$store" load -q -i "$PLACE/bases.tar" >/dev/null
        "$COOPER" --root "$store" build --progress plain --parallel "$workers" --iidfile id \
            "$@" "$PLACE/examples/$example" 2>log 3>&- 4>&-
    else
        store=$PLACE/home/store-$workers
        [ -d "$store" ] || as_user "$PLACE/bin/cooper" --root "$store" load -q -i "$PLACE/bases.tar" >/dev/null
        (cd "$PLACE/home" && as_user "$PLACE/bin/cooper" --root "$store" build --progress plain \
            --parallel "$workers" --iidfile id "$@" "$PLACE/examples/$example") 2>log 3>&- 4>&-
        cp "$PLACE/home/id" id
    fi || {
        cat log >&2
        return 1
    }
    cat id
}

# same EXAMPLE WHO:WORKERS...: cold in each of these stores, then from its cache.
same() {
    local example=$1 first='' who id

    shift
    for who in "$@"; do
        id=$(build "${who%:*}" "${who#*:}" "$example")
        grep -q 'not cached' log
        [ -n "$first" ] || first=$id
        echo "$example as $who: $id"
        [ "$id" = "$first" ]
        [ "$(build "${who%:*}" "${who#*:}" "$example")" = "$first" ]
        run ! grep -q 'not cached' log
    done
}

@test "web, which installs packages, has one digest" {
    same web root:1 root:2 user:1 user:2
}

@test "hello, which is compiled, has one digest" {
    same hello root:2 user:1
}

@test "times of the context that are earlier than the epoch count, later ones do not" {
    mkdir ctx
    printf 'FROM scratch\nCOPY a b /\n' >ctx/Dockerfile
    echo a >ctx/a
    echo b >ctx/b
    touch -d @1600000000 ctx/a
    touch -d @1800000000 ctx/b
    cooper build -q ctx
    local first=$output
    touch -d @1900000000 ctx/b
    cooper build -q --no-cache ctx
    [ "$output" = "$first" ]
    touch -d @1600000001 ctx/a
    cooper build -q --no-cache ctx
    [ "$output" != "$first" ]
    # Base layers stay as they are, whatever the epoch.
    cooper build -q --source-date-epoch 1000000000 - <<<'FROM busybox'
    [ "$status" -eq 0 ]
    id=$output
    cooper inspect busybox
    layer=$(jq -r '.[0].RootFS.Layers[0]' <<<"$output")
    cooper inspect "$id"
    [ "$(jq -r '.[0].RootFS.Layers[0]' <<<"$output")" = "$layer" ]
}
