# What the end-to-end tests share. Each .bats file says in its first lines:
#
#   load lib
#   setup_file() { e2e_begin; }
#   teardown_file() { e2e_end; }
#   setup() { e2e_setup; }
#
# $COOPER is the program under test. Every file has its own store and every test its own
# empty directory, in which it runs; nothing outside of $BATS_FILE_TMPDIR is written.

e2e_begin() {
    : "${COOPER:?the program under test}"
    export COOPER_ROOT="$BATS_FILE_TMPDIR/store"
    export HOME="$BATS_FILE_TMPDIR/home"
    export DOCKER_CONFIG="$HOME/.docker"
    unset SOURCE_DATE_EPOCH BUILDKIT_PROGRESS COOPER_DEBUG COOPER_INSECURE_REGISTRIES
    unset COOPER_REGISTRIES XDG_CONFIG_HOME
    mkdir -p "$HOME"
}

e2e_end() {
    e2e_registry_stop
}

e2e_setup() {
    # Not the test's own directory: bats keeps files there.
    mkdir "$BATS_TEST_TMPDIR/work" && cd "$BATS_TEST_TMPDIR/work" || return 1
}

# Runs cooper with standard output in $output and standard error in $stderr, apart.
cooper() {
    run --separate-stderr "$COOPER" "$@"
}

# A root file system of busybox with some users, in the directory $1.
e2e_busybox_root() {
    local root=$1 name

    mkdir -p "$root"/{bin,etc,root,tmp,usr/bin,var}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for name in $("$root/bin/busybox" --list); do
        [ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
    done
    chmod 1777 "$root/tmp"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'bob:x:1000:1000::/tmp:/bin/sh' >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'bob:x:1000:' 'wheel:x:10:bob' >"$root/etc/group"
    find "$root" -exec touch -h -d @1700000000 {} +
}

# A program of this machine with the libraries that it needs, into a root file system.
e2e_install() { # ROOT PROGRAM
    local file

    cp "$(command -v "$2")" "$1/bin/"
    for file in $(ldd "$(command -v "$2")" | grep -o '/[^ ]*'); do
        mkdir -p "$1$(dirname "$file")"
        cp -Ln "$file" "$1$file"
    done
}

# The image `busybox` in the file's store, with /bin/sh as its command.
e2e_busybox() {
    local root=$BATS_FILE_TMPDIR/busybox

    [ -d "$root" ] || e2e_busybox_root "$root"
    "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$root" "${1:-busybox}" >/dev/null
}

# Starts docker-registry on a free port of the loopback address; sets $REGISTRY (host:port).
e2e_registry_start() {
    local try port

    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 20000))
        cat >"$BATS_FILE_TMPDIR/registry.yml" <<END
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: $BATS_FILE_TMPDIR/registry}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$port}
END
        docker-registry serve "$BATS_FILE_TMPDIR/registry.yml" 3>&- 4>&- \
            >"$BATS_FILE_TMPDIR/registry.log" 2>&1 &
        echo $! >"$BATS_FILE_TMPDIR/registry.pid"
        export REGISTRY=127.0.0.1:$port
        e2e_registry_wait && return 0
        e2e_registry_stop
    done
    echo "no registry could be started" >&2
    return 1
}

# True once the registry listens, by its own word: who answers on the port may be another. False
# if it ended, or says nothing for a minute.
e2e_registry_wait() {
    local try

    for ((try = 0; try < 600; try++)); do
        grep -q 'listening on' "$BATS_FILE_TMPDIR/registry.log" && return 0
        kill -0 "$(cat "$BATS_FILE_TMPDIR/registry.pid")" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

e2e_registry_stop() {
    local pid

    [ -e "$BATS_FILE_TMPDIR/registry.pid" ] || return 0
    pid=$(cat "$BATS_FILE_TMPDIR/registry.pid")
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -f "$BATS_FILE_TMPDIR/registry.pid"
}
