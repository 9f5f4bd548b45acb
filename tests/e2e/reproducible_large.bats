#!/usr/bin/env bats
# As reproducible.bats, for the largest example: one digest as root and as an ordinary user, with
# one worker and with two, cold and from the cache.

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
teardown() { forget; }

@test "ml-api, whose model is trained while it is built, has one digest" {
    same ml-api "root:1 root:2 user:1 user:2"
}
