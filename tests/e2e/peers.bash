# Other people's tools that read our images, for tests that load lib first.

# Copies the image $1 of the registry with skopeo into the layout peer/ and unpacks it with umoci
# into bundle/; a warning of either is a failure.
peer_unpack() {
    local warnings

    rm -rf peer bundle
    skopeo copy --quiet --src-tls-verify=false "docker://$1" oci:peer:image || return 1
    warnings=$(umoci --log=warn unpack --image peer:image bundle 2>&1) || return 1
    [ -z "$warnings" ]
}

# podman with a storage of its own. crun refuses hybrid cgroups, so it is runc; limits may not be
# raised where CAP_SYS_RESOURCE is missing, so they are said. Where $DOCKER_CONFIG points, podman
# wants a file to be. Commands and no functions, so that a signal to one reaches podman.
peer_podman=(env -u DOCKER_CONFIG podman --root "${BATS_FILE_TMPDIR-}/podman"
    --runroot "${BATS_FILE_TMPDIR-}/podman.run" --runtime runc --cgroup-manager=cgroupfs
    --events-backend=none)
peer_limits=(--ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=32768:32768)
((EUID == 0)) || peer_limits=(--ulimit host)

# podman run, on the host's network.
# shellcheck disable=SC2034  # used by those who load this
peer_run=("${peer_podman[@]}" run --rm --quiet --tls-verify=false --network=host
    "${peer_limits[@]}")

peer_podman_end() {
    [ ! -d "$BATS_FILE_TMPDIR/podman" ] || "${peer_podman[@]}" system reset --force >/dev/null 2>&1 || true
}

# A dockerd of root's own, without network, at $DOCKER_DIR/sock until peer_docker_end. Paths of
# sockets are short, those of test directories are not.
peer_docker_start() {
    export DOCKER_DIR
    DOCKER_DIR=$(mktemp -d /tmp/ce2e.XXXXXX)
    dockerd -H "unix://$DOCKER_DIR/sock" --data-root "$BATS_FILE_TMPDIR/docker" --exec-root "$DOCKER_DIR/exec" \
        --pidfile "$DOCKER_DIR/dockerd.pid" --iptables=false --ip6tables=false --bridge=none \
        </dev/null >"$BATS_FILE_TMPDIR/docker.log" 2>&1 3>&- 4>&- &
    peer_wait_for "$DOCKER_DIR/sock" $! || { tail -20 "$BATS_FILE_TMPDIR/docker.log" >&2; return 1; }
}

peer_docker_end() {
    peer_stop "$DOCKER_DIR/dockerd.pid"
    rm -rf "$DOCKER_DIR"
}

# peer_stop FILE: ends the daemon whose process id is in the file, and waits.
peer_stop() {
    local pid
    [ -e "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    tail --pid="$pid" -f /dev/null
}

# peer_wait_for SOCKET PID: until somebody listens, at most a minute.
peer_wait_for() {
    local try
    for ((try = 0; try < 600; try++)); do
        [ -S "$1" ] && return 0
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# A port of the loopback address that nobody listens on.
free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# serve URL COMMAND...: runs the command beside the test until service_stop; returns once URL
# answers, and fails if the command ends or half a minute passes before.
serve() {
    local url=$1 try

    shift
    "$@" </dev/null >service.log 2>&1 3>&- 4>&- &
    echo $! >>service.pids
    for ((try = 0; try < 300; try++)); do
        curl -s -o /dev/null "$url" && return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
    cat service.log >&2
    return 1
}

service_stop() {
    local pid

    [ -e service.pids ] || return 0
    while read -r pid; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done <service.pids
    rm service.pids
}
