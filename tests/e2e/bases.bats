# Base images and the first steps: examples/bases.sh and examples/quickstart.sh.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    export REAL_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

@test "base images made twice, in different places, are the same" {
    local first second

    XDG_CACHE_HOME=$PWD/a "$COOPER_SOURCE_DIR/examples/bases.sh" --store "$PWD/1" >first &
    XDG_CACHE_HOME=$PWD/b TZ=Asia/Tokyo "$COOPER_SOURCE_DIR/examples/bases.sh" \
        --store "$PWD/2" >second
    wait $!
    cmp first second
    [ "$(wc -l <first)" -eq 2 ]
    for first in a/cooper-examples/*.tar; do
        cmp "$first" "b/${first#a/}"
    done
    # Nothing is left beside them.
    [ "$(find a/cooper-examples -mindepth 1 | wc -l)" -eq 2 ]

    # From the cache now, and no tool is asked for.
    XDG_CACHE_HOME=$PWD/a run --separate-stderr \
        "$COOPER_SOURCE_DIR/examples/bases.sh" --store "$PWD/1"
    [ -z "$stderr" ]
    [ "$output" = "$(cat first)" ]
}

@test "a base image says nothing of where and when it was made" {
    XDG_CACHE_HOME=$REAL_CACHE_HOME "$COOPER_SOURCE_DIR/examples/bases.sh"
    # What cooper itself mounts in a step, and so changes, is left out.
    cooper run debian:12 sh -c 'cat /etc/machine-id; find /var/log /var/cache/apt -type f;
        find / -xdev -mindepth 1 -newermt "2023-06-10 00:00:01 UTC" ! -path "/proc*" \
            ! -path "/sys*" ! -path "/dev*" ! -path /etc ! -path /etc/hosts \
            ! -path /etc/hostname ! -path /etc/resolv.conf'
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    cooper run busybox stat -c '%a %u:%g' /tmp /root
    [ "$output" = "1777 0:0
700 0:0" ]
}

@test "bases.sh: wrong usage and a failed bootstrap" {
    run "$COOPER_SOURCE_DIR/examples/bases.sh" alpine
    [ "$status" -eq 2 ]
    XDG_CACHE_HOME=$PWD/cache DEBIAN_MIRROR=http://127.0.0.1:9/debian \
        run "$COOPER_SOURCE_DIR/examples/bases.sh" --store "$PWD/store" debian:12
    [ "$status" -ne 0 ]
    [ -z "$(ls cache/cooper-examples)" ]
}

@test "quickstart.sh builds cooper, and with it an image that runs, is pushed and comes back" {
    local digest

    XDG_CACHE_HOME=$REAL_CACHE_HOME run "$COOPER_SOURCE_DIR/examples/quickstart.sh"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output =~ digest:\ (sha256:[0-9a-f]{64}) ]]
    digest=${BASH_REMATCH[1]}
    [[ $output == *"Hello, world, from a cask."* ]]
    [[ $output == *"pulled: $digest"* ]]
    cooper inspect hello
    [ "$(jq -r '.[0].Id' <<<"$output")" = "$digest" ]
}
