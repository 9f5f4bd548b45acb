# cooper serve --upstream: a registry behind this one.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    e2e_busybox
    "$COOPER" import -m other "$BATS_FILE_TMPDIR/busybox" other >/dev/null
    export CONTAINERS_REGISTRIES_CONF=/dev/null
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir up mirror
}
teardown() {
    mirror_stop
    upstream_stop
}

upstream() { # OPTION...: the upstream, with the file's store; sets $UP
    cd up
    registry_serve "$@"
    UP=$SERVED
    cd ..
}
upstream_stop() {
    cd up
    registry_stop
    cd ..
}
mirror() { # OPTION...: before it, with a store of its own; sets $SERVED
    cd mirror
    COOPER_ROOT=$PWD/store registry_serve --upstream "http://$UP" "$@"
    cd ..
}
mirror_stop() {
    cd mirror
    registry_stop
    cd ..
}
asked() { # METHOD TARGET: how often that was asked of the upstream
    jq -s --arg method "$1" --arg target "$2" \
        'map(select(.method == $method and (.target | endswith($target)))) | length' up/access.log
}
status_of() { # CURL-ARGUMENT...
    curl -s -o body -w '%{http_code}' --max-time 300 "$@"
}
digest_of() { # HOST/NAME
    skopeo inspect --tls-verify=false "docker://$1" | jq -r .Digest
}
pull() { # NAME: through the mirror
    rm -rf copy
    skopeo copy -q --src-tls-verify=false "docker://$SERVED/$1" oci:copy:x
}

@test "what is not here is fetched from the upstream, once" {
    local layer
    upstream
    mirror
    pull busybox
    layer=$(jq -r '.layers[0].digest' "copy/blobs/$(jq -r '.manifests[0].digest' copy/index.json | tr : /)")
    [ "$(digest_of "$SERVED/busybox")" = "$(digest_of "$UP/busybox")" ]
    [ "$(asked GET "$layer")" -eq 1 ]
    pull busybox
    pull library/busybox
    "$COOPER" --root "$PWD/else" pull -q "$SERVED/busybox"
    [ "$(asked GET "$layer")" -eq 1 ]
    # It is neither an image of the mirror's store nor pushed there.
    [ -z "$("$COOPER" --root "$PWD/mirror/store" images -q)" ]
    curl -s "http://$SERVED/metrics" >metrics
    grep -q '^cooper_upstream_failures_total 0' metrics
    grep -q '^cooper_upstream_blobs_total [12]$' metrics
}

@test "where a tag points is asked again after its time" {
    "$COOPER" tag busybox moving:1
    upstream
    mirror --upstream-ttl 0
    [ "$(digest_of "$SERVED/moving:1")" = "$(digest_of "$UP/busybox")" ]
    "$COOPER" tag other moving:1
    [ "$(digest_of "$SERVED/moving:1")" = "$(digest_of "$UP/other")" ]
    mirror_stop
    mirror --upstream-ttl 86400
    [ "$(digest_of "$SERVED/moving:1")" = "$(digest_of "$UP/other")" ]
    "$COOPER" tag busybox moving:1
    [ "$(digest_of "$SERVED/moving:1")" = "$(digest_of "$UP/other")" ]
    mirror_stop
    mirror --upstream-ttl 0
    "$COOPER" rmi moving:1 >/dev/null
    [ "$(status_of "http://$SERVED/v2/moving/manifests/1")" = 404 ]
}

@test "without the upstream, what was fetched is served, and the rest is said to be missing" {
    upstream
    mirror --upstream-ttl 0
    pull busybox
    upstream_stop
    pull busybox
    pull busybox
    [ "$(grep -c "^cooper: warning: upstream $UP:" mirror/serve.err)" -eq 1 ]
    [ "$(status_of "http://$SERVED/v2/other/manifests/latest")" = 502 ]
    [[ $(cat body) == *"upstream registry"* ]]
    mirror_stop
    mirror
    pull busybox
}

@test "what was pushed to the mirror goes first, and goes no further" {
    local pushed
    upstream
    mirror --upstream-ttl 0
    skopeo copy -q --dest-tls-verify=false --src-tls-verify=false "docker://$UP/other" "docker://$SERVED/busybox:latest"
    pushed=$(digest_of "$UP/other")
    [ "$(digest_of "$SERVED/busybox")" = "$pushed" ]
    [ "$(digest_of "$UP/busybox")" != "$pushed" ]
    [ "$(status_of -X DELETE "http://$SERVED/v2/busybox/manifests/latest")" = 202 ]
    [ "$(digest_of "$SERVED/busybox")" = "$(digest_of "$UP/busybox")" ]
    # What is only there cannot be deleted here.
    [ "$(status_of -X DELETE "http://$SERVED/v2/busybox/manifests/latest")" = 404 ]
    jq -se 'all(.method != "DELETE" and .method != "PUT" and .method != "POST")' up/access.log
}

@test "the store's own images stand in for what the upstream does not have" {
    "$COOPER" --root "$PWD/mirror/store" import "$BATS_FILE_TMPDIR/busybox" mine:1 >/dev/null
    upstream
    mirror
    pull mine:1
    upstream_stop
    pull mine:1
}

@test "the upstream's password comes from where the client's are kept" {
    password_line me secret >up/htpasswd
    upstream --auth htpasswd
    mirror
    [ "$(status_of "http://$SERVED/v2/busybox/manifests/latest")" = 403 ]
    mirror_stop
    mkdir config
    jq -n --arg host "$UP" --arg auth "$(printf me:secret | base64)" '{auths: {($host): {auth: $auth}}}' >config/config.json
    DOCKER_CONFIG=$PWD/config mirror
    pull busybox
    ! grep -q -r secret mirror/serve.err mirror/access.log
}

@test "docker's registry is an upstream like any other" {
    e2e_registry_start
    "$COOPER" tag busybox "$REGISTRY/some/app:1"
    "$COOPER" push -q "$REGISTRY/some/app:1"
    UP=$REGISTRY
    mirror
    pull some/app:1
    e2e_registry_stop
    pull some/app:1
    "$COOPER" rmi "$REGISTRY/some/app:1" >/dev/null
}

@test "fetched content is the store's cache: prune frees it, and it is fetched anew" {
    upstream
    mirror
    pull busybox
    mirror_stop
    cooper --root "$PWD/mirror/store" fsck
    [ "$status" -eq 0 ]
    # What is kept for later survives a collection of garbage.
    "$COOPER" --root "$PWD/mirror/store" import -m x "$BATS_FILE_TMPDIR/busybox" x:1 >/dev/null
    "$COOPER" --root "$PWD/mirror/store" rmi x:1 >/dev/null
    [ "$(find mirror/store/blobs -type f | wc -l)" -eq 3 ]
    "$COOPER" --root "$PWD/mirror/store" prune --all --force >/dev/null
    [ "$(find mirror/store/blobs -type f | wc -l)" -eq 0 ]
    mirror
    pull busybox
    [ "$(find mirror/store/blobs -type f | wc -l)" -eq 3 ]
}

@test "an upstream that is slow, cut off, lying or silent harms nobody" {
    "$COOPER_SOURCE_DIR/tests/e2e/serve_upstream.py" "$COOPER" "$PWD/store"
}

@test "wrong options for the upstream are refused" {
    cooper serve --listen 127.0.0.1:0 --upstream ftp://example.org
    [ "$status" -eq 1 ]
    [[ $stderr == *"'ftp://example.org' is no registry's URL"* ]]
    cooper serve --listen 127.0.0.1:0 --upstream https://example.org/path
    [ "$status" -eq 1 ]
    cooper serve --listen 127.0.0.1:0 --upstream https://example.org --pushed-only
    [ "$status" -eq 1 ]
    [[ $stderr == *"was not pushed"* ]]
    cooper serve --listen 127.0.0.1:0 --upstream-ttl 5
    [ "$status" -eq 2 ]
    cooper serve --listen 127.0.0.1:0 --upstream https://example.org --upstream-ttl soon
    [ "$status" -eq 2 ]
}

@test "the store's budget is kept while it serves" {
    local try layer
    upstream
    mirror
    pull busybox
    mirror_stop
    layer=$(find mirror/store/blobs -type f -size +500k)
    [ -n "$layer" ]
    # What another server fetched is nobody's any more, and too much when something comes.
    head -c 400000 /dev/urandom >data
    COOPER_STORAGE_BUDGET=100k mirror
    [ "$(status_of -X POST --data-binary @data \
        "http://$SERVED/v2/x/blobs/uploads/?digest=sha256:$(sha256sum data | cut -d' ' -f1)")" = 201 ]
    for ((try = 0; try < 3000; try++)); do
        [ -e "$layer" ] || break
        sleep 0.1
    done
    [ ! -e "$layer" ]
    pull busybox
}

@test "the store's limit holds while it serves" {
    local where
    head -c 30000000 /dev/urandom >data
    upstream
    COOPER_STORAGE_LIMIT=20m mirror
    where="http://$SERVED/v2/x/blobs/uploads/?digest=sha256:$(sha256sum data | cut -d' ' -f1)"
    [ "$(status_of -X POST --data-binary @data "$where")" = 403 ]
    [ "$(find mirror/store/ingest -type f | wc -l)" -eq 0 ]
    pull busybox
}
