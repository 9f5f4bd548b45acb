# The checker of image layouts, which the other tests trust: it accepts what skopeo wrote, and
# finds each thing that is wrong.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
    printf 'FROM busybox\nRUN echo 1 >/one\nENV A=b\n' >"$BATS_FILE_TMPDIR/Dockerfile"
    "$COOPER" build -t image - <"$BATS_FILE_TMPDIR/Dockerfile"
    skopeo copy --quiet "oci:$COOPER_ROOT:docker.io/library/image:latest" \
        "oci:$BATS_FILE_TMPDIR/good:image"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    cp -r "$BATS_FILE_TMPDIR/good" layout
}

validate() {
    run "$COOPER_SOURCE_DIR/tests/e2e/validate_layout.py" layout
    echo "$output"
}

# Puts file $1 in as a blob; prints its digest and size as JSON.
blob_put() {
    local digest

    digest=$(sha256sum "$1" | cut -d ' ' -f 1)
    cp "$1" "layout/blobs/sha256/$digest"
    printf '{"digest":"sha256:%s","size":%d}' "$digest" "$(stat -c %s "$1")"
}

blob_path() {
    echo "layout/blobs/${1/://}"
}

# edit WHICH FILTER: passes the config, manifest or index through jq, and mends what names it.
edit() {
    local manifest config

    manifest=$(blob_path "$(jq -r '.manifests[0].digest' layout/index.json)")
    config=$(blob_path "$(jq -r .config.digest "$manifest")")
    cp "$manifest" manifest
    if [ "$1" = config ]; then
        jq -c "$2" "$config" >config
        jq -c --argjson new "$(blob_put config)" '.config += $new' "$manifest" >manifest
    elif [ "$1" = manifest ]; then
        jq -c "$2" "$manifest" >manifest
    fi
    jq -c --argjson new "$(blob_put manifest)" '.manifests[0] += $new' layout/index.json >index
    [ "$1" != index ] || jq -c "$2" layout/index.json >index
    cp index layout/index.json
}

@test "a good layout passes" {
    validate
    [ "$status" -eq 0 ]
    [ "$output" = "1 index, 1 manifest, 1 config, 2 layer" ]
    edit config .
    validate
    [ "$status" -eq 0 ]
}

# finds WHICH FILTER TEXT
finds() {
    rm -rf layout
    cp -r "$BATS_FILE_TMPDIR/good" layout
    edit "$1" "$2"
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"$3"* ]]
}

@test "faults of a config are found" {
    finds config 'del(.rootfs)' 'rootfs is missing'
    finds config 'del(.architecture)' 'architecture is missing'
    finds config '.architecture = "x86_64"' 'architecture: "x86_64"'
    finds config '.surprise = 1' 'unknown field surprise'
    finds config '.config.Surprise = 1' 'unknown field Surprise'
    finds config '.created = "2020-01-01 00:00:00"' 'created: '
    finds config '.history += [{"created_by": "x"}]' 'history tells of 3 layers'
    finds config '.rootfs.diff_ids |= reverse' 'uncompressed it is'
    finds config '.rootfs.diff_ids |= .[1:] | .history |= .[1:]' '2 layers, but 1 diff_ids'
    finds config '.config.Env = ["A"]' 'Env: '
    finds config '.config.Env = ["A=1", "A=2"]' 'set twice'
    finds config '.config.ExposedPorts = {"80": 1}' 'ExposedPorts: '
    finds config '.config.WorkingDir = "tmp"' 'WorkingDir: '
    finds config '.config.Healthcheck = {"Test": ["curl"]}' 'Healthcheck: '
}

@test "faults of manifests and indexes are found" {
    finds manifest '.schemaVersion = 1' 'schemaVersion: 1'
    finds manifest 'del(.config)' 'config is missing'
    finds manifest '.mediaType = "text/plain"' 'mediaType: '
    finds manifest '.layers[0].size += 1' 'size '
    finds manifest '.layers[0].mediaType = "application/vnd.oci.image.layer.v1.tar"' 'is no'
    finds manifest '.layers[0].digest = "sha256:0"' 'digest: '
    finds manifest '.layers |= reverse' 'uncompressed it is'
    finds manifest '.annotations = {"a": 1}' 'annotations: '
    finds index '.manifests[0].size = "1"' 'size: '
    finds index '.manifests[0].digest = "sha256:" + "0" * 64' 'there is no blob'
    finds index '.manifests[0].annotations["org.opencontainers.image.ref.name"] = "a b"' 'ref.name'
    finds index '.manifests[0].platform = {"os": "linux"}' 'architecture is missing'
}

@test "faults of blobs are found" {
    printf x >>"$(find layout/blobs/sha256 -type f | sort | head -n 1)"
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"hashes to"* ]]
}

# The layer $1 in place of the last one, with the digest of its tar.
layer_replace() {
    local put diff_id

    gzip -dc "$1" >tar 2>/dev/null || true
    diff_id=sha256:$(sha256sum tar | cut -d ' ' -f 1)
    put=$(blob_put "$1")
    edit config ".rootfs.diff_ids[-1] = \"$diff_id\""
    edit manifest ".layers[-1] += $put"
}

@test "faults of layers are found" {
    mkdir tree
    echo 1 >tree/a
    tar -C tree -czPf outside.gz --transform 's,^a$,../a,' a
    layer_replace outside.gz
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"leads outside"* ]]

    tar -C tree -czf twice.gz a a --hard-dereference
    layer_replace twice.gz
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"is there twice"* ]]

    tar -C tree -cf tar a
    { gzip -c tar && printf '' | gzip -c; } >members.gz
    layer_replace members.gz
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"after the first gzip member"* ]]

    gzip -c tar | head -c -9 >cut.gz
    layer_replace cut.gz
    validate
    [ "$status" -eq 1 ]
    [[ $output == *"cut off"* ]]
}
