# The flags of COPY and ADD, where the corpus of recorded results does not reach.
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

layers() {
    "$COOPER" inspect "$1" | jq -r '.[0].RootFS.Layers[]'
}

# Makes another image of the name base in the store.
base() {
    printf 'FROM busybox\nRUN echo %s >/which\n' "$1" >ctx/Base
    "$COOPER" build -q -t base -f ctx/Base ctx
}

@test "--link: a new base leaves the layer as it is; without, the step runs anew" {
    printf 'FROM base\nCOPY --link file /etc/file\nCOPY --link file /other/\n' >ctx/Dockerfile
    printf 'FROM base\nCOPY file /etc/file\n' >ctx/plain
    base one
    "$COOPER" build -q -t linked:1 ctx
    "$COOPER" build -q -f ctx/plain ctx
    base two
    cooper build --progress plain -t linked:2 ctx
    [ "$(grep -c CACHED <<<"$stderr")" -eq 2 ]
    [ "$(layers linked:1 | tail -2)" = "$(layers linked:2 | tail -2)" ]
    [ "$(layers linked:1 | head -2)" != "$(layers linked:2 | head -2)" ]
    cooper build --progress plain -f ctx/plain ctx
    run ! grep -q CACHED <<<"$stderr"
    [ "$("$COOPER" run --rm linked:2 cat /which /etc/file)" = $'two\ncontent' ]
}

@test "--link: the base's layers need not be there" {
    base three
    "$COOPER" tag base "$REGISTRY/base:3"
    "$COOPER" push -q "$REGISTRY/base:3"
    printf 'FROM %s/base:3\nCOPY --link --chown=7:8 file /etc/\n' "$REGISTRY" >ctx/Dockerfile
    export COOPER_ROOT=$PWD/fresh
    "$COOPER" build -q --push -t "$REGISTRY/linked:3" ctx
    # Busybox is larger than that.
    [ "$(du -sk fresh/blobs | cut -f1)" -lt 500 ]
    skopeo inspect --tls-verify=false "docker://$REGISTRY/linked:3" | jq -e '.Layers | length == 3'
}

@test "several --exclude, with exceptions; --parents with a pivot and wildcards" {
    mkdir -p ctx/a/b/c ctx/a/node
    touch ctx/a/x.log ctx/a/keep.log ctx/a/b/y.o ctx/a/b/c/z.txt ctx/a/node/m
    printf 'FROM scratch\nCOPY --exclude=**/*.log --exclude=!keep.log --exclude=node --exclude=**/*.o a /\n' >ctx/Dockerfile
    [ "$(files)" = $'b/c/z.txt\nkeep.log' ]
    printf 'FROM scratch\nCOPY --parents --exclude=**/*.o ./a/./b/ ./a/./**/*.log /d/\n' >ctx/Dockerfile
    [ "$(files)" = $'d/b/c/z.txt\nd/keep.log\nd/x.log' ]
}

@test "owners by name are those of the image's own passwd and group, also changed by a step" {
    printf 'FROM busybox\nCOPY --chown=bob:wheel file /1\nRUN echo eve:x:77:78::/: >>/etc/passwd\nCOPY --chown=eve file /2\nCOPY --chown=eve:bob --chmod=g+w,o= file /3\n' >ctx/Dockerfile
    "$COOPER" build --progress quiet -o - ctx | tar -tv --numeric-owner | sed 's/  */ /g' >out
    grep -q -- '^-rw-r--r-- 1000/10 .* 1$' out
    grep -q -- '^-rw-r--r-- 77/78 .* 2$' out
    grep -q -- '^-rw-rw---- 77/1000 .* 3$' out
}

@test "symlinks in an image's paths are followed inside it only" {
    printf 'FROM busybox AS base\nRUN ln -s / /all && ln -s ../../../../../../etc /up && ln -s /nowhere/yet /dangling && ln -s b /a && ln -s a /b\nFROM base\nCOPY file /all/1\nCOPY file /up/2\nCOPY file /dangling/3\n' >ctx/Dockerfile
    "$COOPER" build -q -o out ctx
    [ -f out/1 ] && [ -f out/etc/2 ] && [ -f out/nowhere/yet/3 ]
    printf 'FROM busybox AS base\nRUN ln -s b /a && ln -s a /b\nFROM base\nCOPY file /a/x\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *symlinks* ]]
    printf 'FROM busybox AS base\nRUN ln -s /../../etc/passwd /p\nFROM scratch\nCOPY --from=base /p /got\n' >ctx/Dockerfile
    "$COOPER" build -q -o out2 ctx
    grep -q '^bob:' out2/got
}

@test "a directory of many thousand files" {
    mkdir ctx/many
    (cd ctx/many && seq 20000 | xargs touch)
    printf 'FROM scratch\nCOPY many /many\n' >ctx/Dockerfile
    [ "$(files | wc -l)" -eq 20000 ]
    touch ctx/many/one-more
    [ "$(files | wc -l)" -eq 20001 ]
    cooper build --progress plain ctx
    [[ $stderr == *CACHED* ]]
}

@test "devices of a context are taken as they are or refused, never read" {
    [ -c ctx/null ] || mknod ctx/null c 1 3 2>/dev/null || ln -s /dev/zero ctx/null
    printf 'FROM scratch\nCOPY null /null\n' >ctx/Dockerfile
    cooper build -t device ctx
    if [ -L ctx/null ]; then
        [ "$status" -eq 1 ]
    else
        [ "$status" -eq 0 ]
        [ "$("$COOPER" build --progress quiet -o - ctx | tar -tv | cut -c1)" = c ]
    fi
}
