# What bounds a RUN: ulimits, cgroups. Where no cgroups can be had, that is said instead.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
    export GROUP=cooper-e2e-$$
    mkdir "$BATS_FILE_TMPDIR/probe"
    printf 'FROM busybox\nRUN true\n' >"$BATS_FILE_TMPDIR/probe/Dockerfile"
    if "$COOPER" build -q -m 64m --resource pids=50 "$BATS_FILE_TMPDIR/probe" 2>"$BATS_FILE_TMPDIR/why"; then
        export HAVE_GROUPS=1
    else
        export HAVE_GROUPS=
    fi
}
teardown_file() {
    find /sys/fs/cgroup -depth -type d -path "*/$GROUP*" -exec rmdir {} + 2>/dev/null || true
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
}

dockerfile() {
    { echo 'FROM busybox'; cat; } >ctx/Dockerfile
}

# What is left of the groups of this file's builds.
left() {
    find /sys/fs/cgroup -type d -path "*/$GROUP/*"
}

# Without control groups a limit that was asked for is an error with a reason.
refused() {
    [[ $(cat "$BATS_FILE_TMPDIR/why") == *'control group'* ]]
}

@test "ulimits are given; what cannot be given is told, and is no error" {
    dockerfile <<<'RUN ulimit -Sn >/soft; ulimit -Hn >/hard; ulimit -c >/core'
    "$COOPER" build -q --ulimit nofile=100:200 --ulimit core=0 -o out ctx
    [ "$(cat out/soft out/hard out/core | xargs)" = '100 200 0' ]
    setpriv --bounding-set=-sys_resource prlimit --nofile=4000:4000 \
        "$COOPER" build --ulimit nofile=1000000 -o out ctx 2>log
    [ "$(cat out/soft out/hard | xargs)" = '4000 4000' ]
    [ "$(grep -c -- '--ulimit nofile: steps get 4000' log)" -eq 1 ]
    # They are part of what the step is.
    cp out/soft before
    "$COOPER" build -q --ulimit nofile=300 -o out ctx
    [ "$(cat out/soft)" = 300 ]
}

@test "limits that make no sense are wrong usage" {
    local option
    dockerfile <<<'RUN true'
    for option in --ulimit=nofile --ulimit=nosuch=1 --ulimit=nofile=2:1 --ulimit=nofile=x \
        --memory=1k --memory=x --memory-swap=64m --cpu-quota=0 --cpu-shares=1 --cpu-period=1 \
        --cpuset-cpus=all --resource=nosuch=1 --resource=memory --resource=cpus=0 --resource=cpus=a.b; do
        cooper build "$option" ctx
        [ "$status" -eq 2 ] || { echo "$option: $status"; return 1; }
    done
    cooper build --memory 64m --memory-swap 32m ctx
    [ "$status" -eq 2 ]
}

@test "a step that wants too much memory is killed, and told why" {
    [ -n "$HAVE_GROUPS" ] || { refused; return; }
    dockerfile <<<'RUN tail /dev/zero'
    cooper build -m 48m --memory-swap 48m --cgroup-parent "$GROUP" ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'needed more memory than the limit allows'* ]]
    [ -z "$(left)" ]
    dockerfile <<<'RUN head -c 8000000 /dev/zero | tail -c 4000000 | wc -c >/count'
    "$COOPER" build -q -m 48m --memory-swap 48m --cgroup-parent "$GROUP" -o out ctx
    [ "$(cat out/count)" = 4000000 ]
}

@test "a fork bomb ends at the limit of processes" {
    [ -n "$HAVE_GROUPS" ] || { refused; return; }
    dockerfile <<'END'
RUN (for i in $(seq 100); do sleep 1000 & done) 2>/dev/null; echo /proc/[0-9]* | wc -w >/count
END
    "$COOPER" build -q --resource pids=30 --cgroup-parent "$GROUP" -o out ctx || true
    [ ! -e out/count ] || [ "$(cat out/count)" -le 31 ]
    [ -z "$(left)" ]
    "$COOPER" build -q --no-cache --cgroup-parent "$GROUP" -o out ctx
    [ "$(cat out/count)" -gt 100 ]
    [ -z "$(left)" ]
}

@test "processor limits are set, for each step in a group of its own" {
    [ -n "$HAVE_GROUPS" ] || { refused; return; }
    dockerfile <<'END'
RUN --security=insecure cat /proc/self/cgroup >/group
END
    "$COOPER" build -q --allow security.insecure --resource cpus=0.5,cpu-shares=512 --cpuset-cpus 0 \
        --memory 64m --cgroup-parent "$GROUP" -o out ctx
    # Of its own groups it is the root.
    run ! grep -q "$GROUP" out/group
    [ -z "$(left)" ]
}

@test "interrupted or killed: no process stays, and the next build clears the groups" {
    [ -n "$HAVE_GROUPS" ] || { refused; return; }
    local signal try mark=86753$RANDOM$RANDOM
    dockerfile <<END
RUN trap '' TERM INT; setsid sleep $mark & (setsid sleep $mark & sleep $mark) & sleep $mark
END
    for signal in INT TERM KILL; do
        "$COOPER" build --resource pids=100 --cgroup-parent "$GROUP" ctx >/dev/null 2>&1 3>&- &
        for ((try = 0; try < 600; try++)); do
            [ "$(pgrep -fc "^sleep $mark\$")" -lt 3 ] || break
            sleep 0.05
        done
        [ "$(pgrep -fc "^sleep $mark\$")" -ge 3 ]
        kill -$signal $!
        wait $! || true
        for ((try = 0; try < 600; try++)); do
            pgrep -f "^sleep $mark\$" >/dev/null || break
            sleep 0.05
        done
        run ! pgrep -f "^sleep $mark\$"
        [ $signal = KILL ] || [ -z "$(left)" ]
    done
    dockerfile <<<'RUN true'
    # The kernel may still be busy with those that were killed.
    for ((try = 0; try < 100; try++)); do
        "$COOPER" build -q --no-cache --resource pids=100 --cgroup-parent "$GROUP" ctx
        [ -n "$(left)" ] || break
        sleep 0.1
    done
    [ -z "$(left)" ]
}

@test "without control groups a limit is an error that says so, and no limit is none" {
    local as=()
    # Hide them all, as a container may have it.
    as=(unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup; umount -l /sys/fs/cgroup; for m in $(grep " cgroup2\? " /proc/self/mounts | cut -d" " -f2); do umount -l $m; done; exec "$@"' sh)
    dockerfile <<<'RUN true'
    run --separate-stderr "${as[@]}" "$COOPER" build --no-cache -m 64m ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'no control groups for memory'* ]]
    "${as[@]}" "$COOPER" build -q --no-cache ctx
}
