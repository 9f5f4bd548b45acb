# cooper prune-registry: what a policy does not keep is deleted, and nothing else with it.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

# push REPO CONTENT TAG...: one image with that content under these tags.
push() {
    local repo=$1 content=$2 tag

    shift 2
    printf 'FROM busybox\nLABEL content=%s\nCOPY file /file\n' "$content" >Dockerfile
    echo "$content" >file
    "$COOPER" build -q -t "built:$content" . >/dev/null
    for tag; do
        "$COOPER" tag "built:$content" "$repo:$tag"
        "$COOPER" push -q "$repo:$tag" >/dev/null
    done
}

digest_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

tags_of() {
    "$COOPER" tags "$1" | sort | paste -sd' '
}

# there REPO NAME: does the registry have that manifest?
there() {
    curl -sf -o /dev/null -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.oci.image.index.v1+json' "http://${1%%/*}/v2/${1#*/}/manifests/$2"
}

actions() {
    jq -r '.tags[] | .tag + "=" + .action' | sort | paste -sd' '
}

@test "a plan says what goes and why what stays does, and deletes nothing" {
    local repo=$REGISTRY/plan
    push "$repo" a 1.0.0
    push "$repo" b 1.0.1
    push "$repo" c 1.1.0 1.1
    push "$repo" d 2.0.0 2.0 2 latest
    push "$repo" e 1.1.1-rc.1
    push "$repo" f build-17
    printf 'versions: {per-line: 1}\nline: minor\nkeep: ["build-*"]\n' >policy.yml
    cooper prune-registry --policy policy.yml "$repo"
    [ "$status" -eq 0 ]
    [[ $stderr == "would go: 1 of 10 tags, 1 manifest, "*" of blobs; nothing was deleted, --yes does it" ]]
    [[ $output == *"delete "*"1.0.0 "*"version "*"no rule keeps it"* ]]
    [[ $output == *"keep "*"1.0.1 "*"one of the 1 newest of its line"* ]]
    [[ $output == *"keep "*"latest "*"a moving tag"* ]]
    [[ $output == *"keep "*"build-17 "*"matches 'build-*'"* ]]
    [[ $output == *"keep "*"1.1.1-rc.1 "*"the policy says nothing of pre-releases"* ]]
    [ "$(tags_of "$repo" | wc -w)" -eq 10 ]
    there "$repo" 1.0.0
}

@test "--yes deletes just that, and what is shared stays whole" {
    local repo=$REGISTRY/yes gone
    push "$repo" g 1.0.0
    push "$repo" h 1.0.1 1.0 1 latest
    gone=$(digest_of "$repo:1.0.0")
    printf 'versions: {newest: 1}\n' >policy.yml
    cooper prune-registry --policy policy.yml --yes "$repo"
    [ "$status" -eq 0 ]
    [[ $stderr == "deleted: 1 tag, 1 manifest, "*" of blobs" ]]
    [ "$(tags_of "$repo")" = "1 1.0 1.0.1 latest" ]
    ! there "$repo" "$gone"
    "$COOPER" --root "$PWD/other" pull -q "$repo:latest"
    # Again: there is nothing left to do.
    cooper prune-registry --policy policy.yml --yes "$repo"
    [ "$status" -eq 0 ]
    [[ $stderr == "deleted: 0 tags, 0 manifests, 0B of blobs" ]]
}

@test "a registry that deletes by digest does not take a kept tag along" {
    local repo=$REGISTRY/shared
    # The moving tag was rolled back: it points to an old version, which no rule keeps.
    push "$repo" i 1.0.0 latest
    push "$repo" j 1.0.1 stable
    push "$repo" k 1.0.2
    printf 'versions: {newest: 1}\nkeep: [stable]\n' >policy.yml
    cooper prune-registry --policy policy.yml --format json "$repo"
    [ "$(actions <<<"$output")" = "1.0.0=untag 1.0.1=untag 1.0.2=keep latest=keep stable=keep" ]
    [ "$(jq -c .digests <<<"$output")" = "[]" ]
    cooper prune-registry --policy policy.yml --format json --yes "$repo"
    [ "$status" -eq 0 ]
    # docker-registry removes no tag alone: they are left, and said to be.
    [ "$(actions <<<"$output")" = "1.0.0=left 1.0.1=left 1.0.2=kept latest=kept stable=kept" ]
    [ "$(tags_of "$repo")" = "1.0.0 1.0.1 1.0.2 latest stable" ]
    there "$repo" latest && there "$repo" stable
}

@test "cooper serve removes a tag alone" {
    registry_serve
    local repo=$SERVED/shared
    push "$repo" l 1.0.0 latest
    push "$repo" m 1.0.1
    push "$repo" n 1.0.2
    printf 'versions: {newest: 1}\n' >policy.yml
    cooper prune-registry --policy policy.yml --format json --yes "$repo"
    echo "$stderr"
    [ "$status" -eq 0 ]
    [ "$(actions <<<"$output")" = "1.0.0=deleted 1.0.1=deleted 1.0.2=kept latest=kept" ]
    [ "$(tags_of "$repo")" = "1.0.2 latest" ]
    "$COOPER" --root "$PWD/other" pull -q "$repo:latest"
}

# put REPO NAME TYPE FILE
put() {
    curl -sf -X PUT -H "Content-Type: $3" --data-binary "@$4" "http://${1%%/*}/v2/${1#*/}/manifests/$2"
}

@test "images of an index stay with it, and go with it" {
    local repo=$REGISTRY/index name size entry
    push "$repo" o part
    push "$repo" p 1.0.0
    curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$REGISTRY/v2/index/manifests/part" -o part
    size=$(wc -c <part)
    entry=$(printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d}' \
        "$(digest_of "$repo:part")" "$size")
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$entry" >index
    put "$repo" 1.0.1 application/vnd.oci.image.index.v1+json index
    printf 'versions: {newest: 1}\nothers: {newest: 0}\n' >policy.yml
    cooper prune-registry --policy policy.yml --format json --yes "$repo"
    [ "$status" -eq 0 ]
    # `part` is no longer wanted as a tag, but the index is.
    [ "$(actions <<<"$output")" = "1.0.0=deleted 1.0.1=kept part=left" ]
    there "$repo" 1.0.1
    there "$repo" "$(digest_of "$repo:part")"
    push "$repo" q 1.0.2
    cooper prune-registry --policy policy.yml --format json --yes "$repo"
    [ "$(actions <<<"$output")" = "1.0.1=deleted 1.0.2=kept part=deleted" ]
    ! there "$repo" "$(digest_of "$repo:part")"
    [ "$(tags_of "$repo")" = 1.0.2 ]
}

# signature REPO TAG: an artifact that refers to it, in the registry.
signature() {
    local digest size subject

    digest=$(digest_of "$1:$2")
    size=$(curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://${1%%/*}/v2/${1#*/}/manifests/$2" | wc -c)
    subject=$(printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d}' "$digest" "$size")
    printf '{}' >empty
    local location
    location=$(curl -sf -X POST -D - -o /dev/null "http://${1%%/*}/v2/${1#*/}/blobs/uploads/" | tr -d '\r' |
        sed -n 's/^[Ll]ocation: //p')
    [[ $location == http* ]] || location=http://${1%%/*}$location
    [[ $location == *\?* ]] && location+="&" || location+="?"
    curl -sf -X PUT --data-binary @empty -H 'Content-Type: application/octet-stream' \
        "${location}digest=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x.sig","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[],"subject":%s}' "$subject" >signature
    put "$1" "sha256:$(sha256sum signature | cut -d' ' -f1)" application/vnd.oci.image.manifest.v1+json signature
}

@test "what refers to an image goes and stays with it" {
    registry_serve
    local repo=$SERVED/signed first second
    push "$repo" r 1.0.0
    push "$repo" s 1.0.1
    signature "$repo" 1.0.0
    first=sha256:$(sha256sum signature | cut -d' ' -f1)
    signature "$repo" 1.0.1
    second=sha256:$(sha256sum signature | cut -d' ' -f1)
    there "$repo" "$first" && there "$repo" "$second"
    printf 'versions: {newest: 1}\n' >policy.yml
    cooper prune-registry --policy policy.yml --yes "$repo"
    [ "$status" -eq 0 ]
    ! there "$repo" "$first"
    there "$repo" "$second"
    [ "$(tags_of "$repo")" = 1.0.1 ]
}

@test "tags of signatures that follow a digest go with it alone" {
    local repo=$REGISTRY/cosign old new
    push "$repo" t 1.0.0
    push "$repo" u 1.0.1
    old=$(digest_of "$repo:1.0.0")
    new=$(digest_of "$repo:1.0.1")
    push "$repo" v "${old/:/-}.sig"
    push "$repo" w "${new/:/-}.sig"
    printf 'versions: {newest: 1}\nothers: {newest: 0}\n' >policy.yml
    cooper prune-registry --policy policy.yml --yes "$repo"
    [ "$status" -eq 0 ]
    [ "$(tags_of "$repo")" = "1.0.1 ${new/:/-}.sig" ]
}

@test "rules by age, by count, by lines" {
    local repo=$REGISTRY/rules
    SOURCE_DATE_EPOCH=1500000000 push "$repo" x ci-old
    push "$repo" y ci-new
    push "$repo" z 1.0.0
    push "$repo" aa 1.9.0
    push "$repo" bb 2.0.0
    push "$repo" cc 3.0.0
    push "$repo" dd 3.1.0
    push "$repo" ee 4.0.0-rc.1
    push "$repo" ff 4.0.0-rc.2
    printf 'versions: {lines: 2, per-line: 1}\nprereleases: {newest: 1}\nothers: {younger: 90d}\n' >policy.yml
    cooper prune-registry --policy policy.yml --format json "$repo"
    [ "$(actions <<<"$output")" = "1.0.0=delete 1.9.0=delete 2.0.0=keep 3.0.0=delete 3.1.0=keep 4.0.0-rc.1=delete 4.0.0-rc.2=keep ci-new=keep ci-old=delete" ]
    printf 'versions: {newest: 2, per-line: 1}\n' >policy.yml
    cooper prune-registry --policy policy.yml --format json "$repo"
    [ "$(actions <<<"$output")" = "1.0.0=delete 1.9.0=keep 2.0.0=keep 3.0.0=keep 3.1.0=keep 4.0.0-rc.1=keep 4.0.0-rc.2=keep ci-new=keep ci-old=keep" ]
}

@test "policies that are wrong are refused, with the member" {
    local repo=$REGISTRY/none text want
    while IFS='|' read -r text want; do
        printf '%b' "$text" >policy.yml
        cooper prune-registry --policy policy.yml "$repo"
        [ "$status" -eq 1 ]
        [[ $stderr == *"policy policy.yml: $want"* ]]
    done <<'END'
version: {newest: 1}|'version': it is not known: there are scheme, line, moving, keep, versions
versions: {}|'versions': it keeps nothing
versions: {newest: -1}|'versions': newest is a number of things
versions: {younger: 3}|'versions': younger is an age
versions: {older: 3d}|'versions': 'older' is no rule
versions: {lines: 2}|'versions': lines says of how many lines
others: {per-line: 2}|'others': 'per-line' is no rule
keep: stable\nversions: {newest: 1}|'keep': it is a list
keep: [1.0]\nversions: {newest: 1}|'keep': item 1 is no pattern of tags (quote numbers)
moving: "{nothing}"\nversions: {newest: 1}|'moving': 
scheme: loose\nversions: {newest: 1}|'scheme': 
line: patch\nversions: {newest: 1}|'line': it is major or minor
keep: [stable]|without versions, prereleases and others it keeps everything
- a list|a policy is a mapping
END
    cooper prune-registry "$repo"
    [ "$status" -eq 2 ]
    printf 'versions: {newest: 1}' >policy.yml
    cooper prune-registry --policy policy.yml "$repo:1"
    [ "$status" -eq 2 ]
    cooper prune-registry --policy policy.yml "$repo"
    [ "$status" -eq 1 ]
    [[ $stderr == *"there is no such repository, or it is empty"* ]]
}

@test "a registry without deletion says so, and nothing is lost" {
    local repo=$REGISTRY/refused
    push "$repo" gg 1.0.0
    push "$repo" hh 1.0.1
    # The same content behind a registry that was started without deletion.
    sed 's/, delete: {enabled: true}//' "$BATS_FILE_TMPDIR/registry.yml" |
        sed 's/addr: .*}/addr: 127.0.0.1:0}/' >strict.yml
    local try port
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        sed "s/127.0.0.1:0/127.0.0.1:$port/" strict.yml >try.yml
        docker-registry serve try.yml 3>&- 4>&- >/dev/null 2>&1 &
        local pid=$!
        for _ in $(seq 100); do
            curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break 2
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill "$pid" 2>/dev/null || true
    done
    printf 'versions: {newest: 1}' >policy.yml
    cooper prune-registry --policy policy.yml --yes "127.0.0.1:$port/refused"
    kill "$pid"
    wait "$pid" || true
    [ "$status" -eq 1 ]
    [[ $stderr == *"the registry does not allow deletion"* ]]
    [ "$(tags_of "$repo")" = "1.0.0 1.0.1" ]
}
