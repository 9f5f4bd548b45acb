# push and pull against a real registry.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    "$COOPER" tag busybox "$REGISTRY/lib/busybox:1"
    "$COOPER" push -q "$REGISTRY/lib/busybox:1"
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

id_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

@test "push prints the digest that the registry has" {
    local id
    id=$(id_of busybox)
    "$COOPER" tag busybox "$REGISTRY/pushed:2"
    cooper push "$REGISTRY/pushed:2"
    [ "$status" -eq 0 ]
    [[ $output =~ ^"2: digest: $id size: "[0-9]+$ ]]
    [ "$(skopeo inspect --tls-verify=false "docker://$REGISTRY/pushed:2" | jq -r .Digest)" = "$id" ]
    cooper push -q "$REGISTRY/pushed:2"
    [ "$output" = "$REGISTRY/pushed@$id" ]
    [ -z "$stderr" ]
}

@test "pull into an empty store gives the same image" {
    cooper --root "$PWD/store" pull "$REGISTRY/lib/busybox:1"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Digest: $(id_of busybox)" ]
    [ "${lines[1]}" = "Status: Downloaded newer image for $REGISTRY/lib/busybox:1" ]
    [ "${lines[2]}" = "$REGISTRY/lib/busybox:1" ]
    cooper --root "$PWD/store" pull "$REGISTRY/lib/busybox:1"
    [ "${lines[1]}" = "Status: Image is up to date for $REGISTRY/lib/busybox:1" ]
    cooper --root "$PWD/store" pull -q "$REGISTRY/lib/busybox:1"
    [ "$output" = "$REGISTRY/lib/busybox:1" ]
    cooper --root "$PWD/store" images -q --no-trunc
    [ "$output" = "$(id_of busybox)" ]
}

@test "pull by digest needs no tag" {
    local id
    id=$(id_of busybox)
    cooper --root "$PWD/store" pull "$REGISTRY/lib/busybox@$id"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Digest: $id" ]
}

@test "an image of another machine is pulled with --platform" {
    "$COOPER" import --platform linux/arm/v7 "$BATS_FILE_TMPDIR/busybox" "$REGISTRY/arm:1" >/dev/null
    "$COOPER" push -q "$REGISTRY/arm:1"
    cooper --root "$PWD/store" pull --platform linux/arm/v7 "$REGISTRY/arm:1"
    [ "$status" -eq 0 ]
    "$COOPER" --root "$PWD/store" inspect "$REGISTRY/arm:1" |
        jq -e '.[0].Architecture == "arm" and .[0].Variant == "v7"'
    cooper pull --platform linux/arm/v7/more "$REGISTRY/arm:1"
    [ "$status" -ne 0 ]
    [[ $stderr == *--platform* ]]
}

@test "what is not there, and who does not answer, is one clear error" {
    cooper pull "$REGISTRY/nothere"
    [ "$status" -eq 1 ]
    [[ $stderr == *"$REGISTRY/nothere"*"no such image"* ]]
    cooper pull 127.0.0.1:1/x
    [ "$status" -eq 1 ]
    [[ $stderr == *"127.0.0.1:1"* ]]
    cooper pull nothere.invalid/x
    [ "$status" -eq 1 ]
    [[ $stderr == *"resolve host: nothere.invalid"* ]]
    cooper push "$REGISTRY/neverbuilt"
    [ "$status" -eq 1 ]
    [[ $stderr == *"no image '$REGISTRY/neverbuilt' in the store"* ]]
    [ "$(grep -c 'cooper: error:' <<<"$stderr")" -eq 1 ]
}

@test "a blob that is not what its digest says is refused, and nothing gets a name" {
    "$COOPER" import -m damaged "$BATS_FILE_TMPDIR/busybox" "$REGISTRY/damaged:1" >/dev/null
    "$COOPER" push -q "$REGISTRY/damaged:1"
    local config
    config=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/damaged:1" | jq -r .config.digest)
    local file=$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs/sha256/${config:7:2}/${config#sha256:}/data
    sed -i 's/damaged/demaged/' "$file"
    cooper --root "$PWD/store" pull "$REGISTRY/damaged:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"${config#sha256:}"* || $stderr == *digest* ]]
    cooper --root "$PWD/store" images -q
    [ -z "$output" ]
}
