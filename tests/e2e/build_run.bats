# RUN: mounts, secrets, networks, users, what a step sees and what it leaves.
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
}

dockerfile() {
    { echo 'FROM busybox'; cat; } >ctx/Dockerfile
}

@test "a secret is never in a layer, the history, the cache's records or the log" {
    printf 'very-%s-value' secret >secretfile
    export TOKEN=other-$((6 * 7))-value
    dockerfile <<'END'
RUN --mount=type=secret,id=file,target=/etc/secret,mode=0440,uid=1000 stat -c '%a %u' /etc/secret >/mode && sha256sum </etc/secret >/sum
RUN --mount=type=secret,id=env,env=TOKEN --mount=type=secret,id=file test ${#TOKEN} = 14 && test -s /run/secrets/file
END
    "$COOPER" build --progress plain -t secret -o type=oci,dest=layout,tar=false \
        --secret id=file,src=secretfile --secret id=env,env=TOKEN ctx >log 2>&1
    cooper run secret cat /mode
    [ "$output" = "440 1000" ]
    [ "$("$COOPER" run secret cat /sum)" = "$(sha256sum <secretfile)" ]
    for secret in "$(cat secretfile)" "$TOKEN"; do
        run ! grep -rqaF "$secret" "$COOPER_ROOT" log layout
        for layer in layout/blobs/sha256/*; do
            gzip -dc "$layer" 2>/dev/null >unpacked || continue
            run ! grep -qaF "$secret" unpacked
        done
    done
    # Nor is its place in the layer.
    cooper run secret ls /etc/secret /run/secrets/file
    [ "$status" -ne 0 ]
}

@test "a secret that is not given: absent, or an error if required" {
    dockerfile <<<'RUN --mount=type=secret,id=none --mount=type=secret,id=none,env=NONE test ! -e /run/secrets/none && test "${NONE-unset}" = ""'
    "$COOPER" build -q ctx
    dockerfile <<<'RUN --mount=type=secret,id=none,required true'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:2"*"secret none: not found"* ]]
    dockerfile <<<'RUN --mount=type=secret,id=env cat /run/secrets/env'
    cooper build --secret id=env,env=SURELY_NOT_SET ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *SURELY_NOT_SET* ]]
    # Another value of a secret is no reason to run again.
    dockerfile <<<'RUN --mount=type=secret,id=v cat /proc/sys/kernel/random/uuid >/uuid'
    echo 1 >v
    "$COOPER" build -q --secret id=v,src=v ctx >first
    echo 2 >v
    "$COOPER" build -q --secret id=v,src=v ctx >second
    cmp first second
}

@test "nothing of the host's environment, network namespace or files leaks in" {
    dockerfile <<'END'
RUN env | sort >/env
RUN --network=none ip addr >/addr
RUN ls -A / >/root.txt; id >/id; pwd >/pwd; cat /proc/1/comm >/pid1; hostname >/name
END
    LEAK=leaked "$COOPER" build -q -o out ctx
    [ "$(cat out/env)" = $'HOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1' ] || {
        cat out/env
        run ! grep -q LEAK out/env
    }
    run ! grep -qE '^[0-9]+: (eth|en|wl)' out/addr
    grep -q 'lo:' out/addr
    [ "$(cat out/id)" = 'uid=0(root) gid=0(root) groups=0(root)' ]
    [ "$(cat out/pwd)" = / ]
}

@test "mount points of the sandbox leave nothing in the layer" {
    dockerfile <<'END'
RUN --mount=type=tmpfs,target=/made/for/tmpfs --mount=type=cache,target=/made/for/cache touch /made/for/tmpfs/a /made/for/cache/b /kept
END
    "$COOPER" build -q -o type=tar,dest=out.tar ctx
    tar -tf out.tar >list
    grep -qx kept list
    run ! grep -qE '^(made/for/.*/.|etc/resolv|etc/hosts|dev/.|proc/.|sys/.)' list
}

@test "users: USER by name and id, their groups and HOME" {
    dockerfile <<'END'
USER bob
RUN id >/tmp/bob; echo $HOME >>/tmp/bob
USER 1234
RUN id -u >/tmp/number; id -g >>/tmp/number
USER bob:wheel
RUN id >/tmp/wheel
END
    "$COOPER" build -q -o out ctx
    [ "$(cat out/tmp/bob)" = $'uid=1000(bob) gid=1000(bob) groups=10(wheel),1000(bob)\n/tmp' ] ||
        [ "$(cat out/tmp/bob)" = $'uid=1000(bob) gid=1000(bob) groups=1000(bob),10(wheel)\n/tmp' ]
    [ "$(cat out/tmp/number)" = $'1234\n0' ]
    [ "$(cat out/tmp/wheel)" = 'uid=1000(bob) gid=10(wheel) groups=10(wheel)' ]
    dockerfile <<<$'USER nobody-here\nRUN true'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:3"*"nobody-here"* ]]
}

@test "--add-host, hosts and shm" {
    dockerfile <<<$'RUN grep -E "10.9.8.7|::5" /etc/hosts >/found; df -m /dev/shm | tail -1 >/shm'
    "$COOPER" build -q --add-host one:10.9.8.7 --add-host two=::5 --shm-size 3m -o out ctx
    grep -q '10.9.8.7.*one' out/found
    grep -q '::5.*two' out/found
    grep -qE '[^0-9]3 ' out/shm
}

@test "a cache mount lasts from build to build, and is in no layer" {
    dockerfile <<'END'
ARG N
RUN --mount=type=cache,target=/cache,uid=1000,mode=0750 echo "$N" >>/cache/log; cat /cache/log >/log; stat -c '%u %a' /cache >/mode
END
    "$COOPER" build -q --build-arg N=1 ctx
    "$COOPER" build -q --build-arg N=2 -o out -t lasting ctx
    [ "$(cat out/log)" = $'1\n2' ]
    [ "$(cat out/mode)" = '1000 750' ]
    [ ! -e out/cache/log ]
    # Another id, another directory; the same id at another place, the same.
    dockerfile <<<'RUN --mount=type=cache,id=/cache,target=/elsewhere,uid=1000,mode=0750 cat /elsewhere/log >/log; ls -A / >/dev/null'
    "$COOPER" build -q -o out2 ctx
    [ "$(cat out2/log)" = $'1\n2' ]
    dockerfile <<<'RUN --mount=type=cache,id=other,target=/cache ls -A /cache >/log'
    "$COOPER" build -q -o out3 ctx
    [ ! -s out3/log ]
}

@test "a cache mount begins with what from= has" {
    cat >ctx/Dockerfile <<'END'
FROM busybox AS seed
RUN mkdir -p /seed/d && echo seeded >/seed/d/f && chown -R bob /seed
FROM busybox
RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/seed/d cat /c/f >/f; stat -c %u /c/f >/u; echo more >/c/g
RUN --mount=type=cache,id=seeded,target=/c,from=seed,source=/seed/d cat /c/g >/g
END
    "$COOPER" build -q -o out ctx
    [ "$(cat out/f out/u out/g)" = $'seeded\n1000\nmore' ]
}

# Two processes at once; $1 is how they share. Prints what each saw of the other.
two_at_once() {
    dockerfile <<END
ARG WHO
RUN --mount=type=cache,id=$1-cache,target=/c,sharing=$1 touch "/c/\$WHO"; sleep 0.7; ls /c | tr '\\n' ' ' >/seen; rm "/c/\$WHO"
END
    "$COOPER" build -q --build-arg WHO=a -o outa ctx >/dev/null &
    local first=$!
    sleep 0.2
    "$COOPER" build -q --build-arg WHO=b -o outb ctx >/dev/null
    wait $first
    echo "$(cat outa/seen)/$(cat outb/seen)"
}

@test "cache mounts between processes: shared, locked, private" {
    [ "$(two_at_once shared)" = 'a b /a b ' ] || [ "$(two_at_once shared)" = 'a b /b ' ]
    rm -r outa outb
    [ "$(two_at_once locked)" = 'a /b ' ]
    rm -r outa outb
    [ "$(two_at_once private)" = 'a /b ' ]
}

@test "locked cache mounts: twice in one step, and in two orders at once" {
    dockerfile <<<'RUN --mount=type=cache,id=twice,target=/x,sharing=locked --mount=type=cache,id=twice,target=/y,sharing=locked echo 1 >/x/f; cat /y/f >/f'
    timeout 20 "$COOPER" build -q -o out ctx
    [ "$(cat out/f)" = 1 ]
    cat >ctx/Dockerfile <<'END'
FROM busybox AS a
RUN --mount=type=cache,id=l1,target=/1,sharing=locked --mount=type=cache,id=l2,target=/2,sharing=locked sleep 0.1; touch /a
FROM busybox AS b
RUN --mount=type=cache,id=l2,target=/2,sharing=locked --mount=type=cache,id=l1,target=/1,sharing=locked sleep 0.1; touch /b
FROM scratch
COPY --from=a /a /
COPY --from=b /b /
END
    for i in 1 2 3 4; do
        timeout 20 "$COOPER" build -q --no-cache ctx
    done
}

@test "waiting for a locked cache mount ends when the build does" {
    dockerfile <<<'RUN --mount=type=cache,id=waited,target=/c,sharing=locked sleep 3'
    "$COOPER" build -q ctx >/dev/null &
    local holder=$!
    sleep 0.5
    # The other stage fails while this one waits.
    cat >ctx/failing <<'END'
FROM busybox AS waits
RUN --mount=type=cache,id=waited,target=/c,sharing=locked touch /x
FROM busybox AS fails
RUN sleep 0.2; exit 7
FROM scratch
COPY --from=waits /x /
COPY --from=fails /x /
END
    local begin=$SECONDS
    cooper build -f ctx/failing ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"exit code: 7"* ]]
    [ $((SECONDS - begin)) -lt 3 ]
    kill -TERM "$holder"
    wait "$holder" || true
}

@test "tmpfs has its size; bind is read-only unless rw, and rw changes are dropped" {
    mkdir ctx/d && echo x >ctx/d/f
    dockerfile <<'END'
RUN --mount=type=tmpfs,target=/t,size=1m ! dd if=/dev/zero of=/t/x bs=64k count=32 2>/dev/null; test ! -s /t/y
RUN --mount=type=bind,source=d,target=/d ! touch /d/g 2>/dev/null
RUN --mount=type=bind,source=d,target=/d,rw touch /d/g && cp /d/f /copy
RUN --mount=type=bind,source=d/f,target=/single cat /single >/single-copy
RUN --mount=type=bind,source=d,target=/d test ! -e /d/g
END
    "$COOPER" build -q -o out ctx
    [ "$(cat out/copy out/single-copy)" = $'x\nx' ]
    [ ! -e ctx/d/g ]
    dockerfile <<<'RUN --mount=type=bind,source=missing,target=/d true'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"missing"* ]]
}

@test "here-documents run as scripts, with their own interpreter too" {
    dockerfile <<'OUTER'
RUN <<END
set -e
echo one >/one
echo two >/two
END
RUN <<END
#!/bin/awk -f
BEGIN { print "awk" > "/awk" }
END
OUTER
    "$COOPER" build -q -o out ctx
    [ "$(cat out/one out/two out/awk)" = $'one\ntwo\nawk' ]
}

@test "killed by a signal, not found, not executable: each says so" {
    dockerfile <<<"RUN sh -c 'kill -9 \$\$'; exit \$?"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"signal 9"* || $stderr == *"exit code: 137"* ]]
    dockerfile <<<'RUN ["/nowhere", "x"]'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"/nowhere"*"o such file"* ]]
    dockerfile <<<'RUN ["/etc/passwd"]'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"ermission denied"* ]]
}

@test "rights that nobody granted are refused" {
    for line in 'RUN --security=insecure true' 'RUN --network=host true'; do
        dockerfile <<<"$line"
        cooper build ctx
        [ "$status" -eq 1 ]
        [[ $stderr == *"Dockerfile:2"*"--allow"* ]]
    done
    dockerfile <<<'RUN --network=host true'
    "$COOPER" build -q --allow network.host ctx
    dockerfile <<<'RUN --security=insecure grep CapEff /proc/self/status >/cap'
    "$COOPER" build -q --allow security.insecure -o out ctx
    run ! grep -q 00000000a80425fb out/cap
}
