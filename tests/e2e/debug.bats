# The state of a failed step: entered with debug, kept as an image.
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

fail() {
    cooper build "$@" ctx
    [ "$status" -eq 1 ]
}

@test "debug has the files, environment, directory and user of the failed step" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
ARG WHAT=argument
ENV FROM_ENV=environment
WORKDIR /work
RUN echo below >/below; chown bob /work
USER bob
RUN echo left >left; rm -f /nothing; exit 9
END
    fail
    cooper debug latest -- sh -c 'echo $(id -un) $PWD $(cat left) $(cat /below) $WHAT $FROM_ENV $HOME'
    [ "$status" -eq 0 ]
    [ "$output" = 'bob /work left below argument environment /tmp' ]
    [[ $stderr == *'exit code: 9'* ]]
}

@test "every session begins in the state of the failure, and gives its command's status" {
    printf 'FROM busybox\nRUN echo 1 >/f; false\n' >ctx/Dockerfile
    fail
    cooper debug latest sh -c 'echo 2 >/f; rm /bin/sh; exit 5'
    [ "$status" -eq 5 ]
    cooper debug latest cat /f
    [ "$output" = 1 ]
    run -127 --separate-stderr "$COOPER" debug latest /no/such/command
}

@test "without a command it is a shell, which reads standard input" {
    printf 'FROM busybox\nRUN echo here >/f; false\n' >ctx/Dockerfile
    fail
    run --separate-stderr "$COOPER" debug <<<'cat /f; exit 4'
    [ "$status" -eq 4 ]
    [ "$output" = here ]
}

@test "an image without a shell is lent one" {
    mkdir -p bare/bin
    cp "$(command -v busybox)" bare/bin/only
    "$COOPER" import -c 'ENV PATH=/bin' bare bare >/dev/null
    printf 'FROM bare\nRUN ["/bin/only", "false"]\n' >ctx/Dockerfile
    fail
    run --separate-stderr "$COOPER" debug <<<'ls /bin; exit 6'
    [ "$status" -eq 6 ]
    [ "$output" = only ]
}

@test "on a terminal it is interactive" {
    printf 'FROM busybox\nRUN echo here >/f; false\n' >ctx/Dockerfile
    fail
    # The shell is asked for nothing but the end of its input.
    script -qec "$COOPER debug latest sh -c 'tty; cat /f'" /dev/null >typescript </dev/null
    grep -q '/dev/' typescript
    grep -q here typescript
}

@test "mounts are there again: bind, cache, tmpfs, and secrets that are given again" {
    echo context >ctx/file
    printf hidden-value >secret
    cat >ctx/Dockerfile <<'END'
FROM busybox AS other
RUN echo stage >/stage
FROM busybox
RUN --mount=type=cache,target=/c --mount=type=bind,target=/b --mount=type=bind,from=other,target=/o \
    --mount=type=tmpfs,target=/t --mount=type=secret,id=s \
    echo cached >/c/f; cat /run/secrets/s >/dev/null; false
END
    fail --secret id=s,src=secret
    cooper debug latest sh -c 'cat /c/f /b/file /o/stage; mount | grep -c " /t "; wc -c </run/secrets/s'
    [ "$(xargs <<<"$output")" = 'cached context stage 1 0' ]
    run ! grep -rq hidden-value "$COOPER_ROOT/builds"
    "$COOPER" debug --secret id=s,src=secret latest cat /run/secrets/s >given
    [ "$(cat given)" = hidden-value ]
}

@test "only the newest five states stay, and what keeps none says so" {
    printf 'FROM busybox\nARG N\nRUN echo "$N" >/n; false\n' >ctx/Dockerfile
    # bats' own `run` has a variable i.
    for number in 1 2 3 4 5 6 7; do run ! "$COOPER" build -q --build-arg N=$number ctx; done
    [ "$(find "$COOPER_ROOT/builds" -name state.json | wc -l)" -eq 5 ]
    [ "$(find "$COOPER_ROOT/builds" -mindepth 2 -maxdepth 2 -name fs | wc -l)" -eq 5 ]
    [ "$("$COOPER" debug '^4' cat /n 2>/dev/null)" = 3 ]
    cooper debug '^6' true
    [ "$status" -eq 1 ]
    [[ $stderr == *'keeps no state'* ]]
    printf 'FROM busybox\nNONSENSE\n' >ctx/Dockerfile
    run ! "$COOPER" build -q ctx
    cooper debug latest true
    [[ $stderr == *'only a step that failed leaves one'* ]]
}

@test "what a kept state lies on survives garbage collection" {
    printf 'FROM busybox\nRUN echo precious >/precious\nRUN false\n' >ctx/Dockerfile
    fail -t unused
    # rmi collects what nobody needs.
    "$COOPER" tag busybox gone
    "$COOPER" rmi gone >/dev/null
    cooper debug latest cat /precious
    [ "$output" = precious ]
}

@test "builds rm removes a state with its files" {
    printf 'FROM busybox\nRUN echo x >/x; false\n' >ctx/Dockerfile
    fail
    local id
    id=$("$COOPER" builds -q | head -n1)
    [ -d "$COOPER_ROOT/builds/$id/fs" ]
    "$COOPER" builds rm "$id"
    [ ! -e "$COOPER_ROOT/builds/$id" ]
}

@test "--on-failure image= keeps the state as an image that can be pushed" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
ARG API_TOKEN=never-in-an-image
ENV KIND=kept
WORKDIR /work
USER bob
RUN echo left >/tmp/left; [ "$HOME" = fixed ]
END
    fail --on-failure image=kept:1
    [[ $stderr == *'its state as an image: kept:1'* ]]
    cooper run kept:1 sh -c 'echo $(id -un) $PWD $(cat /tmp/left) $KIND [$API_TOKEN]'
    [ "$output" = 'bob /work left kept []' ]
    # Its own command is the one that failed.
    cooper run kept:1
    [ "$status" -eq 1 ]
    cooper run -e HOME=fixed kept:1
    [ "$status" -eq 0 ]
    run ! bash -c '"$COOPER" inspect kept:1 | grep -q never-in-an-image'
    # The state can be entered as well.
    cooper debug latest cat /tmp/left
    [ "$output" = left ]
    e2e_registry_start
    "$COOPER" tag kept:1 "$REGISTRY/kept:1"
    "$COOPER" push "$REGISTRY/kept:1"
}

@test "--on-failure is checked before anything is built" {
    printf 'FROM busybox\nRUN true\n' >ctx/Dockerfile
    cooper build --on-failure shell ctx
    [ "$status" -eq 2 ]
    cooper build --on-failure image=UPPER ctx
    [ "$status" -eq 2 ]
    cooper build -q --on-failure image=unneeded ctx
    [ "$status" -eq 0 ]
    cooper inspect unneeded
    [ "$status" -eq 1 ]
}

@test "a COPY that fails leaves what it was to change: files, environment, directory, user" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
ARG WHAT=argument
ENV FROM_ENV=environment
WORKDIR /work
RUN echo below >/below; chown bob /work
USER bob
COPY nothing /there/
END
    fail
    [[ $stderr == *'a shell in its state:'*'cooper debug '* ]]
    [[ $stderr != *'all that it printed:'* ]]
    cooper debug latest -- sh -c 'echo $(id -un) $PWD $(cat /below) $WHAT $FROM_ENV; ls -d /there'
    [ "$output" = 'bob /work below argument environment' ]
    [[ $stderr == *'COPY nothing /there/'*'not found'* ]]
    run --separate-stderr "$COOPER" debug <<<'pwd; exit 4'
    [ "$status" -eq 4 ]
    [ "$output" = /work ]
}

@test "so it is when the build before had the file, and of ADD and WORKDIR" {
    echo was >ctx/file
    printf 'FROM busybox\nRUN echo below >/below\nADD file /file\n' >ctx/Dockerfile
    "$COOPER" build -q ctx
    rm ctx/file
    fail
    cooper debug latest cat /below
    [ "$output" = below ]
    "$COOPER" builds rm --all >/dev/null
    printf 'FROM busybox\nWORKDIR /first\nRUN echo below >/below\nWORKDIR /below/sub\n' >ctx/Dockerfile
    fail
    [[ $stderr == *'WORKDIR /below/sub'* ]]
    cooper debug latest sh -c 'cat /below; pwd'
    [ "$(xargs <<<"$output")" = 'below /first' ]
    # Steps that failed before there was anything.
    printf 'FROM scratch\nCOPY nothing /\n' >ctx/Dockerfile
    fail
    run --separate-stderr "$COOPER" debug <<<'echo "$0"; ls -A / | grep -c nothing; exit 7'
    [ "$status" -eq 7 ]
}

@test "--on-failure image= keeps what a COPY was to change, with a shell" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
ARG API_TOKEN=never-in-an-image
WORKDIR /work
RUN echo below >below
COPY nothing /
END
    fail --on-failure image=kept:copy
    [[ $stderr == *'its state as an image: kept:copy'* ]]
    cooper run kept:copy cat below
    [ "$output" = below ]
    [ "$("$COOPER" inspect kept:copy | jq -c '.. | .Cmd? // empty' | head -n1)" = '["/bin/sh"]' ]
    run ! bash -c '"$COOPER" inspect kept:copy | grep -q never-in-an-image'
    "$COOPER" save kept:copy -o kept.tar
}

@test "a base that is still elsewhere is fetched when its state is looked at" {
    e2e_registry_start
    "$COOPER" tag busybox "$REGISTRY/base:1"
    "$COOPER" push "$REGISTRY/base:1"
    printf 'FROM %s/base:1\nCOPY nothing /\n' "$REGISTRY" >ctx/Dockerfile
    export COOPER_ROOT=$BATS_TEST_TMPDIR/fresh
    fail
    # No layer was needed to fail: manifests and config only.
    [ "$(find "$COOPER_ROOT/blobs" -type f -size +100k | wc -l)" -eq 0 ]
    cooper debug latest /bin/busybox echo inside
    [ "$output" = inside ]
    fail --on-failure image=kept:lazy
    cooper run kept:lazy echo inside
    [ "$output" = inside ]
}
