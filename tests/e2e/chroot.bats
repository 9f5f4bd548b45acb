#!/usr/bin/env bats
# cooper in a chroot: on a directory, which is no mount, and on a mount. Its steps see their own
# root, and neither the chroot's nor what is around that.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    local file library

    e2e_begin
    e2e_busybox
    export CELL=$BATS_FILE_TMPDIR/cell
    mkdir -p "$CELL"/{proc,sys,dev,store,ctx}
    cp -r "$BATS_FILE_TMPDIR/busybox/." "$CELL"
    for file in cooper libcooper-http.so libcooper-archive.so; do
        cp "$(dirname "$COOPER")/$file" "$CELL/bin/"
        for library in $(ldd "$(dirname "$COOPER")/$file" | grep -o '/[^ ]*'); do
            mkdir -p "$CELL$(dirname "$library")"
            cp -Ln "$library" "$CELL$library"
        done
    done
    "$COOPER" save -o "$CELL/busybox.tar" busybox
    # chroot(2): a privileged process leaves a root by a directory that is not beneath it.
    cat >"$BATS_FILE_TMPDIR/leave.c" <<'END'
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || mkdir("/inner", 0755) < 0 || chroot("/inner") < 0)
        return 1;
    for (int i = 0; i < 100; i++)
        if (chdir("..") < 0)
            return 2;
    if (chroot(".") < 0)
        return 3;
    puts(access(argv[1], F_OK) == 0 ? "outside" : "inside");
    return 0;
}
END
    gcc -static -o "$CELL/ctx/leave" "$BATS_FILE_TMPDIR/leave.c"
    cat >"$CELL/ctx/Dockerfile" <<END
FROM busybox
COPY leave /bin/leave
RUN leave $CELL >/host; rmdir /inner; leave /busybox.tar >/cell; touch /seen; ls / | tr '\n' ' ' >/seen
RUN --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/t ls /ctx >/bound
END
}

teardown_file() { e2e_end; }
setup() { e2e_setup; }

# within MOUNTS SCRIPT: in the chroot, once these mounts were made in a namespace of this test's.
within() {
    run --separate-stderr unshare --mount sh -c "
        mount --make-rprivate / && cd '$CELL' && $1 &&
        exec chroot '$CELL' env -i PATH=/bin HOME=/ COOPER_ROOT=/store sh -c '$2'"
    echo "$stderr"
}

kernel="mount -t proc proc proc && mount -t sysfs sysfs sys && mount --bind /dev dev"
build="cooper load -q -i /busybox.tar >/dev/null && cooper build --no-cache --network host -o /out /ctx 2>&1"

# What the steps above left.
check() {
    [ "$status" -eq 0 ]
    [ "$(cat "$CELL/out/host")" = inside ]
    [ "$(cat "$CELL/out/cell")" = inside ]
    [ "$(cat "$CELL/out/seen")" = "bin cell dev etc host inner proc root seen sys tmp usr var " ]
    [ "$(sort "$CELL/out/bound" | xargs)" = "Dockerfile leave" ]
    rm -r "$CELL/out"
}

@test "in a chroot that is no mount, steps run and cannot leave" {
    within "$kernel" "$build"
    check
}

@test "in a chroot on a mount, steps run and cannot leave" {
    within "mount --bind . . && cd '$CELL' && $kernel" "$build"
    check
}

@test "in a chroot on a mount that is shared, steps run, and nothing stays mounted" {
    within "mount --bind . . && cd '$CELL' && mount --make-shared . && $kernel" "$build && wc -l </proc/self/mounts"
    check
    local before=$output
    within "mount --bind . . && cd '$CELL' && mount --make-shared . && $kernel" "wc -l </proc/self/mounts"
    [ "$output" = "${before##*$'\n'}" ]
}

@test "a chroot without /dev or /proc is told what it lacks" {
    within true "cooper run busybox true 2>&1"
    [ "$status" -ne 0 ]
    [[ $output == *"the sandbox needs /dev and /proc"*"mount --bind /dev DIR/dev"*/dev/null* ]]
    within "mount --bind /dev dev" "cooper run busybox true 2>&1"
    [ "$status" -ne 0 ]
    [[ $output == *"the sandbox needs /dev and /proc"*"/proc/self/fd: No such file"* ]]
}
