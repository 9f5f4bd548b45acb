#!/usr/bin/env bats
# Every example, out of the cache: on the machine that built it, without touching a layer; and
# on another one that shares nothing but a registry, without running a step.

bats_require_minimum_version 1.5.0
load lib

# Name, directory, target.
EXAMPLES=(
    'hello hello'
    'web web'
    'ml-api ml-api'
    'greeter monorepo greeter'
    'counter monorepo counter'
    'gateway monorepo gateway'
    'test monorepo test'
)

setup_file() {
    # Base images are kept between runs where the user's other caches are.
    export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    "$COOPER_SOURCE_DIR/examples/bases.sh"
    e2e_registry_start
    for example in "${EXAMPLES[@]}"; do
        build_example "$example" --cache-to \
            "type=registry,ref=$REGISTRY/cache/${example%% *},mode=max" \
            --iidfile "$BATS_FILE_TMPDIR/${example%% *}.id" >"$BATS_FILE_TMPDIR/log" 2>&1 || {
            cat "$BATS_FILE_TMPDIR/log" >&2
            return 1
        }
    done
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

build_example() {
    local name dir target

    read -r name dir target <<<"$1"
    shift
    "$COOPER" build --progress=plain -t "$REGISTRY/$name" ${target:+--target "$target"} "$@" \
        "$COOPER_SOURCE_DIR/examples/$dir" 3>&-
}

# Steps that ran, by the log.
ran() {
    grep -c 'not cached: ' "$1" || true
}

@test "the cached build of every example runs no step and touches no layer" {
    # Indexes and unpacked layers are away, and of layers' blobs only the sizes are right.
    local store=$COOPER_ROOT blob size example

    mv "$store/index" "$store/layers" .
    mkdir "$store/index" "$store/layers"
    mkdir saved
    for blob in "$store"/blobs/sha256/*; do
        [ "$(head -c 1 "$blob")" != '{' ] || continue
        size=$(stat -c %s "$blob")
        mv "$blob" saved/
        truncate -s "$size" "$blob"
    done
    for example in "${EXAMPLES[@]}"; do
        build_example "$example" --iidfile again.id >"log-${example%% *}" 2>&1
        [ "$(ran "log-${example%% *}")" -eq 0 ]
        cmp again.id "$BATS_FILE_TMPDIR/${example%% *}.id"
    done
    run -0 find "$store/index" "$store/layers" -type f
    [ -z "$output" ]
    mv saved/* "$store/blobs/sha256/"
    rmdir "$store/layers"
    mv layers "$store/"
    cp -r index/. "$store/index/"
}

@test "another machine builds every example from the registry's cache without running a step" {
    local example big

    export COOPER_ROOT=$BATS_TEST_TMPDIR/store
    for example in "${EXAMPLES[@]}"; do
        build_example "$example" --push --iidfile other.id \
            --cache-from "$REGISTRY/cache/${example%% *}" >"log-${example%% *}" 2>&1 || {
            cat "log-${example%% *}" >&2
            return 1
        }
        [ "$(ran "log-${example%% *}")" -eq 0 ]
        cmp other.id "$BATS_FILE_TMPDIR/${example%% *}.id"
    done
    # What was fetched are documents: each begins with a brace.
    for big in "$COOPER_ROOT"/blobs/sha256/*; do
        [ "$(head -c 1 "$big")" = '{' ]
    done
    # And the images are whole.
    for example in "${EXAMPLES[@]}"; do
        skopeo inspect --tls-verify=false "docker://$REGISTRY/${example%% *}" >/dev/null
    done
}
