# A registry that wants to do harm: see hostile_registry.py for its ways.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }

@test "whatever a registry answers, a pull ends with one clear error, bounded memory and a whole store" {
    python3 "$BATS_TEST_DIRNAME/hostile_registry.py" all "$COOPER" "$PWD/run"
}

@test "a redirect from a public address into a private network is refused" {
    printf '10.9.8.7 inside.test\n' >hosts
    # shellcheck disable=SC2016  # the inner shell's
    unshare -n -m --propagation private bash -ec '
        ip link set lo up
        ip address add 203.0.113.5/32 dev lo
        ip address add 10.9.8.7/32 dev lo
        mount --bind hosts /etc/hosts
        python3 "$1" private "$2" "$3"
    ' _ "$BATS_TEST_DIRNAME/hostile_registry.py" "$COOPER" "$PWD/run"
}
