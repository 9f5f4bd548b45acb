# Registries that want to know who asks, for files that load lib first.
#
#   guarded_start NAME YAML    docker-registry with these sections added to its configuration,
#                              under $BATS_FILE_TMPDIR/NAME; sets $GUARDED (host:port)
#   token_server_start         sets $TOKENS (host:port) and $TOKEN_DIR
#   certificate_make NAME      NAME.crt and NAME.key for 127.0.0.1 and localhost, signed by itself
#   background_stop            ends what these started

background_add() {
    echo "$1" >>"$BATS_FILE_TMPDIR/background"
}

background_stop() {
    local pid

    [ -e "$BATS_FILE_TMPDIR/background" ] || return 0
    while read -r pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done <"$BATS_FILE_TMPDIR/background"
    rm "$BATS_FILE_TMPDIR/background"
}

token_server_start() {
    local try

    TOKEN_DIR=$BATS_FILE_TMPDIR/tokens
    mkdir "$TOKEN_DIR"
    : >"$TOKEN_DIR/log"
    "$COOPER_SOURCE_DIR/tests/e2e/token_server.py" "$TOKEN_DIR" </dev/null >/dev/null \
        2>"$TOKEN_DIR/err" 3>&- 4>&- &
    background_add $!
    for ((try = 0; try < 600; try++)); do
        if [ -e "$TOKEN_DIR/port" ]; then
            TOKENS=127.0.0.1:$(cat "$TOKEN_DIR/port")
            export TOKENS TOKEN_DIR
            return 0
        fi
        sleep 0.1
    done
    cat "$TOKEN_DIR/err" >&2
    return 1
}

guarded_listens() { # LOG PID
    local try

    # Whoever else may have that port by now is not asked.
    for ((try = 0; try < 600; try++)); do
        ! grep -q 'listening on' "$1" || return 0
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

guarded_start() {
    local try port dir=$BATS_FILE_TMPDIR/$1

    mkdir -p "$dir"
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >"$dir/config.yml" <<END
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
http:
  addr: 127.0.0.1:$port
$2
END
        docker-registry serve "$dir/config.yml" </dev/null >"$dir/log" 2>&1 3>&- 4>&- &
        if guarded_listens "$dir/log" $!; then
            background_add $!
            GUARDED=127.0.0.1:$port
            return 0
        fi
        kill $! 2>/dev/null || true
        wait $! 2>/dev/null || true
    done
    cat "$dir/log" >&2
    return 1
}

certificate_make() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" \
        -out "$1.crt" -days 3650 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
}
