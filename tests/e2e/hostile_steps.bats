# Steps that misbehave, and places to export to that others have prepared.
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
    printf '%s\n' FROM\ busybox "$@" >ctx/Dockerfile
}

@test "a secret is nowhere in the store, the history or the log" {
    local word
    word=word-$RANDOM-$RANDOM-$RANDOM
    echo "$word" >secret
    dockerfile 'RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=TOKEN,target=/elsewhere \
        [ "$(echo $TOKEN)" = "$(cat /run/secrets/s)" ] && cp /run/secrets/s /dev/shm/kept' \
        'RUN [ ! -e /run/secrets/s ] && [ ! -e /elsewhere ] && [ -z "$TOKEN" ]'
    cooper build --progress=plain --secret "id=s,src=$PWD/secret" -t app ctx
    [ "$status" -eq 0 ]
    [[ $stderr != *$word* ]]
    ! grep -r "$word" "$COOPER_ROOT"
    while read -r file; do
        ! zcat -f "$file" | grep -q "$word"
    done < <(find "$COOPER_ROOT/blobs" -type f)
    [[ $("$COOPER" history --no-trunc app) != *$word* ]]
    [[ $("$COOPER" inspect app) != *$word* ]]
}

@test "what a step left running is gone when it ends" {
    local marker=$((100000 + RANDOM))
    dockerfile "RUN sleep $marker & setsid sleep $marker & (trap '' TERM HUP INT; sleep $marker) & true"
    cooper build -q ctx
    [ "$status" -eq 0 ]
    ! pgrep -f "sleep $marker"
}

@test "a step that closes its output and goes on is waited for" {
    dockerfile 'RUN exec >&- 2>&-; sleep 0.3; touch /done' 'RUN test -e /done'
    cooper build -q ctx
    [ "$status" -eq 0 ]
}

@test "much output comes through whole" {
    dockerfile 'RUN yes 012345678901234567890123456789012345678 | head -c 40000000'
    "$COOPER" build --progress=plain --no-cache ctx 2>log
    grep -c ' 012345678901234567890123456789012345678$' log >count
    echo "$(cat count) of 1000000"
    [ "$(cat count)" -eq 1000000 ]
}

@test "an export replaces symlinks that lie in its way, and follows none" {
    mkdir out outside
    ln -s ../outside out/bin
    ln -s ../outside/file out/exported
    ln -s / out/etc
    dockerfile 'RUN echo x >/exported && echo x >/etc/exported-by-a-test'
    cooper build -q -o type=local,dest=out ctx
    [ "$status" -eq 0 ]
    [ -z "$(ls -A outside)" ]
    [ ! -e /etc/exported-by-a-test ]
    [ "$(cat out/exported)" = x ]
    [ -d out/etc ] && [ ! -L out/etc ]
}
