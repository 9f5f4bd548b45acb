# cooper serve: the embedded registry.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    e2e_busybox
    export CONTAINERS_REGISTRIES_CONF=/dev/null
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

fetch() { # STATUS CURL-ARGUMENT...: fails unless the answer has that status; the body is in $body
    local want=$1 got

    shift
    got=$(curl -s -o body -w '%{http_code}' --max-time 120 "$@") || true
    body=$(tr -d '\0' <body 2>/dev/null || true)
    [ "$got" = "$want" ] || {
        echo "$got instead of $want: $* $body" >&2
        return 1
    }
}

@test "what the distribution specification promises is kept" {
    registry_serve
    "$COOPER_SOURCE_DIR/tests/e2e/serve_conformance.py" "$SERVED" >promises || {
        grep -v '^ok' promises >&2
        return 1
    }
}

@test "it is kept behind a password too, and when only what was pushed is shown" {
    password_line me secret >htpasswd
    registry_serve --auth htpasswd --pushed-only
    "$COOPER_SOURCE_DIR/tests/e2e/serve_conformance.py" "$SERVED" --user me:secret >promises || {
        grep -v '^ok' promises >&2
        return 1
    }
}

@test "sparse manifests are no damage, keep nothing back, and are refused where that is asked for" {
    local blob repository tag
    export COOPER_ROOT=$PWD/store
    registry_serve
    "$COOPER_SOURCE_DIR/tests/e2e/serve_conformance.py" "$SERVED" --only sparse
    fetch 200 "http://$SERVED/v2/_catalog"
    repository=$(jq -r '.repositories[0]' <<<"$body")
    fetch 201 -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary '{
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 5, "digest":
        "sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}' \
        "http://$SERVED/v2/bare/manifests/1"
    fetch 200 "http://$SERVED/?repository=bare&tag=1"
    [[ $body == *"not here"* ]]
    registry_stop
    # Nobody takes what never came for lost.
    cooper fsck
    [ "$status" -eq 0 ]
    [[ $output == *"The store is whole."* ]]
    "$COOPER" tag "$SERVE_NAME/$repository:index" mine:1
    "$COOPER" prune -f -a >/dev/null
    "$COOPER" df >/dev/null
    registry_serve --no-sparse
    fetch 200 "http://$SERVED/v2/$repository/manifests/index"
    # What is there of it is kept with it, what came later too.
    for blob in $(jq -r '.manifests[].digest' <<<"$body"); do
        fetch 200 "http://$SERVED/v2/$repository/manifests/$blob"
    done
    fetch 200 "http://$SERVED/?repository=$repository&tag=index"
    run "$COOPER_SOURCE_DIR/tests/e2e/serve_conformance.py" "$SERVED" --only sparse
    [ "$status" -eq 1 ]
    [[ $output == *404*MANIFEST_BLOB_UNKNOWN* ]]
    for tag in index sig; do "$COOPER" rmi "$SERVE_NAME/$repository:$tag" >/dev/null; done
    "$COOPER" rmi mine:1 >/dev/null
    # What else is named there is lost if it goes.
    "$COOPER" --root "$PWD/elsewhere" import "$BATS_FILE_TMPDIR/busybox" "$SERVED/lost:1" -m "$PWD" >/dev/null
    "$COOPER" --root "$PWD/elsewhere" push -q "$SERVED/lost:1"
    fetch 200 "http://$SERVED/v2/lost/manifests/1"
    blob=$(jq -r '.config.digest' <<<"$body")
    rm -f "$COOPER_ROOT/blobs/sha256/${blob#*:}"
    cooper fsck
    [ "$status" -eq 1 ]
    [[ $output == *"lost:1"*"is missing"* ]]
    "$COOPER" rmi "$SERVE_NAME/lost:1" >/dev/null
}

@test "images of the store are pulled without having been pushed" {
    "$COOPER" tag busybox quay.example/org/x:7
    registry_serve
    fetch 200 "http://$SERVED/v2/_catalog"
    [[ $body == *'"busybox"'*'"quay.example/org/x"'* ]]
    for name in busybox:latest library/busybox quay.example/org/x:7; do
        rm -rf copy
        skopeo copy -q --src-tls-verify=false "docker://$SERVED/$name" oci:copy:x
    done
    skopeo inspect --tls-verify=false "docker://$SERVED/busybox" | jq -e '.RepoTags == ["latest"]'
    # They are not the registry's to remove.
    fetch 405 -X DELETE "http://$SERVED/v2/busybox/manifests/latest"
    [[ $body == *"cooper rmi"* ]]
    registry_stop
    registry_serve --pushed-only
    fetch 404 "http://$SERVED/v2/busybox/manifests/latest"
    fetch 200 "http://$SERVED/v2/_catalog"
    [[ $body != *busybox* ]]
    "$COOPER" rmi quay.example/org/x:7 >/dev/null
}

@test "what is pushed is an image of the store, under the registry's name and no other" {
    local before
    before=$("$COOPER" inspect busybox | jq -r '.[0].Id')
    "$COOPER" import -m other "$BATS_FILE_TMPDIR/busybox" other >/dev/null
    "$COOPER" save -o other.tar other
    registry_serve
    skopeo copy -q --dest-tls-verify=false docker-archive:other.tar "docker://$SERVED/library/busybox:latest"
    # FROM busybox means what it meant.
    [ "$("$COOPER" inspect busybox | jq -r '.[0].Id')" = "$before" ]
    "$COOPER" images -q "$SERVE_NAME/library/busybox"
    [ "$("$COOPER" inspect "$SERVE_NAME/library/busybox" | jq -r '.[0].Id')" = \
        "$(skopeo inspect --tls-verify=false "docker://$SERVED/library/busybox" | jq -r .Digest)" ]
    "$COOPER" rmi "$SERVE_NAME/library/busybox" other >/dev/null
}

@test "a push from the same machine moves no blob" {
    registry_serve
    "$COOPER" tag busybox "$SERVED/pushed/here:1"
    "$COOPER" push -q "$SERVED/pushed/here:1"
    [ "$(received)" -lt 2000 ]
    "$COOPER" images -q "$SERVE_NAME/pushed/here"
    cooper --root "$PWD/other" pull -q "$SERVED/pushed/here:1"
    [ "$status" -eq 0 ]
    "$COOPER" rmi "$SERVED/pushed/here:1" "$SERVE_NAME/pushed/here:1" >/dev/null
}

@test "what came by a push from elsewhere is seen only where it was pushed" {
    "$COOPER" --root "$PWD/elsewhere" import "$BATS_FILE_TMPDIR/busybox" x:1 -m "$PWD" >/dev/null
    registry_serve
    "$COOPER" --root "$PWD/elsewhere" tag x:1 "$SERVED/private/x:1"
    "$COOPER" --root "$PWD/elsewhere" push -q "$SERVED/private/x:1"
    local config
    config=$(skopeo inspect --raw --tls-verify=false "docker://$SERVED/private/x:1" | jq -r .config.digest)
    fetch 200 "http://$SERVED/v2/private/x/blobs/$config"
    fetch 404 "http://$SERVED/v2/public/blobs/$config"
    fetch 404 "http://$SERVED/v2/busybox/blobs/$config"
    "$COOPER" rmi "$SERVE_NAME/private/x:1" >/dev/null
}

@test "skopeo, podman and umoci push and pull" {
    local podman=(env -u DOCKER_CONFIG podman --root "$PWD/podman" --runroot "$PWD/podman.run"
        --storage-driver vfs --runtime runc --cgroup-manager=cgroupfs --events-backend=none)
    registry_serve
    "${podman[@]}" pull -q --tls-verify=false "$SERVED/busybox"
    "${podman[@]}" tag "$SERVED/busybox" "$SERVED/podman/busybox:1"
    "${podman[@]}" push -q --tls-verify=false "$SERVED/podman/busybox:1"
    "${podman[@]}" system reset --force >/dev/null 2>&1
    skopeo copy -q --src-tls-verify=false --dest-tls-verify=false \
        "docker://$SERVED/podman/busybox:1" "docker://$SERVED/skopeo/busybox:2"
    skopeo copy -q --src-tls-verify=false "docker://$SERVED/skopeo/busybox:2" oci:layout:x
    umoci unpack --rootless --image layout:x bundle >/dev/null
    [ -e bundle/rootfs/bin/busybox ]
    skopeo delete --tls-verify=false "docker://$SERVED/skopeo/busybox:2"
    run skopeo inspect --tls-verify=false "docker://$SERVED/skopeo/busybox:2"
    [ "$status" -ne 0 ]
    skopeo list-tags --tls-verify=false "docker://$SERVED/podman/busybox" | jq -e '.Tags == ["1"]'
    "$COOPER" rmi "$SERVE_NAME/podman/busybox:1" >/dev/null
}

@test "a read-only registry is pulled from and nothing else" {
    registry_serve --readonly
    skopeo copy -q --src-tls-verify=false "docker://$SERVED/busybox" oci:copy:x
    fetch 405 -X POST "http://$SERVED/v2/x/blobs/uploads/"
    [[ $body == *UNSUPPORTED*read-only* ]]
    fetch 405 -X DELETE "http://$SERVED/v2/busybox/manifests/latest"
    fetch 405 -X PUT --data-binary '{}' "http://$SERVED/v2/x/manifests/1"
}

@test "an immutable tag is made once, and an attempt to move it tells where it points" {
    local now
    "$COOPER" import -m other "$BATS_FILE_TMPDIR/busybox" other >/dev/null
    registry_serve --immutable 'v*' --immutable 'fixed/*:latest'
    push() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$SERVED/$1" "docker://$SERVED/$2"; }
    for place in app:v1 fixed/app:latest app:latest; do
        push busybox "$place"
        push busybox "$place"
    done
    push other app:latest
    now=$(skopeo inspect --tls-verify=false "docker://$SERVED/app:v1" | jq -r .Digest)
    for place in app:v1 fixed/app:latest; do
        run push other "$place"
        [ "$status" -ne 0 ]
        [[ $output == *"is immutable and points to $now"* ]]
        fetch 409 -X DELETE "http://$SERVED/v2/${place%:*}/manifests/${place##*:}"
        [[ $body == *'"digest":"'"$now"* ]]
    done
    fetch 409 -X DELETE "http://$SERVED/v2/app/manifests/$now"
    # Nor is anything taken away from below it.
    fetch 200 "http://$SERVED/v2/app/manifests/v1"
    fetch 409 -X DELETE "http://$SERVED/v2/app/blobs/$(jq -r '.layers[0].digest' <<<"$body")"
    [[ $body == *"immutable and points to $now"* ]]
    fetch 201 -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary "{
        \"schemaVersion\": 2, \"mediaType\": \"application/vnd.oci.image.index.v1+json\", \"manifests\": [{
        \"mediaType\": \"$(jq -r .mediaType <<<"$(curl -s "http://$SERVED/v2/app/manifests/latest")")\",
        \"digest\": \"$(skopeo inspect --tls-verify=false "docker://$SERVED/app:latest" | jq -r .Digest)\",
        \"size\": $(curl -s "http://$SERVED/v2/app/manifests/latest" | wc -c)}]}" "http://$SERVED/v2/app/manifests/v2"
    fetch 409 -X DELETE "http://$SERVED/v2/app/manifests/$(skopeo inspect --tls-verify=false "docker://$SERVED/app:latest" | jq -r .Digest)"
    fetch 202 -X DELETE "http://$SERVED/v2/app/manifests/latest"
    "$COOPER" rmi other "$SERVE_NAME/app:v1" "$SERVE_NAME/app:v2" "$SERVE_NAME/fixed/app" >/dev/null
}

@test "a password is asked for, and a changed password file counts at once" {
    local try
    password_line me secret >htpasswd
    registry_serve --auth htpasswd
    fetch 401 -D headers "http://$SERVED/v2/"
    grep -qi '^www-authenticate: Basic realm=' headers
    [[ $body == *UNAUTHORIZED* ]]
    fetch 401 -u me:wrong "http://$SERVED/v2/"
    fetch 401 -u you:secret "http://$SERVED/v2/"
    fetch 401 -H 'Authorization: Basic !' "http://$SERVED/v2/"
    fetch 401 "http://$SERVED/metrics"
    fetch 401 -X POST "http://$SERVED/v2/x/blobs/uploads/"
    fetch 200 -u me:secret "http://$SERVED/v2/"
    skopeo copy -q --src-tls-verify=false --src-creds me:secret "docker://$SERVED/busybox" oci:copy:x
    password_line you other >htpasswd
    for ((try = 0; try < 600; try++)); do
        ! fetch 401 -u me:secret "http://$SERVED/v2/" 2>/dev/null || break
        sleep 0.1
    done
    fetch 401 -u me:secret "http://$SERVED/v2/"
    fetch 200 -u you:other "http://$SERVED/v2/"
    # Neither passwords nor their hashes are told.
    ! grep -q -e secret -e 2y serve.out serve.err access.log
    grep -q '"user":"you"' access.log
}

@test "a password file with anything but bcrypt is refused" {
    echo 'me:$apr1$abcdefgh$0123456789' >htpasswd
    cooper serve --listen 127.0.0.1:0 --auth htpasswd
    [ "$status" -eq 1 ]
    [[ $stderr == *"line 1"*bcrypt* ]]
}

@test "TLS" {
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
        -addext subjectAltName=IP:127.0.0.1,DNS:localhost 2>/dev/null
    registry_serve --tls-cert cert.pem --tls-key key.pem
    [[ $(cat serve.out) == *"https://"* ]]
    fetch 200 --cacert cert.pem "https://$SERVED/v2/"
    fetch 000 "http://$SERVED/v2/"
    fetch 000 --tlsv1.0 --tls-max 1.1 --cacert cert.pem "https://$SERVED/v2/"
    mkdir certs && cp cert.pem certs/ca.crt
    skopeo copy -q --src-cert-dir certs "docker://$SERVED/busybox" oci:copy:x
    skopeo copy -q --dest-cert-dir certs oci:copy:x "docker://$SERVED/tls/busybox:1"
    "$COOPER" rmi "$SERVE_NAME/tls/busybox:1" >/dev/null
    registry_stop
    cooper serve --listen 127.0.0.1:0 --tls-cert cert.pem
    [ "$status" -eq 1 ]
    [[ $stderr == *"private key"* ]]
    cooper serve --listen 127.0.0.1:0 --tls-cert key.pem --tls-key cert.pem
    [ "$status" -eq 1 ]
    [[ $stderr == *certificate* ]]
}

@test "whoever listens for other machines without TLS and password is warned" {
    registry_serve --listen 0.0.0.0:0
    [[ $(cat serve.err) == *"warning"*"other machines without TLS and a password"* ]]
    registry_stop
    registry_serve
    [ ! -s serve.err ]
}

@test "wrong options are refused" {
    cooper serve --listen nowhere
    [ "$status" -eq 1 ]
    [[ $stderr == *"'nowhere' is not HOST:PORT"* ]]
    cooper serve --listen 127.0.0.1:0 --name docker.io
    [ "$status" -eq 1 ]
    cooper serve --listen 127.0.0.1:0 --name 'a b'
    [ "$status" -eq 1 ]
    [[ $stderr == *"cannot be the name"* ]]
    registry_serve
    cooper serve --listen "$SERVED"
    [ "$status" -eq 1 ]
    [[ $stderr == *"Address already in use"* ]]
}

@test "uploads that are too large end, and leave nothing" {
    registry_serve --max-upload 1m
    local where
    where() { curl -s -o /dev/null -D - -X POST "http://$SERVED/v2/big/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p'; }
    head -c 3000000 /dev/zero >zeros
    for how in "Content-Length: 3000000" "Transfer-Encoding: chunked"; do
        path=$(where)
        fetch 403 -X PATCH -H "$how" -H Expect: --data-binary @zeros "http://$SERVED$path"
        [[ $body == *DENIED*"1048576 bytes at most"* ]]
        fetch 404 "http://$SERVED$path"
    done
    [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -eq 0 ]
    fetch 403 -X POST --data-binary @zeros "http://$SERVED/v2/big/blobs/uploads/?digest=sha256:$(sha256sum zeros | cut -d' ' -f1)"
    [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -eq 0 ]
}

@test "a push past the limit is refused once, in words, and nothing is sent in pieces" {
    export COOPER_ROOT=$PWD/store
    head -c 30000000 /dev/urandom >noise
    tar cf noise.tar noise
    "$COOPER" --root "$PWD/elsewhere" import noise.tar noise:1 >/dev/null
    "$COOPER" --root "$PWD/elsewhere" save -o noise.oci noise:1
    COOPER_STORAGE_LIMIT=20m registry_serve
    run skopeo copy -q --dest-tls-verify=false docker-archive:noise.oci "docker://$SERVED/noise:1"
    [ "$status" -ne 0 ]
    [[ $output == *denied*"the registry's storage has reached its limit"* ]]
    "$COOPER" --root "$PWD/elsewhere" tag noise:1 "$SERVED/noise:1"
    run "$COOPER" --root "$PWD/elsewhere" push -q "$SERVED/noise:1"
    [ "$status" -eq 1 ]
    [[ $output == *"storage has reached its limit"* ]]
    [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -eq 0 ]
    [ "$(jq -s '[.[] | select(.method == "PATCH")] | length' access.log)" -le 1 ]
    fetch 404 "http://$SERVED/v2/noise/manifests/1"
    grep -q -- --storage-limit serve.err
}

@test "forgotten uploads end after their time, and those of a killed server at the next start" {
    local path try
    registry_serve --upload-expiry 1
    path=$(curl -s -o /dev/null -D - -X POST "http://$SERVED/v2/x/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    for ((try = 0; try < 600; try++)); do
        [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -gt 0 ] || break
        sleep 0.1
    done
    fetch 404 "http://$SERVED$path"
    registry_stop
    registry_serve
    curl -s -o /dev/null -X POST "http://$SERVED/v2/x/blobs/uploads/"
    [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -eq 1 ]
    kill -KILL "$(cat serve.pid)"
    wait "$(cat serve.pid)" || true
    registry_serve
    [ "$(find "$COOPER_ROOT/ingest" -type f | wc -l)" -eq 0 ]
}

@test "SIGTERM lets requests end" {
    registry_serve
    python3 - "$SERVED" "$(cat serve.pid)" <<'END'
import hashlib, http.client, os, secrets, signal, socket, sys, time

host, port = sys.argv[1].split(":")
data = secrets.token_bytes(2000000)
client = http.client.HTTPConnection(host, int(port), timeout=120)
client.putrequest("POST", "/v2/late/blobs/uploads/?digest=sha256:" + hashlib.sha256(data).hexdigest())
client.putheader("Content-Length", str(len(data)))
client.endheaders(data[:1000000])
# The request is under way once its bytes are in a file.
ingest = os.path.join(os.environ["COOPER_ROOT"], "ingest")
while not any(os.stat(os.path.join(ingest, name)).st_size for name in os.listdir(ingest)):
    time.sleep(0.01)
os.kill(int(sys.argv[2]), signal.SIGTERM)
# Nobody new is let in.
while True:
    try:
        with socket.create_connection((host, int(port)), timeout=1) as s:
            s.settimeout(1)
            s.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            if not s.recv(1):
                break
    except OSError:
        break
client.send(data[1000000:])
answer = client.getresponse()
assert answer.status == 201, answer.status
END
    registry_stop
}

@test "hostile requests are answered or cut off, and the others are served" {
    registry_serve
    python3 "$COOPER_SOURCE_DIR/tests/e2e/serve_hostile.py" "$SERVED"
    fetch 200 "http://$SERVED/v2/"
}

@test "many clients push and pull at once" {
    registry_serve
    python3 "$COOPER_SOURCE_DIR/tests/e2e/serve_many.py" "$SERVED" --clients 64 --rounds 5
    # Not the figure of sanitizers, whose memory is their own.
    if ! grep -qa __asan_init "$COOPER" && ! grep -qa __tsan_init "$COOPER"; then
        [ "$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(cat serve.pid)/status")" -lt 65536 ]
    fi
}

@test "the access log and the metrics tell what was done" {
    registry_serve
    fetch 200 "http://$SERVED/v2/busybox/manifests/latest"
    fetch 404 "http://$SERVED/v2/busybox/manifests/none"
    fetch 200 "http://$SERVED/metrics"
    [[ $body == *'cooper_requests_total{class="2xx"} 1'* ]]
    [[ $body == *'cooper_requests_total{class="4xx"} 1'* ]]
    [[ $body == *'cooper_requests_active 1'* ]]
    registry_stop
    jq -se 'length == 3 and .[0].method == "GET" and .[0].status == 200 and .[0].peer == "127.0.0.1"
            and .[1].status == 404 and .[1].target == "/v2/busybox/manifests/none"' access.log
}

@test "garbage collection leaves what is served" {
    "$COOPER" --root "$PWD/elsewhere" import "$BATS_FILE_TMPDIR/busybox" x:1 -m "$PWD" >/dev/null
    registry_serve
    "$COOPER" --root "$PWD/elsewhere" tag x:1 "$SERVED/kept/x:1"
    "$COOPER" --root "$PWD/elsewhere" push -q "$SERVED/kept/x:1"
    registry_stop
    "$COOPER" prune --all --force >/dev/null
    registry_serve
    skopeo copy -q --src-tls-verify=false "docker://$SERVED/kept/x:1" oci:copy:x
}
