# The same build as root and as an ordinary user, with subordinate ids and without: the same
# image.
bats_require_minimum_version 1.5.0
load lib
load rootless
setup_file() {
    e2e_begin
    rootless_begin
    export SOURCE_DATE_EPOCH=1700000000
    e2e_busybox_root "$PLACE/busybox"
    tar -C "$PLACE/busybox" --sort=name --owner=0 --group=0 --numeric-owner -cf "$PLACE/busybox.tar" .
    mkdir "$PLACE/ctx"
    echo content >"$PLACE/ctx/file"
    cat >"$PLACE/ctx/Dockerfile" <<'END'
FROM busybox AS made
COPY --chown=bob:wheel file /file
RUN mkdir /d && echo x >/d/x && ln /d/x /d/y && ln -s x /d/link && mkfifo /d/pipe
RUN chown -R 1000:10 /d && chown 65534:65534 /d/y && chmod 6755 /d/x && rm -r /var && mkdir /var
USER bob
RUN id -u >/tmp/id; touch /tmp/mine
USER root
RUN rm /etc/group && chown -h 12:34 /d/link && chmod 1777 /d
FROM busybox
COPY --from=made /d /d
COPY --from=made --chown=5:6 /tmp /copied
RUN --mount=type=cache,target=/c,uid=1000 stat -c '%u:%g' /c /d/x /d/y >/owners
WORKDIR /w/x
END
    chmod -R a+rX "$PLACE"
}
teardown_file() {
    rootless_end
    e2e_end
}
setup() { e2e_setup; }

@test "root and an ordinary user make the same image" {
    "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/busybox.tar" busybox
    "$COOPER" build -q "$PLACE/ctx" >root.id
    cd "$PLACE/home"
    as_user "$PLACE/bin/cooper" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/busybox.tar" busybox
    as_user "$PLACE/bin/cooper" build -q --iidfile "$PLACE/home/user.id" -t built "$PLACE/ctx"
    [ "$(cat "$PLACE/home/user.id")" = "$(cat "$BATS_TEST_TMPDIR/work/root.id")" ]
    [ "$(as_user "$PLACE/bin/cooper" run built cat /owners)" = $'1000:0\n1000:10\n65534:65534' ]
}

@test "every output works as an ordinary user, and the files are theirs" {
    cd "$PLACE/home"
    as_user "$PLACE/bin/cooper" build -q -o type=tar,dest=out.tar -o type=oci,dest=oci.tar -o local "$PLACE/ctx"
    [ "$(stat -c %U out.tar local/file local/d 2>/dev/null | sort -u)" = "$BUILDER" ]
    tar -tvf out.tar --numeric-owner | grep -q ' 1000/10 .* d/x$'
    # A second time over what stands there.
    as_user "$PLACE/bin/cooper" build -q -o local "$PLACE/ctx"
}

@test "everything is cached the second time" {
    cd "$PLACE/home"
    as_user "$PLACE/bin/cooper" build --progress plain "$PLACE/ctx" 2>"$BATS_TEST_TMPDIR/log"
    run ! grep -qE 'DONE' <(grep -A1 'RUN\|COPY' "$BATS_TEST_TMPDIR/log")
}

@test "without subordinate ids: owners are recorded, and it is the same image" {
    rootless_single
    cd "$PLACE/home"
    single import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$PLACE/busybox.tar" busybox
    single build -q --iidfile single.id -t single:1 -o type=oci,dest=layout,tar=false -o type=image "$PLACE/ctx"
    [ "$(cat single.id)" = "$(cat user.id)" ]
    [ "$(single run single:1 cat /owners)" = $'1000:0\n1000:10\n65534:65534' ]
    # Other tools see the owners in the layers.
    umoci unpack --image layout:1 "$BATS_TEST_TMPDIR/bundle" 2>/dev/null
    [ "$(stat -c '%u:%g' "$BATS_TEST_TMPDIR"/bundle/rootfs/d/{x,link} | xargs)" = '1000:10 12:34' ]
}
