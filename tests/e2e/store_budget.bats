# How large the store may become: --storage-budget, --storage-limit.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }

setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    e2e_busybox
}

# Makes the context $1 with a file of $2 bytes.
context() {
    mkdir "$1"
    head -c "$2" /dev/urandom >"$1/file"
    printf 'FROM busybox\nCOPY file /%s\n' "$1" >"$1/Dockerfile"
}

used() { du -s -B1 "$COOPER_ROOT" | cut -f1; }

@test "after a build the store is brought back to the budget, the least recently used first" {
    for n in 1 2 3 4; do
        context "app$n" 3000000
        "$COOPER" build -q "app$n" >/dev/null
    done
    context last 3000000
    cooper --storage-budget 12mb build -q -t last last
    [ "$status" -eq 0 ]
    [[ $stderr == *"storage budget of 12.6MB: "*"removed"* ]]
    (($(used) <= 12 * 1024 * 1024))
    cooper fsck --full
    [ "$status" -eq 0 ]
    cooper build --progress=plain -t last last
    [[ $stderr == *CACHED* ]]
    cooper build --progress=plain app1
    [[ $stderr != *CACHED* ]]
}

@test "what images need stays, however small the budget" {
    context app 3000000
    COOPER_STORAGE_BUDGET=1mb cooper build -q -t app app
    [ "$status" -eq 0 ]
    context other 300000
    COOPER_STORAGE_BUDGET=1% "$COOPER" build -q -t other other
    COOPER_STORAGE_BUDGET=1mb "$COOPER" build -q -t other other
    cooper fsck --full
    [ "$status" -eq 0 ]
    [ "$("$COOPER" run --rm app sh -c 'wc -c </app')" -eq 3000000 ]
}

@test "none means no bound; what is no size is wrong usage" {
    context app 300000
    COOPER_STORAGE_BUDGET=none "$COOPER" build -q app
    for size in much 0% 101% -1 5q; do
        cooper --storage-budget "$size" images
        [ "$status" -eq 2 ]
        [[ $stderr == *--storage-budget* ]]
        COOPER_STORAGE_LIMIT=$size cooper images
        [ "$status" -eq 2 ]
        [[ $stderr == *COOPER_STORAGE_LIMIT* ]]
    done
}

@test "a COPY that would pass the limit ends the build, with nothing half-written" {
    context app 20000000
    cooper --storage-limit 10mb build -t app app
    [ "$status" -eq 1 ]
    [[ $stderr == *"--storage-limit"*"cooper prune"* ]]
    (($(used) <= 10 * 1024 * 1024))
    cooper images -q app
    [ -z "$output" ]
    cooper fsck --full
    [ "$status" -eq 0 ]
    [ -z "$(ls "$COOPER_ROOT/ingest")" ]
    "$COOPER" --storage-limit 60mb build -q -t app app
}

@test "a RUN that writes without end is ended before the disk is full" {
    mkdir app
    # At most 2 GB, should nobody end it.
    cat >app/Dockerfile <<'END'
FROM busybox
RUN i=0; while [ $i -lt 2000 ]; do head -c 1000000 /dev/zero >/file$i; i=$((i + 1)); done
END
    cooper --storage-limit 30mb build -t app app
    [ "$status" -eq 1 ]
    [[ $stderr == *"reached its limit of 31.5MB (--storage-limit)"* ]]
    (($(used) <= 30 * 1024 * 1024))
    cooper fsck --full
    [ "$status" -eq 0 ]
    [ -z "$(ls "$COOPER_ROOT/ingest")" ]
}

@test "old build cache makes room below the limit" {
    for n in 1 2 3; do
        context "app$n" 3000000
        "$COOPER" build -q "app$n" >/dev/null
    done
    context last 3000000
    cooper --storage-limit 12mb build -q -t last last
    [ "$status" -eq 0 ]
    (($(used) <= 12 * 1024 * 1024))
    cooper build --progress=plain -t last last
    [[ $stderr == *CACHED* ]]
}

@test "what is imported counts against the limit as well" {
    mkdir root
    head -c 8000000 /dev/urandom >root/file
    cooper --storage-limit 4mb import root big
    [ "$status" -eq 1 ]
    [[ $stderr == *--storage-limit* ]]
    cooper images -q big
    [ -z "$output" ]
    [ -z "$(ls "$COOPER_ROOT/ingest")" ]
    cooper --storage-limit 40mb import root big
    [ "$status" -eq 0 ]
    cooper --storage-limit 4mb images -q big
    [ -n "$output" ]
}
