# Checking and repairing the store: fsck.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }

# Every test damages a store of its own.
setup() {
    e2e_setup
    export COOPER_ROOT=$PWD/store
    e2e_busybox
    mkdir app
    head -c 100000 /dev/zero | tr '\0' x >app/file
    cat >app/Dockerfile <<'END'
FROM busybox
COPY file /file
RUN mkdir /made && cp /file /made/copy && ln /made/copy /made/link && rm /bin/wget
END
    "$COOPER" build -q -t app app >/dev/null
}

# The path of the layer $1 (from the top) of app.
layer() {
    "$COOPER" save app | tar xO manifest.json | python3 -c '
import json, os, sys
path = json.load(sys.stdin)[0]["Layers"][-int(sys.argv[1])]
print(os.environ["COOPER_ROOT"] + "/" + path)' "$1"
}

# Changes a byte in the middle.
damage() {
    python3 -c '
import os, sys
path = sys.argv[1]
os.chmod(path, 0o600)
with open(path, "r+b") as f:
    f.seek(os.path.getsize(path) // 2)
    byte = f.read(1)
    f.seek(-1, 1)
    f.write(bytes([byte[0] ^ 0x55]))' "$1"
}

@test "a store that was built in is whole" {
    cooper fsck --full
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"The store is whole." ]]
    cooper fsck --format json
    python3 -c 'import json, sys
d = json.loads(sys.argv[1])
assert d["whole"] and not d["problems"], d
assert d["checked"]["image"] == 2 and d["checked"]["unpacked layer"] > 0, d' "$output"
}

@test "a damaged layer is found, removed, and made again by building" {
    blob=$(layer 1)
    damage "$blob"
    cooper fsck
    [ "$status" -eq 1 ]
    [[ $output == *"blob blobs/sha256/$(basename "$blob"): has the digest"* ]]
    [[ $output == *"image docker.io/library/app:latest: sha256:$(basename "$blob") is damaged"* ]]
    [[ $output == *"cooper rmi"* ]]
    [ -e "$blob" ]
    cooper fsck --repair
    [ "$status" -eq 1 ]
    [ ! -e "$blob" ]
    cooper build -q --progress=plain -t app app
    [ "$status" -eq 0 ]
    cooper fsck --full
    [ "$status" -eq 0 ]
    [ "$("$COOPER" run --rm app sh -c 'wc -c </made/link')" -eq 100000 ]
}

@test "changed files of an unpacked layer are found, and unpacked anew" {
    dir=$(echo "$COOPER_ROOT"/layers/*/fs/made)
    echo more >>"$dir/copy"
    cooper fsck
    [ "$status" -eq 1 ]
    [[ $output == *"unpacked layer layers/"*": made/copy has another size"* ]]
    cooper fsck --repair
    [ "$status" -eq 0 ]
    [ ! -e "$dir" ]
    [ "$("$COOPER" run --rm app sh -c 'wc -c </made/copy')" -eq 100000 ]
    cooper fsck --full
    [ "$status" -eq 0 ]
}

@test "index.json, indexes and records are repaired" {
    echo '{"schemaVersion":2,"manifests":[]}' >"$COOPER_ROOT/index.json"
    # Opening the store mends an index.json of another generation by itself.
    cooper fsck
    [ "$status" -eq 0 ]
    index=$(find "$COOPER_ROOT/index" -type f | head -n 1)
    damage "$index"
    python3 - <<'END'
import os, sqlite3
db = sqlite3.connect(os.environ["COOPER_ROOT"] + "/meta.db")
db.execute("UPDATE layer SET size = size + 1 WHERE blob = (SELECT min(blob) FROM layer)")
db.execute("UPDATE cache SET value = '{' WHERE key = (SELECT min(key) FROM cache)")
db.commit()
END
    cooper fsck --repair --format json
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
d = json.loads(sys.argv[1])
kinds = [p["kind"] for p in d["problems"]]
assert kinds == ["layer record", "cache record", "layer index"], d
assert all(p["repaired"] for p in d["problems"]), d' "$output"
    cooper fsck --full
    [ "$status" -eq 0 ]
    "$COOPER" build -q -t app app
}

@test "a name that lost its manifest is named with what to do" {
    id=$("$COOPER" images -q --no-trunc app)
    rm -f "$COOPER_ROOT/blobs/sha256/${id#sha256:}"
    cooper fsck --repair
    [ "$status" -eq 1 ]
    [[ $output == *"image docker.io/library/app:latest: $id is missing"* ]]
    "$COOPER" rmi app
    cooper fsck
    [ "$status" -eq 0 ]
}

@test "unknown files are reported, never touched, and no reason to fail" {
    echo mine >"$COOPER_ROOT/notes"
    echo mine >"$COOPER_ROOT/blobs/sha256/notes"
    cooper fsck --repair
    [ "$status" -eq 0 ]
    [[ $output == *"unknown file notes: "* && $output == *"unknown file blobs/sha256/notes: "* ]]
    "$COOPER" prune -af
    [ "$(cat "$COOPER_ROOT/notes" "$COOPER_ROOT/blobs/sha256/notes")" = $'mine\nmine' ]
}
