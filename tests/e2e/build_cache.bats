# The build cache: what makes a step run again and what does not.
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
    echo one >ctx/file
}

# Builds and prints how many steps were cached.
cached() {
    "$COOPER" build --progress plain "$@" ctx 2>log || { cat log >&2; return 1; }
    echo "$(grep -c CACHED log)"
}

id_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

@test "content counts; times, order of variables and other files do not" {
    printf 'FROM busybox\nENV A=1 B=2\nCOPY file /file\nRUN cat /file >/copy\n' >ctx/Dockerfile
    [ "$(cached)" -eq 0 ]
    [ "$(cached)" -eq 2 ]
    touch -d '2001-01-01' ctx/file
    echo x >ctx/unrelated
    [ "$(cached)" -eq 2 ]
    sed -i 's/A=1 B=2/B=2 A=1/' ctx/Dockerfile
    [ "$(cached)" -eq 2 ]
    echo two >ctx/file
    [ "$(cached)" -eq 0 ]
    echo one >ctx/file
    [ "$(cached)" -eq 2 ]
    chmod 600 ctx/file
    [ "$(cached)" -eq 0 ]
}

@test "each part of a RUN counts" {
    local base='FROM busybox
ARG V
RUN echo "$V" >/made'
    echo "$base" >ctx/Dockerfile
    [ "$(cached)" -eq 0 ]
    [ "$(cached --build-arg V=1)" -eq 0 ]
    [ "$(cached --build-arg V=1)" -eq 1 ]
    [ "$(cached --add-host h:10.0.0.1)" -eq 0 ]
    [ "$(cached --network none)" -eq 0 ]
    for line in 'ENV E=1' 'ENV E=2' 'WORKDIR /tmp' 'USER bob' 'USER root' \
        'SHELL ["/bin/ash", "-c"]'; do
        printf 'FROM busybox\n%s\nRUN true\n' "$line" >ctx/Dockerfile
        "$COOPER" build --progress plain ctx 2>log
        run ! bash -c "grep -A1 'RUN true' log | grep -q CACHED"
        "$COOPER" build --progress plain ctx 2>log
        grep -A1 'RUN true' log | grep -q CACHED
    done
    printf 'FROM busybox\nRUN --mount=type=tmpfs,target=/t true\n' >ctx/Dockerfile
    [ "$(cached)" -eq 0 ]
    printf 'FROM busybox\nRUN --mount=type=tmpfs,target=/u true\n' >ctx/Dockerfile
    [ "$(cached)" -eq 0 ]
    [ "$(cached)" -eq 1 ]
}

@test "metadata between steps does not count where the step cannot see it" {
    printf 'FROM busybox\nRUN echo a >/a\nRUN echo b >/b\n' >ctx/Dockerfile
    [ "$(cached)" -eq 0 ]
    printf 'FROM busybox\nLABEL x=y\nRUN echo a >/a\nEXPOSE 80\nCMD ["x"]\nRUN echo b >/b\n' >ctx/Dockerfile
    [ "$(cached)" -eq 2 ]
}

@test "a bind mount counts by its content" {
    mkdir ctx/d && echo 1 >ctx/d/f
    printf 'FROM busybox\nRUN --mount=type=bind,source=d,target=/d cat /d/f >/f\n' >ctx/Dockerfile
    "$COOPER" build -q ctx
    "$COOPER" build --progress plain ctx 2>log
    grep -q 'RUN.*' log && [ "$(grep -c CACHED log)" -ge 1 ]
    touch ctx/d/f
    "$COOPER" build --progress plain -t bind ctx 2>log
    grep -A1 'RUN --mount' log | grep -q CACHED
    echo 2 >ctx/d/f
    "$COOPER" build --progress plain -t bind ctx 2>log
    run ! bash -c "grep -A1 'RUN --mount' log | grep -q CACHED"
    cooper run bind cat /f
    [ "$output" = 2 ]
}

@test "COPY --from is known by the content that it takes" {
    cat >ctx/Dockerfile <<'END'
FROM busybox AS made
COPY file /in
RUN head -c3 /in >/out; cat /proc/sys/kernel/random/uuid >/other
FROM busybox
COPY --from=made /out /out
RUN cp /out /again
END
    [ "$(cached)" -eq 0 ]
    echo one-and-more >ctx/file
    # COPY and RUN of the first stage run anew, and the two that follow it are cached.
    [ "$(cached)" -eq 2 ]
    echo two >ctx/file
    [ "$(cached)" -eq 0 ]
}

@test "a RUN that ran again with an equal outcome keeps what follows cached" {
    # ARG stays in the environment of what follows: ENV hides it there.
    cat >ctx/Dockerfile <<'END'
FROM busybox AS first
ARG N
RUN : "$N"; echo same >/same; sleep 0.01
FROM first AS second
ENV N=
RUN cat /proc/sys/kernel/random/uuid >/uuid
END
    "$COOPER" build -q -t cut --build-arg N=1 ctx
    local uuid
    uuid=$("$COOPER" run cut cat /uuid)
    "$COOPER" build --progress plain -t cut --build-arg N=2 ctx 2>log
    [ "$(grep -c CACHED log)" -eq 1 ]
    [ "$("$COOPER" run cut cat /uuid)" = "$uuid" ]
}

@test "--no-cache and --no-cache-filter run what they name, and what follows from it" {
    cat >ctx/Dockerfile <<'END'
FROM busybox AS base
RUN cat /proc/sys/kernel/random/uuid >/base
FROM base AS app
RUN cat /base /proc/sys/kernel/random/uuid >/app
END
    [ "$(cached)" -eq 0 ]
    [ "$(cached)" -eq 2 ]
    [ "$(cached --no-cache)" -eq 0 ]
    [ "$(cached --no-cache-filter app)" -eq 1 ]
    [ "$(cached --no-cache-filter base -t filtered)" -eq 0 ]
    [ "$("$COOPER" run filtered head -n1 /app)" = "$("$COOPER" run filtered cat /base)" ]
}

@test "a cached layer is never put upon another outcome of its base" {
    cat >ctx/Dockerfile <<'END'
FROM busybox AS base
RUN cat /proc/sys/kernel/random/uuid >/base
FROM base AS app
RUN cp /base /app
FROM busybox AS taken
COPY --from=base /base /taken
END
    "$COOPER" build -q -t mixed --target app ctx
    "$COOPER" build -q -t taken ctx
    # The base is made anew by a build that goes no further.
    "$COOPER" build -q --no-cache --target base -t base ctx
    "$COOPER" build -q -t mixed --target app ctx
    cooper run mixed cmp /base /app
    [ "$status" -eq 0 ]
    "$COOPER" build -q -t taken ctx
    [ "$("$COOPER" run taken cat /taken)" = "$("$COOPER" run base cat /base)" ]
}

@test "another base image is another input" {
    printf 'FROM thebase\nRUN cat /etc/name >/copy\n' >ctx/Dockerfile
    for name in a b; do
        printf 'FROM busybox\nRUN echo %s >/etc/name\n' $name | "$COOPER" build -q -t thebase - >/dev/null
        "$COOPER" build -q -t derived ctx
        [ "$("$COOPER" run derived cat /copy)" = $name ]
    done
}

@test "SOURCE_DATE_EPOCH: the same digest with --no-cache, and from another store" {
    export SOURCE_DATE_EPOCH=1700000000
    e2e_busybox dated
    printf 'FROM dated\nCOPY . /ctx\nRUN mkdir /d && echo x >/d/x && ln /d/x /d/y && rm /ctx/file\nWORKDIR /w\n' >ctx/Dockerfile
    "$COOPER" build -q --no-cache ctx >a
    sleep 1.1
    touch ctx/file
    "$COOPER" build -q --no-cache ctx >b
    cmp a b
    export COOPER_ROOT=$PWD/store
    e2e_busybox dated
    "$COOPER" build -q --parallel 4 ctx >c
    cmp a c
}

@test "two builds at once on one store both succeed and agree" {
    printf 'FROM busybox\nCOPY file /f\nRUN sleep 0.2; cat /f >/g\nRUN echo x >/x\n' >ctx/Dockerfile
    for i in 1 2 3; do
        "$COOPER" build -q -t "par:$i" ctx >"out$i" 2>"err$i" &
        pids[i]=$!
    done
    for i in 1 2 3; do
        wait "${pids[i]}" || { cat "err$i"; return 1; }
    done
    for i in 1 2 3; do
        [ "$("$COOPER" run "par:$i" cat /g /x)" = $'one\nx' ]
    done
}
