# Steps of a user with one id: owners are recorded and shown back, and nothing more is given.
bats_require_minimum_version 1.5.0
load lib
load rootless
setup_file() {
    export REAL_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    rootless_begin
    rootless_single
    e2e_busybox_root "$PLACE/busybox"
    tar -C "$PLACE/busybox" --sort=name --owner=0 --group=0 --numeric-owner -cf "$PLACE/busybox.tar" .
    chmod -R a+rX "$PLACE"
    cd "$PLACE/home"
    single import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/busybox.tar" busybox
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/busybox.tar" busybox
}
teardown_file() {
    rootless_end
    e2e_end
}
setup() {
    e2e_setup
    cd "$PLACE/home"
}

# Runs a script in busybox as the user with one id; what it prints is in $output.
step() {
    run --separate-stderr single run "${@:2}" busybox sh -c "$1"
}

# Runs it as root too, whose every word is the same.
same() {
    local code=0

    step "$@"
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" run "${@:2}" busybox sh -c "$1" >root.out 2>root.err ||
        code=$?
    [ "$status" -eq "$code" ]
    diff root.out <(printf '%s\n' "$output")
    diff root.err <(printf '%s' "${stderr:+$stderr$'\n'}")
}

# The owners and modes of an image's files, by the names of its tar.
owners_of() {
    tar --numeric-owner -tvf "$1" | awk '{ $3 = $4 = $5 = ""; print }' | tr -s " " | sort
}

@test "chown is recorded by every way to a file, and stat shows it" {
    same 'cd /tmp; mkdir a b; echo x >a/f; ln -s a/f l; ln a/f h; chown 1:2 a/f; chown -h 3:4 l
        cd b; chown 5 ../a; chgrp 6 /tmp/l; stat -c "%n %u:%g" /tmp/a /tmp/a/f /tmp/h ../l
        stat -Lc %u:%g ../l; exec 3<../a/f; stat -Lc %u:%g /proc/self/fd/3; chown 8 /proc/self/fd/3
        mv ../h ../moved; stat -c %u:%g ../moved; cp -a ../a/f copy; stat -c %u:%g copy
        echo more >>../a/f; stat -c %u:%g ../a/f; chown 0:0 ../a/f; stat -c %u:%g ../moved
        chown 4294967294:65535 ../l nothing; stat -Lc %u:%g ../l; ls -ln ..'
    [[ $output == *4294967294:65535* ]]
}

@test "a chown takes setuid bits away, as the kernel's does" {
    same 'cd /tmp; echo x >f; chmod 6755 f; chown 5 f; stat -c "%a %u" f; chmod 4755 f; stat -c "%a %u" f
        mkdir d; chmod 2755 d; chown 5:6 d; stat -c "%a %u" d'
}

@test "what another user creates belongs to that user" {
    same 'cd /tmp; umask 027; echo x >f; mkdir d; ln -s x l; mkfifo p; id -u; id -g; id -G
        stat -c "%n %u:%g %a" f d p; stat -c "%n %u:%g" l; cp f d/f; stat -c %u d/f; chgrp wheel f; ls -ln' --user bob
    [[ $output == *'f 1000:1000 640'* ]]
}

@test "a directory with the set-group-ID bit passes its group on" {
    same 'cd /tmp; mkdir d; chown 0:50 d; chmod 2775 d; echo x >d/f; mkdir d/e; ln -s x d/l; stat -c "%n %u:%g %a" d d/f d/e d/l'
    [[ $output == *'d/f 0:50 644'* ]]
}

@test "who took another user's name may not write, change owners or become root" {
    same 'echo x >/etc/new; echo x >>/etc/passwd; mkdir /bin/d; ln -s x /l; chown 1000 /etc/passwd
        mknod /tmp/n c 1 3; echo $?; mkfifo /bin/p; chown 0 /tmp; ls /tmp; cp /bin/sh /tmp/sh; chown 0 /tmp/sh; chgrp 0 /tmp/sh' --user bob
    [ "$(grep -c 'ermission denied\|not permitted' <<<"$stderr")" -eq 10 ]
}

@test "su gives a process another name, its parent keeps its own" {
    same 'su bob -c "id -u; id -G; echo x >/tmp/f; sh -c \"id -u\""; id -u; stat -c %u:%g /tmp/f
        su bob -c "echo x >/tmp/1; (echo x >/tmp/2; chown 0 /tmp/1); sh -c \"mkdir /tmp/3\"" & echo y >/tmp/4; wait
        stat -c %n:%u /tmp/?; adduser -D -H carl; su carl -c "touch /tmp/c; ls -l /tmp/c" | cut -c1-30'
}

@test "devices are recorded, and give nothing" {
    same 'cd /tmp; mknod d c 1 3; mknod b b 8 0; stat -c "%F %t:%T %s" d b; [ -c d ]; echo $?
        chown 3:4 d; stat -c "%F %u:%g" d; mv d e; ln e f; ls -ln | cut -c1-50; rm e; stat -c "%F %h" f'
    # To root it is a device that cannot be opened, here it is an empty file.
    step 'cd /tmp; mknod d c 1 11; cat d; wc -c <d'
    [ "$output" = 0 ]
}

@test "owners are seen through chroot, and not beyond it" {
    same 'mkdir -p /r/bin /r/tmp; for p in sh chown stat; do cp /bin/busybox /r/bin/$p; done
        echo x >/tmp/f; echo x >/r/tmp/f; ln -s /tmp/f /r/l; ln -s ../../tmp/f /r/up
        chroot /r sh -c "cd /tmp; chown 7 /l; chown :9 ../../../tmp/f; stat -Lc %u:%g /l f /up; cd /; chown 3 up; stat -Lc %u tmp/f"
        stat -c %u:%g /tmp/f /r/tmp/f'
    [[ $output == *0:0$'\n'3:0 ]]
}

@test "no path of a step names a file of the host to the supervisor" {
    local name=outside-$$

    echo secret >"$name"
    chown "$BUILDER" "$name"
    chmod 4700 "$name"
    step "mkdir -p /x; ln -s $PLACE/home/$name /x/abs; ln -s ../../../../../../..$PLACE/home/$name /x/up
        ln -s /proc/1/root$PLACE/home/$name /x/proc; cd /x
        for f in abs up proc ../../..$PLACE/home/$name /proc/self/root$PLACE/home/$name; do
            chown 5:5 \$f; stat -Lc %u \$f; (: >\$f); (mkdir \$f/d); done
        umount / ; exec 4<..; cd /; chown 9 /proc/self/fd/4$PLACE/home/$name"
    [ -z "$output" ]
    [ "$(stat -c '%a %U' "$name")" = "4700 $BUILDER" ]
    [ "$(cat "$name")" = secret ]
    run getfattr -d "$name"
    [ -z "$output" ]
}

@test "a step that swaps its paths all the time gains nothing, and harms nobody" {
    local name=outside-race-$$

    echo secret >"$name"
    chown "$BUILDER" "$name"
    chmod 4700 "$name"
    step "mkdir -p /a$PLACE/home /b; echo x >/a$PLACE/home/$name; ln -s / /b/l
        (for i in \$(seq 2000); do ln -sfn /a /b/l; ln -sfn / /b/l; done) &
        for i in \$(seq 300); do chown 5 /b/l$PLACE/home/$name 2>/dev/null; stat -c %u /b/l$PLACE/home/$name >/dev/null 2>&1
            echo y 2>/dev/null >/b/l$PLACE/home/new\$i; done; wait; echo done"
    [ "$output" = "done" ]
    [ "$(stat -c '%a %U' "$name")" = "4700 $BUILDER" ]
    [ -z "$(find "$PLACE/home" -maxdepth 1 -name 'new*')" ]
}

@test "symlinks and devices of a base image keep their owners through layers" {
    mkdir -p ctx/d
    ln -sf nowhere ctx/d/link
    printf 'FROM busybox\nCOPY --chown=7:8 d /c\nRUN mknod /dev0 c 1 3 && chown 5:6 /dev0 && ln -s x /own && chown -h 9:9 /own\nRUN stat -c "%%n %%u:%%g %%F" /c/link /dev0 /own >/seen && mv /own /own2\n' >ctx/Dockerfile
    chown -R "$BUILDER" ctx
    single build -q -o type=tar,dest=out.tar ctx
    tar -xOf out.tar seen | diff - <(printf '%s\n' '/c/link 7:8 symbolic link' '/dev0 5:6 character special file' '/own 9:9 symbolic link')
    owners_of out.tar | grep -E ' (c/link|dev0) ?' | diff - <(printf '%s\n' 'crw-r--r-- 5/6 dev0' 'lrwxrwxrwx 7/8 c/link -> nowhere')
}

@test "apt-get install of packages that make system users: the same owners as root's" {
    local list='uuid-runtime ssl-cert dbus cron' who

    XDG_CACHE_HOME=$REAL_CACHE_HOME COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER_SOURCE_DIR/examples/bases.sh" debian:12 >/dev/null
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" save debian:12 >debian.tar
    single load -q -i debian.tar
    mkdir -p apt
    printf 'FROM debian:12\nRUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends %s && rm -rf /var/lib/apt/lists/*\nRUN stat -c "%%A %%U:%%G" /etc/ssl/private /var/lib/libuuid /usr/bin/crontab /usr/lib/dbus-1.0/dbus-daemon-launch-helper\n' "$list" >apt/Dockerfile
    chown -R "$BUILDER" apt
    single build --progress plain --network host -t apt:1 -o type=tar,dest=user.tar -o type=oci,dest=layout,tar=false -o type=image apt 2>log
    for who in 'drwx--x--- root:ssl-cert' 'drwxrwsr-x uuidd:uuidd' '-rwxr-sr-x root:crontab' '-rwsr-xr-- root:messagebus'; do
        grep -qF -- "$who" log
    done
    COOPER_ROOT=$BATS_FILE_TMPDIR/store "$COOPER" build -q --network host -o type=tar,dest=root.tar apt
    diff <(owners_of user.tar) <(owners_of root.tar)
    # As others unpack the layers.
    umoci unpack --image layout:1 "$BATS_TEST_TMPDIR/bundle" 2>/dev/null
    [ "$(stat -c '%A %u' "$BATS_TEST_TMPDIR/bundle/rootfs/var/lib/libuuid")" = 'drwxrwsr-x 100' ]
    rm -rf debian.tar layout
}

@test "nothing is left of a step: no thread, no process, no descriptor" {
    step 'chown 5 /tmp; (sleep 100 &) ; ls -l /proc/1/fd | grep -c seccomp'
    [ "$output" = 0 ]
    run ! pgrep -u "$BUILDER"
}
