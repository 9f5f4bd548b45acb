#!/usr/bin/env bats
# A registry's cache: how its layers are asked for, and as many as there may be.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    "$COOPER" tag busybox "$REGISTRY/busybox"
    "$COOPER" push "$REGISTRY/busybox"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
}
teardown() {
    [ ! -e gather.pid ] || kill "$(cat gather.pid)"
}

# Starts the proxy; sets $GATHER (host:port).
gather_start() {
    local try

    python3 "$COOPER_SOURCE_DIR/tests/e2e/gather.py" "$REGISTRY" port stats 3>&- &
    echo $! >gather.pid
    for ((try = 0; try < 600; try++)); do
        [ -e port ] && break
        sleep 0.1
    done
    GATHER=127.0.0.1:$(cat port)
}

# A Dockerfile of $1 stages with $2 layers each, and one that takes a file of each.
stages() {
    local stage layer

    for ((stage = 0; stage < $1; stage++)); do
        echo "FROM scratch AS s$stage"
        for ((layer = 0; layer < $2; layer++)); do
            printf 'COPY <<"END" /f%d\n%d of %d\nEND\n' "$layer" "$layer" "$stage"
        done
    done
    echo 'FROM scratch'
    for ((stage = 0; stage < $1; stage++)); do
        echo "COPY --from=s$stage /f0 /s$stage"
    done
}

@test "layers of a registry's cache are asked for several at once, and only those that count" {
    stages 6 2 >ctx/Dockerfile
    "$COOPER" build -q --cache-to "type=registry,ref=$REGISTRY/many,mode=max" ctx
    gather_start
    export COOPER_ROOT=$BATS_TEST_TMPDIR/fresh
    "$COOPER" --insecure-registry "$GATHER" build --progress=plain --cache-from "$GATHER/many" \
        -o type=tar,dest=/dev/null ctx 2>log
    run ! grep "not cached: " log
    read -r heads most <stats
    # The six layers of the result: those of the other stages are not needed.
    [ "$heads" -eq 6 ]
    [ "$most" -gt 1 ]
}

@test "what is not there is found out by those questions, and only that runs" {
    stages 6 2 >ctx/Dockerfile
    "$COOPER" build -q --no-cache --cache-to "type=registry,ref=$REGISTRY/holes,mode=max" ctx
    # The result's layers come first.
    gone=$(curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY/v2/holes/manifests/latest" | jq -r '.layers[3].digest')
    data=$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs/sha256/${gone:7:2}/${gone:7}/data
    mv "$data" saved
    export COOPER_ROOT=$BATS_TEST_TMPDIR/fresh
    "$COOPER" explain --cache-from "$REGISTRY/holes" ctx >explained
    "$COOPER" build --progress=plain --cache-from "$REGISTRY/holes" -o type=local,dest=out ctx 2>log
    mv saved "$data"
    [ "$(cat out/s3)" = '0 of 3' ]
    [ "$(grep -c 'not cached: ' log)" -eq 1 ]
    grep -q 'COPY --from=s3' log
    grep -q 'is not used: layer .* is not there' log
    grep -q 'COPY --from=s3' explained
}

@test "a cache of more layers than an image may have is whole" {
    stages 26 20 >ctx/Dockerfile
    "$COOPER" build -q --cache-to "type=registry,ref=$REGISTRY/wide,mode=max" \
        --cache-to "type=registry,ref=$REGISTRY/wide:min,mode=min" \
        --cache-to "type=registry,ref=$REGISTRY/wide:index,mode=max,image-manifest=false" \
        --cache-to type=local,dest=dir,mode=max ctx
    accept='Accept: application/vnd.oci.image.manifest.v1+json'
    # Of each stage 20 layers, the first of which is taken by the result as one of its own.
    [ "$(curl -sf -H "$accept" "http://$REGISTRY/v2/wide/manifests/latest" | jq '.layers | length')" -gt 500 ]
    [ "$(curl -sf -H "$accept" "http://$REGISTRY/v2/wide/manifests/min" | jq '.layers | length')" -eq 26 ]
    # Another last stage needs the last layer of each of the others.
    sed -i 's,/f0 /s\([0-9]*\)$,/f19 /s\1,' ctx/Dockerfile
    for cache in "$REGISTRY/wide" "$REGISTRY/wide:index" type=local,src=dir; do
        export COOPER_ROOT=$BATS_TEST_TMPDIR/store$((++count))
        "$COOPER" build --progress=plain --cache-from "$cache" -o type=local,dest=out$count ctx 2>log
        [ "$(grep -c 'not cached: ' log)" -eq 26 ]
        run ! grep -q 'is not used' log
        [ "$(cat out$count/s25)" = '19 of 25' ]
    done
}
