# What takes up room in the store: df.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

# A context with a step of each kind.
app() {
    mkdir app
    head -c 300000 /dev/urandom >app/file
    cat >app/Dockerfile <<'END'
FROM busybox
COPY file /file
RUN --mount=type=cache,target=/cache head -c 200000 /dev/urandom >/cache/file && echo "$RANDOM" >/made
END
}

# The size that df --format json gives for the type $1, or of all.
size_of() {
    "$COOPER" df --format json | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(next(t["size"] for t in d["types"] if t["type"] == sys.argv[1]) if sys.argv[1:] else d["size"])' "$@"
}

@test "df agrees with du within 1%, whatever the store holds" {
    app
    "$COOPER" build -q -t app app
    mkdir "$COOPER_ROOT/other" && head -c 50000 /dev/zero >"$COOPER_ROOT/other/file"
    ours=$(size_of)
    theirs=$(du -s -B1 "$COOPER_ROOT" | cut -f1)
    echo "df $ours du $theirs"
    ((ours * 100 > theirs * 99 && ours * 100 < theirs * 101))
    [ "$(size_of unknown)" -ge 50000 ]
    [ "$(size_of exec.cachemount)" -ge 200000 ]
    [ "$(size_of image)" -ge 300000 ]
    rm -r "$COOPER_ROOT/other"
}

@test "df is a table as docker's, df -v lists images and what is in the cache" {
    app
    "$COOPER" build -q -t app:1 -t app:2 app
    cooper df
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == TYPE*TOTAL*SIZE*RECLAIMABLE ]]
    [[ $output == *"Cache mounts"* && $output == *"Total"* ]]
    cooper df -v
    [ "$status" -eq 0 ]
    [[ $output == *"app:1, app:2"* ]]
    [[ $output == *"COPY file /file"* ]]
    [[ $output == *"exec.cachemount"* ]]
    cooper df -v --format json
    python3 - "$output" <<'END'
import json, sys
d = json.loads(sys.argv[1])
assert sum(t["size"] for t in d["types"]) == d["size"]
images = [i for i in d["items"] if i["type"] == "image"]
app = next(i for i in images if len(i["names"]) == 2)
assert app["unique_size"] < app["size"], app
step = next(i for i in d["items"] if i["description"].startswith("RUN --mount"))
assert step["shared"] and step["type"] == "regular", step
END
}

@test "df in a format that is not known is wrong usage" {
    cooper df --format '{{.Size}}'
    [ "$status" -eq 2 ]
    [[ $stderr == *"table or json"* ]]
}

@test "a store on a read-only file system can be looked at, and not changed" {
    app
    export COOPER_ROOT=$PWD/store
    e2e_busybox
    "$COOPER" build -q -t app app
    cat >look.sh <<'END'
set -e
mount --bind "$COOPER_ROOT" "$COOPER_ROOT"
mount -o remount,bind,ro "$COOPER_ROOT"
"$COOPER" images
"$COOPER" inspect app >/dev/null
"$COOPER" history app >/dev/null
"$COOPER" df -v
"$COOPER" fsck --full
"$COOPER" save app >app.tar
! "$COOPER" tag app other 2>tag.err
! "$COOPER" prune -f 2>prune.err
! "$COOPER" fsck --repair 2>fsck.err
END
    ns=(unshare -m --propagation private)
    ((EUID == 0)) || ns=(unshare -Urm --propagation private)
    run --separate-stderr "${ns[@]}" bash look.sh
    echo "$output$stderr"
    [ "$status" -eq 0 ]
    [[ $output == *app*latest* ]]
    [[ $output == *"The store is whole."* ]]
    grep -q 'read-only' prune.err
    grep -q 'read-only' fsck.err
    [ "$(wc -l <tag.err)" -eq 1 ]
    tar tf app.tar >/dev/null
    # The same once the database's log is gone, as after the last process ended in order.
    [ ! -e "$COOPER_ROOT/meta.db-wal" ]
}
