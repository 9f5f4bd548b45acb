#!/usr/bin/env bats
# In a container of docker's without any privilege, as GitLab's docker executor runs its jobs: its
# default profile forbids namespaces and mounts, to root too.

bats_require_minimum_version 1.5.0
load lib
load peers

setup_file() {
    local file library

    e2e_begin
    e2e_busybox
    export SOURCE_DATE_EPOCH=1700000000
    cd "$BATS_FILE_TMPDIR"
    mkdir -p ctx job/root/{proc,sys,dev,tmp,store}
    echo content >ctx/file
    printf '%s\n' 'FROM busybox' 'COPY --chown=5:6 --chmod=600 file /file' 'WORKDIR /w' >ctx/copied
    cat >ctx/Dockerfile <<'END'
FROM busybox
COPY --chown=bob:wheel file /file
RUN mkdir -p /d/e && echo x >/d/x && ln -s x /d/link && chown -R 1000:10 /d && chmod 6755 /d/x
RUN --mount=type=secret,id=s --mount=type=cache,target=/c stat -c '%n %u:%g %a %F' /d /d/* >/owners && cat /run/secrets/s | wc -c >/size
USER bob
RUN id -u >/tmp/id; id -G >>/tmp/id; touch /tmp/mine
END
    printf secret >ctx/secret
    # The job's image: cooper, proot and what they need.
    cp -r busybox/. job/root
    e2e_install job/root proot
    for file in cooper libcooper-http.so libcooper-archive.so; do
        cp "$(dirname "$COOPER")/$file" job/root/bin/
        for library in $(ldd "$(dirname "$COOPER")/$file" | grep -o '/[^ ]*'); do
            mkdir -p "job/root$(dirname "$library")"
            cp -Ln "$library" "job/root$library"
        done
    done
    chmod 1777 job/root/tmp job/root/store
    "$COOPER" save -o job/root/busybox.tar busybox
    printf '%s\n' 'FROM scratch' 'COPY root /' 'ENV PATH=/bin HOME=/store/home COOPER_ROOT=/store/cooper' >job/Dockerfile
    peer_docker_start
    export DOCKER_HOST=unix://$DOCKER_DIR/sock
    "$COOPER" build -q --load -t job:1 job
    # What root makes of it.
    "$COOPER" build -q --iidfile root.id --secret id=s,src=ctx/secret ctx
    "$COOPER" build -q --iidfile copied.id -f ctx/copied ctx
}

teardown_file() {
    peer_docker_end
    e2e_end
}

setup() { e2e_setup; }

# job USER SCRIPT: in a new container, with the contexts in /ctx.
job() {
    run --separate-stderr docker run --rm --network host --user "$1" -e SOURCE_DATE_EPOCH \
        -e ASAN_OPTIONS=detect_leaks=0 -v "$BATS_FILE_TMPDIR/ctx:/ctx:ro" job:1 \
        sh -c "cooper load -q -i /busybox.tar >/dev/null 2>&1; $2"
    echo "$stderr"
}

@test "images without RUN are what root makes them, by root of the container and by others" {
    local user

    for user in 0:0 1000:1000; do
        job "$user" 'cooper build -q -f /ctx/copied /ctx'
        [ "$status" -eq 0 ]
        [ "$output" = "$(cat "$BATS_FILE_TMPDIR/copied.id")" ]
    done
}

@test "RUN is refused, with the reason and the two ways out" {
    local user

    for user in 0:0 1000:1000; do
        job "$user" 'cooper build --progress plain --secret id=s,src=/ctx/secret /ctx'
        [ "$status" -eq 1 ]
        [[ $stderr == *"create a user namespace: not permitted"*"allow unshare in its seccomp profile"* ]]
        [[ $stderr == *"RUN needs a sandbox"*"--isolation none runs steps without one"* ]]
        job "$user" 'cooper doctor'
        [ "$status" -eq 1 ]
        [[ $output == *isolation*none*"allow unshare"*"can be asked for: proot is installed"* ]]
    done
}

@test "--isolation none, typed out, gives root's image, by root of the container and by others" {
    local user

    for user in 0:0 1000:1000; do
        job "$user" 'cooper build --isolation none --progress plain --iidfile /tmp/id --secret id=s,src=/ctx/secret /ctx && cat /tmp/id'
        [ "$status" -eq 0 ]
        [[ $stderr == *"isolation of the steps: NONE"* ]]
        [ "$output" = "$(cat "$BATS_FILE_TMPDIR/root.id")" ]
    done
}

@test "with the namespaces that a profile allows, steps are shut in" {
    # As GitLab's runner has it in `security_opt`.
    run --separate-stderr docker run --rm --network host --security-opt seccomp=unconfined \
        --security-opt apparmor=unconfined -e SOURCE_DATE_EPOCH -e ASAN_OPTIONS=detect_leaks=0 \
        -v "$BATS_FILE_TMPDIR/ctx:/ctx:ro" -v "$BATS_FILE_TMPDIR/volume:/store" job:1 \
        sh -c 'cooper load -q -i /busybox.tar >/dev/null 2>&1; cooper build --progress plain --iidfile /tmp/id --secret id=s,src=/ctx/secret /ctx && cat /tmp/id'
    echo "$stderr"
    [ "$status" -eq 0 ]
    [[ $stderr == *"isolation of the steps: subordinate ids"* ]]
    [ "$output" = "$(cat "$BATS_FILE_TMPDIR/root.id")" ]
}
