# How bytes go to and from registries: HTTP/2, connections, parts of large blobs.
bats_require_minimum_version 1.5.0
load lib
load serve
load registries
load front
setup_file() {
    e2e_begin
    e2e_registry_start
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export XDG_CONFIG_HOME=$PWD/config
    unset COOPER_TRANSFERS
}
teardown() {
    front_stop
    registry_stop
}

# An image of 24 layers, $1.
many_layers() {
    local i

    mkdir -p context
    echo 'FROM scratch' >Dockerfile
    for ((i = 0; i < 24; i++)); do
        # More than is sent without asking whether it is there.
        head -c 100000 /dev/urandom >"context/$i"
        echo "COPY $i /" >>Dockerfile
    done
    "$COOPER" build -q -f Dockerfile -t "$1" context
}

# An image of one layer of 70 MiB, $1.
large_layer() {
    mkdir -p large
    head -c $((70 << 20)) /dev/urandom >large/data
    "$COOPER" import large "$1" >/dev/null
}

# What the layers of the image $1 in the store $2 are.
blobs_of() {
    "$COOPER" --root "$2" inspect "$1" | jq -c '.[0].RootFS.Layers'
}

requests() { # PROTOCOL
    grep -c "^$1 " front.log
}

connections() { # PROTOCOL
    sed -n "s,^$1 \([0-9]*\) .*,\1,p" front.log | sort -u | wc -l
}

# Pushes and pulls 24 layers and their documents through the front.
through_the_front() { # REPOSITORY
    many_layers "$FRONT/$1:1"
    "$COOPER" push -q "$FRONT/$1:1"
    "$COOPER" --root "$PWD/pulled" pull -q "$FRONT/$1:1"
    [ "$(blobs_of "$FRONT/$1:1" "$PWD/pulled")" = "$(blobs_of "$FRONT/$1:1" "$COOPER_ROOT")" ]
    front_stop
    # Two commands with six transfers each, and what they do before and after.
    echo "$(requests HTTP/2.0) requests over $(connections HTTP/2.0) connections"
    [ "$(requests HTTP/2.0)" -ge 70 ]
    [ "$(connections HTTP/2.0)" -le 16 ]
    ! grep -v '^HTTP/2.0' front.log
}

@test "HTTP/2 is spoken where it is offered, and connections are used again: docker-registry" {
    front_start "$REGISTRY"
    through_the_front front/many
}

@test "HTTP/2 is spoken where it is offered, and connections are used again: cooper serve" {
    COOPER_ROOT=$PWD/served SERVE_NAME=other.test registry_serve
    front_start "$SERVED"
    through_the_front front/many
}

@test "what speaks HTTP/1.1 alone is spoken to so, over as few connections" {
    FRONT_LISTENS=ssl front_start "$REGISTRY"
    many_layers "$FRONT/front/plain:1"
    "$COOPER" push -q "$FRONT/front/plain:1"
    "$COOPER" --root "$PWD/pulled" pull -q "$FRONT/front/plain:1"
    front_stop
    [ "$(requests HTTP/1.1)" -ge 70 ]
    [ "$(connections HTTP/1.1)" -le 16 ]
    ! grep '^HTTP/2' front.log
}

parts() { # STATUS REPOSITORY
    grep -c "GET $1 /v2/$2/blobs/" front.log || true
}

in_parts() { # UPSTREAM
    local name

    front_start "$1"
    name=$FRONT/front/large:1
    large_layer "$name"
    "$COOPER" push -q "$name"
    "$COOPER" --root "$PWD/pulled" pull -q "$name"
    COOPER_TRANSFERS=1 "$COOPER" --root "$PWD/streamed" pull -q "$name"
    # Another way in, which keeps the blob itself.
    "$COOPER" copy -q "docker://$name" "oci-layout://$PWD/layout:1" >/dev/null
    "$COOPER" copy -q "docker://$name" "docker://$FRONT/front/again:1" >/dev/null
    [ "$(blobs_of "$name" "$PWD/pulled")" = "$(blobs_of "$name" "$COOPER_ROOT")" ]
    [ "$(blobs_of "$name" "$PWD/streamed")" = "$(blobs_of "$name" "$COOPER_ROOT")" ]
    "$COOPER" --root "$PWD/pulled" fsck
    (cd layout/blobs/sha256 && sha256sum ./* | sed 's,\(.*\)  ./\1$,right,' | grep -vx right) &&
        return 1
    front_stop
    # A first part of one MiB and nine of up to eight, twice; configs; and one whole layer.
    [ "$(parts 206 front/large)" -eq 20 ]
    [ "$(parts 200 front/large)" -eq 4 ]
}

@test "a large blob comes in parts, and in one stream where one is wanted: docker-registry" {
    in_parts "$REGISTRY"
}

@test "a large blob comes in parts, and in one stream where one is wanted: cooper serve" {
    COOPER_ROOT=$PWD/served SERVE_NAME=other.test registry_serve
    in_parts "$SERVED"
}

@test "a build unpacks a large layer that comes in parts" {
    large_layer "$REGISTRY/parts/base:1"
    "$COOPER" push -q "$REGISTRY/parts/base:1"
    printf 'FROM %s\nCOPY --from=%s /data /again\n' "$REGISTRY/parts/base:1" \
        "$REGISTRY/parts/base:1" >Dockerfile
    "$COOPER" --root "$PWD/built" build -q --output "type=local,dest=$PWD/out" .
    cmp large/data out/again
    cmp large/data out/data
}

@test "a number of transfers that is none is told, and the default taken" {
    large_layer one
    COOPER_TRANSFERS=0 cooper copy -q store:one "docker://$REGISTRY/one:1"
    [ "$status" -eq 0 ]
    [[ $stderr == *"COOPER_TRANSFERS is not from 1 to 64"* ]]
}
