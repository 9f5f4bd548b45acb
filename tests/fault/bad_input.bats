# What comes from outside is wrong: every time one clear error, and the store as it was.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    tar -C "$BATS_FILE_TMPDIR/busybox" -cf "$BATS_FILE_TMPDIR/base.tar" .
    # Unpacked now, so that later it changes nothing in the store.
    printf 'FROM busybox\nRUN true\n' | "$COOPER" build -q - >/dev/null
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx outside
    store_list >before
}

foreign() {
    python3 "$BATS_TEST_DIRNAME/foreign.py" "$@"
}

# cooper with the arguments from the third on fails with exit code $1 and says $2; refs, layers
# and ingests are what they were, and so is everything outside.
refused() {
    local code=$1 text=$2
    shift 2

    cooper "$@"
    [ "$status" -eq "$code" ] || { echo "exit code $status"; return 1; }
    [ "$(grep -c '^cooper: error: ' <<<"$stderr")" -eq 1 ] || return 1
    [[ $stderr == *"$text"* ]] || { echo "not said: $text"; return 1; }
    unchanged
}

# Blobs that were fetched and verified before the bad one may stay: they are whole.
unchanged() {
    store_is_whole
    store_list >after
    diff <(grep -v ^blobs/ before) <(grep -v ^blobs/ after)
    [ -z "$(ls -A outside)" ]
    [ ! -e escape ] && [ ! -e ../escape ] && [ ! -e /escape ]
}

dockerfile() {
    printf '%s\n' "$@" >ctx/Dockerfile
}

# An image of a small layer that compresses badly; its layer's digest is in $layer.
push_image() {
    mkdir -p image
    head -c 300000 /dev/urandom >image/data
    "$COOPER" --root "$PWD/other" import image "$REGISTRY/$1" >/dev/null
    "$COOPER" --root "$PWD/other" push -q "$REGISTRY/$1"
    manifest=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/$1")
    layer=$(jq -r '.layers[0].digest' <<<"$manifest")
    config=$(jq -r '.config.digest' <<<"$manifest")
}

# The file in which docker-registry keeps a blob.
registry_file() {
    local hex=${1#sha256:}
    echo "$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data"
}

# Changes a byte in the middle of a file.
corrupt() {
    printf X | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none
}

@test "a malformed Dockerfile: the error tells the line" {
    dockerfile 'FROM busybox' 'COPY --nonsense=1 a b'
    refused 1 'Dockerfile:2' build ctx
    dockerfile 'FROM busybox' 'RUN <<EOF' 'never ended'
    refused 1 'Dockerfile:2' build ctx
    dockerfile 'RUN true'
    refused 1 'Dockerfile:1' build ctx
    dockerfile 'FROM busybox' 'ENV'
    refused 1 'Dockerfile:2' build ctx
    dockerfile ''
    refused 1 'Dockerfile:1' build ctx
    head -c 3000 /dev/urandom >ctx/Dockerfile
    refused 1 'Dockerfile:' build ctx
    head -c 3000000 /dev/zero >ctx/Dockerfile
    refused 1 'Dockerfile' build ctx
}

@test "a missing context, Dockerfile, file, stage or secret" {
    refused 1 'no-such-directory' build no-such-directory
    refused 1 'Dockerfile' build ctx
    dockerfile 'FROM busybox' 'COPY missing /'
    refused 1 '/missing: not found' build ctx
    refused 1 'nostage' build --target nostage ctx
    dockerfile 'FROM busybox' 'COPY --from=a / /'
    refused 1 'no-such-context' build --build-context "a=$PWD/no-such-context" ctx
    dockerfile 'FROM busybox' 'RUN --mount=type=secret,id=a true'
    refused 1 'no-such-secret' build --secret "id=a,src=$PWD/no-such-secret" ctx
    refused 1 'no-such.tar' import no-such.tar x
    refused 1 'no-such.tar' load -i no-such.tar
}

@test "wrong usage has exit code 2" {
    local arguments
    for arguments in '' 'nonsense' 'build' 'build --nonsense ctx' 'build ctx ctx' \
        'build --build-arg' 'push' 'tag busybox' 'import' \
        'build -o type=nonsense ctx' 'build --platform nonsense/ ctx'; do
        # shellcheck disable=SC2086
        cooper $arguments
        echo "$arguments: $status: $stderr"
        [ "$status" -eq 2 ]
        [ -n "$stderr" ]
        unchanged
    done
}

@test "a corrupt layer, config or manifest in the registry" {
    push_image corrupt:layer
    corrupt "$(registry_file "$layer")"
    refused 1 "$layer" pull "$REGISTRY/corrupt:layer"
    dockerfile "FROM $REGISTRY/corrupt:layer" 'COPY Dockerfile /'
    refused 1 "$layer" build -t app ctx
    dockerfile 'FROM busybox' "COPY --from=$REGISTRY/corrupt:layer /data /"
    refused 1 "$layer" build -t app ctx

    push_image corrupt:config
    corrupt "$(registry_file "$config")"
    refused 1 "$config" pull "$REGISTRY/corrupt:config"

    push_image corrupt:manifest
    corrupt "$(registry_file "sha256:$(printf %s "$manifest" | sha256sum | cut -d' ' -f1)")"
    refused 1 "$REGISTRY/corrupt:manifest" pull "$REGISTRY/corrupt:manifest"
}

@test "a layer that is shorter or longer than it was said to be" {
    local file
    push_image short:1
    file=$(registry_file "$layer")
    truncate -s -1000 "$file"
    refused 1 "$layer" pull "$REGISTRY/short:1"
    push_image long:1
    file=$(registry_file "$layer")
    head -c 1000 /dev/zero >>"$file"
    refused 1 "$layer" pull "$REGISTRY/long:1"
    push_image gone:1
    rm "$(registry_file "$layer")"
    refused 1 "$layer" pull "$REGISTRY/gone:1"
}

# The digest is right: what it is of is wrong.
layout_of() {
    rm -rf layout
    foreign image layout "$BATS_FILE_TMPDIR/base.tar" "$1"
    dockerfile 'FROM base' 'RUN true'
}
build_on_layout() {
    refused 1 "$1" build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
}

@test "a layer that is a truncated tar, or no tar at all" {
    head -c 100000 "$BATS_FILE_TMPDIR/base.tar" >cut.tar
    layout_of cut.tar
    cooper build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
    failed_with 'layer sha256:'
    head -c 5000 /dev/urandom >noise.tar
    layout_of noise.tar
    cooper build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
    failed_with 'layer sha256:'
    store_is_whole
    # What is below was unpacked, and may stay.
    store_list >before
    refused 1 'noise.tar' import noise.tar x
    refused 1 'cut.tar' import cut.tar x
    refused 1 'noise.tar' load -i noise.tar
    gzip -c "$BATS_FILE_TMPDIR/base.tar" | head -c 300000 >cut.tar.gz
    refused 1 'cut.tar.gz' import cut.tar.gz x
    cp cut.tar.gz noise.tar ctx/
    dockerfile 'FROM busybox' 'ADD cut.tar.gz /'
    refused 1 'cut.tar.gz' build -t app ctx
}

@test "a layout whose blob is another, or absent" {
    local hex
    foreign tar layer.tar "f:unknown=to the store as yet"
    layout_of layer.tar
    hex=$(sha256sum <layer.tar | cut -d' ' -f1)
    corrupt "layout/blobs/sha256/$hex"
    cooper build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
    failed_with "$hex"
    rm "layout/blobs/sha256/$hex"
    cooper build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
    failed_with "$hex"
    echo '{"schemaVersion": 2, "manifests": [{}]}' >layout/index.json
    build_on_layout layout
    echo 'no JSON' >layout/index.json
    build_on_layout layout
}

@test "a registry that cannot be reached, or is none" {
    local port pid
    refused 1 '127.0.0.1:1' pull 127.0.0.1:1/x:1
    "$COOPER" tag busybox 127.0.0.1:1/x:1
    store_list >before
    refused 1 '127.0.0.1:1' push 127.0.0.1:1/x:1
    dockerfile 'FROM 127.0.0.1:1/base:1' 'RUN true'
    refused 1 '127.0.0.1:1' build -t app ctx
    refused 1 "$REGISTRY/absent:1" pull "$REGISTRY/absent:1"
    # Something else that answers.
    port=$((20000 + RANDOM % 20000))
    (cd outside && exec python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 3>&-) &
    pid=$!
    for _ in $(seq 100); do
        curl -s "http://127.0.0.1:$port/" >/dev/null && break
        sleep 0.05
    done
    refused 1 "127.0.0.1:$port" pull "127.0.0.1:$port/x:1" || { kill "$pid"; return 1; }
    kill "$pid"
}

# Names of entries that try to leave the root; the first may prepare.
escapes=(
    "f:../escape=x"
    "f:a/../../escape=x"
    "f:/escape=x"
    "l:out=../../../../../../../../../../../../../tmp f:out/escape=x"
    "d:a l:a/out=../.. f:a/out/escape=x"
    "h:escape=../../../../../../../../etc/passwd"
    "h:escape=/etc/passwd"
    "l:out=/etc h:escape=out/hostname"
)

@test "image layers whose entries try to leave the root" {
    local entries
    for entries in "${escapes[@]}"; do
        # shellcheck disable=SC2086
        foreign tar bad.tar $entries
        layout_of bad.tar
        cooper build -t app --build-context "base=oci-layout://$PWD/layout:latest" ctx
        echo "$entries"
        failed_with 'layer sha256:'
        [[ $stderr == *"tries to leave the root"* || $stderr == *"which no layer has"* ]]
        # What is below it was unpacked, and may stay.
        [ "$(store_list | grep -v -e ^blobs/ -e ^layers/)" = "$(grep -v -e ^blobs/ -e ^layers/ before)" ]
        store_is_whole
        [ ! -e /escape ] && [ ! -e /tmp/escape ]
    done
}

@test "root file systems to import whose entries try to leave the root" {
    local entries
    for entries in "${escapes[@]}"; do
        # shellcheck disable=SC2086
        foreign tar bad.tar $entries
        echo "$entries"
        refused 1 'escape' import bad.tar bad
        [ ! -e /tmp/escape ]
    done
}

@test "symlinks of a layer mean places in the image, not here" {
    foreign tar bad.tar "l:out=$PWD/outside" f:out/file=x
    layout_of bad.tar
    "$COOPER" build -q -t inside --build-context "base=oci-layout://$PWD/layout:latest" ctx
    [ -z "$(ls -A outside)" ]
    cooper run inside cat "$PWD/outside/file"
    [ "$output" = x ]
    "$COOPER" rmi inside
}

@test "archives to ADD stay beneath the destination, as docker has it" {
    local entries
    for entries in "${escapes[@]}"; do
        # shellcheck disable=SC2086
        foreign tar ctx/bad.tar $entries
        dockerfile 'FROM busybox' 'ADD bad.tar /d/e/' 'RUN rm -r /d/e && ! find / -xdev -name escape | grep .'
        echo "$entries"
        # Hard links to what is not beneath the destination are errors, and so is what lies behind
        # a link to what is not there; all else stays beneath.
        cooper build ctx
        if [[ $entries == *h:* ]]; then
            failed_with escape
        elif [[ $entries == *l:out=*/tmp* ]]; then
            failed_with 'leads to /d/e/tmp, which does not exist'
        else
            [ "$status" -eq 0 ]
        fi
        [ -z "$(ls -A outside)" ]
        [ ! -e /escape ] && [ ! -e /tmp/escape ]
        store_is_whole
    done
}
