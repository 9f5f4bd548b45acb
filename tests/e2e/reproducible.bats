#!/usr/bin/env bats
# With SOURCE_DATE_EPOCH, same inputs, same digest: as root and as an ordinary user, with one
# worker and with two, cold and from the cache. Each of the four builds in a store of its own.

bats_require_minimum_version 1.5.0
load lib
load rootless
load reproducible

setup_file() { reproducible_begin; }

teardown_file() {
    rootless_end
    e2e_end
}

setup() { e2e_setup; }

@test "web, which installs packages, has one digest" {
    same web "root:1 root:2 user:1 user:2"
}

@test "hello, which is compiled, has one digest" {
    same hello "root:1 root:2 user:1 user:2"
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
