# `cooper serve` beside the tests, for files that load lib first.
#
#   registry_serve [OPTION...]   starts it in the current directory, on a free port, under the
#                                name of $SERVE_NAME; sets $SERVED (host:port)
#   registry_stop                ends it and fails unless it ends well

SERVE_NAME=registry.test:5000

registry_serve() {
    local try

    : >serve.out
    "$COOPER" serve --listen 127.0.0.1:0 --name "$SERVE_NAME" --access-log access.log "$@" \
        </dev/null >serve.out 2>serve.err 3>&- 4>&- &
    echo $! >serve.pid
    for ((try = 0; try < 600; try++)); do
        SERVED=$(sed -nE 's,.* at https?://([^ ]*) as .*,\1,p' serve.out)
        [ -z "$SERVED" ] || return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.05
    done
    cat serve.err >&2
    return 1
}

registry_stop() {
    local pid result=0

    [ -e serve.pid ] || return 0
    pid=$(cat serve.pid)
    rm serve.pid
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" || result=$?
    [ "$result" -eq 0 ] || cat serve.err >&2
    return "$result"
}

# A line for a password file: user $1, password $2.
password_line() {
    # shellcheck disable=SC2016  # perl's variables
    perl -e 'print "$ARGV[0]:", crypt($ARGV[1], "\$2y\$04\$abcdefghijklmnopqrstuu"), "\n"' "$1" "$2"
}

# The bytes of request bodies that the access log tells of.
received() {
    jq -s 'map(.received) | add' access.log
}
