# Layers as other people's tools write them.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox_root "$BATS_FILE_TMPDIR/root"
    mkdir -p "$BATS_FILE_TMPDIR/root/srv/shared/deep"
    chown 1000:10 "$BATS_FILE_TMPDIR/root/srv" "$BATS_FILE_TMPDIR/root/srv/shared"
    chmod 2770 "$BATS_FILE_TMPDIR/root/srv/shared"
    tar -C "$BATS_FILE_TMPDIR/root" --numeric-owner -cf "$BATS_FILE_TMPDIR/base.tar" .
    chmod 00700 "$BATS_FILE_TMPDIR/root/tmp" "$BATS_FILE_TMPDIR/root/srv/shared"
    tar -C "$BATS_FILE_TMPDIR/root" --numeric-owner -cf "$BATS_FILE_TMPDIR/strict.tar" .
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    foreign tar bare.tar f:tmp/new=new f:srv/shared/new=new@600:1000:10 \
        f:srv/shared/.wh.deep f:absent/dir/file=file
    foreign image image "$BATS_FILE_TMPDIR/base.tar" bare.tar
    foreign image strict "$BATS_FILE_TMPDIR/strict.tar" bare.tar
    cat >ctx/Dockerfile <<'END'
FROM base
RUN stat -c '%n %a %u:%g' /tmp /srv /srv/shared /absent /absent/dir /tmp/new /srv/shared/new \
    >/attributes && ls /srv/shared >>/attributes
USER bob
RUN touch /tmp/written
END
    cat >expected <<'END'
/tmp 1777 0:0
/srv 755 1000:10
/srv/shared 2770 1000:10
/absent 755 0:0
/absent/dir 755 0:0
/tmp/new 644 0:0
/srv/shared/new 600 1000:10
new
END
}

foreign() {
    python3 "$BATS_TEST_DIRNAME/foreign.py" "$@"
}

@test "a layer without parent directories leaves those of the layers below as they are" {
    "$COOPER" build -q --build-context "base=oci-layout://$PWD/image:latest" -t app ctx
    cooper run app cat /attributes
    diff expected - <<<"$output"
    store_is_whole
}

@test "the same pulled from a registry, with COPY from it and no RUN before" {
    skopeo copy -q --dest-tls-verify=false oci:image:latest "docker://$REGISTRY/foreign:1"
    sed "s,^FROM base,FROM $REGISTRY/foreign:1," -i ctx/Dockerfile
    "$COOPER" build -q -t app ctx
    cooper run app cat /attributes
    diff expected - <<<"$output"
    printf 'FROM %s AS a\nFROM busybox\nCOPY --from=a /srv /srv\nRUN stat -c "%%n %%a %%u:%%g" /srv/* >/attributes\n' \
        "$REGISTRY/foreign:1" >ctx/Dockerfile
    e2e_busybox
    "$COOPER" build -q -t copied ctx
    cooper run copied cat /attributes
    [ "$output" = "/srv/shared 2770 1000:10" ]
}

@test "the same layer on two bases has the attributes of each" {
    "$COOPER" build -q --build-context "base=oci-layout://$PWD/image:latest" -t one ctx
    sed -i '/^USER/,$d' ctx/Dockerfile
    "$COOPER" build -q --build-context "base=oci-layout://$PWD/strict:latest" -t two ctx
    cooper run two cat /attributes
    [ "${lines[0]}" = "/tmp 700 0:0" ]
    [ "${lines[2]}" = "/srv/shared 700 1000:10" ]
    cooper run one cat /attributes
    [ "${lines[0]}" = "/tmp 1777 0:0" ]
    store_is_whole
}
