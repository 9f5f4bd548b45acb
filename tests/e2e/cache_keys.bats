#!/usr/bin/env bats
# What is part of a step's key: for each component one change that misses, and beside it one
# that does not count.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }

setup() {
    e2e_setup
    mkdir -p ctx/dir
    echo one >ctx/file
    echo two >ctx/dir/other
    echo secret >secret
    options=()
    failed=''
}

# The one step of ctx/Dockerfile that is looked at is the last.
last_is_cached() {
    "$COOPER" build --progress=plain "${options[@]}" ctx >log 2>&1 || {
        cat log >&2
        return 2
    }
    ! grep -A1 "^$(grep -o '^#[0-9]* \[' log | tail -n 1 | tr -d '[')\[" log | grep -q 'not cached'
}

# dockerfile LINE...: after FROM.
dockerfile() {
    printf '%s\n' 'FROM busybox' "$@" >ctx/Dockerfile
}

# expect HIT|MISS NAME: of a build after something was changed.
expect() {
    local got=MISS

    last_is_cached && got=HIT
    [ "$got" = "$1" ] || failed+="$2: $got instead of $1"$'\n'
}

# Builds what a change is then compared with, and checks that it is cached as it stands.
base() {
    options=("${@:2}")
    dockerfile "$1"
    last_is_cached || true
    expect HIT "$1 unchanged"
}

# run_table: lines "HIT|MISS LINE" on standard input, each against the base line $1.
table() {
    local want line

    base "$1"
    while read -r want line; do
        dockerfile "${line//\\n/$'\n'}"
        expect "$want" "$line"
        base "$1"
    done
    echo "$failed"
    [ -z "$failed" ]
}

@test "RUN: command, variables, arguments, directory, user, shell" {
    table 'RUN echo a' <<'END'
MISS RUN echo b
MISS RUN ["echo", "a"]
MISS ENV A=1\nRUN echo a
MISS ARG C=1\nRUN echo a
HIT LABEL a=b\nRUN echo a
HIT EXPOSE 80\nRUN echo a
HIT CMD ["x"]\nRUN echo a
HIT STOPSIGNAL 9\nRUN echo a
MISS WORKDIR /tmp\nRUN echo a
MISS USER bob\nRUN echo a
HIT SHELL ["/bin/sh", "-c"]\nRUN echo a
MISS SHELL ["/bin/ash", "-c"]\nRUN echo a
HIT # a comment\nRUN echo a
END
}

@test "RUN: the order of variables does not count, their values do" {
    table 'ENV A=1 B=2
RUN echo a' <<'END'
HIT ENV B=2 A=1\nRUN echo a
HIT ENV A=1\nENV B=2\nRUN echo a
MISS ENV A=1 B=3\nRUN echo a
END
}

@test "RUN: a build argument counts where it is declared before" {
    base 'ARG V
RUN echo a' --build-arg V=1
    options=(--build-arg V=2)
    expect MISS 'V=2'
    base 'RUN echo a
ARG V' --build-arg V=1
    options=(--build-arg V=2)
    expect HIT 'declared later'
    # Predefined ones are passed on without counting.
    base 'RUN echo a' --build-arg HTTP_PROXY=http://a:1
    options=(--build-arg HTTP_PROXY=http://b:2)
    expect HIT 'HTTP_PROXY'
    echo "$failed"
    [ -z "$failed" ]
}

@test "RUN: every field of a mount counts" {
    table 'RUN --mount=type=cache,target=/c,id=keys echo m' <<'END'
MISS RUN echo m
MISS RUN --mount=type=cache,target=/d,id=keys echo m
MISS RUN --mount=type=cache,target=/c,id=keys2 echo m
MISS RUN --mount=type=cache,target=/c,id=keys,sharing=locked echo m
MISS RUN --mount=type=cache,target=/c,id=keys,ro echo m
MISS RUN --mount=type=cache,target=/c,id=keys,uid=7 echo m
MISS RUN --mount=type=cache,target=/c,id=keys,gid=7 echo m
MISS RUN --mount=type=cache,target=/c,id=keys,mode=0700 echo m
MISS RUN --mount=type=tmpfs,target=/c echo m
HIT RUN --mount=target=/c,id=keys,type=cache echo m
END
}

@test "RUN: what is bound counts by its content, and only that" {
    base 'RUN --mount=type=bind,source=dir,target=/b cat /b/other'
    touch -d @1 ctx/dir/other
    expect HIT 'time of a bound file'
    echo x >ctx/unbound
    expect HIT 'a file that is not bound'
    echo three >ctx/dir/other
    expect MISS 'content of a bound file'
    echo "$failed"
    [ -z "$failed" ]
}

@test "RUN: a secret's value does not count, its name and place do" {
    base 'RUN --mount=type=secret,id=s cat /run/secrets/s' --secret id=s,src=secret
    echo other >secret
    expect HIT 'value'
    dockerfile 'RUN --mount=type=secret,id=s,target=/t cat /t || cat /run/secrets/s'
    expect MISS 'target'
    echo "$failed"
    [ -z "$failed" ]
    # Nor is it in the store's records.
    ! grep -rqa 'other' "$COOPER_ROOT/meta.db"
}

@test "RUN: network and hosts count, in a stage that runs; COPY knows neither" {
    base 'RUN echo a'
    options=(--network none)
    expect MISS 'network'
    base 'RUN echo a' --add-host a:10.0.0.1
    options=(--add-host a:10.0.0.2)
    expect MISS 'add-host'
    base 'COPY file /'
    options=(--add-host a:10.0.0.2 --network none)
    expect HIT 'add-host for COPY'
    echo "$failed"
    [ -z "$failed" ]
}

@test "COPY: every flag counts" {
    table 'COPY dir /d/' <<'END'
MISS COPY dir /e/
MISS COPY dir/ /d2/
MISS COPY --chown=1:2 dir /d/
MISS COPY --chown=bob dir /d/
MISS COPY --chmod=700 dir /d/
MISS COPY --link dir /d/
MISS COPY --exclude=*.o dir /d/
MISS COPY --parents dir /d/
MISS COPY file dir /d/
MISS ADD file /d/
HIT COPY  dir   /d/
END
}

@test "COPY: content, name, mode, owner and attributes count; times and other files do not" {
    base 'COPY dir /d/'
    touch -d @1 ctx/dir/other ctx/dir
    expect HIT 'time'
    echo x >ctx/elsewhere
    expect HIT 'another file'
    echo dir/ignored >ctx/.dockerignore
    echo x >ctx/dir/ignored
    expect HIT 'a file that .dockerignore leaves out'
    chmod 600 ctx/dir/other
    expect MISS 'mode'
    echo four >ctx/dir/other
    expect MISS 'content'
    mv ctx/dir/other ctx/dir/renamed
    expect MISS 'name'
    ln -s renamed ctx/dir/link
    expect MISS 'a new link'
    ln -sfn other ctx/dir/link
    expect MISS 'where a link points'
    mkdir ctx/dir/empty
    expect MISS 'a new directory'
    echo "$failed"
    [ -z "$failed" ]
}

@test "COPY --from counts by what it takes" {
    local from='FROM busybox AS s
RUN echo a >/taken; date +%N >/left
FROM busybox
COPY --from=s /taken /'

    printf '%s\n' "$from" >ctx/Dockerfile
    last_is_cached || true
    last_is_cached
    printf '%s\n' "${from/echo a/echo a >\/more; echo a}" >ctx/Dockerfile
    last_is_cached
    printf '%s\n' "${from/echo a/echo b}" >ctx/Dockerfile
    ! last_is_cached
}

@test "WORKDIR: path and user count" {
    table 'WORKDIR /w/x' <<'END'
MISS WORKDIR /w/y
MISS USER bob\nWORKDIR /w/x
HIT ENV A=1\nWORKDIR /w/x
HIT WORKDIR /w/./x
END
}

@test "FROM: the base's content counts, its name does not" {
    base 'RUN echo a'
    "$COOPER" tag busybox alias
    sed -i 's/^FROM busybox/FROM alias/' ctx/Dockerfile
    expect HIT 'another name'
    cp -a "$BATS_FILE_TMPDIR/busybox" root
    echo new >root/etc/motd
    "$COOPER" import -c 'ENV PATH=/bin' root other >/dev/null
    sed -i 's/^FROM alias/FROM other/' ctx/Dockerfile
    expect MISS 'another content'
    "$COOPER" import -c 'ENV PATH=/bin' -c 'LABEL a=b' root labelled >/dev/null
    sed -i 's/^FROM other/FROM labelled/' ctx/Dockerfile
    expect HIT 'another config'
    echo "$failed"
    [ -z "$failed" ]
}

@test "equal outcomes cut off: a RUN that only made other times" {
    printf '%s\n' 'FROM busybox' 'ARG SEED' 'COPY file /file' 'RUN touch /made; echo "$SEED" >/dev/null' \
        'RUN cat /made /file >/after' >ctx/Dockerfile
    options=(--build-arg SEED=1)
    last_is_cached || true
    "$COOPER" build -q --iidfile one "${options[@]}" ctx
    # An argument is a variable of every RUN: only the first one shall see it.
    printf '%s\n' 'FROM busybox AS a' 'COPY file /file' 'RUN touch /made; true' 'FROM a' 'RUN cat /made /file >/after' >ctx/Dockerfile
    options=()
    last_is_cached || true
    sed -i 's/touch .made; true/touch \/made; echo again/' ctx/Dockerfile
    last_is_cached
    grep -q 'not cached' log
}

@test "--no-cache runs all, --no-cache-filter a stage, --pull asks for the base" {
    printf '%s\n' 'FROM busybox AS a' 'RUN echo a >/a' 'FROM busybox AS b' 'RUN echo b >/b' \
        'FROM scratch' 'COPY --from=a /a /' 'COPY --from=b /b /' >ctx/Dockerfile
    "$COOPER" build -q ctx
    "$COOPER" build --progress=plain --no-cache-filter b ctx >log 2>&1
    [ "$(grep -c 'not cached' log)" -eq 1 ]
    "$COOPER" build --progress=plain --no-cache ctx >log 2>&1
    [ "$(grep -c 'not cached' log)" -eq 4 ]
    "$COOPER" tag busybox 127.0.0.1:1/busybox
    sed -i 's,FROM busybox,FROM 127.0.0.1:1/busybox,' ctx/Dockerfile
    "$COOPER" build -q ctx
    run ! "$COOPER" build --pull ctx
    [[ $output == *127.0.0.1:1* ]]
}
