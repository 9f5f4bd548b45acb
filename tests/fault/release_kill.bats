# Releases, rollbacks and promotions that are killed.
bats_require_minimum_version 1.5.0
load lib
load ../e2e/serve
load ../e2e/release
setup_file() { release_setup_file; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

killed() {
    "$BATS_TEST_DIRNAME/release_kill.py" "$COOPER" "${R%%/*}" "${R#*/}" "$1"
}

@test "a release killed at any request leaves nothing wrong, and is completed by the same command" {
    both killed release
}

@test "so is a rollback" {
    both killed rollback
}

@test "so is a promotion" {
    both killed promote
}
