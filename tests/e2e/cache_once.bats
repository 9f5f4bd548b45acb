#!/usr/bin/env bats
# The same step runs once: in two builds at once, and twice in one build.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

# A line in the cache mount for each time that the step ran.
counted_context() {
    echo data >data
    cat >Dockerfile <<END
FROM busybox
COPY data /data
RUN --mount=type=cache,target=/count,id=$1,sharing=shared echo x >>/count/runs; $2
RUN --mount=type=cache,target=/count,id=$1,sharing=shared echo y >>/count/runs
END
}

counted() {
    cat >read.Dockerfile <<END
FROM busybox
RUN --mount=type=cache,target=/count,id=$1,sharing=shared cat /count/runs >/runs
END
    "$COOPER" build -q --no-cache -f read.Dockerfile -o out . >/dev/null
    cat out/runs
}

@test "four builds of one Dockerfile at once run each step once" {
    local pids=() i

    counted_context four 'sleep 1'
    for i in 1 2 3 4; do
        "$COOPER" build --progress=plain -t "four$i" . >"log$i" 2>&1 3>&- &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
    [ "$(counted four | tr -d '\n')" = xy ]
    run -0 bash -c '"$COOPER" inspect four1 four2 four3 four4 | jq -c ".[].RootFS" | sort -u'
    [ "${#lines[@]}" -eq 1 ]
}

# A first build whose step goes on when it is told to, and a second that waits for it.
start_two() {
    counted_context "$1" 'until [ -e /count/go ]; do sleep 0.1; done'
    "$COOPER" build --progress=plain . >log1 2>&1 3>&- &
    first=$!
    await 'find "$COOPER_ROOT/mounts" -name runs | grep .'
    "$COOPER" build --progress=plain . >log2 2>&1 3>&- &
    second=$!
    await 'grep "waiting for the same step in another build" log2'
}

await() {
    local i

    for ((i = 0; i < 1200; i++)); do
        eval "$1" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "never came true: $1" >&2
    cat log1 log2 >&2
    return 1
}

go_on() {
    touch "$(dirname "$(find "$COOPER_ROOT/mounts" -name runs)")/go"
}

# So that find has one mount to find, each test that uses start_two has a store of its own.
own_store() {
    export COOPER_ROOT=$BATS_TEST_TMPDIR/store
    e2e_busybox
}

@test "who waits says so, and finds the step done" {
    own_store
    start_two waits
    go_on
    wait "$first"
    wait "$second"
    [ "$(counted waits | tr -d '\n')" = xy ]
    grep -q 'CACHED' log2
}

@test "a build that is killed leaves the step to the one that waits" {
    own_store
    start_two dies
    kill -KILL "$first"
    go_on
    wait "$second"
    # The first one's x, and the second's.
    [ "$(counted dies | tr -d '\n')" = xxy ]
    run -0 find "$COOPER_ROOT/leases" -name 'claim-*'
    [ -z "$output" ]
}

@test "who waits can be interrupted" {
    own_store
    start_two stops
    # What bash starts in the background ignores SIGINT.
    kill -TERM "$second"
    status=0
    wait "$second" || status=$?
    [ "$status" -ne 0 ]
    grep -q 'waiting for the same step' log2
    go_on
    wait "$first"
    [ "$(counted stops | tr -d '\n')" = xy ]
}

@test "a failed step is run again by the one that waited" {
    counted_context fails 'sleep 1; false'
    "$COOPER" build . >log1 2>&1 3>&- &
    local first=$! code=0
    run "$COOPER" build .
    [ "$status" -eq 1 ]
    wait "$first" || code=$?
    [ "$code" -eq 1 ]
    [ "$(counted fails | tr -d '\n')" = xx ]
}

@test "stages that begin alike run what they have in common once" {
    echo data >data
    cat >Dockerfile <<'END'
FROM busybox AS a
COPY data /data
RUN --mount=type=cache,target=/count,id=twins echo x >>/count/runs
RUN echo a >/a
FROM busybox AS b
COPY data /data
RUN --mount=type=cache,target=/count,id=twins echo x >>/count/runs
RUN echo b >/b
FROM scratch
COPY --from=a /a /
COPY --from=b /b /
END
    "$COOPER" build -o files .
    [ "$(cat files/a files/b | tr -d '\n')" = ab ]
    [ "$(counted twins)" = x ]
    # Without the cache too.
    "$COOPER" build --no-cache -o files .
    [ "$(counted twins | tr -d '\n')" = xx ]
}
