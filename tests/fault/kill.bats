# SIGKILL at random moments: what is visible stays whole, and everything goes on. The seed is
# printed; FAULT_SEED repeats it.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

# In a mount namespace of its own, so that other programs' mounts are not taken for ours.
crash() {
    unshare -m --propagation private python3 "$BATS_TEST_DIRNAME/crash.py" "$@"
}

@test "killed at 140 moments of a multi-stage build, the store is whole and builds on" {
    crash build 140
}

@test "killed at 30 moments of a push, the store is whole and the next push arrives" {
    crash push 30
}

@test "killed at 30 moments of a pull, the store is whole and the next pull succeeds" {
    export COOPER_OTHER_ROOT=$COOPER_ROOT COOPER_ROOT=$PWD/store
    e2e_busybox
    crash pull 30
}
