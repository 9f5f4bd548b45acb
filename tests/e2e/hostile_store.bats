# What happens to a store behind cooper's back: said clearly, and mended where that can be.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export COOPER_ROOT="$PWD/store"
    e2e_busybox
    mkdir ctx
    printf '%s\n' 'FROM busybox' 'RUN echo one >/one' 'COPY Dockerfile /' 'RUN cat /one /Dockerfile >/two' \
        >ctx/Dockerfile
    "$COOPER" build -q -t app ctx >id
}

# The file of the layer $2 of image $1.
layer_file() {
    local manifest layer
    manifest=$(jq -r --arg n "$1" '.manifests[] | select(.annotations[
        "org.opencontainers.image.ref.name"] | endswith("/" + $n + ":latest")) | .digest' \
        "$COOPER_ROOT/index.json")
    layer=$(jq -r ".layers[$2].digest" "$COOPER_ROOT/blobs/sha256/${manifest#sha256:}")
    echo "$COOPER_ROOT/blobs/sha256/${layer#sha256:}"
}

@test "a layer that was deleted is made again" {
    local i
    for i in 1 2 3; do
        rm "$(layer_file app $i)"
        rm -rf "$COOPER_ROOT"/layers/*
        cooper build -q -t app ctx
        [ "$status" -eq 0 ]
        cooper save -o app.tar app
        [ "$status" -eq 0 ]
        cooper run app cat /two
        [ "${lines[0]}" = one ]
    done
}

@test "directories and indexes that were deleted come back" {
    rm -rf "$COOPER_ROOT"/{layers,index,stat,builds,mounts,ingest}
    cooper build -q --no-cache -t app ctx
    [ "$status" -eq 0 ]
    cooper run app cat /one
    [ "$output" = one ]
}

@test "an index that is no index is made again" {
    local file
    while read -r file; do
        chmod u+w "$file"
        head -c 500 /dev/urandom >"$file"
    done < <(find "$COOPER_ROOT/index" -type f)
    cooper build -q --no-cache -t app ctx
    [ "$status" -eq 0 ]
    cooper run app cat /one
    [ "$output" = one ]
}

@test "a layer that the disk has damaged is named and taken away, so the image can be had again" {
    local file
    file=$(layer_file busybox 0)
    chmod u+w "$file"
    printf XX | dd of="$file" bs=1 seek=4000 conv=notrunc status=none
    rm -rf "$COOPER_ROOT"/layers/* "$COOPER_ROOT"/index/*/*
    cooper build -q --no-cache -t app ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"blob sha256:$(basename "$file") was damaged in the store and has been removed"* ]]
    [ ! -e "$file" ]
    e2e_busybox
    cooper build -q --no-cache -t app ctx
    [ "$status" -eq 0 ]
}

@test "a layer of hostile content that is what its digest says stays where it is" {
    local file
    head -c 5000 /dev/urandom >noise
    python3 "$BATS_TEST_DIRNAME/../fault/foreign.py" image layout noise
    printf 'FROM base\nRUN true\n' >ctx/Dockerfile
    cooper build -q --build-context "base=oci-layout://$PWD/layout:latest" ctx
    [ "$status" -eq 1 ]
    [[ $stderr != *"has been removed"* ]]
    [ -e "$COOPER_ROOT/blobs/sha256/$(sha256sum <noise | cut -d' ' -f1)" ]
}

@test "damaged metadata: the error tells the way out, which works" {
    rm -f "$COOPER_ROOT"/meta.db-*
    head -c 5000 /dev/urandom >"$COOPER_ROOT/meta.db"
    cooper images
    [ "$status" -eq 1 ]
    [[ $stderr == *'move meta.db* out of the store'* ]]
    rm "$COOPER_ROOT"/meta.db*
    cooper images -q --no-trunc
    [ "$status" -eq 0 ]
    [[ $output == *"$(cat id)"* ]]
}

@test "a store in a directory with blanks, and behind a symlink" {
    ln -s store 'a link'
    cooper --root "$PWD/a link" run app cat /one
    [ "$output" = one ]
    "$COOPER" save -o app.tar app
    cooper --root "$PWD/a new store" load -q -i app.tar
    [ "$status" -eq 0 ]
    cooper --root "$PWD/a new store" run app cat /one
    [ "$output" = one ]
}

@test "builds, imports, loads and removals at once on one store" {
    local i pid pids=()
    "$COOPER" save -o app.tar app
    for i in 1 2 3; do
        "$COOPER" load -q -i app.tar >/dev/null 2>"error.load$i" & pids+=($!)
        ("$COOPER" import "$BATS_FILE_TMPDIR/busybox" "same:$i" && "$COOPER" rmi "same:$i") \
            >/dev/null 2>"error.import$i" & pids+=($!)
        ("$COOPER" build -q --no-cache -t "new:$i" ctx && "$COOPER" rmi "new:$i") \
            >/dev/null 2>"error.build$i" & pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || { cat error.*; return 1; }
    done
    [ -z "$(ls -A "$COOPER_ROOT/ingest")" ]
    cooper run app cat /one
    [ "$output" = one ]
    [ "$("$COOPER" images -q | wc -l)" -eq 2 ]
}
