# save and load, with docker and OCI archives, and other people's tools on the other side.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

id_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

@test "what is saved is loaded with the same name and ID, in both formats" {
    local id format
    id=$(id_of busybox)
    for format in docker-archive oci-archive; do
        cooper save --format "$format" -o "$format.tar" busybox
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        cooper --root "$PWD/$format" load -i "$format.tar"
        [ "$status" -eq 0 ]
        [ "$output" = "Loaded image: busybox:latest" ]
        cooper --root "$PWD/$format" images --no-trunc -q
        [ "$output" = "$id" ]
    done
}

@test "the same image gives the same archive" {
    "$COOPER" save busybox >one.tar
    "$COOPER" save -o two.tar busybox
    cmp one.tar two.tar
}

@test "skopeo reads what save wrote" {
    "$COOPER" save -o docker.tar busybox
    skopeo copy -q docker-archive:docker.tar:busybox:latest oci:one:x
    "$COOPER" save --format oci-archive -o oci.tar busybox
    skopeo copy -q oci-archive:oci.tar oci:two:x
    [ "$(skopeo inspect oci:two:x | jq -r .Digest)" = "$(id_of busybox)" ]
    [ "$(skopeo inspect oci:one:x | jq -c .RootFS)" = "$(skopeo inspect oci:two:x | jq -c .RootFS)" ]
}

@test "load reads what skopeo wrote, from a pipe and compressed" {
    skopeo copy -q "oci:$COOPER_ROOT:docker.io/library/busybox:latest" \
        docker-archive:skopeo.tar:elsewhere:1
    gzip -k skopeo.tar
    run --separate-stderr bash -c 'cat skopeo.tar.gz | "$COOPER" --root "$PWD/store" load'
    [ "$status" -eq 0 ]
    [ "$output" = "Loaded image: elsewhere:1" ]
    cooper --root "$PWD/store" inspect elsewhere:1
    [ "$(jq -c '.[0].RootFS' <<<"$output")" = "$("$COOPER" inspect busybox | jq -c '.[0].RootFS')" ]
}

@test "several images and names are kept apart" {
    "$COOPER" tag busybox second:2
    "$COOPER" import -m other "$BATS_FILE_TMPDIR/busybox" third:3 >/dev/null
    "$COOPER" save -o all.tar busybox second:2 third:3
    cooper --root "$PWD/store" load -i all.tar
    [ "$status" -eq 0 ]
    [ "$(sort <<<"$output")" = "$(printf 'Loaded image: %s\n' busybox:latest second:2 third:3)" ]
    [ "$("$COOPER" --root "$PWD/store" images -q | wc -l)" -eq 2 ]
}

@test "an image without a name is loaded by its ID" {
    local id
    id=$(id_of busybox)
    "$COOPER" save -o nameless.tar "$id"
    cooper --root "$PWD/store" load -i nameless.tar
    [ "$status" -eq 0 ]
    [ "$output" = "Loaded image ID: $id" ]
    cooper --root "$PWD/store" tag "$id" named
    [ "$status" -eq 0 ]
}

@test "a failed save leaves no file" {
    cooper save -o out.tar nothere
    [ "$status" -eq 1 ]
    [ -z "$(ls)" ]
}

@test "what is no archive, cut off, or damaged is refused and changes nothing" {
    "$COOPER" save -o good.tar busybox
    head -c 300000 good.tar >cut.tar
    cp good.tar damaged.tar
    printf 'x' | dd of=damaged.tar bs=1 seek=100000 conv=notrunc status=none
    echo text >text.tar
    for bad in cut damaged text; do
        cooper --root "$PWD/store" load -i "$bad.tar"
        [ "$status" -eq 1 ]
        [[ $stderr == *"cooper: error: load $bad.tar: "* ]]
        [ -z "$output" ]
        cooper --root "$PWD/store" images -q
        [ -z "$output" ]
    done
}

@test "a save that is interrupted leaves no file" {
    # strace stops it where all is written and nothing has a name yet.
    local status=0
    strace -qq -o /dev/null -e trace=fsync -e inject=fsync:signal=TERM:when=1 \
        "$COOPER" save -o out.tar busybox || status=$?
    [ "$status" -ge 128 ]
    [ -z "$(ls)" ]
}
