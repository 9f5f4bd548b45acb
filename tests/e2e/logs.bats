# The journal: builds, logs; secrets are never in them.
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

latest() {
    "$COOPER" builds -q | head -n1
}

@test "builds lists each build with its status and its steps" {
    printf 'FROM busybox\nRUN echo listed >/listed\n' >ctx/Dockerfile
    "$COOPER" build -q -t listed ctx
    cooper builds --format json
    [ "$(jq -r '.[0].status, .[0].tags[0]' <<<"$output" | xargs)" = "done listed" ]
    [[ $(jq -r '.[0].image' <<<"$output") == sha256:* ]]
    [ "$(jq '.[0].steps | map(select(.notCached)) | length' <<<"$output")" -eq 1 ]
    "$COOPER" build -q ctx
    cooper builds
    [[ ${lines[0]} == BUILD*STARTED*STATUS* ]]
    [[ ${lines[1]} == *'0 run, 1 cached'* ]]
    [[ ${lines[2]} == *'1 run, 0 cached'*listed* ]]
}

@test "logs keep all that a step printed, longer than any display" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
RUN seq 20000; echo "to stderr" >&2; head -c 100000 /dev/zero | tr '\0' x
RUN printf 'no line end'
END
    "$COOPER" build -q ctx
    "$COOPER" logs latest 2 >step
    [ "$(grep -c '^[0-9]*$' step)" -eq 20000 ]
    grep -q 'to stderr' step
    [ "$(tr -cd x <step | wc -c)" -eq 100000 ]
    "$COOPER" logs >all
    grep -qx '#3 \[3/3\] RUN printf .no line end.' all
    grep -qx 'no line end' all
    grep -q '^#3 DONE' all
    cooper logs latest 99
    [ "$status" -eq 1 ]
    cooper logs latest nonsense
    [ "$status" -eq 2 ]
}

@test "a failed build tells how to see more, and keeps its error" {
    printf 'FROM busybox\nRUN echo before; exit 7\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    local id
    id=$(latest)
    [[ $stderr == *"cooper logs $id"* ]]
    [[ $stderr == *"cooper debug $id"* ]]
    [[ $stderr == *'exit code: 7'* ]]
    cooper logs "$id"
    [[ $output == *before* && $output == *'exit code: 7'* ]]
    [ "$("$COOPER" builds --format json | jq -r '.[0].status')" = failed ]
    # With --root the commands that are told have it too.
    cooper --root "$COOPER_ROOT" build ctx
    [[ $stderr == *"cooper --root $COOPER_ROOT logs "* ]]
}

@test "a Dockerfile that is wrong leaves an entry, and no log" {
    printf 'FROM busybox\nNONSENSE x\n' >ctx/Dockerfile
    run ! "$COOPER" build -q ctx
    [ "$("$COOPER" builds --format json | jq -r '.[0].status, (.[0].steps | length)' | xargs)" = "failed 0" ]
}

@test "builds are found by ID, beginning, latest and ^N, and removed" {
    printf 'FROM busybox\nRUN echo one-thing\n' >ctx/Dockerfile
    "$COOPER" build -q ctx
    local first second
    first=$(latest)
    printf 'FROM busybox\nRUN echo another-thing\n' >ctx/Dockerfile
    "$COOPER" build -q ctx
    second=$(latest)
    [ "$first" != "$second" ]
    [ "$("$COOPER" logs "$first" 2)" = one-thing ]
    [ "$("$COOPER" logs '^1' 2)" = one-thing ]
    [ "$("$COOPER" logs latest 2)" = another-thing ]
    cooper builds rm "$first"
    [ "$output" = "$first" ]
    cooper logs "$first"
    [ "$status" -eq 1 ]
    [[ $stderr == *"no build $first"* ]]
    cooper builds rm
    [ "$status" -eq 2 ]
    cooper builds rm --all
    [ "$status" -eq 0 ]
    [ -z "$("$COOPER" builds -q)" ]
    cooper logs
    [ "$status" -eq 1 ]
}

@test "only the newest hundred builds stay" {
    printf 'FROM busybox\n' >ctx/Dockerfile
    for ((i = 0; i < 105; i++)); do "$COOPER" build -q ctx >/dev/null; done
    [ "$("$COOPER" builds -q | wc -l)" -eq 100 ]
}

@test "a build that was killed is told as such" {
    printf 'FROM busybox\nRUN echo st""arted; sleep 1000\n' >ctx/Dockerfile
    "$COOPER" build --progress plain ctx >/dev/null 2>log 3>&- &
    local pid=$! try
    for ((try = 0; try < 600; try++)); do
        grep -q started log && break
        sleep 0.1
    done
    [ "$("$COOPER" builds --format json | jq -r '.[0].status')" = running ]
    kill -KILL "$pid"
    wait "$pid" || true
    # The lock goes with the last of its processes.
    for ((try = 0; try < 600; try++)); do
        [ "$("$COOPER" builds --format json | jq -r '.[0].status')" = killed ] && break
        sleep 0.1
    done
    [ "$("$COOPER" builds --format json | jq -r '.[0].status')" = killed ]
    [ "$("$COOPER" logs latest 2)" = started ]
}

@test "a secret is masked in what any step prints, on the display and in the log" {
    printf 'correct horse battery' >secret
    cat >ctx/Dockerfile <<'END'
FROM busybox
RUN --mount=type=secret,id=s cp /run/secrets/s /stolen; cat /run/secrets/s; echo; printf 'correct ho'; sleep 0.2; printf 'rse battery!'
RUN echo "it was $(cat /stolen)"
END
    "$COOPER" build --progress plain --secret id=s,src=secret ctx 2>log
    run ! grep -q 'horse battery' log
    grep -qF '***!' log
    grep -qF 'it was ***' log
    [ "$("$COOPER" logs latest 3)" = 'it was ***' ]
    run ! grep -rq 'horse battery' "$COOPER_ROOT/builds" "$COOPER_ROOT/steps"
}

# A build in the background that waits for a file in a cache mount. What it prints stands in no
# command as it is.
slow_build() {
    cat >ctx/Dockerfile <<'END'
FROM busybox
RUN --mount=type=cache,target=/gate,id=gate echo first""-line; until [ -e /gate/go ]; do sleep 0.1; done; echo last""-line
RUN echo next""-step; printf 'without'" end"
END
    "$COOPER" build --no-cache --progress plain ctx >/dev/null 2>log 3>&- &
    echo $! >pid
    wait_for first-line log
}

wait_for() { # TEXT FILE
    local try

    for ((try = 0; try < 600; try++)); do
        ! grep -q "$1" "$2" || return 0
        sleep 0.1
    done
    return 1
}

open_gate() {
    printf 'FROM busybox\nRUN --mount=type=cache,target=/gate,id=gate touch /gate/go\n' >gate.Dockerfile
    "$COOPER" build --no-cache -q -f gate.Dockerfile ctx >/dev/null
}

@test "logs -f follows a running build until it ends" {
    slow_build
    build=$(latest)
    "$COOPER" logs -f >followed 3>&- &
    follower=$!
    "$COOPER" logs --follow "$build" 3 >step 3>&- &
    other=$!
    wait_for first-line followed
    # Nothing of what is still to come, and no end.
    run ! grep -q last-line followed
    kill -0 "$follower"
    open_gate
    wait "$(cat pid)" || { cat log; false; }
    wait "$follower"
    wait "$other"
    for text in first-line last-line next-step 'without end'; do
        [ "$(grep -c "$text" followed)" -eq 1 ]
    done
    grep -q '^#3 DONE' followed
    [ "$(cat step)" = "$(printf 'next-step\nwithout end')" ]
    # A build that has ended is printed as without -f.
    [ "$("$COOPER" logs -f "$build")" = "$("$COOPER" logs "$build")" ]
}

@test "logs -f ends when the build is killed" {
    printf 'FROM busybox\nRUN echo st""arted; sleep 1000\n' >ctx/Dockerfile
    "$COOPER" build --no-cache --progress plain ctx >/dev/null 2>log 3>&- &
    local pid=$!
    wait_for started log
    "$COOPER" logs -f >followed 3>&- &
    local follower=$!
    wait_for started followed
    kill -KILL "$pid"
    wait "$pid" || true
    wait "$follower"
    grep -q '^#2 ' followed
    cooper logs latest 99
    [ "$status" -eq 1 ]
}
