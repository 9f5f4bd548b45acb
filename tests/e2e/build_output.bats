# What a build gives: the same image in every form, nothing half-written.
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
    cat >ctx/Dockerfile <<'END'
FROM busybox
COPY --chown=1000:10 file /file
RUN mkdir /d && echo x >/d/x && ln /d/x /d/y && ln -s x /d/link && mkfifo /d/pipe && chmod 2750 /d && rm /etc/group
ENV A=1
LABEL l=v
END
}

# A tree as text: type, mode, links, size, name.
tree_text() {
    (cd "$1" && find . ! -type d -printf '%y %m %n %s %p %l\n' | LC_ALL=C sort)
}

@test "every output has the same tree" {
    "$COOPER" build -q -t out:1 -o type=local,dest=local -o type=tar,dest=out.tar \
        -o type=oci,dest=oci.tar -o type=oci,dest=layout,tar=false -o type=docker,dest=docker.tar ctx
    mkdir tar && tar -xpf out.tar -C tar
    umoci unpack --image layout:1 bundle 2>/dev/null
    diff <(tree_text tar) <(tree_text bundle/rootfs)
    # Files are not linked in a plain directory.
    diff <(tree_text tar | awk '{$3 = ""; print}' | sort) <(tree_text local | awk '{$3 = ""; print}' | sort)
    [ "$(stat -c '%u:%g' tar/file)" = 1000:10 ]
    [ "$(stat -c '%a' local/d)" = 2750 ]
    [ "$(stat -c '%i' tar/d/x)" = "$(stat -c '%i' tar/d/y)" ]
    skopeo copy -q oci-archive:oci.tar oci:again:x
    [ "$(jq -r '.manifests[0].digest' again/index.json)" = "$(jq -r '.manifests[0].digest' layout/index.json)" ]
    skopeo copy -q docker-archive:docker.tar:out:1 dir:converted
    [ ! -e local/etc/group ]
}

@test "the same tar every time; an older one is replaced whole" {
    export SOURCE_DATE_EPOCH=1700000000
    "$COOPER" build -q -o type=tar,dest=a.tar -o type=oci,dest=a.oci -o type=docker,dest=a.docker ctx
    echo old >b.tar
    ln b.tar kept
    "$COOPER" build -q --no-cache -o type=tar,dest=b.tar -o type=oci,dest=b.oci -o type=docker,dest=b.docker ctx
    for kind in tar oci docker; do
        cmp a.$kind b.$kind
    done
    [ "$(cat kept)" = old ]
    [ "$(ls -A | grep -c tmp)" -eq 0 ]
}

@test "an output that cannot be written fails the build and moves no tag" {
    "$COOPER" build -q -t out:2 ctx
    local before
    before=$("$COOPER" inspect out:2 | jq -r '.[0].Id')
    echo changed >ctx/file
    mkdir directory
    for output in type=tar,dest=nowhere/x.tar type=oci,dest=directory type=local,dest=ctx/file \
        type=oci,dest=/dev/full; do
        cooper build -t out:2 -o "$output" ctx
        [ "$status" -eq 1 ]
        [ "$(grep -c '^cooper: error: ' <<<"$stderr")" -eq 1 ]
        [ "$("$COOPER" inspect out:2 | jq -r '.[0].Id')" = "$before" ]
    done
    [ -z "$(ls -A directory)" ]
}

@test "-o DIR never writes through what stands there" {
    mkdir -p out elsewhere
    ln -s ../elsewhere out/d
    ln -s ../../elsewhere/file out/file
    ln -s "$PWD/elsewhere/bin" out/bin
    echo precious >elsewhere/file
    ln elsewhere/file out/etc
    "$COOPER" build -q -o out ctx
    [ "$(ls elsewhere)" = file ]
    [ "$(cat elsewhere/file)" = precious ]
    [ "$(cat out/d/x out/file)" = $'x\ncontent' ]
    # What is no part of the image stays.
    touch out/d/other
    "$COOPER" build -q -o out ctx
    [ -e out/d/other ]
}

@test "a layout in a directory that exists: damaged blobs are written anew" {
    "$COOPER" build -q -o type=oci,dest=layout,tar=false ctx
    for blob in layout/blobs/sha256/*; do
        : >"$blob"
    done
    "$COOPER" build -q -o type=oci,dest=layout,tar=false ctx
    (cd layout/blobs/sha256 && for blob in *; do echo "$blob  $blob"; done | sha256sum -c --quiet)
}

@test "output formats to standard output" {
    "$COOPER" build --progress quiet -o type=oci,dest=- ctx | tar -t | grep -qx index.json
    "$COOPER" build --progress quiet -o type=docker,dest=- ctx | tar -t | grep -qx manifest.json
    "$COOPER" build --progress quiet -o type=tar,dest=- ctx | tar -x -C "$BATS_TEST_TMPDIR" file
}

@test "--push: what the registry has is what the store has" {
    "$COOPER" build -q --push -t "$REGISTRY/pushed:1" -t "$REGISTRY/other:2" ctx >id
    skopeo copy -q --src-tls-verify=false "docker://$REGISTRY/pushed:1" oci:layout:x
    [ "$(jq -r '.manifests[0].digest' layout/index.json)" = "$(cat id)" ]
    umoci unpack --image layout:x bundle 2>log
    [ "$(cat bundle/rootfs/file)" = content ]
    # A second push has nothing to send.
    "$COOPER" build -q --push -t "$REGISTRY/pushed:1" ctx
    # A registry that is not there.
    cooper build --push -t 127.0.0.1:1/x:1 ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *127.0.0.1:1* ]]
    cooper inspect 127.0.0.1:1/x:1
    [ "$status" -eq 1 ]
}

@test "layers made by cooper are read by umoci and skopeo without a warning" {
    cat >>ctx/Dockerfile <<'END'
RUN rm -r /d && mkdir /d && touch /d/new && rm /bin/awk
WORKDIR /made/here
END
    "$COOPER" build -q -t umoci:1 -o type=oci,dest=layout,tar=false ctx
    umoci unpack --image layout:1 bundle >log 2>&1
    run ! grep -qiE 'warn|error' log
    [ "$(ls -A bundle/rootfs/d)" = new ]
    [ ! -e bundle/rootfs/bin/awk ]
    [ -d bundle/rootfs/made/here ]
}
