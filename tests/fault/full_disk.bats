# A store on a small disk that fills up.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    export BIG=$BATS_FILE_TMPDIR/big
    mkdir "$BIG"
    head -c 30000000 /dev/urandom >"$BIG/data"
    "$COOPER" import "$BIG" "$REGISTRY/big:1" >/dev/null
    "$COOPER" push -q "$REGISTRY/big:1"
    "$COOPER" save -o "$BATS_FILE_TMPDIR/big.tar" "$REGISTRY/big:1"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    mkdir store ctx
    mount -t tmpfs -o size=24m,mode=700 store store
    e2e_busybox
    echo content >ctx/file
    store_list | sort >before
}
teardown() { umount store; }

# Fails for want of space, clearly, and leaves nothing but blobs that are whole.
runs_out_of_space() {
    cooper "$@"
    failed_with 'No space left on device'
    "$COOPER" images >/dev/null
    store_is_whole
    store_list | grep -v ^blobs/ | sort >after
    diff <(grep -v -e ^blobs/ -e ^layers/ before) <(grep -v ^layers/ after)
}

dockerfile() {
    printf '%s\n' 'FROM busybox' "$@" >ctx/Dockerfile
}

@test "COPY of more than there is room for" {
    cp "$BIG/data" ctx/
    dockerfile 'COPY data /'
    runs_out_of_space build -t app ctx
    mount -o remount,size=64m store
    "$COOPER" build -q -t app ctx
    store_is_whole
    skopeo_reads "oci:$COOPER_ROOT:docker.io/library/app:latest"
}

@test "RUN that writes more than there is room for" {
    dockerfile 'RUN dd if=/dev/urandom of=/data bs=1M count=30'
    cooper build --progress plain -t app ctx
    failed_with 'exit code: 1' 'No space left on device'
    store_is_whole
    mount -o remount,size=96m store
    "$COOPER" build -q -t app ctx
    store_is_whole
}

@test "RUN whose files have room, but not their layer" {
    dockerfile 'RUN head -c 12000000 /dev/urandom >/data'
    runs_out_of_space build -t app ctx
    mount -o remount,size=64m store
    "$COOPER" build -q -t app ctx
    store_is_whole
}

@test "import, load and pull of more than there is room for" {
    runs_out_of_space import "$BIG" big
    runs_out_of_space load -i "$BATS_FILE_TMPDIR/big.tar"
    runs_out_of_space pull "$REGISTRY/big:1"
    mount -o remount,size=64m store
    "$COOPER" pull -q "$REGISTRY/big:1"
    store_is_whole
}

@test "whatever is left of the disk, a build fails clearly or succeeds, and next time it does" {
    local left free succeeded=0 failed=0
    for left in 0 4 12 20 28 32 36 40 44 48 56 64 80 96 128 160 256 400 1000 1500 2500 4000; do
        dockerfile 'COPY file /' "RUN echo $left >/left" 'RUN seq 10000 >/numbers'
        echo "$left" >ctx/file
        free=$(df -k --output=avail store | tail -1)
        head -c $(((free - left) * 1024)) /dev/zero >store/lost+found
        cooper build --progress plain -t "app:$left" ctx
        rm store/lost+found
        if [ "$status" -eq 0 ]; then
            succeeded=$((succeeded + 1))
        else
            failed=$((failed + 1))
            failed_with 'No space left on device'
            [ -z "$("$COOPER" images -q "app:$left")" ]
        fi
        "$COOPER" build -q -t "app:$left" ctx
        store_is_whole
        # So that the next one unpacks and builds again.
        rm -r store/layers/*
    done
    echo "$succeeded succeeded, $failed failed"
    [ "$succeeded" -gt 0 ] && [ "$failed" -gt 10 ]
}
