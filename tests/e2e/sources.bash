# Servers that files come from: http (with git behind it) and a git daemon, on free ports of
# the loopback address. For files that `load lib` too.

# Starts files_server.py on $BATS_FILE_TMPDIR/www; sets $FILES (http://host:port).
e2e_files_start() {
    local try

    export WWW=$BATS_FILE_TMPDIR/www FILES_LOG=$BATS_FILE_TMPDIR/files.log
    mkdir -p "$WWW"
    : >"$FILES_LOG"
    python3 "$BATS_TEST_DIRNAME/files_server.py" "$WWW" "$BATS_FILE_TMPDIR/files.port" "$FILES_LOG" \
        3>&- 4>&- >/dev/null 2>&1 &
    echo $! >"$BATS_FILE_TMPDIR/files.pid"
    for ((try = 0; try < 300; try++)); do
        [ -e "$BATS_FILE_TMPDIR/files.port" ] && break
        sleep 0.1
    done
    FILES=http://127.0.0.1:$(cat "$BATS_FILE_TMPDIR/files.port")
    export FILES
}

# Starts git daemon on the same directory; sets $GITD (git://host:port).
e2e_git_start() {
    local port try wait

    for try in 1 2 3 4 5 6 7 8; do
        port=$((20000 + RANDOM % 12000))
        git daemon --base-path="$WWW" --export-all --listen=127.0.0.1 --port=$port "$WWW" \
            3>&- 4>&- >/dev/null 2>&1 &
        echo $! >"$BATS_FILE_TMPDIR/git.pid"
        export GITD=git://127.0.0.1:$port
        for ((wait = 0; wait < 100; wait++)); do
            git ls-remote "$GITD/repo.git" >/dev/null 2>&1 && return 0
            kill -0 "$(cat "$BATS_FILE_TMPDIR/git.pid")" 2>/dev/null || break
            sleep 0.1
        done
    done
    echo "no git daemon could be started" >&2
    return 1
}

e2e_servers_stop() {
    local file pid

    for file in files git; do
        [ -e "$BATS_FILE_TMPDIR/$file.pid" ] || continue
        pid=$(cat "$BATS_FILE_TMPDIR/$file.pid")
        # git daemon is a child of the program that was started.
        pkill -P "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        rm -f "$BATS_FILE_TMPDIR/$file.pid"
    done
}

# git with a fixed author and time, and nothing of the machine's configuration.
e2e_git() {
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com \
        GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com \
        GIT_AUTHOR_DATE='1500000000 +0000' GIT_COMMITTER_DATE='1500000000 +0000' \
        git -c init.defaultBranch=main -c protocol.file.allow=always "$@"
}

# The repository $WWW/repo.git, and its working copy $BATS_FILE_TMPDIR/work: branch main (tag
# v1, annotated) with f, run.sh, link, sub/deep/x; branch dev with another f.
e2e_git_repository() {
    local work=$BATS_FILE_TMPDIR/work

    e2e_git init -q "$work"
    mkdir -p "$work/sub/deep"
    echo one >"$work/f"
    echo x >"$work/sub/deep/x"
    printf '#!/bin/sh\n' >"$work/run.sh"
    chmod 755 "$work/run.sh"
    ln -s f "$work/link"
    e2e_git -C "$work" add -A
    e2e_git -C "$work" commit -q -m one
    e2e_git -C "$work" tag -a v1 -m v1
    e2e_git -C "$work" checkout -q -b dev
    echo two >"$work/f"
    e2e_git -C "$work" commit -q -a -m two
    e2e_git -C "$work" checkout -q main
    e2e_git clone -q --bare "$work" "$WWW/repo.git"
    e2e_git -C "$WWW/repo.git" update-server-info
}

# What the servers were asked since the log was emptied: one request a line.
requests() {
    cat "$FILES_LOG"
}
forget_requests() {
    : >"$FILES_LOG"
}
