# Base images whose configs and user files were made by an attacker: builds on them end in a clear
# error or in an image, soon, and without the host's files.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox_root "$BATS_FILE_TMPDIR/root"
    cd "$BATS_FILE_TMPDIR"
    tar -C root --sort=name --owner=0 --group=0 --numeric-owner -cf root.tar .
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    TAR=$BATS_FILE_TMPDIR/root.tar
}

# on CONFIG LINE...: a build of these lines on an image with that config.
on() {
    rm -rf base
    python3 "$BATS_TEST_DIRNAME/hostile_image.py" base "$TAR" - <<<"$1"
    printf '%s\n' 'FROM base' "${@:2}" >ctx/Dockerfile
    run --separate-stderr timeout 300 "$COOPER" build --progress plain --build-context "base=oci-layout://$PWD/base" -o out ctx
    echo "$status: $stderr" | tail -n 30
    [ "$status" -ne 124 ]
}

# The last build failed, with one error line that holds no control character.
refused() {
    [ "$status" -eq 1 ]
    [ "$(grep -c '^cooper: error: ' <<<"$stderr")" -eq 1 ]
    run ! grep -q '[[:cntrl:]]' <<<"${stderr//$'\t'/}"
}

# An image whose root has the output of this script, which is run in the root.
root_with() {
    rm -rf root
    cp -r "$BATS_FILE_TMPDIR/root" root
    (cd root && eval "$1")
    tar -C root --sparse --owner=0 --group=0 --numeric-owner -cf root.tar .
    TAR=$PWD/root.tar
}

@test "a user whose name is made of control characters, is a number out of range, or a path" {
    local user

    for user in '\u001b]0;title\u0007' 'bob\nroot' '-1' '4294967296' '99999999999999999999' '../../etc/passwd' 'bob:\u001b[2J'; do
        on "{\"User\":\"$user\",\"Env\":[\"PATH=/bin\"]}" 'RUN id -u >/id'
        refused
    done
}

@test "a working directory with dots, through symlinks, over a file, of 5000 bytes" {
    root_with "ln -s /../../../../../../$BATS_TEST_TMPDIR/reached out; ln -s out out2; touch file; mkdir $BATS_TEST_TMPDIR/reached"
    on '{"WorkingDir":"/../../../x/../y/./z","Env":["PATH=/bin"]}' 'RUN pwd >/pwd'
    [ "$(cat out/pwd)" = /y/z ]
    on '{"WorkingDir":"/out2/made","Env":["PATH=/bin"]}' 'RUN pwd >/pwd; touch here' 'WORKDIR deeper' 'COPY Dockerfile .'
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/reached")" ]
    on '{"WorkingDir":"/file/x","Env":["PATH=/bin"]}' 'RUN pwd >/pwd'
    refused
    on "{\"WorkingDir\":\"/$(printf 'a%.0s' {1..5000})\",\"Env\":[\"PATH=/bin\"]}" 'RUN pwd'
    refused
    on '{"WorkingDir":"/\u001b[2J","Env":["PATH=/bin"]}' 'RUN false'
    refused
}

@test "an environment of megabytes, or of what is no variable" {
    local big

    big=$(head -c 3000000 /dev/zero | tr '\0' x)
    on "{\"Env\":[\"PATH=/bin\",\"BIG=$big\"]}" 'RUN true'
    refused
    on "{\"Env\":[\"PATH=/bin\"$(for i in {1..3000}; do printf ',"V%s=x"' "$i"; done)]}" 'RUN env | wc -l >/n'
    [ "$status" -eq 0 ] || refused
    on '{"Env":["PATH=/bin","","=","=x","NAME","A\u001b=b","LD_PRELOAD=/x",7,null,{}]}' 'RUN env >/env'
    [ "$status" -eq 0 ] || refused
}

@test "user files that are pipes, devices, directories, links to the host, or endless" {
    local file script

    for script in 'rm etc/passwd; mkfifo etc/passwd' 'rm etc/passwd; mknod etc/passwd c 1 5' \
        'rm etc/passwd; mkdir etc/passwd' 'rm etc/passwd; ln -s /dev/zero etc/passwd' \
        'rm etc/passwd; ln -s ../../../../../../../proc/self/environ etc/passwd' \
        'rm etc/passwd; ln -s passwd etc/passwd' 'rm -r etc; ln -s etc etc' \
        'truncate -s 100G etc/passwd' 'yes bob:x:77777777777777777777:1:: | head -c 30000000 >etc/passwd' \
        'printf "bob:x:-5:4294967299::/:\nbob" >etc/passwd'; do
        root_with "$script"
        echo "--- $script"
        on '{"Env":["PATH=/bin"]}' 'USER bob' 'RUN id -u >/tmp/id'
        refused
        # As BuildKit: root's, where there is no such file.
        on '{"Env":["PATH=/bin"]}' 'COPY --chown=bob Dockerfile /'
        [ "$status" -eq 0 ] || refused
    done
}

@test "triggers without number, of what is no trigger, and that name files of the host" {
    on '{"OnBuild":["FROM busybox"],"Env":["PATH=/bin"]}'
    refused
    on '{"OnBuild":["COPY ../../../../etc/passwd /got","RUN \u001b[2J"],"Env":["PATH=/bin"]}'
    refused
    on '{"OnBuild":["RUN --security=insecure id"],"Env":["PATH=/bin"]}'
    refused
    on '{"OnBuild":["RUN --mount=type=bind,source=../../../../etc,target=/h ls /h/hostname >/got"],"Env":["PATH=/bin"]}'
    [ "$status" -ne 0 ]
    on '{"OnBuild":["",7,null,"\n","ONBUILD ONBUILD RUN x"],"Env":["PATH=/bin"]}'
    refused
    on "{\"OnBuild\":[\"ENV A=b\"$(for i in {1..20000}; do printf ',"ENV A%s=b"' "$i"; done)]}" 'COPY Dockerfile /'
    [ "$status" -eq 0 ] || refused
}

@test "a config that is no object, or too large, or deeper than anything" {
    on '[]' 'COPY Dockerfile /'
    [ "$status" -eq 0 ] || refused
    on "$(printf '[%.0s' {1..100000})" 'COPY Dockerfile /'
    refused
    on "{\"Labels\":{\"a\":\"$(head -c 30000000 /dev/zero | tr '\0' x)\"}}" 'COPY Dockerfile /'
    refused
}
