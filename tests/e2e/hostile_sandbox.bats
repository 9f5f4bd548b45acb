# Steps that try to leave the sandbox: as root's, with subordinate ids, and with one id.
bats_require_minimum_version 1.5.0
load lib
load rootless
setup_file() {
    local program

    e2e_begin
    rootless_begin
    e2e_busybox_root "$PLACE/tools"
    for program in capsh setcap curl strace; do
        rm -f "$PLACE/tools/bin/$program"
        e2e_install "$PLACE/tools" "$program"
    done
    tar -C "$PLACE/tools" --sort=name --owner=0 --group=0 --numeric-owner -cf "$PLACE/tools.tar" .
    rm -rf "$PLACE/tools"
    chmod -R a+rX "$PLACE"
    cd "$PLACE/home"
    "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/tools.tar" tools >/dev/null
    in_grade subids import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/tools.tar" tools
    in_grade single import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/tools.tar" tools
}
teardown_file() {
    rootless_end
    e2e_end
}
setup() {
    e2e_setup
    cd "$PLACE/home"
}

in_grade() { # GRADE ARGUMENT...
    if [ "$1" = root ]; then
        "$COOPER" --isolation root "${@:2}"
    else
        as_user COOPER_ROOT="$PLACE/home/$1" "$PLACE/bin/cooper" --isolation "$1" "${@:2}"
    fi
}

# Runs a script as a step in every grade: what it prints is the same in all.
every() { # SCRIPT EXPECTED RUN-OPTIONS...
    local grade

    for grade in ${GRADES:-root subids single}; do
        in_grade "$grade" run "${@:3}" tools sh -c "$1" >"said.$grade" 2>&1 || true
        echo "--- $grade"
        diff "said.$grade" <(printf '%s\n' "$2")
    done
}

@test "a setuid program and one with file capabilities give no capability that the step has not" {
    every 'cp /bin/capsh /tmp/s; chmod 4755 /tmp/s; chown bob /tmp/. 2>/dev/null; su bob -c "/tmp/s --has-b=cap_sys_admin" 2>/dev/null && echo bounding
        su bob -c "/tmp/s --has-p=cap_sys_admin" 2>/dev/null && echo permitted
        cp /bin/capsh /tmp/c; setcap cap_sys_admin+ep /tmp/c 2>/dev/null; /tmp/c --has-p=cap_sys_admin 2>/dev/null && echo file
        cp /bin/capsh /tmp/p; setcap cap_sys_module+p /tmp/p 2>/dev/null; /tmp/p --has-p=cap_sys_module 2>/dev/null && echo file2
        echo end' end
}

@test "no user namespace, and through none a mount" {
    every 'for n in -U "-U -m" -m -p -n -i -u -C; do unshare $n true 2>/dev/null && echo "made $n"; done
        mount -t tmpfs none /tmp 2>/dev/null && echo mounted; umount /proc 2>/dev/null && echo unmounted
        mount -o remount,rw /proc/sys 2>/dev/null && echo remounted; mount --bind / /tmp 2>/dev/null && echo bound; echo end' end
}

@test "chroot leads nowhere out: not by .. of a directory that was open, not by /proc" {
    every 'mkdir -p /jail/bin; cp /bin/busybox /jail/bin/sh; cp /bin/busybox /jail/bin/ls; exec 5</
        for up in "/proc/self/fd/5" "/proc/1/root" "../../../../../../../.."; do
            ls -d $up'"$PLACE"' 2>/dev/null && echo "seen by $up"; done
        chroot /jail sh -c "cd ../../..; ls"; echo end' $'bin\nend'
}

@test "no process of the host can be traced, signalled or looked into" {
    # The step's own have the first numbers.
    [ "$$" -gt 100 ]
    every 'kill -0 '$$' 2>/dev/null && echo signalled; ls /proc/'$$' 2>/dev/null
        strace -qq -p '$$' 2>/dev/null && echo traced; cat /proc/'$$'/environ 2>/dev/null; echo end' end
}

@test "a process of another user of the step cannot be traced by it, and its own can" {
    # With one id the users of a step are one to the kernel.
    local GRADES='root subids'
    every 'sleep 20 & su bob -c "strace -qq -p $! 2>/dev/null" && echo traced; strace -qq -o /dev/null true && echo own
        kill $!; echo end' $'own\nend'
}

@test "no abstract socket of the host, no port of its loopback address, unless it is asked for" {
    local name=cooper-abstract-$$ try

    cat >serve.py <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + sys.argv[1])
s.listen(16)
open(sys.argv[2], "w").close()
while True:
    c, _ = s.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nreached\n")
    c.close()
END
    timeout 300 python3 serve.py "$name" "$BATS_TEST_TMPDIR/ready" 3>&- 4>&- &
    local server=$!
    for ((try = 0; try < 300; try++)); do
        [ ! -e "$BATS_TEST_TMPDIR/ready" ] || break
        sleep 0.1
    done
    every "curl -s --max-time 20 --abstract-unix-socket $name http://x/ || echo refused" refused --network none
    every "curl -s --max-time 20 --abstract-unix-socket $name http://x/ || echo refused" reached --network host
    kill "$server"
}

@test "--network none: only loopback, and it is up" {
    every 'ip -o link | sed "s/<.*//"; ip -o link | grep -c "LOOPBACK,UP"; ping -c 1 -W 5 127.0.0.1 >/dev/null 2>&1 && echo up' $'1: lo: \n1\nup' --network none
}

@test "a step cannot change what bounds it: control groups, kernel settings, its own filter" {
    every 'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /proc/sys/vm/overcommit_memory \
            /sys/kernel/uevent_helper /sys/fs/cgroup/release_agent /sys/fs/cgroup/cgroup.procs /proc/1/oom_adj; do
            case $f in /proc/1/*) continue ;; esac
            (echo x >$f) 2>/dev/null && echo "written $f"; done
        mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; grep -E "^(Seccomp):" /proc/self/status; echo end' $'Seccomp:\t2\nend'
}

@test "nothing of the environment, the directory or the terminal of who starts cooper" {
    local grade

    for grade in root subids single; do
        HIDDEN=hidden-word in_grade "$grade" run tools sh -c 'env; tr "\0" "\n" </proc/1/environ; pwd; tty; ls /proc/self/fd' >said 2>&1 || true
        run ! grep -E "hidden-word|$PLACE|$BATS_TEST_TMPDIR" said
        grep -q 'not a tty' said
    done
}

@test "nothing is left of a step whose cooper was killed: no process, mount or control group" {
    local grade try before marker

    before=$(wc -l </proc/self/mountinfo)
    for grade in root subids single; do
        marker=$((200000 + RANDOM))
        in_grade "$grade" run tools sh -c "setsid sleep $marker & sleep $marker" 3>&- 4>&- >/dev/null 2>&1 &
        for ((try = 0; try < 300; try++)); do
            [ "$(pgrep -c -x -f "sleep $marker")" -lt 2 ] || break
            sleep 0.1
        done
        [ "$(pgrep -c -x -f "sleep $marker")" -eq 2 ]
        pkill -KILL -x -f "[^ ]*cooper .*sleep $marker.*"
        for ((try = 0; try < 300; try++)); do
            pgrep -x -f "sleep $marker" >/dev/null || break
            sleep 0.1
        done
        run ! pgrep -x -f "sleep $marker"
    done
    [ "$(wc -l </proc/self/mountinfo)" -eq "$before" ]
}
