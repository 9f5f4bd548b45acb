# Layers and archives that an attacker wrote: unpacked safely, or refused with one clear error,
# and never anything outside of the image's own tree.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_busybox
    export CASES="$BATS_FILE_TMPDIR/cases"
    mkdir "$CASES"
    tar -C "$BATS_FILE_TMPDIR/busybox" -cf "$BATS_FILE_TMPDIR/base.tar" .
    hostile all "$CASES" "$BATS_FILE_TMPDIR/base.tar"
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx
    "$COOPER" images -q --no-trunc >before
}

hostile() {
    python3 "$BATS_TEST_DIRNAME/hostile.py" "$@"
}

# The names of the cases.
cases() {
    (cd "$CASES" && printf '%s\n' *.layout | sed 's/\.layout$//')
}

# After cooper: no crash, one error if it failed; no ref, nothing left over or outside.
check_end() {
    [ "$status" -eq 0 ] || [ "$status" -eq 1 ] || { echo "exit code $status: $stderr"; return 1; }
    [ "$(grep -c '^cooper: error: ' <<<"$stderr")" -eq "$status" ] || { echo "$stderr"; return 1; }
    [ -z "$(ls -A "$COOPER_ROOT/ingest")" ] || { echo "left in ingest"; return 1; }
    [ -z "$(find . .. / /tmp -maxdepth 1 -name escaped)" ]
}

# The last command's image can be used, from its blobs alone, as others will have it.
check_use() {
    rm -rf "$COOPER_ROOT"/layers/* "$COOPER_ROOT"/index/*/*
    cooper run "$@"
    echo "$stderr"
    [ "$status" -eq 0 ]
}

@test "layers of images: what is bad is refused, what is only strange works" {
    local name
    printf 'FROM base\nRUN true\n' >ctx/Dockerfile
    for name in $(cases); do
        echo "$name"
        cooper build -q --build-context "base=oci-layout://$CASES/$name.layout:latest" ctx
        check_end
        case $name in
        good-*) [ "$status" -eq 0 ] ;;
        *) [ "$status" -eq 1 ] && [[ $stderr == *'layer sha256:'* ]] ;;
        esac
    done
    "$COOPER" images -q --no-trunc | diff before -
}

@test "root file systems to import: whatever is taken can be used" {
    local name
    for name in $(cases); do
        echo "$name"
        cooper import -c 'ENV PATH=/bin' "$CASES/$name.whole.tar" imported
        check_end
        [ "$status" -ne 0 ] || check_use imported true
    done
}

@test "archives to ADD: whatever is taken can be used" {
    local name
    printf 'FROM busybox\nADD layer.tar /d/e/\n' >ctx/Dockerfile
    for name in $(cases); do
        echo "$name"
        cp "$CASES/$name.tar" ctx/layer.tar
        cooper build -q -t added ctx
        check_end
        [ "$status" -ne 0 ] || check_use added find /d
    done
}

@test "ten gigabytes of zeros in ten megabytes do not fill the disk" {
    local before after diff_id
    diff_id=$(hostile bomb bomb.tar.gz)
    [ "$(stat -c %s bomb.tar.gz)" -lt $((12 << 20)) ]
    hostile layout layout "$BATS_FILE_TMPDIR/base.tar" bomb.tar.gz "$diff_id"
    printf 'FROM base\nRUN test $(stat -c %%s /zeros) -eq 10737418240\n' >ctx/Dockerfile
    before=$(du -sm "$COOPER_ROOT" | cut -f1)
    cooper build -q --build-context "base=oci-layout://$PWD/layout:latest" ctx
    [ "$status" -eq 0 ]
    after=$(du -sm "$COOPER_ROOT" | cut -f1)
    [ $((after - before)) -lt 50 ]
}

@test "compressed layers that are cut off or damaged are refused, and archives that are cut off" {
    local name
    mkdir members
    hostile members members "$BATS_FILE_TMPDIR/base.tar"
    for name in $(cd members && printf '%s\n' *.layout | sed 's/\.layout$//'); do
        echo "$name"
        printf 'FROM base\nRUN test -s /a\n' >ctx/Dockerfile
        cooper build -q --build-context "base=oci-layout://$PWD/members/$name.layout:latest" ctx
        check_end
        case $name in
        good-*) [ "$status" -eq 0 ] ;;
        *) [ "$status" -eq 1 ] && [[ $stderr == *'layer sha256:'* ]] ;;
        esac
        rm -f ctx/layer.*
        cp members/"$name".tar.* ctx/
        printf 'FROM busybox\nADD %s /d/\n' "$(basename members/"$name".tar.*)" >ctx/Dockerfile
        cooper build -q ctx
        check_end
        # One that ends within an entry is refused, never half unpacked.
        case $name in
        cut-second-* | cut-trailer-* | missing-*) [ "$status" -eq 1 ] ;;
        wrong-*-gz | flipped-*) [ "$status" -eq 1 ] && [[ $stderr == *"damaged archive"* ]] ;;
        good-*) [ "$status" -eq 0 ] ;;
        esac
        rm ctx/"$name".tar.*
    done
}

@test "a million entries are read, and the last of one name counts" {
    hostile many many.tar
    hostile layout layout "$BATS_FILE_TMPDIR/base.tar" many.tar
    rm many.tar
    # The index alone answers: nothing is unpacked.
    printf 'FROM scratch\nCOPY --from=base /many/999/997 /many/one /\n' >ctx/Dockerfile
    cooper build -q -t picked --build-context "base=oci-layout://$PWD/layout:latest" ctx
    check_end
    [ "$status" -eq 0 ]
    cooper diff --only files --format json busybox picked
    [ "$(jq -r '[.files[] | select(.change == "added").path] | join(" ")' <<<"$output")" = "/997 /one" ]
}

@test "an opaque whiteout of the root hides all that is below, and nothing else" {
    python3 - "$BATS_TEST_DIRNAME" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import hostile
with open("opaque.tar", "wb") as f:
    f.write(hostile.file(b".wh..wh..opq", b"") + hostile.file(b"alone") + hostile.END)
END
    hostile layout layout "$BATS_FILE_TMPDIR/base.tar" opaque.tar
    printf 'FROM base\nCOPY Dockerfile /x\n' >ctx/Dockerfile
    cooper build -q -t opaque --build-context "base=oci-layout://$PWD/layout:latest" ctx
    check_end
    [ "$status" -eq 0 ]
    cooper diff --only files --format json busybox opaque
    [ "$(jq -r '[.files[] | select(.change == "added").path] | join(" ")' <<<"$output")" = "/alone /x" ]
    jq -e '[.files[].path] | index("/bin/busybox") != null' <<<"$output"
    # Unpacked it is the same.
    cooper build -q --build-context "base=oci-layout://$PWD/layout:latest" --output type=local,dest=out ctx
    [ "$(cd out && find . -mindepth 1 | sort | paste -sd' ')" = "./alone ./x" ]
}

@test "a name in an error does not speak to the terminal" {
    printf 'FROM busybox\nADD layer.tar /d/\n' >ctx/Dockerfile
    cp "$CASES/escape-sequence-link.tar" ctx/layer.tar
    cooper build -q ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'?[31mred'* ]]
    [ -z "$(tr -d '\n\t -~' <<<"$stderr")" ]
}

@test "an archive whose config is none of its layers' is not loaded" {
    local layout=$CASES/good-twice.layout manifest bad
    manifest=$(jq -r '.manifests[0].digest' "$layout/index.json")
    for bad in '[]' '{"rootfs": 5}' '{"rootfs": {"diff_ids": []}}' 'no JSON' \
        "$(printf '[%.0s' $(seq 10000))"; do
        cp -r "$layout" bad
        jq --arg d "sha256:$(printf %s "$bad" | sha256sum | cut -d' ' -f1)" \
            --argjson s "${#bad}" '.config.digest = $d | .config.size = $s' \
            "$layout/blobs/sha256/${manifest#sha256:}" >manifest
        cp manifest "bad/blobs/sha256/$(sha256sum <manifest | cut -d' ' -f1)"
        jq --arg d "sha256:$(sha256sum <manifest | cut -d' ' -f1)" \
            --argjson s "$(stat -c %s manifest)" \
            '.manifests[0].digest = $d | .manifests[0].size = $s' "$layout/index.json" >bad/index.json
        printf %s "$bad" >"bad/blobs/sha256/$(printf %s "$bad" | sha256sum | cut -d' ' -f1)"
        tar -C bad -cf bad.tar .
        cooper load -i bad.tar
        echo "${bad:0:40}: $stderr"
        [ "$status" -eq 1 ]
        check_end
        rm -r bad
    done
    "$COOPER" images -q --no-trunc | diff before -
}
