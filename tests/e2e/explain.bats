# Why a step is not cached: told by build, and by explain before anything is built.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir -p ctx/src
    # All tests share a store: nothing of one is found by another.
    echo "one $BATS_TEST_NAME" >ctx/src/a.c
    echo two >ctx/src/b.c
    cat >ctx/Dockerfile <<'END'
FROM busybox
ARG VERSION=1.2
COPY src /app
RUN cat /app/* >/all
RUN echo "$VERSION" >/version
END
}

# Builds, and checks that the line after the step's name says why.
told() {
    local step=$1 why=$2
    shift 2
    "$COOPER" build --progress plain "$@" ctx 2>log || { cat log >&2; return 1; }
    grep -F -A1 "] $step" log | grep -qF -e "not cached: $why" || { cat log >&2; return 1; }
}

# What explain says of a step, with the same options.
explained() {
    local step=$1 why=$2
    shift 2
    "$COOPER" explain "$@" ctx >explained
    grep -F -A1 "] $step" explained | grep -qF -e "$why" || { cat explained >&2; return 1; }
}

both() {
    explained "$@"
    told "$@"
}

@test "a first build says so, a cached one says nothing" {
    told 'COPY src /app' 'new step'
    "$COOPER" build --progress plain ctx 2>log
    run ! grep -q 'not cached' log
    cooper explain ctx
    [ "$status" -eq 0 ]
    [[ $output == *'Nothing would run: 3 steps are cached'* ]]
}

@test "a file that differs is named with what differs" {
    "$COOPER" build -q ctx
    echo changed >ctx/src/a.c
    both 'COPY src /app' '1 of 2 files differs: src/a.c (content)'
    chmod 600 ctx/src/b.c
    both 'COPY src /app' '1 of 2 files differs: src/b.c (mode)'
    echo new >ctx/src/new.c
    both 'COPY src /app' '1 of 3 files differs: src/new.c (added)'
    rm ctx/src/new.c
    "$COOPER" build -q --no-cache ctx
    rm ctx/src/b.c
    both 'COPY src /app' '1 of 1 file differs: /app/b.c (removed)'
    ln -s a.c ctx/src/l
    "$COOPER" build -q ctx
    ln -sfn ./a.c ctx/src/l
    both 'COPY src /app' '1 of 2 files differs: /app/l (target)'
}

@test "what follows a changed step names that step" {
    "$COOPER" build -q ctx
    echo "changed $BATS_TEST_NAME" >ctx/src/a.c
    "$COOPER" build --progress plain ctx 2>log
    [ "$(grep -c 'not cached: its base changed: \[2/4\] COPY src /app' log)" -eq 2 ]
}

@test "build arguments, environment, command, user and directory are told with both values" {
    "$COOPER" build -q ctx
    both 'RUN echo "$VERSION" >/version' 'build argument VERSION was 1.2, is 1.3' --build-arg VERSION=1.3
    sed -i 's/^RUN cat.*/ENV MODE=fast\n&/' ctx/Dockerfile
    both 'RUN cat /app/* >/all' 'environment variable MODE was not set, is fast' --build-arg VERSION=1.3
    sed -i 's/MODE=fast/MODE=slow/' ctx/Dockerfile
    both 'RUN cat /app/* >/all' 'environment variable MODE was fast, is slow' --build-arg VERSION=1.3
    sed -i 's,>/all,>/every,' ctx/Dockerfile
    both 'RUN cat /app/* >/every' 'the command was "cat /app/* >/all", is "cat /app/* >/every"' --build-arg VERSION=1.3
    sed -i 's/^RUN echo/WORKDIR \/tmp\nUSER bob\n&/; s,>/version,>/tmp/version,' ctx/Dockerfile
    "$COOPER" build -q --build-arg VERSION=1.3 ctx
    sed -i 's/^USER bob/USER root/' ctx/Dockerfile
    both 'RUN echo "$VERSION" >/tmp/version' 'the user was bob, is root' --build-arg VERSION=1.3
}

@test "a step that was put between others is new, and the others are known" {
    "$COOPER" build -q ctx
    sed -i 's/^RUN cat/RUN echo between\n&/' ctx/Dockerfile
    told 'RUN echo between' 'new step'
    grep -F -A1 '] RUN cat' log | grep -qF 'its base changed: [3/5] RUN echo between'
}

@test "a tag that moved is told with both digests" {
    "$COOPER" tag busybox moving
    sed -i 's/^FROM.*/FROM moving/' ctx/Dockerfile
    "$COOPER" build -q ctx
    "$COOPER" import -c 'ENV PATH=/bin' -c 'LABEL other=1' "$BATS_FILE_TMPDIR/busybox" moving >/dev/null
    "$COOPER" explain ctx >explained
    grep -F -A1 '] FROM' explained | grep -Eq 'tag moved from sha256:[0-9a-f]{12} to sha256:[0-9a-f]{12}'
    # The layers are the same, so nothing runs.
    grep -q 'Nothing would run' explained
}

@test "--no-cache, --no-cache-filter and records that are gone" {
    "$COOPER" build -q ctx
    both 'RUN cat /app/* >/all' '--no-cache' --no-cache
    sed -i 's/^FROM busybox/FROM busybox AS app/' ctx/Dockerfile
    "$COOPER" build -q ctx
    both 'RUN cat /app/* >/all' '--no-cache-filter' --no-cache-filter app
}

@test "a step that failed is told so the next time" {
    printf 'FROM busybox\nRUN exit 3\n' >ctx/Dockerfile
    run ! "$COOPER" build -q ctx
    run ! "$COOPER" build --progress plain ctx
    [[ $output == *'not cached: it failed the last time'* ]]
}

@test "the value of a secret argument is neither told nor kept" {
    printf 'FROM busybox\nARG API_TOKEN\nRUN true\n' >ctx/Dockerfile
    "$COOPER" build -q --build-arg API_TOKEN=first-value ctx
    both 'RUN true' 'build argument API_TOKEN changed' --build-arg API_TOKEN=second-value
    run ! grep -rqE 'first-value|second-value' "$COOPER_ROOT/steps"
}

@test "COPY --from tells which file of the stage differs" {
    cat >ctx/Dockerfile <<'END'
FROM busybox AS made
ARG WHAT=1
RUN mkdir /out && echo same >/out/same && echo "$WHAT" >/out/differs
FROM busybox
COPY --from=made /out /out
END
    "$COOPER" build -q ctx
    told 'COPY --from=made /out /out' '1 of 2 files differs: out/differs (content)' --build-arg WHAT=2
    "$COOPER" explain --build-arg WHAT=3 ctx >explained
    grep -F -A1 'COPY --from' explained | grep -qF 'what it copies from changed'
}

@test "explain runs nothing, writes nothing and has a JSON form" {
    "$COOPER" build -q ctx
    find "$COOPER_ROOT" -path "$COOPER_ROOT/leases" -prune -o -type f -newer ctx/Dockerfile -print | sort >before
    cooper explain --format json --build-arg VERSION=2 ctx
    [ "$status" -eq 0 ]
    [ "$(jq -r '.run, .cached' <<<"$output" | xargs)" = "2 1" ]
    [ "$(jq -r '.steps[-1].state' <<<"$output")" = run ]
    [ "$(jq -r '.steps[-1].line' <<<"$output")" = 5 ]
    find "$COOPER_ROOT" -path "$COOPER_ROOT/leases" -prune -o -type f -newer ctx/Dockerfile -print | sort >after
    cmp before after
    cooper explain
    [ "$status" -eq 2 ]
    cooper explain --format yaml ctx
    [ "$status" -eq 2 ]
}

@test "a reason is part of rawjson" {
    "$COOPER" build --progress rawjson ctx 2>log
    jq -r '.vertexes[]?.notCached // empty' log | grep -q 'new step'
}

@test "a RUN that only rewrote what stood there is named with its cost and cure" {
    mkdir ctx/big
    for ((i = 0; i < 1100; i++)); do echo "$i" >"ctx/big/$i"; done
    printf 'FROM busybox\nCOPY big /big\nRUN chmod -R 700 /big\n' >ctx/Dockerfile
    "$COOPER" build --progress plain ctx 2>log
    grep -q 'RewrittenFiles: RUN chmod -R 700 /big stored 1100 files .* only mode: give COPY --chmod.* (line 3)' log
    printf 'FROM busybox\nCOPY big /big\nRUN chmod 700 /big/1\n' >ctx/Dockerfile
    "$COOPER" build --progress plain ctx 2>log
    run ! grep -q RewrittenFiles log
}
