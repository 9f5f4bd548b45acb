# RUN --mount=type=ssh: a real ssh-agent, asked by real ssh programs inside a step.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
    cp -a "$BATS_FILE_TMPDIR/busybox" "$BATS_FILE_TMPDIR/tools"
    e2e_install "$BATS_FILE_TMPDIR/tools" ssh-add
    e2e_install "$BATS_FILE_TMPDIR/tools" ssh-keygen
    "$COOPER" import -c 'ENV PATH=/bin' "$BATS_FILE_TMPDIR/tools" tools >/dev/null
    ssh-keygen -q -t ed25519 -N '' -C first@test -f "$BATS_FILE_TMPDIR/first"
    ssh-keygen -q -t rsa -b 2048 -N '' -C second@test -f "$BATS_FILE_TMPDIR/second"
    ssh-keygen -q -t ed25519 -N 'a passphrase' -C locked@test -f "$BATS_FILE_TMPDIR/locked"
    # Named beneath /tmp, as a socket's path is short.
    AGENT_DIR=$(mktemp -d /tmp/cooper-ssh.XXXXXX)
    export AGENT_DIR SSH_AUTH_SOCK="$AGENT_DIR/s"
    eval "$(ssh-agent -a "$SSH_AUTH_SOCK")" >/dev/null
    export SSH_AGENT_PID
    ssh-add -q "$BATS_FILE_TMPDIR/first"
}
teardown_file() {
    kill "$SSH_AGENT_PID"
    rm -rf "$AGENT_DIR"
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
}

dockerfile() {
    { echo 'FROM tools'; cat; } >ctx/Dockerfile
}

@test "a step lists the agent's keys and signs with them" {
    cp "$BATS_FILE_TMPDIR/first.pub" ctx
    dockerfile <<'END'
COPY first.pub /
RUN --mount=type=ssh test "$SSH_AUTH_SOCK" = /run/buildkit/ssh_agent.0 && ssh-add -L >/keys
RUN --mount=type=ssh echo text >/text && ssh-keygen -q -Y sign -n test -f /first.pub /text
END
    "$COOPER" build -q --ssh default -o out ctx
    diff out/keys "$BATS_FILE_TMPDIR/first.pub"
    echo "me $(cat "$BATS_FILE_TMPDIR/first.pub")" >allowed
    ssh-keygen -q -Y verify -f allowed -I me -n test -s out/text.sig <out/text
    # The socket and its place are no part of the layer.
    [ ! -e out/run/buildkit ]
}

@test "a step can neither add, remove nor lock keys" {
    cp "$BATS_FILE_TMPDIR/second" ctx
    chmod 600 ctx/second
    dockerfile <<'END'
COPY --chmod=600 second /
RUN --mount=type=ssh ssh-add -D; ssh-add /second; ssh-add -d /second; ssh-add -s /lib/x.so </dev/null; true
RUN --mount=type=ssh printf 'a\na\n' | ssh-add -x; ssh-add -l | tee /left | grep -c ED25519
END
    "$COOPER" build -q --ssh default -o out ctx
    [ "$(wc -l <out/left)" -eq 1 ]
    [ "$(ssh-add -L)" = "$(cat "$BATS_FILE_TMPDIR/first.pub")" ]
}

@test "key files get an agent of their own, which ends with the build and leaves nothing" {
    dockerfile <<'END'
RUN --mount=type=ssh,id=work ssh-add -L >/keys
END
    "$COOPER" build -q --ssh "work=$BATS_FILE_TMPDIR/first,$BATS_FILE_TMPDIR/second" -o out ctx
    cat "$BATS_FILE_TMPDIR/first.pub" "$BATS_FILE_TMPDIR/second.pub" | diff - out/keys
    # Its name is unlike any other's here: the only process of it would be ours.
    run ! pgrep -f "ssh-add -q -- .*$BATS_FILE_TMPDIR/second"
    [ -z "$(find "$COOPER_ROOT" -type s)" ]
    # Relative names are those of the directory that cooper was started in.
    cp "$BATS_FILE_TMPDIR/second" mine
    dockerfile <<<'RUN --mount=type=ssh ssh-add -l | grep -q RSA'
    "$COOPER" build -q --ssh default=mine ctx
}

@test "a key with a passphrase, a missing key, a missing agent: each says so" {
    dockerfile <<<'RUN --mount=type=ssh,required true'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'Dockerfile:2'*'no agent "default"'*'--ssh default'* ]]
    cooper build --ssh "default=$BATS_FILE_TMPDIR/locked" ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'--ssh default: a key has a passphrase'* ]]
    cooper build --ssh default=/nonexistent/key ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'/nonexistent/key'* ]]
    SSH_AUTH_SOCK='' cooper build --ssh default ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *SSH_AUTH_SOCK* ]]
    cooper build --ssh a=x --ssh a=y ctx
    [ "$status" -eq 2 ]
    # The private keys are nowhere in what is kept.
    run ! grep -rqaF "$(sed -n 2p "$BATS_FILE_TMPDIR/first")" "$COOPER_ROOT"
}

@test "mode, owner and target are as the mount says; without an agent the step runs" {
    dockerfile <<'END'
RUN --mount=type=ssh,target=/tmp/agent,uid=1000,gid=10,mode=0660 stat -c '%u %g %a %F' /tmp/agent >/stat
USER bob
RUN --mount=type=ssh,uid=1000 ssh-add -L >/tmp/keys
RUN --mount=type=ssh ssh-add -L 2>/dev/null || echo refused >/tmp/refused
END
    "$COOPER" build -q --ssh default -o out ctx
    [ "$(cat out/stat)" = '1000 10 660 socket' ]
    diff out/tmp/keys "$BATS_FILE_TMPDIR/first.pub"
    [ "$(cat out/tmp/refused)" = refused ]
    [ ! -e out/tmp/agent ]
    dockerfile <<<'RUN --mount=type=ssh test ! -e /run/buildkit/ssh_agent.0'
    "$COOPER" build -q ctx
}

@test "several sockets, many clients at once" {
    dockerfile <<'END'
RUN --mount=type=ssh --mount=type=ssh,id=other \
    SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 ssh-add -L >/other && \
    for i in $(seq 20); do ssh-add -L >/keys.$i & done; wait; \
    for i in $(seq 20); do cmp /keys.1 /keys.$i || exit 1; done
END
    "$COOPER" build -q --ssh default --ssh "other=$BATS_FILE_TMPDIR/second" -o out ctx
    diff out/keys.1 "$BATS_FILE_TMPDIR/first.pub"
    diff out/other "$BATS_FILE_TMPDIR/second.pub"
}
