#!/usr/bin/env bats
# As reproducible.bats, for the larger examples: one digest as root and as an ordinary user, with
# one worker and with two, cold and from the cache.

bats_require_minimum_version 1.5.0
load lib
load rootless
load reproducible

setup_file() {
    reproducible_begin
    mkdir -p "$PLACE/installed/usr/bin"
    echo program >"$PLACE/installed/usr/bin/cooper"
}

teardown_file() {
    rootless_end
    e2e_end
}

setup() { e2e_setup; }
teardown() { forget; }

everybody="root:1 root:2 user:1 user:2"

@test "monorepo, whose services share stages and cache mounts, has one digest each" {
    same monorepo "$everybody" --target greeter
    same monorepo "$everybody" --target gateway
}

@test "cooper-image, which adds a user, has one digest" {
    same cooper-image "$everybody" --build-arg PROGRAM=installed \
        --build-context installed="$PLACE/installed"
}
