# Pushes and pulls through a network and a registry that fail at random moments. The seed is
# printed; FAULT_SEED repeats it.
bats_require_minimum_version 1.5.0
load lib
load ../e2e/serve
setup_file() {
    e2e_begin
    e2e_registry_start
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

faults() { # WHAT REGISTRY [ROUNDS]
    python3 "$BATS_TEST_DIRNAME/registry_faults.py" "$1" "$COOPER" "$2" "$PWD/run" "${@:3}"
}

@test "50 pushes and 50 pulls under faults, docker-registry: whole or one clear error, nothing lost or doubled" {
    faults random "$REGISTRY" 50
    find "$BATS_FILE_TMPDIR/registry" -path '*/blobs/sha256/*/data' -printf '%h\n' |
        sed 's,.*/,sha256:,' | LC_ALL=C sort >stored
    cmp run/expected stored
}

@test "50 pushes and 50 pulls under faults, cooper serve: whole or one clear error, nothing lost or doubled" {
    COOPER_ROOT=$PWD/served registry_serve
    faults random "$SERVED" 50
    registry_stop
    find served/blobs/sha256 -type f -printf 'sha256:%f\n' | LC_ALL=C sort >stored
    cmp run/expected stored
    [ -z "$(ls served/ingest)" ]
    store_is_whole served
}

@test "an upload that breaks off gives no session the same bytes twice" {
    faults broken "$REGISTRY"
    COOPER_ROOT=$PWD/served registry_serve
    rm -r run
    faults broken "$SERVED"
}

@test "a push that was killed goes on where the registry stopped" {
    COOPER_ROOT=$PWD/served registry_serve
    faults resume "$SERVED"
}

@test "a registry that says no more is given up, and said so" {
    faults stall "$REGISTRY"
}
