# A web server (nginx) in front of a registry, with TLS and HTTP/2, for files that load lib and
# registries first.
#
#   front_start REGISTRY [DIRECTIVE...]   starts it in the current directory; sets $FRONT
#                                         (127.0.0.1:port); its certificate is trusted from then on
#   front_stop                            ends it; then front.log is whole: a line for each request,
#                                         PROTOCOL CONNECTION METHOD STATUS PATH
#
# $FRONT_LISTENS, "ssl" without HTTP/2, says otherwise. $XDG_CONFIG_HOME must be the test's own.

front_configure() { # PORT REGISTRY [DIRECTIVE...]
    local port=$1 registry=$2

    shift 2
    # shellcheck disable=SC2016  # nginx's variables
    printf '%s\n' "pid $PWD/front.pid;" "error_log $PWD/front.err;" 'daemon off;' \
        'worker_processes 1;' 'events { worker_connections 512; }' 'http {' \
        'log_format front "$server_protocol $connection $request_method $status $uri";' \
        "access_log $PWD/front.log front;" \
        "client_body_temp_path $PWD/front.tmp/1;" "proxy_temp_path $PWD/front.tmp/2;" \
        "fastcgi_temp_path $PWD/front.tmp/3;" "uwsgi_temp_path $PWD/front.tmp/4;" \
        "scgi_temp_path $PWD/front.tmp/5;" \
        'client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;' \
        'proxy_read_timeout 600s; proxy_send_timeout 600s; send_timeout 600s;' \
        "server { listen 127.0.0.1:$port ${FRONT_LISTENS:-ssl http2};" \
        "ssl_certificate $PWD/front.crt; ssl_certificate_key $PWD/front.key;" "$@" \
        'location / { proxy_http_version 1.1; proxy_set_header Host $http_host;' \
        "proxy_set_header X-Forwarded-Proto https; proxy_pass http://$registry; } } }"
}

front_start() {
    local port try

    mkdir -p front.tmp
    certificate_make front
    for port in $(shuf -i 20000-39999 -n 5); do
        { [ "$EUID" -ne 0 ] || echo 'user root root;'; front_configure "$port" "$@"; } >front.conf
        nginx -c "$PWD/front.conf" </dev/null >front.out 2>&1 3>&- 4>&- &
        echo $! >front.job
        # It writes its number when it listens.
        for ((try = 0; try < 600; try++)); do
            if [ -s front.pid ]; then
                FRONT=127.0.0.1:$port
                mkdir -p "$XDG_CONFIG_HOME/containers/certs.d/$FRONT"
                cp front.crt "$XDG_CONFIG_HOME/containers/certs.d/$FRONT/ca.crt"
                return 0
            fi
            kill -0 "$(cat front.job)" 2>/dev/null || break
            sleep 0.1
        done
        front_stop
    done
    cat front.out front.err >&2
    return 1
}

front_stop() {
    local pid

    [ -e front.job ] || return 0
    pid=$(cat front.job)
    rm front.job
    kill -QUIT "$pid" 2>/dev/null || true
    wait "$pid" || true
    rm -f front.pid
}
