# Where others need a privileged daemon: in a container of rootless podman, and in a shell that may
# make no namespace. What --isolation asks for, and what cooper doctor says.
bats_require_minimum_version 1.5.0
load lib
load rootless
# cooper in a shell without capabilities, in which no namespace and no mount can be made.
restricted() {
    as_user COOPER_ROOT="$PLACE/home/restricted" setpriv --inh-caps=-all --no-new-privs \
        "$PLACE/bin/runtime_default.py" "$PLACE/bin/cooper" "$@"
}

# A shell in a container of rootless podman: what this machine's podman gives without asking.
contained() { # PODMAN-OPTIONS... SCRIPT
    as_user XDG_RUNTIME_DIR="$PLACE/home/run" podman --runtime runc --cgroup-manager=cgroupfs run --rm \
        --network=host --ulimit host "${@:1:$#-1}" --rootfs "$PLACE/home/root" sh -c "${@: -1}"
}

# The root file system of that container: cooper and what it needs.
container_root() {
    local file

    [ ! -d root ] || return 0
    cp -r "$PLACE/busybox" root
    mkdir root/{proc,sys,dev,run,store}
    for file in cooper $(cd "$PLACE/bin" && ls ./libcooper-*.so); do
        cp "$PLACE/bin/$file" root/bin/
        ldd "$PLACE/bin/$file" | grep -o '/[^ ]*' >>libraries
    done
    sort -u libraries | while read -r file; do
        mkdir -p "root$(dirname "$file")"
        cp -Ln "$file" "root$file"
    done
    cp "$PLACE/busybox.tar" root/
    cp -r "$PLACE/ctx" "$PLACE/copied" root/
    mkdir -p run
    chown -R "$BUILDER" root run
}

setup_file() {
    e2e_begin
    rootless_begin
    export SOURCE_DATE_EPOCH=1700000000
    e2e_busybox_root "$PLACE/busybox"
    tar -C "$PLACE/busybox" --sort=name --owner=0 --group=0 --numeric-owner -cf "$PLACE/busybox.tar" .
    cp "$COOPER_SOURCE_DIR/tests/e2e/runtime_default.py" "$PLACE/bin/"
    mkdir "$PLACE/ctx" "$PLACE/copied"
    echo content >"$PLACE/ctx/file"
    cat >"$PLACE/ctx/Dockerfile" <<'END'
FROM busybox
COPY --chown=bob:wheel file /file
RUN umask 027 && mkdir -p /d/e && echo x >/d/x && ln -s x /d/link && mkfifo /d/pipe
RUN chown -R 1000:10 /d && ln /d/x /d/y && chown 65534:65534 /d/y && chmod 6755 /d/x && rm -r /var && mkdir /var
RUN --mount=type=cache,target=/c,uid=1000 --mount=type=secret,id=s,required=false stat -c '%n %u:%g %a %F' /c /d /d/* / /tmp >/owners
USER bob
WORKDIR /w/x
RUN id -u >/tmp/id; id -G >>/tmp/id; touch mine; (umask 077; mkdir d)
END
    printf 'FROM busybox\nCOPY --chown=5:6 --chmod=600 ctx/file /f\nWORKDIR /w\nCMD ["sh"]\n' >"$PLACE/copied/Dockerfile"
    # What root's build of it is. The way to the archive is part of an image's history.
    cd "$PLACE"
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' busybox.tar busybox >/dev/null
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" build -q -o type=image -o "type=tar,dest=$PLACE/root.tar" "$PLACE/ctx" >"$PLACE/root.id"
    chmod -R a+rX "$PLACE"
    cp busybox.tar home/
    cd home
    restricted import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' busybox.tar busybox
}
teardown_file() {
    # podman leaves a process that holds its namespaces.
    as_user XDG_RUNTIME_DIR="$PLACE/home/run" podman system migrate
    rootless_end
    e2e_end
}
setup() {
    e2e_setup
    cd "$PLACE/home"
}

@test "in a container of rootless podman: the image that root makes" {
    container_root
    contained 'export COOPER_ROOT=/store SOURCE_DATE_EPOCH=1700000000
        cooper import -c "CMD [\"/bin/sh\"]" -c "ENV PATH=/bin" busybox.tar busybox
        cooper build --progress plain --iidfile /id -o type=image -o type=tar,dest=/out.tar /ctx; cooper doctor' >out 2>log
    diff <(tar --numeric-owner -tvf root/out.tar) <(tar --numeric-owner -tvf "$PLACE/root.tar")
    [ "$(cat root/id)" = "$(cat "$PLACE/root.id")" ]
    grep -q 'isolation of the steps: subordinate ids' log
    grep -q 'processes of the steps: not bounded' log
    grep -q '^isolation *subids' out
}

@test "in a container with parts of /proc covered, steps see the same parts" {
    container_root
    contained 'export COOPER_ROOT=/store
        cooper run busybox sh -c "wc -c </proc/timer_list; readlink /proc/self/exe; (echo x >/proc/sys/kernel/domainname) 2>/dev/null || echo refused; cat /proc/1/environ /proc/1/root/id /proc/[0-9]*/environ" 2>/dev/null' | tr -d "\\0" >out || true
    [[ $(cat out) == $'0\n/bin/busybox\nrefused\nHOSTNAME='* ]]
    # Of all processes it may look into its own only.
    [ "$(grep -o PATH= out | wc -l)" -eq 1 ]
}

@test "in a container without any capability: images without RUN, and a word why" {
    container_root
    contained --cap-drop all 'export COOPER_ROOT=/store2 SOURCE_DATE_EPOCH=1700000000
        cooper import -c "CMD [\"/bin/sh\"]" -c "ENV PATH=/bin" busybox.tar busybox
        cooper build --progress plain -o type=tar,dest=/out.tar -f /copied/Dockerfile /; cooper build --progress plain /ctx; echo $?; cooper doctor; echo $?' >out 2>log
    tar -tvf root/out.tar --numeric-owner | grep -q -- '-rw------- 5/6 .* f$'
    [ "$(sed -n 2p out)" = 1 ]
    [ "$(tail -n 1 out)" = 1 ]
    grep -q 'RUN needs a sandbox' log
    grep -q '^isolation *none' out
    grep -q 'better: .*CAP_SETFCAP' out
}

@test "where no namespace can be made: images without RUN are built, by any user" {
    run --separate-stderr restricted build --progress plain -f "$PLACE/copied/Dockerfile" -o type=tar,dest=out.tar "$PLACE"
    [ "$status" -eq 0 ]
    tar -tvf out.tar --numeric-owner | grep -q -- '-rw------- 5/6 .* f$'
    # Steps do not run by themselves.
    run --separate-stderr restricted build "$PLACE/ctx"
    [ "$status" -eq 1 ]
    [[ $stderr == *'--isolation none'* ]]
    [[ $stderr != *'RUN umask'*'DONE'* ]]
    # What is asked for by name is an error that tells why.
    for grade in root subids single; do
        run --separate-stderr restricted --isolation "$grade" build "$PLACE/copied"
        [ "$status" -eq 1 ]
        [[ $stderr == *"--isolation $grade"* ]]
    done
}

@test "--isolation none, typed out: RUN too, with the owners that root's build has" {
    restricted build --isolation none --progress plain "$PLACE/ctx" -o type=tar,dest=out.tar 2>log || { cat log; false; }
    grep -q 'isolation of the steps: NONE' log
    diff <(tar --numeric-owner -tvf out.tar) <(tar --numeric-owner -tvf "$PLACE/root.tar")
    diff <(tar -xOf out.tar owners tmp/id) <(tar -xOf "$PLACE/root.tar" owners tmp/id)
}

@test "--isolation none: mounts, secrets, failures and the end of what is left running" {
    mkdir -p ctx
    echo content >ctx/given
    echo word >word
    chmod a+r word
    printf '%s\n' 'FROM busybox AS other' 'RUN echo other >/o' 'FROM busybox' \
        'RUN --mount=type=bind,target=/src --mount=type=bind,from=other,source=/o,target=/o --mount=type=secret,id=w --mount=type=tmpfs,target=/t cat /src/given /o /run/secrets/w && touch /t/x && ! ls -d /var/tmp/../../home 2>/dev/null' \
        'RUN [ ! -e /run/secrets ] && [ ! -e /src ] && (sleep 4321 &) ; (sleep 0.1; exit 3) & exit 0' 'RUN exit 7' >ctx/Dockerfile
    run --separate-stderr restricted build --isolation none --progress plain --secret id=w,src=word ctx
    [ "$status" -eq 1 ]
    echo "$stderr"
    [[ $stderr == *content*other*'exit code: 7'* ]]
    run ! pgrep -u "$BUILDER" sleep
    [ -z "$(find /dev/shm /tmp -maxdepth 1 -user "$BUILDER" -name "cooper-step.*")" ]
    # What cannot be had is said.
    run --separate-stderr restricted build --isolation none --network none ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'--network none cannot be had with --isolation none'* ]]
}

@test "--isolation none: what a step may only read it cannot change by accident, and no variable is the tracer's" {
    mkdir -p only/d
    echo content >only/file
    cat >only/Dockerfile <<'END'
FROM busybox
RUN --mount=type=bind,target=/src --mount=type=bind,source=file,target=/one cd /src; \
    for c in "rm -f file" "rm -rf d" "mv file other" "mv /bin/cat file" "touch file" "touch new" "mkdir new" "chmod 700 file" \
        "ln -s x new" "ln /bin/cat new" "truncate -s 0 file" "chown 5 file" "rmdir d" "mkfifo new" "cp /bin/cat d" "dd if=/bin/cat of=/one"; do \
        $c 2>/dev/null && echo "$c" >>/changed; done; cat file /one >/read; env >/env; cp file /copy && echo more >>/copy
END
    find only -exec ls -ldn {} + >before
    restricted build --isolation none -q only -o type=tar,dest=out.tar
    diff before <(find only -exec ls -ldn {} +)
    [ "$(tar -xOf out.tar copy read | xargs)" = 'content more content content' ]
    run ! tar -tf out.tar changed
    [ "$(tar -xOf out.tar env | sed 's/=.*//' | sort | xargs)" = 'HOME OLDPWD PATH PWD SHLVL' ]
}

@test "--isolation none: nothing of a step outlives a killed cooper" {
    printf 'FROM busybox\nRUN touch /dev/shm/begun-%s; sleep 4321 & sleep 4321\n' "$$" >Dockerfile
    restricted build --isolation none -f Dockerfile . 3>&- 4>&- >/dev/null 2>&1 &
    local shell=$! try
    for ((try = 0; try < 300; try++)); do
        [ ! -e "/dev/shm/begun-$$" ] || break
        sleep 0.1
    done
    rm "/dev/shm/begun-$$"
    pkill -KILL -u "$BUILDER" -x cooper
    wait "$shell" || true
    for ((try = 0; try < 300; try++)); do
        pgrep -u "$BUILDER" 'sleep|cooper|proot' >/dev/null || break
        sleep 0.1
    done
    run ! pgrep -u "$BUILDER" -l 'sleep|cooper|proot'
    # Nor a file that it had in memory, once the next one ran.
    restricted run --isolation none busybox true
    [ -z "$(find /dev/shm /tmp -maxdepth 1 -user "$BUILDER" -name "cooper-step.*")" ]
}

@test "what --isolation asks for is had, or refused with the reason" {
    as_user "$PLACE/bin/cooper" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' busybox.tar busybox
    [ "$(as_user "$PLACE/bin/cooper" run --isolation subids busybox cat /proc/self/uid_map | wc -l)" -eq 2 ]
    [ "$(as_user "$PLACE/bin/cooper" --isolation auto run busybox cat /proc/self/uid_map | wc -l)" -eq 2 ]
    [ "$(as_user "$PLACE/bin/cooper" run --isolation single busybox cat /proc/self/uid_map | wc -l)" -eq 1 ]
    run --separate-stderr as_user "$PLACE/bin/cooper" run --isolation root busybox true
    [ "$status" -eq 1 ]
    [[ $stderr == *"--isolation root: this process is not root"* ]]
    cooper --isolation single run busybox true
    [ "$status" -eq 1 ]
    [[ $stderr == *"run cooper as an ordinary user"* ]]
    cooper build --isolation vm .
    [ "$status" -eq 2 ]
    [[ $stderr == *"auto, root, subids, single or none"* ]]
}

@test "cooper doctor names the grade, and the one change that gives a better one" {
    cooper doctor
    [ "$status" -eq 0 ]
    [[ $output == *isolation*root*better:*'ordinary user'* ]]
    run --separate-stderr as_user "$PLACE/bin/cooper" doctor --format json
    [ "$status" -eq 0 ]
    [ "$(jq -r .Isolation.State <<<"$output")" = subids ]
    [ "$(jq -r .Isolation.Better <<<"$output")" = null ]
    run --separate-stderr restricted doctor
    [ "$status" -eq 1 ]
    [[ $output == *isolation*none*better:*'allow unshare'* ]]
    rootless_single
    run --separate-stderr single doctor
    [ "$status" -eq 0 ]
    [[ $output == *isolation*single*better:*usermod* ]]
}
