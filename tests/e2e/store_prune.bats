# Removing what no image needs: prune; and what rmi says of it.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }

# Every test has its own store: prune takes all.
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    e2e_busybox
    mkdir app
    echo one >app/file
    cat >app/Dockerfile <<'END'
FROM busybox
LABEL team=blue
COPY file /file
RUN --mount=type=cache,target=/cache echo kept >>/cache/file; wc -l </cache/file >/count
END
}

blobs() { find "$COOPER_ROOT/blobs" -type f | wc -l; }

image_runs() { [ "$("$COOPER" run --rm "$1" cat /file)" = "$2" ]; }

@test "prune wants to be asked or told, and removes nothing otherwise" {
    "$COOPER" build -q -t app app
    before=$(find "$COOPER_ROOT" -type f ! -path '*/leases/*' ! -name 'meta.db*' | sort)
    run --separate-stderr "$COOPER" prune </dev/null
    [ "$status" -eq 2 ]
    [[ $stderr == *--force* ]]
    cooper prune --dry-run -a
    [ "$status" -eq 0 ]
    [[ $output == *exec.cachemount* && $output == *"would be reclaimed"* ]]
    [ "$before" = "$(find "$COOPER_ROOT" -type f ! -path '*/leases/*' ! -name 'meta.db*' | sort)" ]
}

@test "asked at a terminal, only yes is yes" {
    "$COOPER" build -q -t app app
    python3 - "$COOPER" <<'END'
import os, pty, sys
def ask(answer):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], [sys.argv[1], "prune"])
    text = b""
    while b"[y/N]" not in text:
        text += os.read(fd, 4096)
    os.write(fd, answer)
    try:
        while True:
            more = os.read(fd, 4096)
            if not more:
                break
            text += more
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
code, text = ask(b"\n")
assert code == 1 and b"nothing was removed" in text, (code, text)
assert os.listdir(os.environ["COOPER_ROOT"] + "/mounts")
code, text = ask(b"y\n")
assert code == 0 and b"Total reclaimed space" in text, (code, text)
assert not [n for n in os.listdir(os.environ["COOPER_ROOT"] + "/mounts") if not n.endswith(".lock")]
END
}

@test "prune -a leaves images whole, and nothing else" {
    "$COOPER" build -q -t app app
    echo two >app/file
    "$COOPER" build -q app
    cooper prune -af
    [ "$status" -eq 0 ]
    [[ $output == *"Total reclaimed space: "* ]]
    image_runs app one
    [ "$("$COOPER" df --format json | python3 -c 'import json, sys
print(sum(t["reclaimable"] for t in json.load(sys.stdin)["types"] if t["type"] not in ("internal", "log", "source.local")))')" -eq 0 ]
    cooper fsck --full
    [ "$status" -eq 0 ]
    # The steps run again, to the same end; the cache mount begins anew.
    echo one >app/file
    "$COOPER" build -q -t app app
    [ "$("$COOPER" run --rm app cat /count)" -eq 1 ]
}

@test "prune keeps what images share, prune -a does not" {
    "$COOPER" build -q -t app app
    cooper prune -f
    cooper build --progress=plain -t app app
    [[ $stderr == *CACHED* ]]
    [ "$("$COOPER" run --rm app cat /count)" -eq 1 ]
    cooper prune -af
    cooper build --progress=plain -t app app
    [[ $stderr != *CACHED* ]]
}

@test "filters choose by type, age, id and whether images share" {
    "$COOPER" build -q -t app app
    cooper prune -f --filter until=24h
    [[ $output == "Total reclaimed space: 0B" ]]
    cooper prune -f --filter type=exec.cachemount --format json
    python3 -c 'import json, sys
d = json.loads(sys.argv[1])
assert [r["type"] for r in d["removed"]] == ["exec.cachemount"] and d["space"] > 0, d' "$output"
    id=$("$COOPER" df -v --format json | python3 -c 'import json, sys
print(next(i["id"] for i in json.load(sys.stdin)["items"] if i["description"].startswith("COPY")))')
    cooper prune -f --filter "id=${id:7:12}"
    [ "$status" -eq 0 ]
    [[ $output == *"${id:7:12}"*regular* ]]
    ! "$COOPER" df -v --format json | grep -q "$id" || false
    cooper prune -f --filter shared=false
    [ "$status" -eq 0 ]
    cooper prune -f --filter until=2001-02-03T04:05:06Z -a
    [[ $output == "Total reclaimed space: 0B" ]]
    image_runs app one
}

@test "images go only by --all and type=image, by their labels" {
    "$COOPER" build -q -t app app
    cooper prune -f --filter type=image
    [ "$status" -eq 2 ]
    cooper prune -f --filter label=team=blue
    [ "$status" -eq 2 ]
    cooper prune -af --filter type=image --filter label=team=red
    [ "$status" -eq 0 ]
    image_runs app one
    cooper prune -af --filter type=image --filter label=team=blue
    [ "$status" -eq 0 ]
    cooper images -q app
    [ -z "$output" ]
    cooper images -q busybox
    [ -n "$output" ]
}

@test "filters that mean nothing are wrong usage" {
    for filter in until=yesterday type=volume color=red until dangling= ; do
        cooper prune -f --filter "$filter"
        [ "$status" -eq 2 ]
        [[ $stderr == *--filter* ]]
    done
}

@test "with --max-used-space the least recently used goes, and no more than needed" {
    for n in 1 2 3; do
        mkdir "app$n"
        head -c 1000000 /dev/urandom >"app$n/file"
        printf 'FROM busybox\nCOPY file /f%s\n' "$n" >"app$n/Dockerfile"
        "$COOPER" build -q "app$n" >/dev/null
    done
    cooper prune -f --filter type=regular --max-used-space 2500k
    [ "$status" -eq 0 ]
    [[ $output == *regular* ]]
    cooper build --progress=plain app3
    [[ $stderr == *CACHED* ]]
    cooper build --progress=plain app1
    [[ $stderr != *CACHED* ]]
    cooper prune -f --reserved-space 1gb
    [[ $output != *regular* ]]
    cooper build --progress=plain app3
    [[ $stderr == *CACHED* ]]
}

@test "rmi says what the build cache keeps, and prune frees it" {
    head -c 1000000 /dev/urandom >app/file
    "$COOPER" build -q -t app app
    before=$(blobs)
    cooper rmi app
    [ "$status" -eq 0 ]
    [[ $stderr == *"the build cache alone keeps "*"MB: 'cooper prune' frees it"* ]]
    [ "$(blobs)" -lt "$before" ]
    cooper build --progress=plain -t app app
    [[ $stderr == *CACHED* ]]
    "$COOPER" rmi app
    "$COOPER" prune -f
    cooper rmi busybox
    [ "$status" -eq 0 ]
    [[ $stderr != *"build cache alone"* ]]
    [ "$(blobs)" -eq 0 ]
}

@test "what a running build uses stays while everything is pruned around it" {
    cat >app/Dockerfile <<'END'
FROM busybox
COPY file /file
RUN --mount=type=cache,target=/cache echo here >/cache/mark
RUN --mount=type=cache,target=/cache --mount=type=bind,target=/context : >/begun; while [ ! -e /cache/go ]; do sleep 0.1; done; cat /cache/mark /file >/end
END
    "$COOPER" build -q -t app app >id 2>build.log &
    build=$!
    # The mount is there once the first of the two steps has run.
    for ((try = 0; try < 600; try++)); do
        mark=$(find "$COOPER_ROOT/mounts" -name mark 2>/dev/null) && [ -n "$mark" ] && break
        kill -0 "$build"
        sleep 0.1
    done
    "$COOPER" prune -af
    "$COOPER" prune -af
    : >"$(dirname "$mark")/go"
    wait "$build"
    [ "$("$COOPER" run --rm app cat /end)" = $'here\none' ]
}
