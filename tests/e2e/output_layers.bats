# --squash, --squash-all and --split: other layers, the same files.
bats_require_minimum_version 1.5.0
load lib
load peers
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() {
    peer_podman_end
    e2e_end
}
setup() {
    e2e_setup
    mkdir -p ctx/many
    for i in $(seq -w 40); do head -c 5000 /dev/zero | tr '\0' "$((10#$i % 10))" >"ctx/many/$i"; done
    cat >ctx/Dockerfile <<'END'
FROM busybox
COPY many /many
RUN echo a >/a && ln /a /b && ln -s a /c && mkdir -m 2750 /d && echo in >/d/in && mkfifo /d/pipe
RUN rm /etc/group && rm -r /root && mkdir /root && echo r >/root/new && echo changed >/a && rm /many/01
RUN rm -r /d && echo file >/d && rm -r /usr && ln -s bin /usr && chown 1000:10 /many/02
ENV A=1
RUN touch /last && chmod 700 /tmp
END
}

# A tree as text.
tree_text() {
    (cd "$1" && find . -printf '%y %m %U:%G %n %s %p %l %T@\n' | LC_ALL=C sort)
}
manifest() {
    local digest
    digest=$(jq -r '.manifests[0].digest' "$1/index.json")
    cat "$1/blobs/sha256/${digest#sha256:}"
}
config() {
    local digest
    digest=$(manifest "$1" | jq -r .config.digest)
    cat "$1/blobs/sha256/${digest#sha256:}"
}
# Layers of the config and entries of the history that have one.
check_history() {
    config "$1" | jq -e '(.rootfs.diff_ids | length) == ([.history[] | select(.empty_layer | not)] | length)'
    [ "$(manifest "$1" | jq '.layers | length')" -eq "$(config "$1" | jq '.rootfs.diff_ids | length')" ]
}

@test "--squash: one layer above the base, the same tree" {
    "$COOPER" build -q -t x:1 -o type=oci,dest=plain,tar=false ctx
    "$COOPER" build -q -t x:1 --squash -o type=oci,dest=squashed,tar=false ctx
    [ "$(manifest plain | jq '.layers | length')" -eq 6 ]
    [ "$(manifest squashed | jq '.layers | length')" -eq 2 ]
    [ "$(manifest plain | jq -c '.layers[0]')" = "$(manifest squashed | jq -c '.layers[0]')" ]
    check_history squashed
    umoci unpack --image plain:1 a 2>/dev/null
    umoci unpack --image squashed:1 b 2>log
    run ! grep -qiE 'warn|error' log
    diff <(tree_text a/rootfs) <(tree_text b/rootfs)
    # What was done is still told; the layer comes last.
    config squashed | jq -e '(.history | map(.created_by // "") | map(select(test("rm /etc/group"))) | length) == 1'
    config squashed | jq -e '.history[-1].comment == "5 layers in one"'
    config squashed | jq -e '.config.Env | index("A=1")'
    # Files that came and went are not in it, and what is hidden is hidden once.
    tar -tzf "squashed/blobs/sha256/$(manifest squashed | jq -r '.layers[1].digest | ltrimstr("sha256:")')" >names
    run ! grep -q 'many/01\|d/in' names
    grep -qx 'etc/.wh.group' names
}

@test "--squash-all: one layer, the same tree, nothing hidden" {
    "$COOPER" build -q -t x:1 -o type=oci,dest=plain,tar=false ctx
    "$COOPER" build -q -t x:1 --squash-all -o type=oci,dest=squashed,tar=false ctx
    [ "$(manifest squashed | jq '.layers | length')" -eq 1 ]
    check_history squashed
    umoci unpack --image plain:1 a 2>/dev/null
    umoci unpack --image squashed:1 b 2>/dev/null
    diff <(tree_text a/rootfs) <(tree_text b/rootfs)
    tar -tzf "squashed/blobs/sha256/$(manifest squashed | jq -r '.layers[0].digest | ltrimstr("sha256:")')" >names
    run ! grep -q '\.wh\.' names
}

@test "--split: no layer larger than asked for, the same tree, the same digests" {
    "$COOPER" build -q -t x:1 -o type=oci,dest=plain,tar=false ctx
    "$COOPER" build -q -t x:1 --split 50k --compression uncompressed -o type=oci,dest=a,tar=false ctx
    "$COOPER" build -q -t x:1 --split 50k --compression uncompressed --no-cache-filter nothing -o type=oci,dest=b,tar=false ctx
    cmp a/index.json b/index.json
    check_history a
    [ "$(manifest a | jq '.layers | length')" -gt 8 ]
    # A file that is larger alone has a layer of its own; headers of directories come on top.
    manifest a | jq -e '[.layers[1:][].size] | max < 60000'
    umoci unpack --image plain:1 pa 2>/dev/null
    umoci unpack --image a:1 pb 2>log
    run ! grep -qiE 'warn|error' log
    diff <(tree_text pa/rootfs) <(tree_text pb/rootfs)
    config a | jq -e '[.history[] | select(.comment // "" | test("^part [0-9]+ of [0-9]+$"))] | length > 3'
}

@test "--split keeps names of one file together and hides in the first piece only" {
    cat >ctx/Dockerfile <<'END'
FROM busybox
RUN mkdir /x && echo old >/x/old
RUN rm -r /x && mkdir /x && for i in 1 2 3 4 5 6; do head -c 9000 /dev/zero >/x/f$i; done && ln /x/f1 /x/z
END
    "$COOPER" build -q -t x:1 --split 20k -o type=oci,dest=a,tar=false ctx
    umoci unpack --image a:1 b 2>/dev/null
    [ "$(ls b/rootfs/x | xargs)" = "f1 f2 f3 f4 f5 f6 z" ]
    [ "$(stat -c %i b/rootfs/x/f1)" = "$(stat -c %i b/rootfs/x/z)" ]
}

@test "both, pushed and run by others; the cache is as it was" {
    "$COOPER" build -q -t "$REGISTRY/shaped:1" --squash --split 64k --push ctx >id
    peer_unpack "$REGISTRY/shaped:1"
    [ "$(cat bundle/rootfs/a)" = changed ]
    [ "$("${peer_run[@]}" "$REGISTRY/shaped:1" sh -c 'cat /a /root/new; ls /many | wc -l')" = $'changed\nr\n39' ]
    # No step runs again, whatever is made of the layers.
    cooper build --progress plain ctx
    [ "$(grep -c CACHED <<<"$stderr")" -eq 5 ]
    "$COOPER" build -q -t again --squash --split 64k ctx >id2
    cmp id id2
}

@test "nothing to squash, nothing to split: the image is the same" {
    printf 'FROM busybox\nRUN echo 1 >/one\n' >ctx/Dockerfile
    "$COOPER" build -q ctx >plain
    "$COOPER" build -q --squash --split 1g ctx >shaped
    cmp plain shaped
}

@test "--squash of layers that only remove" {
    printf 'FROM busybox\nRUN rm /etc/passwd\nRUN rm /etc/group\n' >ctx/Dockerfile
    "$COOPER" build -q -t x:1 --squash -o type=oci,dest=a,tar=false ctx
    umoci unpack --image a:1 b 2>/dev/null
    [ -z "$(ls b/rootfs/etc)" ]
}
