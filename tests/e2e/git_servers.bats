#!/usr/bin/env bats
# Repositories on real servers: OpenSSH with keys in an agent; git-http-backend behind lighttpd with
# TLS of a company's own authority, and passwords.

bats_require_minimum_version 1.5.0
load lib
load sources

setup_file() {
    e2e_begin
    export WWW=$BATS_FILE_TMPDIR/www
    mkdir -p "$WWW"
    e2e_busybox
    e2e_git_repository
    chmod 755 "$BATS_FILE_TMPDIR"
    keys_make
    ssh_start
    https_start
}
teardown_file() {
    local name

    for name in sshd lighttpd agent; do
        [ ! -e "$BATS_FILE_TMPDIR/$name.pid" ] || kill "$(cat "$BATS_FILE_TMPDIR/$name.pid")" || true
    done
    rm -rf "${AGENT_DIR:?}"
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
    unset SSH_AUTH_SOCK
}

# Keys, an agent that holds one of them, and certificates.
keys_make() {
    local dir=$BATS_FILE_TMPDIR/keys

    mkdir -m 700 "$dir"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/stranger"
    cp "$dir/user.pub" "$dir/authorized"
    # A socket's path is short.
    AGENT_DIR=$(mktemp -d /tmp/cooper-agent.XXXXXX)
    export AGENT_DIR AGENT=$AGENT_DIR/socket
    ssh-agent -D -a "$AGENT" </dev/null >/dev/null 2>&1 3>&- 4>&- &
    echo $! >"$BATS_FILE_TMPDIR/agent.pid"
    wait_for_socket "$AGENT"
    SSH_AUTH_SOCK=$AGENT ssh-add -q "$dir/user" 2>/dev/null
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=company -keyout "$dir/ca.key" \
        -out "$dir/ca.pem" -addext basicConstraints=critical,CA:TRUE 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$dir/web.key" -out "$dir/web.csr" 2>/dev/null
    openssl x509 -req -in "$dir/web.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
        -out "$dir/web.crt" -extfile <(echo subjectAltName=IP:127.0.0.1,DNS:localhost) 2>/dev/null
    cat "$dir/web.key" "$dir/web.crt" >"$dir/web.pem"
}

wait_for_socket() {
    local try

    for ((try = 0; try < 600; try++)); do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
    return 1
}

# True once $2 stands in the file $1; false if the process $3 ended before.
wait_for_line() {
    local try

    for ((try = 0; try < 600; try++)); do
        ! grep -q "$2" "$1" 2>/dev/null || return 0
        kill -0 "$3" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# sshd on a free port; sets $SSH (ssh://user@host:port).
ssh_start() {
    local try port dir=$BATS_FILE_TMPDIR/keys

    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        cat >"$BATS_FILE_TMPDIR/sshd.conf" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $dir/host
AuthorizedKeysFile $dir/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
END
        /usr/sbin/sshd -D -e -f "$BATS_FILE_TMPDIR/sshd.conf" </dev/null >/dev/null \
            2>"$BATS_FILE_TMPDIR/sshd.log" 3>&- 4>&- &
        echo $! >"$BATS_FILE_TMPDIR/sshd.pid"
        export SSH=ssh://$(id -un)@127.0.0.1:$port SSH_PORT=$port
        ! wait_for_line "$BATS_FILE_TMPDIR/sshd.log" 'Server listening' $! || return 0
    done
    cat "$BATS_FILE_TMPDIR/sshd.log" >&2
    return 1
}

# lighttpd on a free port; sets $HTTPS. /git/ is for everybody, /private/ asks for a password.
https_start() {
    local try port

    printf 'x-access-token:right-token\nbob:bobs-password\n' >"$BATS_FILE_TMPDIR/passwords"
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        cat >"$BATS_FILE_TMPDIR/lighttpd.conf" <<END
server.modules = ( "mod_setenv", "mod_alias", "mod_auth", "mod_authn_file", "mod_cgi", "mod_openssl" )
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$WWW"
server.errorlog = "$BATS_FILE_TMPDIR/lighttpd.log"
server.upload-dirs = ( "$BATS_FILE_TMPDIR" )
ssl.engine = "enable"
ssl.pemfile = "$BATS_FILE_TMPDIR/keys/web.pem"
alias.url = ( "/git" => "/usr/lib/git-core/git-http-backend", "/private" => "/usr/lib/git-core/git-http-backend" )
\$HTTP["url"] =~ "^/(git|private)/" {
    cgi.assign = ( "" => "" )
    setenv.set-environment = ( "GIT_PROJECT_ROOT" => "$WWW", "GIT_HTTP_EXPORT_ALL" => "1", "HOME" => "$BATS_FILE_TMPDIR" )
}
\$HTTP["url"] =~ "^/private/" {
    auth.backend = "plain"
    auth.backend.plain.userfile = "$BATS_FILE_TMPDIR/passwords"
    auth.require = ( "" => ( "method" => "basic", "realm" => "git", "require" => "valid-user" ) )
}
END
        lighttpd -D -f "$BATS_FILE_TMPDIR/lighttpd.conf" </dev/null >"$BATS_FILE_TMPDIR/lighttpd.out" 2>&1 3>&- 4>&- &
        echo $! >"$BATS_FILE_TMPDIR/lighttpd.pid"
        export HTTPS=https://127.0.0.1:$port CA=$BATS_FILE_TMPDIR/keys/ca.pem
        ! wait_for_line "$BATS_FILE_TMPDIR/lighttpd.log" 'server started' $! || return 0
    done
    cat "$BATS_FILE_TMPDIR"/lighttpd.{log,out} >&2
    return 1
}

add() { # URL BUILD-FLAG...: builds an image of what is there, into out
    printf 'FROM busybox\nADD %s /src/\n' "$1" >ctx/Dockerfile
    shift
    rm -rf out
    cooper build --no-cache -o type=local,dest=out "$@" ctx
}

@test "ssh: ADD and a context with the agent of --ssh default" {
    add "$SSH$WWW/repo.git" --ssh "default=$AGENT"
    [ "$status" -eq 0 ]
    [ "$(cat out/src/f)" = one ]
    add "$SSH$WWW/repo.git#dev:sub" --ssh "default=$AGENT"
    [ "$(cat out/src/deep/x)" = x ]
    printf 'FROM busybox\nCOPY f /f\n' >Dockerfile
    "$COOPER" build --ssh "default=$AGENT" -f - -o type=local,dest=context "$SSH$WWW/repo.git#dev" <Dockerfile
    [ "$(cat context/f)" = two ]
    # $SSH_AUTH_SOCK is what --ssh default without more means, and a context's default.
    SSH_AUTH_SOCK=$AGENT add "$SSH$WWW/repo.git#v1" --ssh default
    [ "$(cat out/src/f)" = one ]
    SSH_AUTH_SOCK=$AGENT add "$SSH$WWW/repo.git#v1"
    [ "$status" -eq 0 ]
}

@test "ssh: the form of scp, with the port in no configuration of the user's" {
    # Port 22 of the loopback address is not ours: only that the words are read so.
    add "git@127.0.0.1:$WWW/none.git" --ssh "default=$AGENT"
    [ "$status" -eq 1 ]
    [[ $stderr == *"git repository git@127.0.0.1:"* ]]
}

@test "ssh: key files, and only those" {
    add "$SSH$WWW/repo.git" --ssh "default=$BATS_FILE_TMPDIR/keys/user"
    [ "$status" -eq 0 ]
    [ "$(cat out/src/f)" = one ]
    SSH_AUTH_SOCK=$AGENT add "$SSH$WWW/repo.git#dev" --ssh "default=$BATS_FILE_TMPDIR/keys/stranger"
    [ "$status" -eq 1 ]
    [[ $stderr == *"Permission denied"* ]]
}

@test "ssh: without a key it is refused; a host whose key changed too" {
    add "$SSH$WWW/repo.git"
    [ "$status" -eq 1 ]
    [[ $stderr == *"Permission denied"* ]]
    add "$SSH$WWW/repo.git" --ssh "default=$AGENT"
    [ "$status" -eq 0 ]
    [ -s "$COOPER_ROOT/git/known_hosts" ]
    cp "$COOPER_ROOT/git/known_hosts" saved
    printf '[127.0.0.1]:%s %s\n' "$SSH_PORT" "$(cut -d' ' -f1,2 "$BATS_FILE_TMPDIR/keys/stranger.pub")" \
        >"$COOPER_ROOT/git/known_hosts"
    add "$SSH$WWW/repo.git" --ssh "default=$AGENT"
    [ "$status" -eq 1 ]
    [[ $stderr == *"verification failed"* || $stderr == *"IDENTIFICATION HAS CHANGED"* ]]
    cp saved "$COOPER_ROOT/git/known_hosts"
}

@test "https: --ca makes a company's server trusted; without it is refused" {
    add "$HTTPS/git/repo.git"
    [ "$status" -eq 1 ]
    [[ $stderr == *certificate* ]]
    add "$HTTPS/git/repo.git" --ca "$CA"
    [ "$status" -eq 0 ]
    [ "$(cat out/src/f)" = one ]
    add "$HTTPS/git/repo.git#dev:sub/deep" --ca "$CA"
    [ "$(cat out/src/x)" = x ]
    # The authority is no part of what is built.
    run ! grep -rq 'BEGIN CERTIFICATE' out
    printf 'FROM busybox\nCOPY f /f\n' >Dockerfile
    "$COOPER" build --ca "$CA" -f - -o type=local,dest=context "$HTTPS/git/repo.git#dev" <Dockerfile
    [ "$(cat context/f)" = two ]
    SSL_CERT_FILE=$CA add "$HTTPS/git/repo.git#v1"
    [ "$status" -eq 0 ]
}

@test "https: credentials by GIT_AUTH_TOKEN and GIT_AUTH_HEADER, the host's own first" {
    export TOKEN=right-token WRONG=wrong-token
    export HEADER="Basic $(printf 'bob:bobs-password' | base64)"
    add "$HTTPS/private/repo.git" --ca "$CA"
    [ "$status" -eq 1 ]
    [[ $stderr == *"asks for credentials: give them with --secret id=GIT_AUTH_TOKEN"* ]]
    add "$HTTPS/private/repo.git" --ca "$CA" --secret id=GIT_AUTH_TOKEN,env=TOKEN
    [ "$status" -eq 0 ]
    [ "$(cat out/src/f)" = one ]
    add "$HTTPS/private/repo.git#dev" --ca "$CA" --secret id=GIT_AUTH_HEADER,env=HEADER
    [ "$status" -eq 0 ]
    [ "$(cat out/src/f)" = two ]
    host=${HTTPS#https://}
    add "$HTTPS/private/repo.git#v1" --ca "$CA" --secret id=GIT_AUTH_TOKEN,env=WRONG \
        --secret "id=GIT_AUTH_TOKEN.$host,env=TOKEN"
    [ "$status" -eq 0 ]
    add "$HTTPS/private/repo.git#v1" --ca "$CA" --secret id=GIT_AUTH_TOKEN,env=WRONG
    [ "$status" -eq 1 ]
    # As a context, with a secret that stays nowhere.
    printf 'FROM busybox\nCOPY f /f\n' >Dockerfile
    "$COOPER" build --ca "$CA" --secret id=GIT_AUTH_TOKEN,env=TOKEN -f - -o type=local,dest=context \
        "$HTTPS/private/repo.git" <Dockerfile
    [ "$(cat context/f)" = one ]
    run ! grep -rq -e right-token -e "$(printf 'x-access-token:right-token' | base64)" "$COOPER_ROOT" out context
}
