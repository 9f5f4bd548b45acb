# The same as registry_faults.bats with TLS on the way and registries that want to know who asks,
# and for a blob that comes in parts. The seed is printed; FAULT_SEED repeats it.
bats_require_minimum_version 1.5.0
load lib
load ../e2e/serve
load ../e2e/registries
setup_file() {
    e2e_begin
    e2e_registry_start
    token_server_start
}
teardown_file() {
    background_stop
    e2e_end
}
setup() {
    e2e_setup
    certificate_make server
}
teardown() { registry_stop; }

faults() { # WHAT REGISTRY [ARGUMENT...]
    python3 "$BATS_TEST_DIRNAME/registry_faults.py" "$1" "$COOPER" "$2" "$PWD/run" "${@:3}"
}

@test "25 pushes and 25 pulls under faults, TLS and tokens, docker-registry: whole or one clear error" {
    guarded_start bearer "auth:
  token: {realm: 'http://$TOKENS/token', service: test, issuer: test, rootcertbundle: $TOKEN_DIR/token.crt}"
    faults secured "$GUARDED" 25 "$PWD/server.crt" "$PWD/server.key" "$TOKENS"
    find "$BATS_FILE_TMPDIR/bearer/data" -path '*/blobs/sha256/*/data' -printf '%h\n' |
        sed 's,.*/,sha256:,' | LC_ALL=C sort >stored
    cmp run/expected stored
}

@test "25 pushes and 25 pulls under faults, TLS and a password, cooper serve: whole or one clear error" {
    password_line me 's3cret/ pass' >htpasswd
    COOPER_ROOT=$PWD/served registry_serve --auth htpasswd
    faults secured "$SERVED" 25 "$PWD/server.crt" "$PWD/server.key"
    registry_stop
    find served/blobs/sha256 -type f -printf 'sha256:%f\n' | LC_ALL=C sort >stored
    cmp run/expected stored
    [ -z "$(ls served/ingest)" ]
    store_is_whole served
}

@test "a large blob whose parts break off again and again arrives whole" {
    faults parts "$REGISTRY"
}
