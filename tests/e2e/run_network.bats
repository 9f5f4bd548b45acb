# The network of RUN, on an island: a network namespace that plays this machine, connected to
# another one that plays the rest of the world (10.9.0.3, behind 10.9.0.1). Nothing of it is seen outside.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox_root "$BATS_FILE_TMPDIR/root"
    e2e_install "$BATS_FILE_TMPDIR/root" curl
    "$COOPER" import -c 'ENV PATH=/bin' "$BATS_FILE_TMPDIR/root" curl >/dev/null
    cd "$BATS_FILE_TMPDIR" || return 1
    unshare -n sleep 100000 3>&- &
    echo $! >here.pid
    unshare -n sleep 100000 3>&- &
    echo $! >world.pid
    # Until each has left the namespace that it was started in.
    local name try
    for name in here world; do
        for ((try = 0; try < 200; try++)); do
            [ "$(readlink "/proc/$(cat $name.pid)/ns/net")" = "$(readlink /proc/self/ns/net)" ] || break
            sleep 0.05
        done
    done
    on here ip link add v0 type veth peer name v1 netns "$(cat world.pid)"
    on here ip addr add 10.9.0.2/24 dev v0
    on here ip link set v0 up
    on here ip link set lo up
    on world ip addr add 10.9.0.1/24 dev v1
    on world ip addr add 10.9.0.3/24 dev v1
    on world ip link set v1 up
    on here ip route add default via 10.9.0.1
    serve world http 10.9.0.3 8000 world
    serve here http 127.0.0.1 8001 loopback
    serve here abstract cooper-island
}
teardown_file() {
    local file

    cd "$BATS_FILE_TMPDIR" || return 1
    for file in *.pid; do
        kill "$(cat "$file")" 2>/dev/null || true
    done
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
}

on() { # NAMESPACE COMMAND...
    local pid
    pid=$(cat "$BATS_FILE_TMPDIR/$1.pid")
    shift
    nsenter -t "$pid" -n "$@"
}

serve() { # NAMESPACE island.py's arguments...
    local name=$1 ready=$BATS_FILE_TMPDIR/ready.$RANDOM$RANDOM try
    shift
    on "$name" "$COOPER_SOURCE_DIR/tests/e2e/island.py" "$@" "$ready" 3>&- 4>&- >/dev/null 2>&1 &
    echo $! >"$ready.pid"
    for ((try = 0; try < 200; try++)); do
        [ ! -e "$ready" ] || return 0
        sleep 0.05
    done
    return 1
}

dockerfile() {
    { echo 'FROM curl'; cat; } >ctx/Dockerfile
}

# The processes of the island that are named like this.
processes() { # NAME
    local dir wanted
    wanted=$(readlink "/proc/$(cat "$BATS_FILE_TMPDIR/here.pid")/ns/net")
    for dir in /proc/[0-9]*; do
        [ "$(readlink "$dir/ns/net" 2>/dev/null)" = "$wanted" ] || continue
        case "$(cat "$dir/comm" 2>/dev/null)" in "$1"*) echo "${dir#/proc/}" ;; esac
    done
}

@test "a step reaches the world, but nothing that listens on this machine's loopback" {
    dockerfile <<'END'
RUN curl -sf -m 60 -o /world http://10.9.0.3:8000/
RUN ! curl -sf -m 5 -o /loopback http://127.0.0.1:8001/ && ! curl -sf -m 5 -o /loopback http://10.9.0.3:8001/
RUN grep -c cooper-island /proc/net/unix >/abstract || true
END
    on here "$COOPER" build -q -o out ctx
    [ "$(cat out/world)" = world ]
    [ "$(cat out/abstract)" = 0 ]
    [ ! -s out/loopback ]
}

@test "--network=host is this machine's, of the build or of an instruction" {
    dockerfile <<'END'
RUN curl -sf -m 60 -o /loopback http://127.0.0.1:8001/ && grep -q cooper-island /proc/net/unix
END
    on here "$COOPER" build -q --network host -o out ctx
    [ "$(cat out/loopback)" = loopback ]
    dockerfile <<'END'
RUN --network=host curl -sf -m 60 -o /loopback http://127.0.0.1:8001/
END
    run --separate-stderr on here "$COOPER" build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'--allow network.host'* ]]
    on here "$COOPER" build -q --allow network.host ctx
}

@test "--network=none has loopback only" {
    dockerfile <<'END'
RUN ip -o link | wc -l >/count; ! curl -sf -m 5 -o /dev/null http://10.9.0.3:8000/
END
    on here "$COOPER" build -q --network none -o out ctx
    [ "$(cat out/count)" = 1 ]
    dockerfile <<<'RUN curl -sf -m 60 -o /dev/null http://10.9.0.3:8000/'
    run ! on here "$COOPER" build -q --network none ctx
    # What an instruction says goes before.
    dockerfile <<<'RUN --network=none ip -o link | wc -l >/count'
    on here "$COOPER" build -q -o out ctx
    [ "$(cat out/count)" = 1 ]
}

@test "all steps of a build share one namespace, and one pasta" {
    dockerfile <<'END'
RUN readlink /proc/self/ns/net >/one
RUN readlink /proc/self/ns/net >/two
RUN --network=none readlink /proc/self/ns/net >/none
END
    on here "$COOPER" build -q -o out ctx
    cmp out/one out/two
    run ! cmp out/one out/none
    [ "$(cat out/one)" != "$(readlink "/proc/$(cat "$BATS_FILE_TMPDIR/here.pid")/ns/net")" ]
    [ -z "$(processes pasta)" ]
    [ -z "$(processes passt)" ]
}

@test "pasta ends with cooper, also when that is killed" {
    dockerfile <<<'RUN touch /started; sleep 100000'
    on here "$COOPER" build --progress plain ctx >log 2>&1 3>&- &
    local try pid=
    for ((try = 0; try < 400; try++)); do
        pid=$(processes pas)
        [ -z "$pid" ] || [ -z "$(processes sleep)" ] || break
        sleep 0.05
    done
    [ -n "$pid" ]
    kill -KILL "$(processes cooper | head -1)" 2>/dev/null || kill -KILL $!
    wait $! || true
    for ((try = 0; try < 400; try++)); do
        [ -n "$(processes pas)" ] || break
        sleep 0.05
    done
    [ -z "$(processes pas)" ]
}

@test "names are found when this machine's own resolver listens on loopback" {
    serve here dns 127.0.0.1 10.9.0.3
    echo 'nameserver 127.0.0.1' >resolv.conf
    dockerfile <<'END'
RUN curl -sf -m 60 -o /world http://some.name.test:8000/ || { cat /etc/resolv.conf; exit 1; }
END
    on here unshare -m sh -c 'mount --bind resolv.conf "$(readlink -f /etc/resolv.conf)" && exec "$@"' sh \
        "$COOPER" build --progress plain -o out ctx
    [ "$(cat out/world)" = world ]
}

@test "--add-host: addresses, and this machine itself as host-gateway" {
    dockerfile <<'END'
RUN curl -sf -m 60 -o /world http://world:8000/ && curl -sf -m 60 -o /loopback http://machine:8001/
END
    on here "$COOPER" build -q --add-host world=10.9.0.3 --add-host machine:host-gateway -o out ctx
    [ "$(cat out/world)" = world ]
    [ "$(cat out/loopback)" = loopback ]
    on here "$COOPER" build -q --no-cache --network host --add-host world=10.9.0.3 --add-host machine:host-gateway ctx
    # Unless it is asked for, no address leads there.
    dockerfile <<<'RUN ! curl -sf -m 5 -o /dev/null http://10.9.0.1:8001/'
    on here "$COOPER" build -q ctx
}

@test "without pasta, or where it cannot work, the host's network: one line says so, once" {
    dockerfile <<'END'
RUN curl -sf -m 60 -o /loopback http://127.0.0.1:8001/
RUN true
RUN --network=none true
END
    on here env PATH=/nonexistent "$COOPER" build --progress plain ctx 2>log
    [ "$(grep -c 'pasta (package passt) is not installed' log)" -eq 1 ]
    # A build that runs nothing says nothing.
    on here env PATH=/nonexistent "$COOPER" build --progress plain ctx 2>log
    run ! grep pasta log
    # No route, so nothing for pasta to copy.
    dockerfile <<<'RUN true'
    run -0 --separate-stderr unshare -n "$COOPER" build --progress plain --no-cache ctx
    [ "$(grep -c 'network of the steps: this machine' <<<"$stderr")" -eq 1 ]
}
