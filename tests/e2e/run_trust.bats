# --ca: a private certificate authority, trusted by registries and inside RUN steps.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    cd "$BATS_FILE_TMPDIR" || return 1
    make_certificates
    e2e_busybox_root root
    e2e_install root curl
    "$COOPER" import -c 'ENV PATH=/bin' root curl >/dev/null
    mkdir -p root/etc/ssl/certs root/etc/pki/tls/certs
    echo "# the image's own" >root/etc/ssl/certs/ca-certificates.crt
    ln -s ../../../ssl/certs/ca-certificates.crt root/etc/pki/tls/certs/ca-bundle.crt
    "$COOPER" import -c 'ENV PATH=/bin' root bundled >/dev/null
    start_registry
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    ca=$BATS_FILE_TMPDIR/ca.crt
}

make_certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=Company CA' \
        -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout server.key -out server.csr 2>/dev/null
    printf 'subjectAltName=IP:127.0.0.1\n' >server.ext
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
        -extfile server.ext -out server.crt 2>/dev/null
}

# docker-registry with TLS, on a port that is free.
start_registry() {
    local try port

    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >registry.yml <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $BATS_FILE_TMPDIR/registry}}
http:
  addr: 127.0.0.1:$port
  tls: {certificate: $BATS_FILE_TMPDIR/server.crt, key: $BATS_FILE_TMPDIR/server.key}
END
        docker-registry serve registry.yml 3>&- 4>&- >/dev/null 2>&1 &
        echo $! >registry.pid
        export REGISTRY=127.0.0.1:$port
        wait_registry && return 0
        e2e_registry_stop
    done
    return 1
}

wait_registry() {
    local try

    for ((try = 0; try < 200; try++)); do
        curl -sf --cacert ca.crt "https://$REGISTRY/v2/" >/dev/null && return 0
        kill -0 "$(cat registry.pid)" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

dockerfile() { # BASE
    { echo "FROM $1"; cat; } >ctx/Dockerfile
}

@test "a registry with a private authority: refused without --ca, pushed to and pulled from with it" {
    dockerfile curl <<<'RUN echo pushed >/file'
    cooper build --push -t "$REGISTRY/trusted:1" ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *certificate* ]]
    "$COOPER" build -q --ca "$ca" --push -t "$REGISTRY/trusted:1" ctx
    dockerfile "$REGISTRY/trusted:1" <<<'RUN cp /file /copy'
    COOPER_ROOT=$PWD/fresh "$COOPER" build -q --ca "$ca" -o out ctx
    [ "$(cat out/copy)" = pushed ]
}

@test "a step trusts the authority, by variables and by the image's own bundle" {
    dockerfile curl <<END
RUN curl -sf -m 60 https://$REGISTRY/v2/ >/answer
END
    run ! "$COOPER" build -q --network host ctx
    "$COOPER" build -q --network host --ca "$ca" -o out ctx
    [ -e out/answer ]
    dockerfile bundled <<END
RUN curl -sf -m 60 --cacert /etc/ssl/certs/ca-certificates.crt https://$REGISTRY/v2/ >/answer
RUN curl -sf -m 60 --cacert /etc/pki/tls/certs/ca-bundle.crt https://$REGISTRY/v2/ >/answer
RUN head -1 \$SSL_CERT_FILE >/first; env | grep -c /dev/cooper/ca-certificates.crt >/count
ENV SSL_CERT_FILE=/mine
RUN test \$SSL_CERT_FILE = /mine
END
    "$COOPER" build -q --network host --ca "$ca" -o out ctx
    [ "$(cat out/first)" = "# the image's own" ]
    [ "$(cat out/count)" -ge 8 ]
}

@test "nothing of it is in the image, the records or the keys" {
    local line layer
    line=$(sed -n 2p "$ca")
    dockerfile bundled <<<'RUN cat $SSL_CERT_FILE | wc -l >/lines && touch /etc/ssl/certs /etc/pki'
    "$COOPER" build -q --ca "$ca" -t made -o type=oci,dest=layout,tar=false ctx >first
    "$COOPER" build -q -t made ctx >second
    cmp first second
    "$COOPER" build -q --ca "$ca" -o out ctx
    [ "$(cat out/etc/ssl/certs/ca-certificates.crt)" = "# the image's own" ]
    [ ! -e out/dev/cooper ]
    run ! grep -rqaF "$line" "$COOPER_ROOT" layout
    for layer in layout/blobs/sha256/*; do
        gzip -dc "$layer" 2>/dev/null >unpacked || continue
        run ! grep -qaF "$line" unpacked
    done
    run ! grep -rq SSL_CERT_FILE= layout
    # What a step itself puts there stays.
    dockerfile curl <<<'RUN mkdir -p /etc/ssl/certs && echo mine >/etc/ssl/certs/ca-certificates.crt'
    "$COOPER" build -q --ca "$ca" -o out2 ctx
    [ "$(cat out2/etc/ssl/certs/ca-certificates.crt)" = mine ]
}

@test "what is no certificate, or too much of one, is refused" {
    dockerfile curl <<<'RUN true'
    cooper build --ca /nonexistent ctx
    [ "$status" -ne 0 ]
    [[ $stderr == *'--ca /nonexistent'* ]]
    echo text >file
    cooper build --ca file ctx
    [ "$status" -ne 0 ]
    [[ $stderr == *'no PEM certificate'* ]]
    cat "$ca" "$BATS_FILE_TMPDIR/ca.key" >both
    cooper build --ca both ctx
    [ "$status" -ne 0 ]
    [[ $stderr == *'private key'* ]]
}
