# --load: the image in a docker, a podman and a containerd, with only the layers they lack.
# dockerd and containerd are root's; the test makes its own, on private sockets.
bats_require_minimum_version 1.5.0
load lib
load peers

setup_file() {
    e2e_begin
    e2e_busybox
    export PEER=$BATS_FILE_TMPDIR/peer
    mkdir -p "$PEER/bin"
    # cooper finds this as anybody's podman: with a storage of its own. $TRACE, if set, tells
    # what it opened; cooper itself is not traced, which its sanitizers would not bear.
    cat >"$PEER/bin/podman" <<END
#!/bin/sh
exec \${TRACE:+strace -A -f -qq -e trace=openat -o "\$TRACE"} env -u DOCKER_CONFIG $(command -v podman) --root "$PEER/podman" --runroot "$PEER/podman.run" \\
    --runtime runc --cgroup-manager=cgroupfs --events-backend=none "\$@"
END
    chmod +x "$PEER/bin/podman"
    peer_docker_start
    start_containerd
}
teardown_file() {
    "$PEER/bin/podman" system reset --force >/dev/null 2>&1 || true
    peer_stop "$PEER/containerd.pid"
    peer_docker_end
    e2e_end
}
setup() {
    e2e_setup
    unset DOCKER_HOST CONTAINERD_ADDRESS CONTAINERD_NAMESPACE
    mkdir ctx
    echo one >ctx/one
    printf 'FROM busybox\nRUN echo below >/below\nCOPY one /one\nCMD cat /one /below\n' >ctx/Dockerfile
}

start_containerd() {
    cat >"$PEER/containerd.toml" <<END
version = 2
root = "$PEER/containerd"
state = "$DOCKER_DIR/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$DOCKER_DIR/c.sock"
END
    containerd -c "$PEER/containerd.toml" </dev/null >"$PEER/containerd.log" 2>&1 3>&- 4>&- &
    echo $! >"$PEER/containerd.pid"
    peer_wait_for "$DOCKER_DIR/c.sock" $! || { tail -20 "$PEER/containerd.log" >&2; return 1; }
}
use_docker() { export DOCKER_HOST=unix://$DOCKER_DIR/sock; }
use_containerd() { export CONTAINERD_ADDRESS=$DOCKER_DIR/c.sock; }

@test "docker gets the image under every name, and runs it" {
    use_docker
    "$COOPER" build -q --load -t loaded:1 -t example.org/other:2 ctx
    [ "$(docker run --rm --network=none loaded:1)" = $'one\nbelow' ]
    [ "$(docker inspect -f '{{.Id}}' loaded:1)" = "$(docker inspect -f '{{.Id}}' example.org/other:2)" ]
    # docker's name of an image is its config's digest.
    "$COOPER" build -q -t loaded:1 --metadata-file meta ctx
    [ "$(docker inspect -f '{{.Id}}' loaded:1)" = "$(jq -r '."containerimage.config.digest"' meta)" ]
}

@test "docker gets only the layers that it lacks" {
    use_docker
    "$COOPER" build -q -o type=docker -t lacks:1 ctx
    echo two >ctx/one
    cooper build --progress plain --load -t lacks:2 ctx
    [ "$status" -eq 0 ]
    [[ $stderr == *"load: docker has 2 of 3 layers"* ]]
    [ "$(docker run --rm --network=none lacks:2)" = $'two\nbelow' ]
    cooper build --progress plain --load -t lacks:2 ctx
    [[ $stderr == *"load: docker has 3 of 3 layers"* ]]
    # What it lost in between comes again.
    docker rmi -f lacks:1 lacks:2 loaded:1 example.org/other:2 >/dev/null 2>&1 || true
    cooper build --progress plain --load -t lacks:3 ctx
    [[ $stderr == *"load: docker has 0 of 3 layers"* ]]
    [ "$(docker run --rm --network=none lacks:3)" = $'two\nbelow' ]
}

@test "what docker says against an image is the error, and no tag moves" {
    use_docker
    # The daemon has no idea of zstd, or takes it: either way the two agree.
    cooper build --load --compression zstd --no-cache -t zstd:1 ctx
    if [ "$status" -eq 0 ]; then
        [ "$(docker run --rm --network=none zstd:1)" = $'one\nbelow' ]
    else
        [[ $stderr == *"load the image: docker: "* ]]
        cooper inspect zstd:1
        [ "$status" -eq 1 ]
    fi
}

@test "podman gets the image under every name, and runs it" {
    PATH=$PEER/bin:$PATH "$COOPER" build -q --load=podman -t loaded:1 -t example.org/a__b/c:2 ctx
    "$PEER/bin/podman" images --format '{{.Repository}}:{{.Tag}}' | sort >names
    [ "$(xargs <names)" = "docker.io/library/loaded:1 example.org/a__b/c:2" ]
    [ "$("$PEER/bin/podman" run --rm --network=host "${peer_limits[@]}" docker.io/library/loaded:1)" = $'one\nbelow' ]
    # Again, with one other layer: the others are not copied.
    echo two >ctx/one
    TRACE=$PWD/trace PATH=$PEER/bin:$PATH "$COOPER" build -q --load=podman -t loaded:1 ctx
    # The manifest, the config, the new layer; each may be opened more than once.
    [ "$(grep -o "cooper-load-[0-9a-f]*/blobs/sha256/[0-9a-f]*" trace | sort -u | wc -l)" -eq 3 ]
    [ "$("$PEER/bin/podman" run --rm --network=host "${peer_limits[@]}" docker.io/library/loaded:1)" = $'two\nbelow' ]
}

@test "containerd gets the image, and only the blobs that it lacks" {
    use_containerd
    "$COOPER" build -q --load=containerd -t loaded:1 ctx
    [ "$(ctr images ls -q)" = docker.io/library/loaded:1 ]
    echo two >ctx/one
    cooper build --progress plain --load=containerd -t loaded:2 ctx
    [ "$status" -eq 0 ]
    [[ $stderr == *"load: containerd has 2 of 3 layers"* ]]
    ctr images check -q | grep -qx docker.io/library/loaded:2
    [ "$(ctr images ls -q | wc -l)" -eq 2 ]
    mkdir m
    ctr images mount docker.io/library/loaded:2 "$PWD/m" >/dev/null
    run cat m/one m/below
    ctr images unmount "$PWD/m" >/dev/null
    [ "$output" = $'two\nbelow' ]
}

@test "the first that is there is taken: docker, then podman, then containerd" {
    # Nobody listens on the socket that is named: an error, and nothing else is tried.
    export DOCKER_HOST=unix://$PWD/nobody
    cooper build --load -t x:1 ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"load the image: docker: $PWD/nobody: "* ]]
    unset DOCKER_HOST
    if [ ! -S /var/run/docker.sock ]; then
        PATH=$PEER/bin:$PATH "$COOPER" build -q --load -t chosen:1 ctx
        "$PEER/bin/podman" image exists docker.io/library/chosen:1
        # Without podman: containerd, if its socket is named.
        mkdir bin
        ln -s "$(command -v ctr)" bin/ctr
        use_containerd
        PATH=$PWD/bin "$COOPER" build -q --load -t chosen:2 ctx
        ctr images ls -q | grep -qx docker.io/library/chosen:2
        export CONTAINERD_ADDRESS=$PWD/nobody
        run --separate-stderr env PATH="$PWD/bin" "$COOPER" build --load -t chosen:3 ctx
        [ "$status" -eq 1 ]
        [[ $stderr == *"there is nothing to load into"* ]]
    fi
}

@test "an image without a name is loaded without one" {
    use_docker
    "$COOPER" build -q --load --metadata-file meta --no-cache ctx
    id=$(jq -r '."containerimage.config.digest"' meta)
    [ "$(docker inspect -f '{{.RepoTags}}' "$id")" = '[]' ]
    [ "$(docker run --rm --network=none "$id")" = $'one\nbelow' ]
    echo other >ctx/one
    PATH=$PEER/bin:$PATH "$COOPER" build -q --load=podman --metadata-file meta ctx
    id=$(jq -r '."containerimage.config.digest"' meta)
    [ "$("$PEER/bin/podman" run --rm --network=host "${peer_limits[@]}" "${id#sha256:}")" = $'other\nbelow' ]
    [ "$("$PEER/bin/podman" inspect -f '{{.RepoTags}}' "${id#sha256:}")" = '[]' ]
}

@test "what needs a name says so before anything runs" {
    use_docker
    local flag
    for flag in --load=containerd --push; do
        cooper build --progress plain $flag ctx
        [ "$status" -eq 2 ]
        [[ $stderr == *"give the image a name with -t"* ]]
        # Before anything runs.
        [[ $stderr != *"RUN echo below"* ]]
    done
    cooper build --load=elsewhere -t x ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *"docker, podman or containerd"* ]]
}
