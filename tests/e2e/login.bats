# cooper login and logout, and what registries that ask for a login see: Basic and Bearer.
bats_require_minimum_version 1.5.0
load lib
load serve
load registries
setup_file() {
    e2e_begin
    e2e_busybox
    token_server_start
    guarded_start bearer "auth:
  token: {realm: 'http://$TOKENS/token', service: test, issuer: test, rootcertbundle: $TOKEN_DIR/token.crt}"
    export BEARER=$GUARDED
}
teardown_file() {
    background_stop
    e2e_end
}
setup() {
    e2e_setup
    export DOCKER_CONFIG=$PWD/docker
    unset REGISTRY_AUTH_FILE
    : >"$TOKEN_DIR/log"
}
teardown() { registry_stop; }

PASSWORD='s3cret/ pass'

# Where a secret must never be seen.
no_secret_in() {
    ! grep -qF -e "$PASSWORD" -e "$(printf 'me:%s' "$PASSWORD" | base64)" -e renew-me "$@"
}

@test "a password on standard input is checked, kept, used, and forgotten" {
    password_line me "$PASSWORD" >htpasswd
    registry_serve --auth htpasswd
    cooper copy -q store:busybox "$SERVED/x:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"run \`cooper login $SERVED\`"* ]]
    cooper login -u me --password-stdin "$SERVED" <<<wrong
    [ "$status" -eq 1 ]
    [[ $stderr == *"login to $SERVED: $SERVED refuses the credentials"* ]]
    [ ! -e docker/config.json ]
    cooper login -u me --password-stdin "$SERVED" <<<"$PASSWORD"
    [ "$status" -eq 0 ]
    [ "$output" = "Login Succeeded" ]
    [[ $stderr == *"docker/config.json"* ]]
    [ "$(stat -c %a docker/config.json)" = 600 ]
    [ "$(jq -r ".auths[\"$SERVED\"].auth" docker/config.json | base64 -d)" = "me:$PASSWORD" ]
    cooper copy -q store:busybox "$SERVED/x:1"
    [ "$status" -eq 0 ]
    # Others read it, and we read theirs.
    skopeo --tmpdir "$PWD" inspect --authfile docker/config.json --tls-verify=false "docker://$SERVED/x:1" >/dev/null
    cooper login "https://$SERVED/v2/"
    [ "$output" = "Login Succeeded" ]
    cooper logout "$SERVED"
    [ "$status" -eq 0 ]
    [ "$output" = "Removed login credentials for $SERVED" ]
    jq -e '.auths == {}' docker/config.json
    cooper logout "$SERVED"
    [ "$status" -eq 1 ]
    [[ $stderr == *"not logged in to $SERVED"* ]]
    cooper tags "$SERVED/x"
    [ "$status" -eq 1 ]
    no_secret_in access.log serve.err
}

@test "a password that is typed is not shown" {
    password_line me "$PASSWORD" >htpasswd
    registry_serve --auth htpasswd
    run "$COOPER_SOURCE_DIR/tests/e2e/at_terminal.py" Username: me Password: "$PASSWORD" -- \
        "$COOPER" login "$SERVED"
    [ "$status" -eq 0 ]
    [[ $output == *"Login Succeeded"* ]]
    [[ $output != *"$PASSWORD"* ]]
    [ "$(jq -r ".auths[\"$SERVED\"].auth" docker/config.json | base64 -d)" = "me:$PASSWORD" ]
    # Interrupted, the terminal shows again what is typed.
    "$COOPER" logout "$SERVED"
    cat >ask <<'END'
"$COOPER" login -u me "$SERVED"
echo "status $?"
stty -a | grep -o -- '-*echo '
END
    export SERVED
    run "$COOPER_SOURCE_DIR/tests/e2e/at_terminal.py" Password: ^C -- bash -m ask
    [[ $output != *-echo* ]]
    [[ $output != *"Login Succeeded"* ]]
}

@test "without a terminal, or with half of what is needed, it is wrong usage" {
    run --separate-stderr setsid -w "$COOPER" login -u me 127.0.0.1:1 </dev/null
    [ "$status" -eq 2 ]
    [[ $stderr == *"--password-stdin"* ]]
    cooper login --password-stdin 127.0.0.1:1 <<<x
    [ "$status" -eq 2 ]
    cooper login -u me --password-stdin 127.0.0.1:1 </dev/null
    [ "$status" -eq 2 ]
    cooper login -u me --password-stdin quay.io/team <<<x
    [ "$status" -eq 2 ]
    [[ $stderr == *"'quay.io/team' is no registry"* ]]
    cooper login -u me --password-stdin 127.0.0.1:1 <<<x
    [ "$status" -eq 1 ]
    [[ $stderr == *"login to 127.0.0.1:1"* ]]
}

@test "credentials go to REGISTRY_AUTH_FILE and to credential helpers" {
    password_line me "$PASSWORD" >htpasswd
    registry_serve --auth htpasswd
    REGISTRY_AUTH_FILE=$PWD/auth.json cooper login -u me --password-stdin "$SERVED" <<<"$PASSWORD"
    [ "$status" -eq 0 ]
    [ ! -e docker/config.json ]
    jq -e ".auths[\"$SERVED\"].auth" auth.json
    mkdir bin docker
    cat >bin/docker-credential-test <<'END'
#!/bin/sh
case $1 in
store) cat >"$KEPT" ;;
get) cat >/dev/null; [ -e "$KEPT" ] && cat "$KEPT" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) cat >/dev/null; rm "$KEPT" ;;
esac
END
    chmod +x bin/docker-credential-test
    echo '{"credsStore": "test", "detachKeys": "ctrl-x"}' >docker/config.json
    export KEPT=$PWD/kept PATH=$PWD/bin:$PATH
    cooper login -u me --password-stdin "$SERVED" <<<"$PASSWORD"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    jq -e --arg p "$PASSWORD" '.Username == "me" and .Secret == $p' kept
    jq -e ".detachKeys == \"ctrl-x\" and .auths[\"$SERVED\"] == {}" docker/config.json
    no_secret_in docker/config.json
    cooper copy -q store:busybox "$SERVED/x:1"
    [ "$status" -eq 0 ]
    "$COOPER" logout "$SERVED"
    [ ! -e kept ]
}

@test "a token server's identity token is kept in place of the password" {
    cooper login -u me --password-stdin "$BEARER" <<<wrong
    [ "$status" -eq 1 ]
    [[ $stderr == *"token server"*"refuses the credentials"* ]]
    cooper login -u me --password-stdin "$BEARER" <<<"$PASSWORD"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    jq -e ".auths[\"$BEARER\"].identitytoken == \"renew-me\"" docker/config.json
    run ! grep -qF "$(printf 'me:%s' "$PASSWORD" | base64)" docker/config.json
    cooper copy -q store:busybox "$BEARER/a/b:1"
    [ "$status" -eq 0 ]
    grep -q '^POST .*repository:a/b:pull,push' "$TOKEN_DIR/log"
    no_secret_in "$TOKEN_DIR/log"
}

@test "tokens are shared, asked for what is needed, and anonymous where that is enough" {
    "$COOPER" login -u me --password-stdin "$BEARER" <<<"$PASSWORD"
    "$COOPER" copy -q store:busybox "$BEARER/open/one:1"
    : >"$TOKEN_DIR/log"
    # To look at the source, to look at the target, to write there, and to mount.
    cooper copy "$BEARER/open/one:1" "$BEARER/team/two:1"
    [ "$status" -eq 0 ]
    [[ ${lines[1]} == "Blobs: 0 copied (0B), 2 mounted, 0 there already" ]]
    grep -q 'repository:team/two:pull,push repository:open/one:pull' "$TOKEN_DIR/log"
    [ "$(wc -l <"$TOKEN_DIR/log")" -le 4 ]
    "$COOPER" logout "$BEARER"
    cooper inspect --remote "$BEARER/open/one:1"
    [ "$status" -eq 0 ]
    cooper inspect --remote "$BEARER/team/two:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"\`cooper login $BEARER\`"* ]]
    "$COOPER" login -u reader --password-stdin "$BEARER" <<<reader
    cooper inspect --remote "$BEARER/team/two:1"
    [ "$status" -eq 0 ]
    cooper delete "$BEARER/team/two@$(jq -r '.[0].Digest' <<<"$output")"
    [ "$status" -eq 1 ]
}

@test "no secret is in the log, in an error, or on a command line" {
    "$COOPER" login -u me --password-stdin "$BEARER" <<<"$PASSWORD"
    cooper -D copy store:busybox "$BEARER/logged:1"
    [ "$status" -eq 0 ]
    printf '%s' "$output$stderr" >said
    no_secret_in said
    run ! grep -qi bearer said
    cooper login --password "$PASSWORD" "$BEARER"
    [ "$status" -eq 2 ]
}

# Everything that a client does, at the registry $1 with the certificate here.
goes_round() {
    local digest

    run ! "$COOPER" copy -q store:busybox "$1/round/trip:1"
    "$COOPER" login -u me --password-stdin "$1" <<<"$PASSWORD"
    "$COOPER" tag busybox "$1/round/trip:1"
    digest=$("$COOPER" push -q "$1/round/trip:1")
    "$COOPER" rmi "$1/round/trip:1" >/dev/null
    "$COOPER" --root "$PWD/store" pull -q "$1/round/trip:1"
    [ "$("$COOPER" tags "$1/round/trip")" = 1 ]
    "$COOPER" copy -q "$1/round/trip:1" "$1/round/copy:2"
    "$COOPER" delete "$1/round/copy@${digest#*@}"
    run ! "$COOPER" inspect --remote "$1/round/copy:2"
    "$COOPER" inspect --remote "$1/round/trip:1" | jq -e --arg d "${digest#*@}" '.[0].Digest == $d'
    "$COOPER" logout "$1"
}

trust() { # HOST:PORT
    mkdir -p "$HOME/.config/containers/certs.d/$1"
    cp server.crt "$HOME/.config/containers/certs.d/$1/ca.crt"
}

@test "docker-registry over TLS with a password" {
    certificate_make server
    password_line me "$PASSWORD" >htpasswd
    guarded_start basic-tls "  tls: {certificate: $PWD/server.crt, key: $PWD/server.key}
auth:
  htpasswd: {realm: test, path: $PWD/htpasswd}"
    trust "$GUARDED"
    goes_round "$GUARDED"
}

@test "docker-registry over TLS with tokens" {
    certificate_make server
    guarded_start bearer-tls "  tls: {certificate: $PWD/server.crt, key: $PWD/server.key}
auth:
  token: {realm: 'http://$TOKENS/token', service: test, issuer: test, rootcertbundle: $TOKEN_DIR/token.crt}"
    trust "$GUARDED"
    goes_round "$GUARDED"
}

@test "docker-registry over HTTP with tokens" {
    goes_round "$BEARER"
}

@test "cooper serve over TLS with a password" {
    certificate_make server
    password_line me "$PASSWORD" >htpasswd
    registry_serve --auth htpasswd --tls-cert server.crt --tls-key server.key
    trust "$SERVED"
    goes_round "$SERVED"
}
