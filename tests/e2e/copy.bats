# cooper copy, tags, delete and inspect --remote: against docker-registry and cooper serve.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    export CONTAINERS_REGISTRIES_CONF=/dev/null
    e2e_registry_start
    e2e_busybox
    local arch
    for arch in amd64 arm64; do
        mkdir -p "$BATS_FILE_TMPDIR/$arch"
        echo "$arch" >"$BATS_FILE_TMPDIR/$arch/arch"
        "$COOPER" import --platform "linux/$arch" "$BATS_FILE_TMPDIR/$arch" "$arch" >/dev/null
    done
    make_index "$BATS_FILE_TMPDIR/layout"
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

# An OCI layout of the images amd64 and arm64, in an index with the tag "multi".
make_index() {
    "$COOPER" save --format oci-archive -o "$BATS_FILE_TMPDIR/both.tar" amd64 arm64
    mkdir "$1"
    tar -xf "$BATS_FILE_TMPDIR/both.tar" -C "$1"
    chmod -R u+w "$1"
    local index digest
    index=$(jq -c '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [.manifests[] | {mediaType, digest, size, platform: {os: "linux",
            architecture: (.annotations["io.containerd.image.name"] |
                if test("amd64") then "amd64" else "arm64" end)}}]}' "$1/index.json")
    digest=$(printf %s "$index" | sha256sum | cut -d ' ' -f 1)
    printf %s "$index" >"$1/blobs/sha256/$digest"
    jq -nc --arg d "sha256:$digest" --argjson s "${#index}" '{schemaVersion: 2, manifests: [
        {mediaType: "application/vnd.oci.image.index.v1+json", digest: $d, size: $s,
         annotations: {"org.opencontainers.image.ref.name": "multi"}}]}' >"$1/index.json"
}

root_of() { # of a layout
    jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "'"$2"'").digest' \
        "$1/index.json"
}

raw_digest() {
    echo "sha256:$("$COOPER" inspect --remote --raw "$1" | sha256sum | cut -d ' ' -f 1)"
}

# An SBOM for the image $2 (NAME@DIGEST of it is told by the registry), put by the API at $1.
attach() { # REGISTRY REPOSITORY SUBJECT-REF TYPE TEXT
    local registry=$1 repository=$2 subject=$3 type=$4 text=$5 manifest blob location
    put_blob "$registry" "$repository" '{}'
    put_blob "$registry" "$repository" "$text"
    blob=$(printf %s "$text" | sha256sum | cut -d ' ' -f 1)
    manifest=$(jq -nc --arg type "$type" --arg d "sha256:$blob" --argjson s "${#text}" \
        --argjson subject "$(subject_of "$subject")" '{schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json", artifactType: $type,
        config: {mediaType: "application/vnd.oci.empty.v1+json", size: 2,
            digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
        layers: [{mediaType: "text/plain", digest: $d, size: $s}], subject: $subject}')
    attached=sha256:$(printf %s "$manifest" | sha256sum | cut -d ' ' -f 1)
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
        --data-binary "$manifest" "http://$registry/v2/$repository/manifests/$attached"
}

subject_of() {
    "$COOPER" inspect --remote -f json "$1" |
        jq -c '.[0] | {mediaType: .MediaType, digest: .Digest, size: .Size}'
}

put_blob() { # REGISTRY REPOSITORY TEXT
    local digest location
    digest=sha256:$(printf %s "$3" | sha256sum | cut -d ' ' -f 1)
    location=$(curl -sf -X POST -D - -o /dev/null "http://$1/v2/$2/blobs/uploads/" |
        tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    [[ $location == http* ]] || location=http://$1$location
    [[ $location == *\?* ]] && location=$location\&digest=$digest || location=$location?digest=$digest
    curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "$3" "$location"
}

@test "a layout goes to a registry, another registry and back, and stays the same" {
    registry_serve
    local digest
    digest=$(root_of "$BATS_FILE_TMPDIR/layout" multi)
    cooper copy -a "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$REGISTRY/way/one:1"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Digest: $digest" ]
    [[ ${lines[1]} == "Blobs: 4 copied ("*"), 0 mounted, 0 there already" ]]
    cooper copy -a -q "$REGISTRY/way/one:1" "$SERVED/two:1"
    [ "$status" -eq 0 ]
    [ "$output" = "$digest" ]
    [ -z "$stderr" ]
    cooper copy -a -q "docker://$SERVED/two:1" "oci:$PWD/back:again"
    [ "$status" -eq 0 ]
    [ "$(root_of back again)" = "$digest" ]
    [ "$(cd back/blobs/sha256 && sha256sum -- * | awk '$1 != $2')" = "" ]
    [ "$(ls back/blobs/sha256)" = "$(ls "$BATS_FILE_TMPDIR/layout/blobs/sha256")" ]
    skopeo inspect --raw oci:back:again | jq -e '.manifests | length == 2'
    # Nothing of it went through the store.
    cooper images -q "$REGISTRY/way/one"
    [ -z "$output" ]
}

@test "a second copy asks, and sends nothing" {
    registry_serve
    "$COOPER" copy -a -q "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$SERVED/again:1" >/dev/null
    : >access.log
    cooper copy -a "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$SERVED/again:1"
    [ "${lines[1]}" = "Blobs: 0 copied (0B), 0 mounted, 0 there already" ]
    registry_stop
    [ "$(jq -r .method access.log | sort -u)" = HEAD ]
}

@test "one platform is copied unless all are asked for" {
    cooper copy --platform linux/arm64 "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$REGISTRY/arm:1"
    [ "$status" -eq 0 ]
    "$COOPER" inspect --remote --platform linux/arm64 "$REGISTRY/arm:1" |
        jq -e '.[0].Config.architecture == "arm64" and (.[0] | has("Platforms") | not)'
    cooper copy --platform linux/riscv64 "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$REGISTRY/arm:2"
    [ "$status" -eq 1 ]
    [[ $stderr == *"linux/amd64, linux/arm64"* ]]
    cooper copy -a --platform linux/arm64 a b
    [ "$status" -eq 2 ]
}

@test "between repositories of one registry blobs are mounted, not sent" {
    "$COOPER" copy -q store:busybox "$REGISTRY/base:1" >/dev/null
    cooper copy "$REGISTRY/base:1" "$REGISTRY/team/derived:1"
    [ "$status" -eq 0 ]
    [ "${lines[1]}" = "Blobs: 0 copied (0B), 2 mounted, 0 there already" ]
    skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/team/derived:1" oci:got:x
}

@test "archives of both kinds are read and written" {
    local digest
    digest=$("$COOPER" inspect busybox | jq -r '.[0].Id')
    cooper copy -q store:busybox oci-archive:one.tar:example.org/x:1
    [ "$output" = "$digest" ]
    cooper copy -q oci-archive:one.tar "$REGISTRY/archived:1"
    [ "$output" = "$digest" ]
    cooper copy -q "$REGISTRY/archived:1" docker-archive:two.tar:example.org/y:2
    [ "$output" = "$digest" ]
    tar -xOf two.tar manifest.json | jq -e '.[0].RepoTags == ["example.org/y:2"]'
    skopeo inspect docker-archive:two.tar >/dev/null
    gzip two.tar
    cooper copy -q docker-archive:two.tar.gz:example.org/y:2 "$REGISTRY/archived:2"
    [ "$output" = "$digest" ]
    cooper copy -q docker-archive:two.tar.gz:example.org/no:2 "$REGISTRY/archived:3"
    [ "$status" -eq 1 ]
    [[ $stderr == *"which image? It has: example.org/y:2"* ]]
    "$COOPER" copy "$REGISTRY/archived:1" oci-archive:-:x:1 >three.tar
    tar -tf three.tar | grep -qx index.json
    [ -z "$(find . -name '*.tmp*')" ]
}

@test "what a docker program saved long ago becomes an image of a registry" {
    mkdir -p old/layer
    tar -C "$BATS_FILE_TMPDIR/amd64" -cf old/layer/layer.tar .
    jq -nc --arg d "sha256:$(sha256sum <old/layer/layer.tar | cut -d ' ' -f 1)" \
        '{architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: [$d]}}' >config
    mv config "old/$(sha256sum <config | cut -d ' ' -f 1).json"
    jq -nc --arg c "$(cd old && ls ./*.json | cut -c 3-)" \
        '[{Config: $c, RepoTags: ["old:1"], Layers: ["layer/layer.tar"]}]' >old/manifest.json
    tar -C old -cf old.tar .
    cooper copy -q --platform linux/amd64 docker-archive:old.tar "$REGISTRY/old:1"
    [ "$status" -eq 0 ]
    "$COOPER" inspect --remote "$REGISTRY/old:1" | jq -e '.[0].Config.architecture == "amd64"'
}

@test "into the store and out of it, by name and by ID" {
    local digest
    "$COOPER" copy -q -a "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$REGISTRY/multi:1" >/dev/null
    cooper --root "$PWD/store" copy -a -q "$REGISTRY/multi:1" store:mine:1
    [ "$status" -eq 0 ]
    digest=$output
    cooper --root "$PWD/store" images -q --no-trunc mine:1
    [ "$output" = "$digest" ]
    cooper --root "$PWD/store" copy -a -q "store:$digest" "oci-layout://$PWD/out"
    [ "$(root_of out latest)" = "$digest" ]
    cooper --root "$PWD/store" fsck
    [ "$status" -eq 0 ]
    cooper --root "$PWD/store" copy store:nothere "$REGISTRY/x"
    [ "$status" -eq 1 ]
    [[ $stderr == *"no such image in the store"* ]]
}

referrers_survive() { # the registry $1 that is gone to
    "$COOPER" copy -q store:busybox "$REGISTRY/signed:1" >/dev/null
    attach "$REGISTRY" signed "$REGISTRY/signed:1" application/vnd.example.sbom first
    local sbom=$attached
    # What docker-registry does not list is found under the fallback tag.
    jq -nc --argjson s "$(curl -sf "http://$REGISTRY/v2/signed/manifests/$sbom" \
        -H 'Accept: application/vnd.oci.image.manifest.v1+json' | wc -c)" --arg d "$sbom" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [
          {mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s,
           artifactType: "application/vnd.example.sbom"}]}' >fallback
    local id
    id=$("$COOPER" inspect busybox | jq -r '.[0].Id')
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary @fallback \
        "http://$REGISTRY/v2/signed/manifests/sha256-${id#sha256:}"
    cooper copy --referrers "$REGISTRY/signed:1" "$1/taken:1"
    [ "$status" -eq 0 ]
    [[ ${lines[2]} = "Referrers: 1" ]]
    [ "$(raw_digest "$1/taken@$sbom")" = "$sbom" ]
}

@test "referrers come along where the registry lists them" {
    registry_serve
    referrers_survive "$SERVED"
    curl -sf "http://$SERVED/v2/taken/referrers/$("$COOPER" inspect busybox | jq -r '.[0].Id')" |
        jq -e '.manifests[0].artifactType == "application/vnd.example.sbom"'
    # And from there into a layout and on to a registry that knows no referrers.
    cooper copy -q --referrers "$SERVED/taken:1" "oci-layout://$PWD/layout:1"
    [ "$status" -eq 0 ]
    cooper copy --referrers "oci-layout://$PWD/layout:1" "$REGISTRY/third:1"
    [ "${lines[2]}" = "Referrers: 1" ]
    local id
    id=$("$COOPER" inspect busybox | jq -r '.[0].Id')
    "$COOPER" inspect --remote --raw "$REGISTRY/third:sha256-${id#sha256:}" |
        jq -e --arg d "$attached" '.manifests | length == 1 and .[0].digest == $d'
    # The same with an archive in between.
    cooper copy -q --referrers "$SERVED/taken:1" oci-archive:signed.tar
    cooper copy --referrers oci-archive:signed.tar "$SERVED/fourth:1"
    [ "${lines[2]}" = "Referrers: 1" ]
}

@test "referrers come along where only the fallback tag lists them" {
    referrers_survive "$REGISTRY"
    local id
    id=$("$COOPER" inspect busybox | jq -r '.[0].Id')
    "$COOPER" inspect --remote --raw "$REGISTRY/taken:sha256-${id#sha256:}" |
        jq -e --arg d "$attached" '.manifests | length == 1 and .[0].digest == $d'
    # Deleting one takes it off that list.
    cooper delete "$REGISTRY/taken@$attached"
    [ "$status" -eq 0 ]
    "$COOPER" inspect --remote --raw "$REGISTRY/taken:sha256-${id#sha256:}" | jq -e '.manifests == []'
}

@test "tags are listed, one a line or as JSON" {
    registry_serve
    "$COOPER" copy -q store:busybox "$SERVED/many:1" >/dev/null
    local i
    curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$SERVED/v2/many/manifests/1" >manifest
    for ((i = 2; i <= 25; i++)); do
        [ "$i" -eq 2 ] || echo next
        printf '%s\n' "url = http://$SERVED/v2/many/manifests/$i" 'upload-file = manifest' fail silent \
            'header = "Content-Type: application/vnd.oci.image.manifest.v1+json"'
    done >requests
    curl -K requests
    cooper tags "$SERVED/many"
    [ "$status" -eq 0 ]
    [ "$(sort -n <<<"$output" | md5sum)" = "$(seq 25 | md5sum)" ]
    "$COOPER" tags --format json "$SERVED/many" | jq -e 'length == 25'
    cooper tags "$SERVED/none"
    [ "$status" -eq 1 ]
    [[ $stderr == *"NAME_UNKNOWN"* ]]
    cooper tags "$SERVED/many:1"
    [ "$status" -eq 2 ]
}

@test "delete removes a tag or an image, and says what a registry cannot do" {
    registry_serve
    local id
    id=$("$COOPER" copy -q store:busybox "$SERVED/gone:1")
    "$COOPER" copy -q store:busybox "$SERVED/gone:2" >/dev/null
    cooper delete "$SERVED/gone:1"
    [ "$status" -eq 0 ]
    [ "$output" = "Deleted: $SERVED/gone:1" ]
    cooper tags "$SERVED/gone"
    [ "$output" = 2 ]
    cooper delete "$SERVED/gone@$id"
    [ "$status" -eq 0 ]
    cooper tags "$SERVED/gone"
    [ -z "$output" ]
    cooper delete "$SERVED/gone@$id"
    [ "$status" -eq 1 ]
    cooper delete "$SERVED/gone"
    [ "$status" -eq 2 ]
    "$COOPER" copy -q store:busybox "$REGISTRY/gone:1" >/dev/null
    cooper delete "$REGISTRY/gone:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"cannot remove a tag alone"* ]]
    cooper delete "$REGISTRY/gone@$id"
    [ "$status" -eq 0 ]
    cooper inspect --remote "$REGISTRY/gone:1"
    [ "$status" -eq 1 ]
}

@test "inspect --remote tells of an image that is not here" {
    local digest
    digest=$("$COOPER" copy -q -a "oci-layout://$BATS_FILE_TMPDIR/layout:multi" "$REGISTRY/seen:1")
    cooper --root "$PWD/none" inspect --remote --platform linux/arm64 "$REGISTRY/seen:1"
    [ "$status" -eq 0 ]
    jq -e --arg d "$digest" '.[0] | .Digest == $d and .Config.architecture == "arm64" and
        (.Platforms | map(.Platform)) == ["linux/amd64", "linux/arm64"] and
        (.Manifest.layers | length) == 1' <<<"$output"
    [ ! -e none ]
    [ "$(raw_digest "$REGISTRY/seen:1")" = "$digest" ]
    "$COOPER" inspect --remote --raw --platform linux/amd64 "$REGISTRY/seen:1" | jq -e .config.digest
    cooper inspect --raw "$REGISTRY/seen:1"
    [ "$status" -eq 2 ]
    cooper inspect --remote --platform linux/s390x "$REGISTRY/seen:1"
    [ "$status" -eq 1 ]
}

@test "inspect --remote looks into layouts, archives and the store as well" {
    local digest place

    "$COOPER" import -c 'LABEL a=b' "$BATS_FILE_TMPDIR/busybox" looked:1 >/dev/null
    digest=$("$COOPER" inspect looked:1 | jq -r '.[0].Id')
    "$COOPER" copy -q store:looked:1 oci-layout://layout:1 >/dev/null
    "$COOPER" copy -q store:looked:1 oci-archive:archive.tar >/dev/null
    "$COOPER" copy -q store:looked:1 docker-archive:docker.tar:looked:1 >/dev/null
    for place in store:looked:1 oci-layout://layout:1 "oci:layout@$digest" oci-archive:archive.tar; do
        "$COOPER" inspect --remote "$place" >told
        jq -e --arg d "$digest" '.[0].Digest == $d and .[0].Config.config.Labels.a == "b"' told
    done
    "$COOPER" --root "$PWD/nothing" inspect --remote docker-archive:docker.tar |
        jq -e '.[0].Config.config.Labels.a == "b" and (.[0].Manifest.layers | length) == 1'
    [ ! -e nothing ]
    [ "sha256:$("$COOPER" inspect --remote --raw oci-layout://layout:1 | sha256sum | cut -d' ' -f1)" = "$digest" ]
    cooper inspect --remote "oci-layout://layout@sha256:$(printf '0%.0s' {1..64})"
    [ "$status" -eq 1 ]
    [[ $stderr == *"oci-layout://layout@sha256:000"* ]]
    cooper inspect --remote oci-archive:absent.tar
    [ "$status" -eq 1 ]
    [[ $stderr == *"absent.tar"* ]]
}

@test "a layout that is damaged, and one that is none, end with a clear error" {
    cp -r "$BATS_FILE_TMPDIR/layout" bad
    local layer
    layer=$(find bad/blobs -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d ' ' -f 2)
    chmod u+w "$layer"
    printf X | dd of="$layer" conv=notrunc bs=1 seek=0 status=none
    cooper copy -a oci-layout://bad:multi "oci-layout://$PWD/good"
    [ "$status" -eq 1 ]
    [ -z "$(find good/blobs -name '.tmp*')" ]
    [ ! -e "good/blobs/sha256/$(basename "$layer")" ]
    jq -e '.manifests == []' good/index.json
    cooper copy -a oci-layout://bad:multi "$REGISTRY/bad:1"
    [ "$status" -eq 1 ]
    cooper tags "$REGISTRY/bad"
    [[ $output != *1* ]]
    mkdir full && touch full/file
    cooper copy "oci-layout://$BATS_FILE_TMPDIR/layout:multi" oci-layout://full
    [ "$status" -eq 1 ]
    [[ $stderr == *"not empty, and no OCI layout"* ]]
    cooper copy oci-archive: x
    [ "$status" -eq 1 ]
}
