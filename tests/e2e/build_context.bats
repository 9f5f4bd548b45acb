# Where files come from: the context, .dockerignore, named contexts, stages, images.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    echo content >ctx/file
}

# The files of the built image, without directories: one a line.
files() {
    "$COOPER" build --progress quiet -o - "$@" ctx | tar -t | grep -v '/$' | LC_ALL=C sort
}

@test "FROM scratch, a stage, the store, a registry" {
    printf 'FROM scratch AS a\nCOPY file /a\nFROM a AS b\nCOPY file /b\n' >ctx/Dockerfile
    [ "$(files)" = $'a\nb' ]
    printf 'FROM busybox AS named\nFROM named\nCOPY file /b\n' >ctx/Dockerfile
    files | grep -qx bin/busybox
    "$COOPER" tag busybox "$REGISTRY/base:1"
    "$COOPER" push -q "$REGISTRY/base:1"
    printf 'FROM %s/base:1\nRUN cp /etc/passwd /copied\n' "$REGISTRY" >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    "$COOPER" build -q -o out ctx
    cmp out/etc/passwd out/copied
}

@test "a base in the registry is not fetched where its files are not needed" {
    "$COOPER" tag busybox "$REGISTRY/lazy:1"
    "$COOPER" push -q "$REGISTRY/lazy:1"
    printf 'FROM %s/lazy:1\nLABEL a=b\n' "$REGISTRY" >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    # The layer's blob is the store's one large file.
    "$COOPER" build -q --push -t "$REGISTRY/lazy:2" ctx
    skopeo inspect --tls-verify=false "docker://$REGISTRY/lazy:2" | jq -e '.Labels.a == "b"'
}

@test "a base that a COPY looks at and a RUN needs is read once" {
    local layer

    "$COOPER" tag busybox "$REGISTRY/once:1"
    "$COOPER" push -q "$REGISTRY/once:1"
    layer=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/once:1" |
        jq -r '.layers[0].digest | sub("sha256:"; "")')
    # WORKDIR looks too.
    printf 'FROM %s/once:1\nWORKDIR /bin\nCOPY file /etc/file\nRUN cp /etc/file /copied\n' \
        "$REGISTRY" >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    strace -f -qq -o trace -e trace=openat "$COOPER" build -q -o out ctx
    cmp ctx/file out/copied
    [ "$(grep -c "blobs/sha256/$layer\", O_RDONLY" trace)" -eq 1 ]
}

@test "what no registry and no store has is named" {
    printf 'FROM %s/nothere:1\n' "$REGISTRY" >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:1"*"nothere:1"* ]]
    printf 'FROM 127.0.0.1:1/nothere:1\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"127.0.0.1:1"* ]]
}

@test ".dockerignore, and NAME.dockerignore instead of it" {
    mkdir -p ctx/sub/deep
    touch ctx/a.log ctx/b.log ctx/sub/c.log ctx/sub/deep/d.log ctx/sub/keep
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    printf '# comment\n**/*.log\n!b.log\nDockerfile\n.dockerignore\n' >ctx/.dockerignore
    [ "$(files)" = $'b.log\nfile\nsub/keep' ]
    cp ctx/Dockerfile ctx/other
    printf '*\n!sub/keep\n' >ctx/other.dockerignore
    [ "$(files -f ctx/other)" = sub/keep ]
    printf 'FROM scratch\nCOPY a.log /\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:2"*"dockerignore"* ]]
}

@test "--build-context: a directory, with a .dockerignore of its own, for COPY, RUN and FROM" {
    mkdir -p other/d
    echo other >other/d/f
    touch other/secret
    echo secret >other/.dockerignore
    printf 'FROM busybox\nCOPY --from=more . /more\nRUN --mount=from=more,target=/m cp /m/d/f /taken\n' >ctx/Dockerfile
    "$COOPER" build -q -o out --build-context more=other ctx
    [ "$(cat out/more/d/f out/taken)" = $'other\nother' ]
    [ ! -e out/more/secret ]
    printf 'FROM more\n' >ctx/Dockerfile
    [ "$(files --build-context more=other)" = $'.dockerignore\nd/f' ]
}

@test "--build-context: oci-layout://, by tag and digest; docker-image://" {
    printf 'FROM busybox\nRUN echo layout >/name\n' >ctx/Dockerfile
    "$COOPER" build -q -t inlayout:7 -o type=oci,dest=layout,tar=false ctx
    local digest
    digest=$(jq -r '.manifests[0].digest' layout/index.json)
    printf 'FROM base\nRUN cp /name /taken\n' >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    for place in oci-layout://layout oci-layout://layout:7 "oci-layout://$PWD/layout@$digest"; do
        "$COOPER" build -q -o out --build-context "base=$place" ctx
        [ "$(cat out/taken)" = layout ]
        rm -r out
    done
    skopeo copy -q --dest-tls-verify=false oci:layout:7 "docker://$REGISTRY/named:1"
    printf 'FROM docker.io/library/base:1\nCOPY --from=alpine /name /second\n' >ctx/Dockerfile
    "$COOPER" build -q -o out --build-context "base:1=docker-image://$REGISTRY/named:1" \
        --build-context "alpine=docker-image://$REGISTRY/named:1" ctx
    [ "$(cat out/name out/second)" = $'layout\nlayout' ]
}

@test "a damaged oci-layout:// is refused and leaves nothing" {
    printf 'FROM busybox\n' >ctx/Dockerfile
    "$COOPER" build -q -o type=oci,dest=layout,tar=false ctx
    local blob
    blob=$(find layout/blobs -type f -size +100k | head -1)
    printf x | dd of="$blob" bs=1 seek=5000 conv=notrunc status=none
    printf 'FROM base\nRUN true\n' >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    cooper build -t broken --build-context base=oci-layout://layout ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"sha256:"* ]]
    [ ! -e "$COOPER_ROOT/blobs/sha256/$(basename "$blob")" ]
    cooper inspect broken
    [ "$status" -eq 1 ]
}

@test "a context leads nowhere else: symlinks out of it, sockets, pipes" {
    echo outside >outside
    ln -s ../outside ctx/link
    ln -s "$PWD/outside" ctx/absolute
    printf 'FROM scratch\nCOPY link /\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"not found"* ]]
    printf 'FROM scratch\nCOPY absolute /\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    mkfifo ctx/pipe
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("ctx/socket")'
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    [ "$(files)" = $'Dockerfile\nabsolute\nfile\nlink\npipe' ]
}

@test "stages that the target does not need are not even looked at" {
    cat >ctx/Dockerfile <<'END'
FROM 127.0.0.1:1/unreachable AS unneeded
RUN exit 1
FROM scratch AS wanted
COPY file /file
FROM unneeded
COPY --from=wanted /file /
END
    [ "$(files --target wanted)" = file ]
    [ "$(files --target WANTED)" = file ]
    cooper build --target wantd ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'did you mean wanted?'* ]]
    cooper build --target 1 ctx
    [ "$status" -eq 1 ]
    [[ $stderr != *'did you mean'* ]]
}

@test "-f - with a context, and the working directory as context" {
    cd ctx
    run --separate-stderr bash -c 'printf "FROM scratch\nCOPY file /f\n" | "$COOPER" build -q -f - -o ../out .'
    [ "$status" -eq 0 ]
    [ "$(cat ../out/f)" = content ]
}

@test "ADD unpacks archives, hostile ones stay inside" {
    mkdir tree && echo x >tree/x && ln tree/x tree/y
    for kind in '' z j J; do
        tar -C tree -c${kind}f "ctx/a$kind.tar" .
    done
    printf 'FROM scratch\nADD a.tar /plain/\nADD az.tar /gz/\nADD aj.tar /bz/\nADD aJ.tar /xz/\nCOPY a.tar /copied.tar\n' >ctx/Dockerfile
    [ "$(files)" = $'bz/x\nbz/y\ncopied.tar\ngz/x\ngz/y\nplain/x\nplain/y\nxz/x\nxz/y' ]
    python3 - <<'END'
import io, tarfile
t = tarfile.open("ctx/evil.tar", "w")
def add(name, type=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(name); i.type = type; i.linkname = link
    i.size = 4 if type == tarfile.REGTYPE else 0
    t.addfile(i, io.BytesIO(b"evil") if i.size else None)
add("../../up"); add("/abs"); add("l", tarfile.SYMTYPE, "/"); add("l/through")
add("m", tarfile.SYMTYPE, "../../.."); add("m/climb")
t.close()
t = tarfile.open("ctx/hard.tar", "w")
i = tarfile.TarInfo("h"); i.type = tarfile.LNKTYPE; i.linkname = "/etc/passwd"; t.addfile(i); t.close()
END
    printf 'FROM scratch\nADD evil.tar /in/\n' >ctx/Dockerfile
    files >list
    run ! grep -qvE '^in/' list
    printf 'FROM scratch\nADD hard.tar /in/\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"hard link"* ]]
    head -c 700 ctx/az.tar >ctx/short.tar
    head -c 3000 ctx/evil.tar >ctx/cut.tar
    printf 'FROM scratch\nADD cut.tar /in/\n' >ctx/Dockerfile
    cooper build -t cut ctx
    [ "$status" -eq 1 ]
    cooper inspect cut
    [ "$status" -eq 1 ]
}

@test "another platform: COPY works, RUN says why it does not" {
    printf 'FROM scratch\nCOPY file /file\n' >ctx/Dockerfile
    "$COOPER" build -q --platform linux/arm64 -t foreign ctx
    "$COOPER" inspect foreign | jq -e '.[0].Architecture == "arm64"'
    # The header of a program for that processor, which no kernel here runs.
    python3 - <<'END'
import struct
header = b"\x7fELF\x02\x01\x01" + bytes(9)
header += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 120, 120, 0x1000)
open("ctx/program", "wb").write(header)
END
    printf 'FROM scratch\nCOPY --chmod=755 program /bin/sh\nRUN true\n' >ctx/Dockerfile
    cooper build --platform linux/arm64 ctx
    [ "$status" -eq 1 ]
    # Where an interpreter is registered it ends in another way.
    [[ $stderr == *"Dockerfile:3"* ]]
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || [[ $stderr == *"xec format error"* ]]
}
