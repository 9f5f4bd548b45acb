# cooper serve with docker and containerd, which are root's; the tests make their own daemons, on
# private sockets.
bats_require_minimum_version 1.5.0
load lib
load serve
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir up mirror
    # Paths of sockets are short, those of test directories are not.
    SOCKETS=$(mktemp -d /tmp/ce2e.XXXXXX)
}
teardown() {
    daemon_stop
    for place in mirror up; do
        cd "$place"
        registry_stop
        cd ..
    done
    rm -rf "$SOCKETS"
}

daemon() { # SOCKET COMMAND...: runs it until daemon_stop; returns when somebody listens
    local socket=$1 try

    shift
    "$@" </dev/null >daemon.log 2>&1 3>&- 4>&- &
    echo $! >daemon.pid
    for ((try = 0; try < 1200; try++)); do
        [ ! -S "$socket" ] || return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
    tail -20 daemon.log >&2
    return 1
}
daemon_stop() {
    local pid

    [ -e daemon.pid ] || return 0
    pid=$(cat daemon.pid)
    rm daemon.pid
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
}

@test "docker pushes and pulls, and pulls Docker Hub's images through a mirror" {
    local upstream
    cd up
    registry_serve
    upstream=$SERVED
    cd ../mirror
    COOPER_ROOT=$PWD/store registry_serve --upstream "http://$upstream"
    cd ..
    export DOCKER_HOST=unix://$SOCKETS/sock
    daemon "$SOCKETS/sock" dockerd -H "$DOCKER_HOST" --data-root "$PWD/docker" --exec-root "$SOCKETS/exec" \
        --pidfile "$PWD/dockerd.pid" --iptables=false --ip6tables=false --bridge=none \
        --registry-mirror "http://$SERVED"
    docker pull -q busybox
    jq -se 'any(.target == "/v2/library/busybox/manifests/latest" and .status == 200)' mirror/access.log
    docker tag busybox "$upstream/docker/busybox:1"
    docker push -q "$upstream/docker/busybox:1"
    docker rmi busybox "$upstream/docker/busybox:1" >/dev/null
    docker pull -q "$upstream/docker/busybox:1"
    [ "$(docker run --rm --network=none "$upstream/docker/busybox:1" echo it runs)" = "it runs" ]
    "$COOPER" rmi "$SERVE_NAME/docker/busybox:1" >/dev/null
}

@test "containerd pushes and pulls" {
    cat >config.toml <<END
version = 2
root = "$PWD/containerd"
state = "$SOCKETS/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$SOCKETS/c.sock"
END
    cd up
    registry_serve
    cd ..
    daemon "$SOCKETS/c.sock" containerd -c config.toml
    export CONTAINERD_ADDRESS=$SOCKETS/c.sock
    ctr images pull --plain-http "$SERVED/library/busybox:latest" >/dev/null
    ctr images tag "$SERVED/library/busybox:latest" "$SERVED/containerd/busybox:1" >/dev/null
    ctr images push --plain-http "$SERVED/containerd/busybox:1" >/dev/null
    "$COOPER" inspect "$SERVE_NAME/containerd/busybox:1" >/dev/null
    ctr images rm "$SERVED/library/busybox:latest" "$SERVED/containerd/busybox:1" >/dev/null
    ctr images pull --plain-http "$SERVED/containerd/busybox:1" >/dev/null
    "$COOPER" rmi "$SERVE_NAME/containerd/busybox:1" >/dev/null
}
