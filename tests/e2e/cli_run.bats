# run: an image in the sandbox.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

@test "the command's output and exit status are passed on" {
    cooper run busybox echo hello world
    [ "$status" -eq 0 ]
    [ "$output" = "hello world" ]
    [ -z "$stderr" ]
    cooper run busybox sh -c 'echo out; echo err >&2; exit 42'
    [ "$status" -eq 42 ]
    [ "$output" = out ]
    [ "$stderr" = err ]
    cooper run busybox sh -c 'kill -KILL $$ || true; (sh -c "kill -TERM \$\$"); exit $?'
    [ "$status" -eq 143 ]
}

@test "a command that is not there is 127, one that cannot be executed 126" {
    run -127 --separate-stderr "$COOPER" run busybox nothere
    [[ $stderr == *nothere* ]]
    cooper run busybox /etc/passwd
    [ "$status" -eq 126 ]
}

@test "Cmd, Entrypoint, Env, User and WorkingDir apply, and flags go before them" {
    "$COOPER" import -c 'ENTRYPOINT ["/bin/sh", "-c", "echo $0 $A $(id -un) $(pwd)"]' \
        -c 'CMD ["cmd"]' -c 'ENV A=image' -c 'USER bob' -c 'WORKDIR /tmp' \
        "$BATS_FILE_TMPDIR/busybox" configured >/dev/null
    cooper run configured
    [ "$output" = "cmd image bob /tmp" ]
    cooper run -e A=flag -u root -w /etc configured argument
    [ "$output" = "argument flag root /etc" ]
    cooper run --entrypoint /bin/echo configured only
    [ "$output" = only ]
}

@test "users are resolved in the image" {
    cooper run -u bob busybox id
    [ "$output" = "uid=1000(bob) gid=1000(bob) groups=10(wheel),1000(bob)" ]
    cooper run -u 7:8 busybox id
    [[ $output == "uid=7 gid=8"* ]]
    cooper run -u nobodyknows busybox id
    [ "$status" -ne 0 ]
    [[ $stderr == *nobodyknows* ]]
}

@test "variables come from flags, files and the environment, and from nowhere else" {
    printf '# comment\nFILE=from file\nINHERITED\n' >env
    INHERITED=yes LEAK=no cooper run --env-file env -e GIVEN=1 busybox env
    [[ $output == *"FILE=from file"* ]]
    [[ $output == *"INHERITED=yes"* ]]
    [[ $output == *"GIVEN=1"* ]]
    [[ $output == *"HOME=/root"* ]]
    [[ $output != *LEAK* ]]
}

@test "standard input is attached with -i only" {
    run --separate-stderr bash -c 'echo data | "$COOPER" run -i busybox cat'
    [ "$output" = data ]
    run --separate-stderr bash -c 'echo data | "$COOPER" run busybox cat'
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

@test "changes are thrown away" {
    cooper run --rm busybox sh -c 'echo x >/left; cat /left'
    [ "$output" = x ]
    cooper run busybox ls /left
    [ "$status" -ne 0 ]
}

@test "volumes, tmpfs and a read-only root" {
    mkdir data
    echo content >data/file
    cooper run -v "$PWD/data:/data:ro" busybox sh -c 'cat /data/file; echo x >/data/new'
    [ "$status" -ne 0 ]
    [[ $output == content ]]
    [ ! -e data/new ]
    cooper run -v "$PWD/data:/data" busybox sh -c 'echo x >/data/new'
    [ "$status" -eq 0 ]
    [ "$(cat data/new)" = x ]
    cooper run --read-only --tmpfs /tmp:size=1m busybox sh -c 'echo x >/tmp/f && ! echo x >/f'
    [ "$status" -eq 0 ]
    cooper run -v "$PWD/nothere:/x" busybox true
    [ "$status" -eq 1 ]
    [[ $stderr == *nothere* ]]
}

@test "no network with --network none; the host name is as asked" {
    cooper run --network none busybox ip -o link
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *": lo:"* ]]
    cooper run -h myname busybox hostname
    [ "$output" = myname ]
}

@test "with -t the command has a terminal of the right size" {
    run script -qec "stty cols 91 rows 17; \"$COOPER\" run -it busybox sh -c 'tty; stty size; exit 5'" /dev/null
    [ "$status" -eq 5 ]
    [[ $output == *"/dev/pts/"* ]]
    [[ $output == *"17 91"* ]]
}

@test "what follows the image belongs to the command" {
    cooper run busybox echo --rm -t
    [ "$output" = "--rm -t" ]
}

@test "SIGTERM ends the command and nothing is left running" {
    local seconds=4711$$

    "$COOPER" run busybox sleep "$seconds" &
    local pid=$!
    for _ in $(seq 100); do
        pgrep -f "^sleep $seconds\$" >/dev/null && break
        sleep 0.1
    done
    pgrep -f "^sleep $seconds\$"
    kill -TERM "$pid"
    local status=0
    wait "$pid" || status=$?
    [ "$status" -ne 0 ]
    run ! pgrep -f "^sleep $seconds\$"
}
