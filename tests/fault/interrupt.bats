# Control-C.
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
    # A number that is in no other command line.
    export MARK=31536$BATS_TEST_NUMBER.$$
    # In milliseconds; the machine may be busy with other things, but no timeout is this short.
    export AT_ONCE=4000
}

running() {
    ps -e -o args= | grep -F "sleep $MARK" | grep -v grep
}

# Mounts that have to do with this test's store; other programs have theirs.
our_mounts() {
    findmnt -rn -o TARGET,SOURCE,OPTIONS | grep -F "$BATS_FILE_TMPDIR" || true
}

# Starts a build whose step sleeps, waits until it does, sends the signal $1; status and the
# time until the end, in milliseconds, are in $status and $took.
interrupt() {
    local pid begin

    # A job of a shell without job control would ignore SIGINT.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$COOPER" build --progress plain -t "interrupted:$BATS_TEST_NUMBER" ctx \
        2>err >out 3>&- &
    pid=$!
    for _ in $(seq 200); do
        running >/dev/null && break
        sleep 0.05
    done
    running
    begin=$(date +%s%3N)
    kill "-$1" "$pid"
    status=0
    wait "$pid" || status=$?
    took=$(($(date +%s%3N) - begin))
    echo "status $status after $took ms"
    cat err
}

nothing_is_left() {
    local try

    # What was killed may need a moment to die.
    for try in $(seq 20); do
        running || break
        sleep 0.05
    done
    ! running
    [ -z "$(our_mounts)" ]
    store_is_whole
    [ -z "$("$COOPER" images -q "interrupted:$BATS_TEST_NUMBER")" ]
}

@test "SIGINT during a RUN: exit code 130 at once, and nothing is left" {
    printf 'FROM busybox\nRUN echo begun; sleep %s\n' "$MARK" >ctx/Dockerfile
    interrupt INT
    [ "$status" -eq 130 ]
    [ "$took" -lt "$AT_ONCE" ]
    nothing_is_left
    printf 'FROM busybox\nRUN echo begun\n' >ctx/Dockerfile
    "$COOPER" build -q -t "interrupted:$BATS_TEST_NUMBER" ctx
    store_is_whole
}

@test "a step that ignores signals, and its children, end all the same" {
    printf 'FROM busybox\nRUN trap "" INT TERM HUP; (setsid sleep %s) & sleep %s; wait\n' \
        "$MARK" "$MARK" >ctx/Dockerfile
    interrupt INT
    [ "$status" -eq 130 ]
    [ "$took" -lt "$AT_ONCE" ]
    nothing_is_left
}

@test "steps of two stages that run at once both end" {
    cat >ctx/Dockerfile <<END
FROM busybox AS a
RUN sleep $MARK
FROM busybox AS b
RUN sleep $MARK
FROM busybox
COPY --from=a /bin /a
COPY --from=b /bin /b
END
    interrupt INT
    [ "$status" -eq 130 ]
    [ "$took" -lt "$AT_ONCE" ]
    nothing_is_left
}

@test "SIGTERM ends a build in the same way" {
    printf 'FROM busybox\nRUN sleep %s\n' "$MARK" >ctx/Dockerfile
    interrupt TERM
    [ "$status" -ne 0 ]
    [ "$took" -lt "$AT_ONCE" ]
    nothing_is_left
}
