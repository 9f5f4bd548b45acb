# Several cooper processes on one store.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox_root "$BATS_FILE_TMPDIR/busybox"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    mkdir one other
    seq 20000 >one/numbers
    seq 30000 >other/numbers
    cat >one/Dockerfile <<'END'
FROM busybox AS a
COPY numbers /numbers
RUN --mount=type=cache,target=/cache echo $$ >>/cache/log && sort -r /numbers >/sorted
FROM busybox
RUN echo independent >/b
COPY --from=a /sorted /
RUN sort -n /sorted | cmp - /sorted; wc -l </sorted >/count
END
    cp one/Dockerfile other/
}

# Runs $1 commands at once, each "do_it NUMBER"; all must succeed.
all_succeed() {
    local count=$1 i pids=()
    for ((i = 0; i < count; i++)); do
        do_it "$i" >"log.$i" 2>&1 3>&- &
        pids+=($!)
    done
    for ((i = 0; i < count; i++)); do
        wait "${pids[i]}" || { echo "$i:"; cat "log.$i"; return 1; }
    done
}

counts_are() {
    [ "$("$COOPER" run "$1" cat /count)" -eq "$2" ]
    skopeo_reads "oci:$COOPER_ROOT:docker.io/library/$1:latest"
}

@test "two builds of one Dockerfile at once, again and again" {
    local round
    do_it() { "$COOPER" build -q -t "app$1" one; }
    for round in 1 2 3 4 5 6; do
        rm -rf store
        e2e_busybox
        all_succeed 2
        counts_are app0 20000
        counts_are app1 20000
        store_is_whole
    done
}

@test "builds of different Dockerfiles at once, some of them under one name" {
    e2e_busybox
    do_it() {
        local which=one
        (($1 % 2)) && which=other
        "$COOPER" build -q --no-cache -t "$which" -t shared "$which"
    }
    all_succeed 6
    counts_are one 20000
    counts_are other 30000
    store_is_whole
}

@test "two builds at once from two pid namespaces" {
    local round
    do_it() { unshare --pid --fork --mount-proc "$COOPER" build -q -t "app$1" one; }
    for round in 1 2 3; do
        rm -rf store
        e2e_busybox
        all_succeed 2
        counts_are app0 20000
        counts_are app1 20000
        store_is_whole
    done
    do_it() {
        unshare --pid --fork --mount-proc "$COOPER" build -q --no-cache -t "app$1" other
    }
    all_succeed 4
    counts_are app3 30000
    store_is_whole
}

@test "a store that several processes make at once" {
    do_it() { e2e_busybox "base$1"; }
    all_succeed 4
    [ "$(store_list | grep -c ^ref)" -eq 4 ]
    store_is_whole
}

@test "builds, pulls, pushes and removals at once" {
    e2e_busybox
    "$COOPER" tag busybox "$REGISTRY/busybox:1"
    do_it() {
        case $1 in
        0) "$COOPER" build -q -t app one ;;
        1) "$COOPER" push -q "$REGISTRY/busybox:1" ;;
        2) "$COOPER" build -q --no-cache -t "$REGISTRY/app:1" --push other ;;
        3) for i in 1 2 3 4; do "$COOPER" tag busybox gone && "$COOPER" rmi gone; done ;;
        4) for i in 1 2 3 4; do "$COOPER" images; done ;;
        esac
    }
    all_succeed 5
    counts_are app 20000
    skopeo_reads "docker://$REGISTRY/app:1"
    store_is_whole
}
