#!/usr/bin/env bats
# Compression and SOURCE_DATE_EPOCH are part of no key: what is rewritten out of the cache is,
# byte for byte, what is made afresh.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    # The base's own time is in every image.
    SOURCE_DATE_EPOCH=1700000000 e2e_busybox
}
teardown_file() { e2e_end; }

setup() {
    e2e_setup
    mkdir -p ctx/dir
    echo one >ctx/file
    head -c 1500000 /dev/urandom >ctx/dir/big
    # On both sides of the epochs below.
    touch -d @400 ctx/file
    cat >ctx/Dockerfile <<'END'
FROM busybox AS build
COPY file /src/
RUN echo made >/src/out; touch -d @600 /src/old; ln /src/out /src/hard; ln -s out /src/soft
FROM busybox
COPY file /app/
WORKDIR /app/work
RUN rm /bin/vi; echo x >y; mkdir -p empty; chmod 1777 empty
COPY . /app/
COPY --from=build /src /app/src
COPY --link file /linked/file
END
}

build() {
    "$COOPER" build --progress=plain --iidfile id "$@" ctx >log 2>&1 || {
        cat log >&2
        return 1
    }
}

ran() {
    grep -c 'not cached: ' log || true
}

@test "every epoch and compression out of the cache is as made afresh" {
    local epoch form

    build
    for epoch in 1700000000 1000000000 500 0; do
        for form in compression=gzip compression=gzip,compression-level=6 compression=zstd \
            compression=zstd,compression-level=10 compression=uncompressed; do
            build --source-date-epoch "$epoch" -o "type=oci,dest=out.tar,$form"
            [ "$(ran)" -eq 0 ]
            mv id cached.id
            COOPER_ROOT=$BATS_TEST_TMPDIR/fresh SOURCE_DATE_EPOCH=1700000000 e2e_busybox
            COOPER_ROOT=$BATS_TEST_TMPDIR/fresh build --source-date-epoch "$epoch" \
                -o "type=oci,dest=fresh.tar,$form"
            [ "$(ran)" -gt 0 ]
            cmp id cached.id
            cmp out.tar fresh.tar
            rm -rf "$BATS_TEST_TMPDIR/fresh"
        done
    done
}

@test "without an epoch the layers in another compression are those made afresh" {
    build -o type=oci,dest=gzip,tar=false
    build -o type=oci,dest=zstd,tar=false,compression=zstd
    [ "$(ran)" -eq 0 ]
    build --no-cache -o type=oci,dest=plain.tar,compression=uncompressed
    # Back again: what was made first is still there, and what comes of zstd is equal to it.
    build -t again
    build -o type=oci,dest=back,tar=false,compression=zstd,compression-level=3
    [ "$(ran)" -eq 0 ]
}

@test "what was clamped is no source for a later time, and is one for an earlier" {
    build --source-date-epoch 1000000000
    build --source-date-epoch 999
    [ "$(ran)" -eq 0 ]
    build --source-date-epoch 1000000001
    [ "$(ran)" -gt 0 ]
    build
    [ "$(ran)" -gt 0 ]
    # Now there is one that was never clamped.
    build --source-date-epoch 1800000000
    [ "$(ran)" -eq 0 ]
    build --source-date-epoch 1000000000
    [ "$(ran)" -eq 0 ]
    build
    [ "$(ran)" -eq 0 ]
}

@test "a layer that is damaged in the store is no source: its step runs" {
    local blob

    build -t x
    # Of the right size, but with other bytes.
    for blob in "$COOPER_ROOT"/blobs/sha256/*; do
        size=$(stat -c %s "$blob")
        if [ "$size" -gt 1500000 ]; then
            chmod u+w "$blob"
            head -c "$size" /dev/zero >"$blob"
        fi
    done
    build --source-date-epoch 1000000000 -o type=local,dest=out
    [ "$(ran)" -eq 1 ]
    cmp ctx/dir/big out/app/dir/big
}

@test "a store whose database an older version made goes on, with all that is in it" {
    build -t x
    python3 - "$COOPER_ROOT/meta.db" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("ALTER TABLE layer DROP COLUMN maker")
for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN"
        " ('counter', 'ref', 'ref_event', 'layer', 'cache')").fetchall():
    db.execute(f"DROP TABLE {name}")
db.execute("PRAGMA user_version = 1")
db.commit()
END
    # Nobody knows any more who made the blobs: they are made again, the steps are not run.
    build -t y
    [ "$(ran)" -eq 0 ]
    cooper images
    [[ $output == *x* ]]
    run -0 bash -c '"$COOPER" inspect x y | jq -c ".[].RootFS" | sort -u'
    [ "${#lines[@]}" -eq 1 ]
}
