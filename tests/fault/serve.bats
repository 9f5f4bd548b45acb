# The embedded registry, killed, and on a disk that fills up.
bats_require_minimum_version 1.5.0
load lib
load ../e2e/serve
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
}
teardown() {
    registry_stop
    ! mountpoint -q store || umount store
}

@test "killed 100 times during pushes, it has all that it acknowledged and nothing half" {
    "$COOPER_SOURCE_DIR/tests/fault/serve_kill.py" "$COOPER" "$COOPER_ROOT" 100
    "$COOPER" images -q >/dev/null
    store_is_whole
}

@test "a full disk is said, the rest is served, and what was taken for it comes free" {
    mkdir store
    mount -t tmpfs -o size=24m,mode=700 store store
    registry_serve
    local answer data sum where
    head -c 30000000 /dev/urandom >data
    sum=$(sha256sum data | cut -d' ' -f1)
    # Of known size: refused at once. Of unknown size: when it is full.
    for how in "Content-Length: 30000000" "Transfer-Encoding: chunked"; do
        answer=$(curl -s -w '%{http_code}' -X POST -H "$how" --data-binary @data \
            "http://$SERVED/v2/x/blobs/uploads/?digest=sha256:$sum")
        [[ $answer == *'"errors"'*507 ]]
        [ "$(find store/ingest -type f | wc -l)" -eq 0 ]
    done
    [[ $(cat serve.err) == *"No space left on device"* ]]
    head -c 1000000 data >small
    sum=$(sha256sum small | cut -d' ' -f1)
    where="http://$SERVED/v2/x/blobs/uploads/?digest=sha256:$sum"
    [ "$(curl -s -o /dev/null -w '%{http_code}' -X POST --data-binary @small "$where")" = 201 ]
    curl -s "http://$SERVED/v2/x/blobs/sha256:$sum" | cmp - small
    registry_stop
}
