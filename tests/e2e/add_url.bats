# ADD of files behind http URLs.
bats_require_minimum_version 1.5.0
load lib
load sources
setup_file() {
    e2e_begin
    e2e_files_start
}
teardown_file() {
    e2e_servers_stop
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
    forget_requests
}

# Every test has a file of its own, as the store remembers URLs.
file() {
    echo "content of $1" >"$WWW/$1"
    touch -d @1600000000 "$WWW/$1"
    echo "$FILES/$1"
}

dockerfile() {
    printf '%s\n' 'FROM scratch' "$@" >ctx/Dockerfile
}

# "MODE OWNER SIZE DATE TIME NAME" of the built image's files.
list() {
    "$COOPER" build --progress quiet -o - "$@" ctx | TZ=UTC tar -tv --full-time --numeric-owner |
        sed 's/  */ /g'
}

@test "ADD URL: name, mode 0600, the time of Last-Modified; without one the epoch" {
    local url
    url=$(file a.txt)
    dockerfile "ADD $url /dir/" "ADD $url /other" "ADD $FILES/plain/a.txt /old/"
    list >out
    grep -qx -- '-rw------- 0/0 17 2020-09-13 12:26:40 dir/a.txt' out
    grep -qx -- '-rw------- 0/0 17 2020-09-13 12:26:40 other' out
    grep -qx -- '-rw------- 0/0 17 1970-01-01 00:00:00 old/a.txt' out
    # One URL is fetched once.
    [ "$(requests | grep -c '^GET /a.txt ')" -eq 1 ]
}

@test "ADD URL: --chmod, --chown, several at once, a query and an encoded name" {
    local a b
    a=$(file b1.txt)
    b=$(file 'b 2.txt')
    dockerfile "ADD --chmod=640 --chown=3:4 $a $FILES/b%202.txt?x=/y /dir/"
    list >out
    grep -qx -- '-rw-r----- 3/4 18 2020-09-13 12:26:40 dir/b1.txt' out
    grep -qx -- '-rw-r----- 3/4 19 2020-09-13 12:26:40 dir/b 2.txt' out
}

@test "an unchanged file costs one conditional request; a changed one is added anew" {
    local url
    url=$(file c.txt)
    dockerfile "ADD $url /"
    "$COOPER" build -q -t c ctx
    forget_requests
    cooper build --progress plain -t c ctx
    [[ $stderr == *CACHED* ]]
    [ "$(requests)" = 'GET /c.txt 304 -' ]
    echo changed >"$WWW/c.txt"
    "$COOPER" build -q -o out ctx
    [ "$(cat out/c.txt)" = changed ]
    # Touched, but the same: the layer stays.
    forget_requests
    touch -d @1650000000 "$WWW/c.txt"
    cooper build --progress plain ctx
    [[ $stderr == *CACHED* ]]
}

@test "another store fetches; the layer is the same" {
    local url
    url=$(file d.txt)
    dockerfile "ADD $url /"
    "$COOPER" build -q -o type=oci,dest=1,tar=false ctx
    COOPER_ROOT=$PWD/fresh "$COOPER" build -q -o type=oci,dest=2,tar=false ctx
    layers() { jq -r '.layers[].digest' "$1/blobs/sha256/$(jq -r '.manifests[0].digest' "$1/index.json" | cut -d: -f2)"; }
    [ -n "$(layers 1)" ]
    [ "$(layers 1)" = "$(layers 2)" ]
}

@test "--checksum: checked, then known without any request" {
    local url sum
    url=$(file e.txt)
    sum=$(sha256sum <"$WWW/e.txt" | cut -d' ' -f1)
    dockerfile "ADD --checksum=sha256:$sum $url /"
    "$COOPER" build -q -t e ctx
    forget_requests
    "$COOPER" build -q --no-cache -t e ctx
    dockerfile "ADD --checksum=sha256:$sum --chmod=600 $url /elsewhere"
    "$COOPER" build -q -t e ctx
    [ -z "$(requests)" ]
    sum=$(sha512sum <"$WWW/e.txt" | cut -d' ' -f1)
    dockerfile "ADD --checksum=sha512:$sum $url /"
    "$COOPER" build -q -o out ctx
    cmp out/e.txt "$WWW/e.txt"
}

@test "--checksum: another content is refused, both digests are told, nothing is kept" {
    local url zero=0000000000000000000000000000000000000000000000000000000000000000
    url=$(file f.txt)
    dockerfile "ADD --checksum=sha256:$zero $url /"
    export COOPER_ROOT=$PWD/fresh
    cooper build -t f ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *Dockerfile:2*"sha256:$(sha256sum <"$WWW/f.txt" | cut -d' ' -f1)"*"sha256:$zero"* ]]
    [ ! -e "$COOPER_ROOT/blobs/sha256/$(sha256sum <"$WWW/f.txt" | cut -d' ' -f1)" ]
    cooper inspect f
    [ "$status" -eq 1 ]
    dockerfile "ADD --checksum=md5:abc $url /"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *checksum* ]]
    touch ctx/local
    dockerfile "ADD --checksum=sha256:$zero local /"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"checksum requires HTTP(S) or Git sources"* ]]
}

@test "redirects are followed, a 503 is asked again" {
    local url
    url=$(file g.txt)
    dockerfile "ADD $FILES/to/302/g.txt /a" "ADD $FILES/to/308/to/301/g.txt /b" "ADD $FILES/flaky/2/g.txt /c"
    "$COOPER" build -q -o out ctx
    cmp out/a "$WWW/g.txt"
    cmp out/b "$WWW/g.txt"
    cmp out/c "$WWW/g.txt"
}

@test "what fails says what and why: 404, 401, nobody there, broken off, far too large" {
    file h.txt
    local path text
    while read -r path text; do
        dockerfile "ADD $path /x"
        cooper build -t h ctx
        [ "$status" -eq 1 ]
        [[ $stderr == *Dockerfile:2*"$text"* ]]
    done <<END
$FILES/nothere.txt 404
$FILES/auth/h.txt 401
http://127.0.0.1:1/h.txt refused
$FILES/huge has more than
END
    dockerfile "ADD $FILES/cut/h.txt /x"
    cooper build -t h ctx
    [ "$status" -eq 1 ]
    cooper inspect h
    [ "$status" -eq 1 ]
    dockerfile "COPY $FILES/h.txt /x"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"can't be a URL for COPY"* ]]
}

@test "a password in the URL goes to its host only, and into no history" {
    file i.txt
    dockerfile "ADD http://me:s3cret%2F@${FILES#http://}/auth/i.txt /x"
    "$COOPER" build -q -t secret ctx
    grep -q '^GET /auth/i.txt 200 basic' "$FILES_LOG"
    "$COOPER" inspect secret >image
    "$COOPER" history --no-trunc secret >>image
    run ! grep -q s3cret image
    run ! grep -rqa 's3cret' "$COOPER_ROOT/blobs" "$COOPER_ROOT/index"
    # "localhost" is another host than "127.0.0.1".
    forget_requests
    dockerfile "ADD http://me:s3cret%2F@${FILES#http://}/to/302/http://localhost:${FILES##*:}/token/i.txt /x"
    cooper build ctx
    [ "$status" -eq 1 ]
    grep -q '^GET /token/i.txt 401 -$' "$FILES_LOG"
}

@test "archives from elsewhere stay archives, unless --unpack" {
    mkdir tree
    echo x >tree/x
    tar -C tree -czf "$WWW/j.tgz" .
    dockerfile "ADD $FILES/j.tgz /plain/" "ADD --unpack=true $FILES/j.tgz /unpacked/" "ADD --unpack=false $FILES/j.tgz /again/"
    "$COOPER" build -q -o out ctx
    cmp out/plain/j.tgz "$WWW/j.tgz"
    cmp out/again/j.tgz "$WWW/j.tgz"
    [ "$(cat out/unpacked/x)" = x ]
}

@test "a stage that the target does not need fetches nothing" {
    printf 'FROM scratch AS unneeded\nADD %s/nothere /x\nFROM scratch\nCOPY Dockerfile /\n' "$FILES" >ctx/Dockerfile
    "$COOPER" build -q -o out ctx
    [ -z "$(requests)" ]
}
