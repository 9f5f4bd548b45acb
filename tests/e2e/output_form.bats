# The form of an output: compression, media types, annotations; several in one build.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    for i in $(seq 3000); do echo "line $i of a file that can be compressed"; done >ctx/file
    cat >ctx/Dockerfile <<'END'
FROM busybox
COPY file /file
RUN cat /file /file >/twice
LABEL l=v
END
}

# The manifest of the layout $1.
manifest() {
    local digest
    digest=$(jq -r '.manifests[0].digest' "$1/index.json")
    cat "$1/blobs/sha256/${digest#sha256:}"
}
layer_types() {
    manifest "$1" | jq -r '.layers[].mediaType | sub("application/vnd.oci.image.layer.v1."; "")' | xargs
}
# What the layers of the layout $1 unpack to, by digest.
diff_ids() {
    local config
    config=$(manifest "$1" | jq -r .config.digest)
    jq -r '.rootfs.diff_ids[]' "$1/blobs/sha256/${config#sha256:}"
}

@test "two outputs of one build with different compressions are both right" {
    "$COOPER" build -q -t x:1 -o type=oci,dest=a,tar=false,compression=zstd \
        -o type=oci,dest=b,tar=false,compression=gzip,compression-level=9 \
        -o type=oci,dest=c,tar=false,compression=uncompressed ctx
    # The base's layer is as it came.
    [ "$(layer_types a)" = "tar+gzip tar+zstd tar+zstd" ]
    [ "$(layer_types b)" = "tar+gzip tar+gzip tar+gzip" ]
    [ "$(layer_types c)" = "tar+gzip tar tar" ]
    [ "$(diff_ids a)" = "$(diff_ids b)" ]
    [ "$(diff_ids a)" = "$(diff_ids c)" ]
    for layout in a b c; do
        (cd $layout/blobs/sha256 && for blob in *; do echo "$blob  $blob"; done | sha256sum -c --quiet)
        skopeo copy -q oci:$layout:1 dir:of-$layout
    done
    for layout in b c; do
        umoci unpack --image $layout:1 bundle-$layout 2>/dev/null
        cmp ctx/file bundle-$layout/rootfs/file
    done
    local blob
    for blob in $(manifest a | jq -r '.layers[1:][].digest'); do
        zstd -t -q "a/blobs/sha256/${blob#sha256:}"
    done
    for blob in $(manifest b | jq -r '.layers[1:][].digest'); do
        gzip -t "b/blobs/sha256/${blob#sha256:}"
    done
}

@test "compressed anew is as if it had been compressed so at once" {
    export SOURCE_DATE_EPOCH=1700000000
    "$COOPER" build -q -t x:1 -o type=oci,dest=first,tar=false,compression=gzip \
        -o type=oci,dest=second,tar=false,compression=zstd,compression-level=7 ctx
    COOPER_ROOT=$PWD/other "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' \
        "$BATS_FILE_TMPDIR/busybox" busybox
    COOPER_ROOT=$PWD/other "$COOPER" build -q --no-cache --compression zstd --compression-level 7 \
        -o type=oci,dest=direct,tar=false ctx
    [ "$(manifest second | jq -c '.layers[1:]')" = "$(manifest direct | jq -c '.layers[1:]')" ]
}

@test "--force-compression compresses the base's layers too" {
    "$COOPER" build -q --compression zstd --force-compression -t forced -o type=oci,dest=a,tar=false ctx
    [ "$(layer_types a)" = "tar+zstd tar+zstd tar+zstd" ]
    # What has the type already stays.
    "$COOPER" build -q -t x:1 --force-compression -o type=oci,dest=b,tar=false ctx
    [ "$(layer_types b)" = "tar+gzip tar+gzip tar+gzip" ]
    "$COOPER" build -q -t x:1 -o type=oci,dest=c,tar=false ctx
    cmp b/index.json c/index.json
    [ "$(diff_ids a)" = "$(diff_ids b)" ]
    # The image in the store is the first output's, and sound.
    "$COOPER" save -o forced.tar forced
    [ "$(tar -xOf forced.tar index.json | jq -r '.manifests[0].digest')" = "$(jq -r '.manifests[0].digest' a/index.json)" ]
}

@test "the store has what the first output has" {
    "$COOPER" build -q -t s:1 -o type=image,compression=uncompressed -o type=oci,dest=b,tar=false ctx >id
    "$COOPER" save -o s.tar s:1
    mkdir layout && tar -xf s.tar -C layout
    [ "$(layer_types layout)" = "tar+gzip tar tar" ]
    [ "$(layer_types b)" = "tar+gzip tar+gzip tar+gzip" ]
    [ "$(jq -r '.manifests[0].digest' layout/index.json)" = "$(cat id)" ]
}

@test "oci-mediatypes=false gives docker's types" {
    "$COOPER" build -q -t x:1 -o type=oci,dest=a,tar=false,oci-mediatypes=false ctx
    manifest a | jq -e '.mediaType == "application/vnd.docker.distribution.manifest.v2+json" and
        .config.mediaType == "application/vnd.docker.container.image.v1+json" and
        ([.layers[].mediaType] | unique) == ["application/vnd.docker.image.rootfs.diff.tar.gzip"]'
}

@test "annotations stand in the manifest, or where the layout names it" {
    "$COOPER" build -q --annotation a=1 --annotation 'manifest-descriptor:d=2' \
        --annotation 'manifest,manifest-descriptor:both=3' \
        --annotation "manifest[linux/$(dpkg --print-architecture | sed s/armhf/arm/)]:here=4" \
        -o type=oci,dest=a,tar=false,annotation.own=5 -o type=oci,dest=b,tar=false ctx
    manifest a | jq -e '.annotations == {a: "1", both: "3", here: "4", own: "5"}'
    manifest b | jq -e '.annotations == {a: "1", both: "3", here: "4"}'
    jq -e '.manifests[0].annotations | .d == "2" and .both == "3" and .a == null' a/index.json
    # Those that would be lost.
    cooper build --annotation index:a=1 -o type=oci,dest=c,tar=false ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *"no index"* ]]
    cooper build --annotation 'manifest[plan9/mips]:a=1' -o type=oci,dest=c,tar=false ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *plan9/mips* ]]
    [ ! -e c ]
}

@test "labels are set, and the last one of a name counts" {
    "$COOPER" build -q -t labelled --label l=w --label empty --label x=1 --label x=2 ctx
    "$COOPER" inspect labelled | jq -e '.[0].Config.Labels == {l: "w", empty: "", x: "2"}'
}

@test "what cannot be had is refused by name" {
    local output
    for output in type=oci,dest=x,nonsense=1 type=local,dest=x,compression=gzip type=image,unpack=true \
        type=image,registry.insecure=true type=oci,dest=x,attestation-inline=true \
        type=oci,dest=x,compression=estargz type=oci,dest=x,source-date-epoch=0; do
        cooper build -o "$output" ctx
        [ "$status" -eq 2 ]
        [[ $stderr == *"--output $output"* ]]
    done
    cooper build -o type=oci,dest=x -o type=tar,dest=x ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *"another output is written to x"* ]]
    cooper build -o - -o type=oci ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *"only one output can go to standard output"* ]]
    [ ! -e x ]
}

@test "rewrite-timestamp goes with SOURCE_DATE_EPOCH" {
    SOURCE_DATE_EPOCH=1000 cooper build -t x:1 -o type=oci,dest=a,tar=false,rewrite-timestamp=true ctx
    [ "$status" -eq 0 ]
    umoci unpack --image a:1 bundle 2>/dev/null
    [ "$(stat -c %Y bundle/rootfs/twice)" = 1000 ]
    SOURCE_DATE_EPOCH=1000 cooper build -o type=oci,dest=b,tar=false,rewrite-timestamp=false ctx
    [ "$status" -eq 1 ]
    cooper build -o type=oci,dest=c,tar=false,rewrite-timestamp=true ctx
    [ "$status" -eq 0 ]
    [[ $stderr == *"changes nothing without SOURCE_DATE_EPOCH"* ]]
}

@test "platform-split puts files below the platform's name" {
    "$COOPER" build -q -o type=local,dest=a,platform-split=true -o type=tar,dest=b.tar,platform-split=true \
        --platform linux/amd64 ctx
    cmp ctx/file a/linux_amd64/file
    [ "$(ls a)" = linux_amd64 ]
    tar -xOf b.tar linux_amd64/file | cmp - ctx/file
    ! tar -tf b.tar | grep -qv '^linux_amd64/'
}

@test "push-by-digest moves no tag; store=false none of the store" {
    "$COOPER" build -q -o "type=image,name=$REGISTRY/by/digest,push-by-digest=true,name-canonical=true,push=true" \
        ctx >id
    skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/by/digest@$(cat id)" >/dev/null
    run skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/by/digest:latest"
    [ "$status" -ne 0 ]
    "$COOPER" build -q -t "$REGISTRY/not/stored:1" -o type=registry,store=false ctx >id
    skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/not/stored:1" >/dev/null
    cooper inspect "$REGISTRY/not/stored:1"
    [ "$status" -eq 1 ]
}

@test "type=cacheonly runs the steps and gives nothing" {
    "$COOPER" build -q -t nothing -o type=cacheonly ctx >out
    [ ! -s out ]
    cooper inspect nothing
    [ "$status" -eq 1 ]
    cooper build --progress plain ctx
    [ "$(grep -c CACHED <<<"$stderr")" -eq 2 ]
}
