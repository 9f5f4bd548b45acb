# Pruning beside everything else, and killed at any moment: what is visible stays whole.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    "$COOPER" tag busybox "$REGISTRY/busybox:1"
    "$COOPER" push -q "$REGISTRY/busybox:1"
}
teardown_file() { e2e_end; }

setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    e2e_busybox
    local n
    for n in 1 2 3 4; do
        mkdir "app$n"
        seq "$n" 5000 >"app$n/file"
        cat >"app$n/Dockerfile" <<END
FROM busybox
COPY file /file
RUN --mount=type=cache,target=/cache cat /file >>/cache/all && wc -l </file >/count
RUN cp /file /copy && rm /file
END
    done
}

# Image app$1 is what its Dockerfile says.
app_is_whole() {
    [ "$("$COOPER" run --rm "app$1" cat /count)" -eq $((5001 - $1)) ] || return 1
    [ "$("$COOPER" run --rm "app$1" sh -c 'wc -l </copy')" -eq $((5001 - $1)) ]
}

@test "builds, pulls and removals beside endless pruning" {
    # Five rounds of each; the pruners go on as long as the others do.
    pruner() {
        while [ -e working ]; do
            "$COOPER" prune -af >/dev/null || return 1
            "$COOPER" df -v >/dev/null || return 1
        done
    }
    worker() {
        local round
        for round in 1 2 3 4 5; do
            "$COOPER" build -q -t "app$1" "app$1" >/dev/null || return 1
            "$COOPER" run --rm "app$1" cat /count >"count$1" || return 1
            [ "$(cat "count$1")" -eq $((5001 - $1)) ] || return 1
            "$COOPER" tag "app$1" "gone$1" && "$COOPER" rmi "gone$1" || return 1
        done
    }
    puller() {
        local round
        for round in 1 2 3 4 5; do
            "$COOPER" pull -q "$REGISTRY/busybox:1" >/dev/null || return 1
            "$COOPER" run --rm "$REGISTRY/busybox:1" true || return 1
            "$COOPER" rmi "$REGISTRY/busybox:1" || return 1
        done
    }
    touch working
    pids=() pruners=()
    pruner 2>pruner1.log & pruners+=($!)
    pruner 2>pruner2.log & pruners+=($!)
    for n in 1 2; do
        worker "$n" 2>"worker$n.log" & pids+=($!)
    done
    puller 2>puller.log & pids+=($!)
    failed=0
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    rm working
    for pid in "${pruners[@]}"; do
        wait "$pid" || failed=1
    done
    cat ./*.log
    [ "$failed" -eq 0 ]
    app_is_whole 1
    app_is_whole 2
    store_is_whole
    "$COOPER" fsck --full
}

@test "killed at 30 moments of a prune, the store is whole and builds on" {
    for n in 1 2 3 4; do
        "$COOPER" build -q -t "app$n" "app$n" >/dev/null
    done
    # How long it takes undisturbed, in ms, of a copy.
    cp -a "$COOPER_ROOT" template
    begin=$(date +%s%N)
    COOPER_ROOT=$PWD/template "$COOPER" prune -af >/dev/null
    span=$((($(date +%s%N) - begin) / 1000000 + 1))
    RANDOM=${FAULT_SEED:=$RANDOM}
    echo "FAULT_SEED=$FAULT_SEED, $span ms"
    for ((round = 0; round < 30; round++)); do
        "$COOPER" prune -af >/dev/null 2>&1 &
        pid=$!
        sleep "$(printf '0.%03d' $((RANDOM % span % 1000)))"
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        n=$((round % 4 + 1))
        "$COOPER" build -q -t "app$n" "app$n" >/dev/null
        "$COOPER" images >/dev/null
        store_is_whole
    done
    for n in 1 2 3 4; do
        app_is_whole "$n"
    done
    "$COOPER" fsck --full
}

@test "killed at 20 moments of a repair, nothing that is whole is lost" {
    for n in 1 2; do
        "$COOPER" build -q -t "app$n" "app$n" >/dev/null
    done
    RANDOM=${FAULT_SEED:=$RANDOM}
    echo "FAULT_SEED=$FAULT_SEED"
    for ((round = 0; round < 20; round++)); do
        for dir in "$COOPER_ROOT"/layers/*/fs; do
            echo damage >"$dir/damage"
        done
        "$COOPER" fsck --repair >/dev/null 2>&1 &
        pid=$!
        sleep "0.0$((RANDOM % 10))"
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        "$COOPER" fsck --repair --full
        app_is_whole 1
        app_is_whole 2
    done
    store_is_whole
}
