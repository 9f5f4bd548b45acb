# A registry that wants to do harm: see hostile_registry.py for its ways.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }

@test "whatever a registry answers, a pull ends with one clear error, bounded memory and a whole store" {
    python3 "$BATS_TEST_DIRNAME/hostile_registry.py" "$COOPER" "$PWD/run"
}
