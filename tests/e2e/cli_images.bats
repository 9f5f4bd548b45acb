# The images of the store: import, images, tag, inspect, history, rmi.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

id_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

@test "import prints the image's digest" {
    cooper import "$BATS_FILE_TMPDIR/busybox" printed
    [ "$status" -eq 0 ]
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    [ "$output" = "$(id_of printed)" ]
    [ -z "$stderr" ]
}

@test "import is deterministic with SOURCE_DATE_EPOCH, of a directory and of a tar" {
    local root=$BATS_FILE_TMPDIR/busybox
    export SOURCE_DATE_EPOCH=1700000000
    cooper import -m x "$root" one
    local first=$output
    cooper import -m x "$root" two
    [ "$output" = "$first" ]
    tar -C "$root" --owner=0 --group=0 -cf fs.tar .
    cooper import -m x fs.tar three
    [ "$status" -eq 0 ]
    local from_tar=$output
    gzip -k fs.tar
    cooper import -m x fs.tar.gz four
    [ "$output" = "$from_tar" ]
    run --separate-stderr bash -c '"$COOPER" import -m x - five <fs.tar'
    [ "$output" = "$from_tar" ]
    # The same files, whichever way they came.
    [ "$("$COOPER" inspect one | jq -c '.[0].RootFS')" = \
        "$("$COOPER" inspect three | jq -c '.[0].RootFS')" ]
    [ "$("$COOPER" inspect one | jq -r '.[0].Created')" = 2023-11-14T22:13:20Z ]
}

@test "import keeps owners, modes, links, times, attributes; others read them" {
    mkdir -p root/dir
    echo hello >root/dir/file
    chmod 4751 root/dir/file
    ln root/dir/file root/second
    ln -s dir/file root/link
    mkfifo root/fifo
    setfattr -n user.note -v text root/dir/file
    touch -d @1600000000 root/dir/file
    cooper import root attributes
    [ "$status" -eq 0 ]
    skopeo copy -q "oci:$COOPER_ROOT:docker.io/library/attributes:latest" "oci:out:x"
    local layer
    layer=$(jq -r '.layers[0].digest' "out/blobs/sha256/$(jq -r '.manifests[0].digest' out/index.json | cut -d: -f2)")
    tar -tvzf "out/blobs/sha256/${layer#sha256:}" --numeric-owner --full-time >list
    grep -E '^-rwsr-x--x .* 2020-09-13 12:26:40 +(\./)?dir/file$' list
    grep -E '^h.* second link to (\./)?dir/file$' list
    grep -E '^l.* link -> dir/file$' list
    grep -E '^p.* fifo$' list
    tar --xattrs --xattrs-include='*' -tvvzf "out/blobs/sha256/${layer#sha256:}" | grep user.note
}

@test "import --change sets the config; what makes files is refused" {
    cooper import -c 'ENTRYPOINT ["/bin/echo"]' -c 'ENV A=b C="d e"' -c 'LABEL k=v' \
        --change 'EXPOSE 80' "$BATS_FILE_TMPDIR/busybox" changed
    [ "$status" -eq 0 ]
    "$COOPER" inspect changed | jq -e '.[0].Config |
        .Entrypoint == ["/bin/echo"] and .Env == ["A=b", "C=d e"] and .Labels.k == "v" and
        .ExposedPorts == {"80/tcp": {}}'
    cooper import -c 'RUN true' "$BATS_FILE_TMPDIR/busybox" refused
    [ "$status" -eq 1 ]
    [[ $stderr == *"RUN cannot be a change"* ]]
    cooper inspect refused
    [ "$status" -eq 1 ]
}

@test "import refuses what is no root file system" {
    echo text >file
    cooper import file x
    [ "$status" -eq 1 ]
    [[ $stderr == *"neither a directory nor a tar archive"* ]]
    cooper import nothere x
    [ "$status" -eq 1 ]
    [[ $stderr == *"nothere"*"No such file"* ]]
    cooper import https://example.com/x.tar x
    [ "$status" -eq 1 ]
    [[ $stderr == *"remote files are not fetched"* ]]
}

@test "images lists names, IDs and sizes" {
    cooper images
    [ "$status" -eq 0 ]
    [[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
    grep -E "^busybox +latest +$(id_of busybox | cut -c8-19) +.* ago +[0-9.]+[kM]B$" <<<"$output"
    cooper images --digests --no-trunc
    grep -E "^busybox +latest +$(id_of busybox) +$(id_of busybox) " <<<"$output"
}

@test "images filters by name and by pattern" {
    "$COOPER" tag busybox example.org/team/app:1
    "$COOPER" tag busybox example.org/team/app:2
    cooper images example.org/team/app
    [ "${#lines[@]}" -eq 3 ]
    cooper images example.org/team/app:2
    [ "${#lines[@]}" -eq 2 ]
    cooper images 'example.org/*/app:[12]'
    [ "${#lines[@]}" -eq 3 ]
    cooper images nothing
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 1 ]
}

@test "a damaged image is told of and does not hide the others" {
    export COOPER_ROOT=$PWD/store
    "$COOPER" import "$BATS_FILE_TMPDIR/busybox" good >/dev/null
    "$COOPER" import -m other "$BATS_FILE_TMPDIR/busybox" bad >/dev/null
    local id
    id=$(id_of bad)
    chmod u+w "store/blobs/sha256/${id#sha256:}"
    echo damage >"store/blobs/sha256/${id#sha256:}"
    cooper images
    [ "$status" -eq 0 ]
    [[ $stderr == *"cooper: warning: docker.io/library/bad:latest: "* ]]
    [[ $output == *good* ]]
    [[ $output != *bad* ]]
}

@test "images -q prints each ID once; --format json one document a line" {
    "$COOPER" tag busybox again
    cooper images -q
    [ "$(sort <<<"$output" | uniq -d)" = "" ]
    [[ $output == *"$(id_of busybox | cut -c8-19)"* ]]
    "$COOPER" images --format json again | jq -e \
        '.Repository == "again" and .Tag == "latest" and (.Size | endswith("MB"))'
}

@test "an image is found by name, ID, beginning of an ID, and digest" {
    local id
    id=$(id_of busybox)
    for name in busybox busybox:latest docker.io/library/busybox "$id" "${id#sha256:}" \
        "$(cut -c8-19 <<<"$id")" "busybox@$id"; do
        [ "$(id_of "$name")" = "$id" ]
    done
}

@test "tag gives further names; a digest is no name" {
    cooper tag busybox named:1
    [ "$status" -eq 0 ]
    [ "$(id_of named:1)" = "$(id_of busybox)" ]
    "$COOPER" inspect busybox | jq -e '.[0].RepoTags | index("named:1")'
    cooper tag busybox "named@$(id_of busybox)"
    [ "$status" -eq 1 ]
    cooper tag nothere x
    [ "$status" -eq 1 ]
    cooper tag busybox 'host.org/UPPER'
    [ "$status" -eq 1 ]
}

@test "inspect prints what docker prints" {
    cooper inspect busybox
    jq -e '.[0] | .Os == "linux" and .Config.Cmd == ["/bin/sh"] and .Size > 500000 and
        (.RootFS.Layers | length) == 1 and any(.RepoDigests[]; startswith("busybox@sha256:"))' <<<"$output"
    cooper inspect --format json busybox busybox
    [ "${#lines[@]}" -eq 1 ]
    [ "$(jq length <<<"$output")" -eq 2 ]
}

@test "history tells what was done" {
    "$COOPER" import -m 'a comment' "$BATS_FILE_TMPDIR/busybox" commented
    cooper history commented
    [ "$status" -eq 0 ]
    [[ ${lines[0]} =~ ^IMAGE\ +CREATED\ +CREATED\ BY\ +SIZE\ +COMMENT$ ]]
    [[ ${lines[1]} == "$(id_of commented | cut -c8-19) "*"a comment" ]]
    cooper history -q --no-trunc commented
    [ "$output" = "$(id_of commented)" ]
    "$COOPER" history --format json commented | jq -e '.Comment == "a comment"'
}

@test "rmi takes names one by one, and the content with the last of them" {
    export COOPER_ROOT=$PWD/store
    "$COOPER" import "$BATS_FILE_TMPDIR/busybox" one >/dev/null
    "$COOPER" tag one two
    local id
    id=$(id_of one)
    cooper rmi one
    [ "$status" -eq 0 ]
    [ "$output" = "Untagged: one:latest" ]
    [ "$(id_of two)" = "$id" ]
    cooper rmi two
    [ "${lines[0]}" = "Untagged: two:latest" ]
    [ "${lines[1]}" = "Deleted: $id" ]
    [ -z "$(find store/blobs -type f)" ]
    jq -e '.manifests == []' store/index.json
}

@test "rmi by ID needs --force for several names" {
    export COOPER_ROOT=$PWD/store
    "$COOPER" import "$BATS_FILE_TMPDIR/busybox" one >/dev/null
    "$COOPER" tag one two
    local id
    id=$(id_of one)
    cooper rmi "${id:7:12}"
    [ "$status" -eq 1 ]
    [[ $stderr == *"has 2 names"* ]]
    cooper rmi -f "${id:7:12}"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 3 ]
    cooper images -q
    [ -z "$output" ]
}

@test "rmi of what is not there fails, and with --force does not; others are removed" {
    "$COOPER" tag busybox here
    cooper rmi nothere here
    [ "$status" -eq 1 ]
    [ "$output" = "Untagged: here:latest" ]
    cooper rmi -f nothere
    [ "$status" -eq 0 ]
    [[ $stderr == *"cooper: warning: no image 'nothere'"* ]]
}
