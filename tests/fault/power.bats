# Power failures: crashes after which everything that was not synced is gone. See Disk in
# crash.py for how that is done.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox_root "$BATS_FILE_TMPDIR/busybox"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store COOPER_BASE=$BATS_FILE_TMPDIR/busybox
}

# Mounts vanish with the namespace.
power() {
    unshare -m --propagation private python3 "$BATS_TEST_DIRNAME/crash.py" power "$1"
}

@test "the power fails at 50 moments of a build: refs are whole, successes stay, builds go on" {
    power 50
}

@test "a program that does not sync would not pass" {
    local preload
    preload=$(dirname "$COOPER")/preload_nosync.so
    [ -e "$preload" ]
    LD_PRELOAD=$preload run power 8
    [ "$status" -eq 1 ]
    [[ $output == *"round "*": "* ]]
}
