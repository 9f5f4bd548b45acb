# Contexts that are no directory: archives, standard input, URLs, repositories; and how a
# directory is read that does not hold still.
bats_require_minimum_version 1.5.0
load lib
load sources
setup_file() {
    e2e_begin
    e2e_files_start
    e2e_git_repository
    e2e_git_start
    make_archives
}
teardown_file() {
    e2e_servers_stop
    e2e_end
}
setup() {
    e2e_setup
    forget_requests
}

# $WWW/c.tar and so on: Dockerfile, other, s/x, s/y.log, .dockerignore against *.log.
make_archives() {
    local tree=$BATS_FILE_TMPDIR/tree

    mkdir -p "$tree/s"
    echo x >"$tree/s/x"
    echo y >"$tree/s/y.log"
    chmod 640 "$tree/s/x"
    printf 'FROM scratch\nCOPY . /\n' >"$tree/Dockerfile"
    printf 'FROM scratch\nCOPY s /other\n' >"$tree/other"
    echo '**/*.log' >"$tree/.dockerignore"
    tar -C "$tree" --owner 3 --group 4 -cf "$WWW/c.tar" .
    gzip -k "$WWW/c.tar"
    bzip2 -k "$WWW/c.tar"
    xz -k "$WWW/c.tar"
    zstd -q "$WWW/c.tar"
}

# The files of the built image, without directories: one a line.
files() {
    "$COOPER" build --progress quiet -o - "$@" | tar -t | grep -v '/$' | LC_ALL=C sort
}
all=$'.dockerignore\nDockerfile\nother\ns/x'

@test "an archive is a context: from standard input, as a file, by URL; in every compression" {
    local kind
    for kind in tar tar.gz tar.bz2 tar.xz tar.zst; do
        [ "$(files - <"$WWW/c.$kind")" = "$all" ]
        [ "$(files "$WWW/c.$kind")" = "$all" ]
        [ "$(files "$FILES/c.$kind")" = "$all" ]
    done
    # Through a pipe, slowly.
    [ "$( (head -c 100 "$WWW/c.tar" && sleep 0.3 && tail -c +101 "$WWW/c.tar") | files -)" = "$all" ]
}

@test "an archive's modes and owners are kept, as BuildKit keeps them" {
    "$COOPER" build --progress quiet -o - - <"$WWW/c.tar" | tar -tv --numeric-owner | sed 's/  */ /g' >out
    grep -q -- '^-rw-r----- 3/4 2 .* s/x$' out
}

@test "-f is inside a context that is no directory; -f - is standard input" {
    [ "$(files -f other - <"$WWW/c.tar")" = other/x ]
    [ "$(files -f other "$WWW/c.tar.gz")" = other/x ]
    [ "$(files -f other "$FILES/c.tar.gz")" = other/x ]
    [ "$(printf 'FROM scratch\nCOPY s/x /mine\n' | files -f - "$FILES/c.tar")" = mine ]
    cooper build -f nothere "$WWW/c.tar"
    [ "$status" -eq 1 ]
    [[ $stderr == *"holds no file nothere"* ]]
}

@test "a Dockerfile alone: standard input, or a URL" {
    printf 'FROM scratch\nCOPY <<END /said\nhello\nEND\n' >only
    cp only "$WWW/only"
    [ "$(files - <only)" = said ]
    [ "$(files "$FILES/only")" = said ]
    printf 'FROM scratch\nCOPY x /\n' >only
    cooper build - <only
    [ "$status" -eq 1 ]
    [[ $stderr == *"no context"* ]]
}

@test "git repositories as contexts: ref, subdirectory, .dockerignore, NAME.dockerignore" {
    local work=$PWD/work
    e2e_git clone -q "$WWW/repo.git" "$work"
    mkdir "$work/app"
    printf 'FROM scratch\nCOPY . /\n' >"$work/app/Dockerfile"
    cp "$work/app/Dockerfile" "$work/app/web"
    echo one >"$work/app/one"
    echo log >"$work/app/a.log"
    echo '*.log' >"$work/app/.dockerignore"
    printf '*\n!one\n' >"$work/app/web.dockerignore"
    e2e_git -C "$work" add -A
    e2e_git -C "$work" commit -q -m app
    e2e_git clone -q --bare "$work" "$WWW/context.git"
    [ "$(files "$GITD/context.git#main:app")" = $'.dockerignore\nDockerfile\none\nweb\nweb.dockerignore' ]
    [ "$(files "$FILES/git/context.git?branch=main&subdir=app")" = $'.dockerignore\nDockerfile\none\nweb\nweb.dockerignore' ]
    [ "$(files -f web "$GITD/context.git#main:app")" = one ]
    cooper build --progress plain "$GITD/context.git#main:app"
    [[ $stderr == *CACHED* ]]
    cooper build "$GITD/context.git"
    [ "$status" -eq 1 ]
    [[ $stderr == *"holds no file Dockerfile"* ]]
}

@test "--build-context: archives, URLs, repositories, other stages" {
    mkdir ctx
    cat >ctx/Dockerfile <<'END'
FROM scratch AS real
COPY Dockerfile /made
FROM scratch
COPY --from=file s /file
COPY --from=url s /url
COPY --from=repo f /repo
COPY --from=alias /made /stage
END
    [ "$(files --build-context "file=$WWW/c.tar.xz" --build-context "url=$FILES/c.tar.gz" \
        --build-context "repo=$GITD/repo.git#dev" --build-context alias=target:real ctx)" = \
        $'file/x\nrepo\nstage\nurl/x' ]
    printf 'FROM scratch AS real\nCOPY Dockerfile /made\nFROM base\nCOPY Dockerfile /after\n' >ctx/Dockerfile
    [ "$(files --build-context base=target:real ctx)" = $'after\nmade' ]
    printf 'FROM scratch\nCOPY --from=alias /made /stage\n' >ctx/Dockerfile
    cooper build --build-context alias=target:nothere ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"no stage nothere"* ]]
    cooper build --build-context alias=- ctx
    [ "$status" -eq 1 ]
}

@test "the files of an archive and a repository can be mounted by RUN" {
    e2e_busybox
    printf 'FROM busybox\nRUN --mount=from=file,target=/m cat /m/s/x >/x\nRUN --mount=from=repo,target=/m cat /m/f >/f\nRUN --mount=target=/c cat /c/s/x >/y\n' >"$BATS_TEST_TMPDIR/D"
    cooper build -q -o out -f - --build-context "file=$WWW/c.tar" --build-context "repo=$GITD/repo.git" "$WWW/c.tar" <"$BATS_TEST_TMPDIR/D"
    [ "$status" -eq 0 ]
    [ "$(cat out/x out/f out/y)" = $'x\none\nx' ]
}

@test "hostile archives: nothing leaves the context, damage and tricks are errors" {
    python3 - <<'END'
import io, tarfile
def make(name, *entries):
    with tarfile.open(name, "w") as t:
        for path, kind, link in ((b"Dockerfile".decode(), tarfile.REGTYPE, ""),) + entries:
            i = tarfile.TarInfo(path)
            i.type, i.linkname = kind, link
            data = b"FROM scratch\nCOPY . /\n" if path == "Dockerfile" else b"evil"
            i.size = len(data) if kind == tarfile.REGTYPE else 0
            t.addfile(i, io.BytesIO(data) if i.size else None)
R, L, H, D, C = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE
make("up.tar", ("../up", R, ""))
make("deep.tar", ("a/../../up", R, ""))
make("absolute.tar", ("/abs", R, ""))
make("through.tar", ("l", L, ".."), ("l/through", R, ""))
make("hard.tar", ("h", H, "/etc/passwd"))
make("harder.tar", ("h", H, "../../etc/passwd"))
make("root.tar", ("/", R, ""))
make("twice.tar", ("f", R, ""), ("f", D, ""), ("f/g", R, ""), ("f", L, "x"), ("f", R, ""))
make("link.tar", ("l", L, "/etc/passwd"), ("m", L, "../../../etc"))
make("dir.tar", ("Dockerfile", D, ""))
END
    local name
    for name in up deep absolute through hard harder root dir; do
        cooper build -t evil - <$name.tar
        [ "$status" -eq 1 ]
        [ ! -e up ] && [ ! -e ../up ]
    done
    [ "$(files - <twice.tar)" = $'Dockerfile\nf' ]
    [ "$(files - <link.tar)" = $'Dockerfile\nl\nm' ]
    # What the links mean, they mean inside.
    printf 'FROM scratch\nCOPY l /x\n' >D
    cooper build -f D link.tar
    [ "$status" -eq 1 ]
    head -c 2000 "$WWW/c.tar.gz" | head -c 250 >cut.gz
    cooper build - <cut.gz
    [ "$status" -eq 1 ]
    cooper inspect evil
    [ "$status" -eq 1 ]
}

@test "bombs end early" {
    # A sparse entry that claims 8 TB, and compressed zeros behind a header of 70 GB.
    python3 - <<'END'
import tarfile
i = tarfile.TarInfo("bomb")
i.size = 70 << 30
open("big.tar", "wb").write(i.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10240)
END
    cooper build - <big.tar
    [ "$status" -eq 1 ]
    [[ $stderr == *"has more than"* ]]
    [ "$(du -sm "$COOPER_ROOT" | cut -f1)" -lt 500 ]
}

@test "what no context can be is told" {
    echo text >text
    mkfifo pipe
    local what text
    while read -r what text; do
        cooper build "$what"
        [ "$status" -eq 1 ]
        [[ $stderr == *"$text"* ]]
    done <<END
text neither a directory nor an archive
pipe is not a directory
nothere No such file
$FILES/nothere.tar 404
ftp://127.0.0.1/x No such file
END
}

@test "a missing source is told with its cause" {
    mkdir -p ctx/src/deep ctx/build
    touch ctx/src/main.c ctx/src/deep/util.h ctx/README.md ctx/a.log ctx/build/out
    ln -s ../outside ctx/leads
    printf '# logs\n*.log\nbuild\n' >ctx/.dockerignore
    local what text
    while IFS='|' read -r what text; do
        printf 'FROM scratch AS made\nCOPY src /img/Src\nFROM scratch\nCOPY %s /x/\n' "$what" >ctx/Dockerfile
        cooper build ctx
        [ "$status" -eq 1 ]
        [[ $stderr == *Dockerfile:4*"not found"*"$text"* ]]
    done <<END
readme.md|did you mean /README.md?
src/mian.c|did you mean /src/main.c?
--parents src/./mian.c|did you mean /src/main.c?
util.h|did you mean /src/deep/util.h?
a.log|excluded by .dockerignore:2 (*.log)
build/out|excluded by .dockerignore:3 (build)
leads|/leads is a symlink to ../outside, which is not there
--from=made /img/src/main.c|did you mean /img/Src/main.c?
END
    printf 'FROM scratch\nCOPY nothing-like-it /x\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr != *"did you mean"* ]]
    printf 'FROM scratch\nCOPY a.log /x\n' >ctx/Dockerfile
    tar -C ctx -cf c.tar .
    cooper build c.tar
    [ "$status" -eq 1 ]
    [[ $stderr == *"excluded by .dockerignore:2 (*.log)"* ]]
}

@test "strange names survive: newlines, bytes that are no UTF-8, 255 bytes, deep paths" {
    mkdir ctx
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    echo Dockerfile >ctx/.dockerignore
    python3 - <<'END'
import os
for name in (b"new\nline", b"\xff\xfe", b"x" * 255, b" ", b"-rf", b"*", b"a\\b", b"\xe2\x80\xae"):
    open(b"ctx/" + name, "w").close()
os.makedirs("ctx/" + "/".join(["d" * 200] * 18))
END
    "$COOPER" build -q -o out ctx
    (cd ctx && find . ! -path ./Dockerfile -print0 | LC_ALL=C sort -z) >want
    (cd out && find . -print0 | LC_ALL=C sort -z) >got
    cmp want got
}

@test "a path longer than the kernel takes is an error, not a hang" {
    mkdir ctx
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    python3 - <<'END'
import os
os.chdir("ctx")
for i in range(30):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
END
    cooper build -o out ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"File name too long"* || $stderr == *"4096"* ]]
}

@test "an unreadable file is an error that names it" {
    local as=()
    # Root reads everything, unless it gives that up.
    [ "$(id -u)" -ne 0 ] || as=(setpriv "--bounding-set=-dac_override,-dac_read_search")
    mkdir ctx
    printf 'FROM scratch\nCOPY secret /\n' >ctx/Dockerfile
    echo x >ctx/secret
    chmod 000 ctx/secret
    run --separate-stderr env COOPER_ROOT="$PWD/fresh" "${as[@]}" "$COOPER" build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *secret*"Permission denied"* ]]
}

@test "a file that changes while it is read: an error or what was there at one moment" {
    mkdir ctx
    printf 'FROM scratch\nCOPY grows /\nCOPY . /all/\n' >ctx/Dockerfile
    head -c 3000000 /dev/zero >ctx/grows
    python3 - <<'END' 3>&- 4>&- &
import os, time
end = time.time() + 60
while time.time() < end and not os.path.exists("stop"):
    with open("ctx/grows", "r+b") as f:
        f.truncate(1000)
        f.truncate(3000000)
    try:
        os.symlink("/etc/passwd", "ctx/swapped.new")
        os.rename("ctx/swapped.new", "ctx/swapped")
        open("ctx/swapped.new", "w").close()
        os.rename("ctx/swapped.new", "ctx/swapped")
    except OSError:
        pass
END
    local writer=$! n
    for n in 1 2 3 4 5 6; do
        cooper build -o out ctx
        if [ "$status" -eq 0 ]; then
            [ "$(stat -c %s out/grows)" -eq 3000000 ] || [ "$(stat -c %s out/grows)" -eq 1000 ]
            # Never what the link leads to: the link itself, or the empty file.
            [ -L out/all/swapped ] || [ ! -s out/all/swapped ]
            rm -r out
        else
            [[ $stderr == *error* ]]
        fi
    done
    touch stop
    wait "$writer"
}

@test "two builds of one context at once share what they know of it" {
    mkdir ctx
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    local n pids=()
    for ((n = 0; n < 500; n++)); do
        echo "$n" >"ctx/f$n"
    done
    for n in 1 2 3 4; do
        "$COOPER" build -q -t "shared:$n" ctx >"id$n" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n"
    done
    for n in 2 3 4; do
        "$COOPER" inspect "shared:$n" | jq -r '.[0].RootFS.Layers[]' >"layers$n"
        "$COOPER" inspect shared:1 | jq -r '.[0].RootFS.Layers[]' | cmp - "layers$n"
    done
}
