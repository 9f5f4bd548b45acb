# Build arguments that mean something to the builder, and proxies.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
}

dockerfile() {
    { echo 'FROM busybox'; cat; } >ctx/Dockerfile
}

@test "BUILDKIT_SANDBOX_HOSTNAME names the machine that steps see" {
    dockerfile <<<'RUN hostname >/name; grep -c "$(hostname)" /etc/hosts >/count'
    "$COOPER" build -q -o out ctx
    [ "$(cat out/name out/count | xargs)" = 'buildkitsandbox 1' ]
    "$COOPER" build -q --build-arg BUILDKIT_SANDBOX_HOSTNAME=forge -o out ctx
    [ "$(cat out/name out/count | xargs)" = 'forge 1' ]
}

@test "BUILDKIT_CACHE_MOUNT_NS keeps cache mounts apart" {
    dockerfile <<'END'
RUN --mount=type=cache,target=/c echo x >>/c/f && wc -l </c/f >/lines
RUN --mount=type=cache,id=named,target=/c echo x >>/c/f && wc -l </c/f >/named
END
    local space
    for space in one two one; do
        BUILDKIT_CACHE_MOUNT_NS=$space "$COOPER" build -q --no-cache --build-arg BUILDKIT_CACHE_MOUNT_NS \
            -o "out.$space" ctx
    done
    [ "$(cat out.one/lines out.one/named | xargs)" = '2 2' ]
    [ "$(cat out.two/lines out.two/named | xargs)" = '1 1' ]
}

@test "BUILDKIT_DOCKERFILE_CHECK takes the place of the check comment" {
    printf '# check=error=true\nfrom busybox\nRUN true\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    "$COOPER" build -q --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all ctx
    printf 'FROM busybox as x\nRUN true\n' >ctx/Dockerfile
    "$COOPER" build -q ctx
    cooper build --build-arg 'BUILDKIT_DOCKERFILE_CHECK=error=true' ctx
    [ "$status" -eq 1 ]
    cooper build --build-arg 'BUILDKIT_DOCKERFILE_CHECK=nonsense' ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *BUILDKIT_DOCKERFILE_CHECK* ]]
}

@test "proxies: of docker's configuration, for the daemon in use, and as build arguments" {
    mkdir -p "$DOCKER_CONFIG"
    cat >"$DOCKER_CONFIG/config.json" <<'END'
{"proxies": {"default": {"httpProxy": "http://default:1", "noProxy": "a,b"},
             "tcp://other:2375": {"httpProxy": "http://other:2"}}}
END
    dockerfile <<<'RUN echo $HTTP_PROXY $http_proxy $NO_PROXY >/seen'
    "$COOPER" build -q -t proxied -o out ctx
    [ "$(cat out/seen)" = 'http://default:1 http://default:1 a,b' ]
    run ! grep -rqF 'http://default:1' "$COOPER_ROOT/blobs"
    DOCKER_HOST=tcp://other:2375 "$COOPER" build -q --no-cache -o out ctx
    [ "$(cat out/seen)" = 'http://other:2 http://other:2' ]
    "$COOPER" build -q --no-cache --build-arg HTTP_PROXY=http://given:3 -o out ctx
    [[ $(cat out/seen) == http://given:3* ]]
    # Another proxy is no reason to run again.
    "$COOPER" build -q --build-arg HTTP_PROXY=http://fourth:4 -o out ctx
    run ! grep -q fourth out/seen
    rm "$DOCKER_CONFIG/config.json"
}
