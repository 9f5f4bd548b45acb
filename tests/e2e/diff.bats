# cooper diff: config, layers, packages and files of two images.
bats_require_minimum_version 1.5.0
load lib
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() { e2e_setup; }

# diff_json A B [OPTION...]: the document in diff.json; fails unless the command is done.
diff_json() {
    "$COOPER" diff --format json "$@" >diff.json
    jq -e . diff.json >/dev/null
}

# The image $1 of the directory $2.
image() {
    "$COOPER" import "${@:3}" "$2" "$1" >/dev/null
}

@test "an image does not differ from itself: nothing is printed" {
    cooper diff busybox busybox
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ -z "$stderr" ]
    diff_json busybox busybox
    jq -e '.equal and .config == [] and .files == [] and .packages == [] and
        (.layers | length == 1) and .layers[0].change == "same"' diff.json
}

@test "every kind of difference in files is listed, with sizes" {
    mkdir -p a/etc b/etc a/gone/deep b/new
    echo same | tee a/etc/same >b/etc/same
    touch -d @1700000000 a/etc/same
    touch -d @1800000000 b/etc/same
    echo one >a/etc/content
    echo three >b/etc/content
    echo x | tee a/etc/mode >b/etc/mode
    chmod 600 b/etc/mode
    ln -s one a/etc/link
    ln -s two b/etc/link
    ln -s same a/etc/type
    mkdir b/etc/type
    echo y >b/etc/type/below
    echo z >a/gone/deep/file
    echo 12345 >b/new/file
    echo x | tee a/etc/attr >b/etc/attr
    setfattr -n user.note -v text b/etc/attr
    image files:a a
    image files:b b
    diff_json files:a files:b --only files
    [ "$(jq -c '.files[] | [.path, .change, .aspects, .before.size, .after.size]' diff.json | sort)" = "$(
        sort <<'END'
["/etc/attr","changed",["xattrs"],2,2]
["/etc/content","changed",["content"],4,6]
["/etc/link","changed",["target"],null,null]
["/etc/mode","changed",["mode"],2,2]
["/etc/type","changed",["type"],null,null]
["/etc/type/below","added",null,null,2]
["/gone","removed",null,null,null]
["/gone/deep","removed",null,null,null]
["/gone/deep/file","removed",null,2,null]
["/new","added",null,null,null]
["/new/file","added",null,null,6]
END
    )" ]
    jq -e '.filesWithOtherTimesOnly >= 1 and .layers == [] and .config == []' diff.json
    cooper diff files:a files:b --only files
    [ "$status" -eq 0 ]
    [[ $output == *"  ~ /etc/content  4B -> 6B"* ]]
    [[ $output == *"  ~ /etc/mode  mode 0644 -> 0600"* ]]
    [[ $output == *"  ~ /etc/link  -> one, now -> two"* ]]
    [[ $output == *"  ~ /etc/type  -> same, now directory"* ]]
    [[ $output == *"  - /gone/deep/file  2B"* ]]
    [[ $output == *"  + /new/file  6B"* ]]
    [[ ${lines[-1]} == "3 added, 3 removed, 5 changed; +8B; "*" more differ in their times only" ]]
}

@test "--times lists what differs in nothing else" {
    mkdir a b
    echo x | tee a/f >b/f
    touch -d @1700000000 a/f
    touch -d @1800000000 b/f
    image times:a a
    image times:b b
    cooper diff --exit-code --only files times:a times:b
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    cooper diff --exit-code --only files --times times:a times:b
    [ "$status" -eq 1 ]
    [[ $output == *"  ~ /f  time 2023-11-14T22:13:20Z -> 2027-01-15T08:00:00Z"* ]]
}

@test "config and annotations: values by name, however they are ordered" {
    local root=$BATS_FILE_TMPDIR/busybox
    image config:a "$root" -c 'ENV A=1 B=2' -c 'EXPOSE 80' -c 'CMD ["x"]' -c 'LABEL l=1'
    image config:b "$root" -c 'ENV B=2 A=3 C=4' -c 'EXPOSE 81' -c 'CMD ["x", "y"]' -c 'LABEL l=1' -c 'USER bob'
    diff_json config:a config:b
    [ "$(jq -c '.config[] | [.path, .change, .before, .after]' diff.json | sort)" = "$(
        sort <<'END'
["config.Cmd","changed",["x"],["x","y"]]
["config.Env.A","changed","1","3"]
["config.Env.C","added",null,"4"]
["config.ExposedPorts.80/tcp","removed",{},null]
["config.ExposedPorts.81/tcp","added",null,{}]
["config.User","added",null,"bob"]
END
    )" ]
    jq -e '.files == [] and (.equal | not)' diff.json
    printf 'FROM busybox\n' >Dockerfile
    "$COOPER" build -q -t config:c --annotation org.example.note=1 . >/dev/null
    "$COOPER" build -q -t config:d --annotation org.example.note=2 . >/dev/null
    cooper diff config:c config:d
    [[ $output == *'  ~ annotations.org.example.note  "1" -> "2"'* ]]
}

@test "layers that both have are found between those that are new and gone" {
    printf 'FROM busybox\nCOPY one /one\nCOPY two /two\n' >Dockerfile
    echo 1 >one
    echo 2 >two
    "$COOPER" build -q -t layers:a . >/dev/null
    echo 22 >two
    printf 'FROM busybox\nCOPY one /one\nCOPY two /two\nRUN rm /one && echo 3 >/three\n' >Dockerfile
    "$COOPER" build -q -t layers:b . >/dev/null
    diff_json layers:a layers:b
    [ "$(jq -r '[.layers[].change] | join(" ")' diff.json)" = "same same removed added added" ]
    jq -e '.layers[4].createdBy | contains("rm /one")' diff.json
    [ "$(jq -r '.files[] | .path + " " + .change' diff.json | sort | paste -sd' ')" = \
        "/one removed /three added /two changed" ]
    # In another compression it is another blob and the same layer.
    "$COOPER" build -q -t layers:z --compression zstd --force-compression . >/dev/null
    cooper diff --exit-code layers:b layers:z
    [ "$status" -eq 0 ]
    [ -z "$output" ]
}

dpkg_stanza() { # NAME VERSION ["STATUS"]
    printf 'Package: %s\nStatus: %s\nArchitecture: amd64\nVersion: %s\nDescription: x\n y: z\n\n' \
        "$1" "${3:-install ok installed}" "$2"
}

@test "packages of dpkg, apk, pip and npm, with versions" {
    local side
    for side in a b; do
        mkdir -p $side/var/lib/dpkg/status.d $side/lib/apk/db \
            $side/usr/lib/python3/dist-packages $side/app/node_modules/@scope/mod $side/app/node_modules/same
        echo '{"name":"same","version":"1.0.0"}' >$side/app/node_modules/same/package.json
    done
    { dpkg_stanza kept 1; dpkg_stanza up 1.0-1; dpkg_stanza gone 1; } >a/var/lib/dpkg/status
    { dpkg_stanza up 1.0-2; dpkg_stanza kept 1; dpkg_stanza left 2 "deinstall ok config-files"
      dpkg_stanza new 3; } >b/var/lib/dpkg/status
    printf 'Package: base-files\nVersion: 12\n' >b/var/lib/dpkg/status.d/base-files
    printf 'C:Q1\nP:musl\nV:1.2.3-r0\nA:x86_64\n\nP:zlib\nV:1\nA:x86_64\n\n' >a/lib/apk/db/installed
    printf 'C:Q2\nP:musl\nV:1.2.4-r0\nA:x86_64\n\nP:zlib\nV:1\nA:x86_64\n\n' >b/lib/apk/db/installed
    mkdir a/usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info b/usr/lib/python3/dist-packages/Foo_Bar-1.1.dist-info
    echo "Name: Foo_Bar" | tee a/usr/lib/python3/dist-packages/Foo_Bar-1.0.dist-info/METADATA \
        >b/usr/lib/python3/dist-packages/Foo_Bar-1.1.dist-info/METADATA
    echo '{"name":"@scope/mod","version":"1.2.3"}' >a/app/node_modules/@scope/mod/package.json
    echo '{"name":"@scope/mod","version":"2.0.0-rc.1"}' >b/app/node_modules/@scope/mod/package.json
    image packages:a a
    image packages:b b
    diff_json packages:a packages:b
    jq -e '.notes == []' diff.json
    [ "$(jq -r '.packages[] | [.type, .name, .architecture, .change, .before, .after] | map(. // "") | join("|")' diff.json)" = \
"apk|musl|x86_64|changed|1.2.3-r0|1.2.4-r0
dpkg|base-files||added||12
dpkg|gone|amd64|removed|1|
dpkg|new|amd64|added||3
dpkg|up|amd64|changed|1.0-1|1.0-2
npm|@scope/mod||changed|1.2.3|2.0.0-rc.1
pip|foo-bar||changed|1.0|1.1" ]
    cooper diff --only packages packages:a packages:b
    [[ $output == *"  ~ dpkg up:amd64  1.0-1 -> 1.0-2"* ]]
    [[ $output != *files:* ]]
}

# rpm_package NAME VERSION: a package without files, in rpms/.
rpm_package() {
    printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: x\nLicense: x\nEpoch: 2\nBuildArch: noarch\n%%description\nx\n%%files\n' \
        "$1" "$2" >"$1.spec"
    rpmbuild --quiet -bb -D "_topdir $PWD/rpmbuild" -D "_rpmdir $PWD/rpms" "$1.spec" >/dev/null 2>&1
}

@test "packages of rpm, from a database that rpm made; other formats are named" {
    local side
    rpm_package tool 1.0
    rpm_package lib 3
    cp -r rpms old
    rm -r rpms
    rpm_package tool 1.1
    for side in a b; do
        mkdir -p $side/var/lib/rpm
        rpm --dbpath "$PWD/$side/var/lib/rpm" -D '_db_backend sqlite' --initdb
    done
    rpm --dbpath "$PWD/a/var/lib/rpm" -D '_db_backend sqlite' -i --justdb --nodeps --ignorearch old/noarch/*.rpm
    rpm --dbpath "$PWD/b/var/lib/rpm" -D '_db_backend sqlite' -i --justdb --nodeps --ignorearch rpms/noarch/*.rpm
    image rpm:a a
    image rpm:b b
    diff_json rpm:a rpm:b
    jq -e '.notes == []' diff.json
    [ "$(jq -r '.packages[] | [.type, .name, .architecture, .change, .before, .after] | map(. // "") | join("|")' diff.json)" = \
"rpm|lib|noarch|removed|2:3-1|
rpm|tool|noarch|changed|2:1.0-1|2:1.1-1" ]

    # A change that is in the log alone, as when the writer was stopped.
    cp -r a c
    python3 - c/var/lib/rpm/rpmdb.sqlite <<'END'
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA wal_autocheckpoint=0")
db.execute("DELETE FROM Packages WHERE hnum=(SELECT max(hnum) FROM Packages)")
db.commit()
os._exit(0)
END
    [ -s c/var/lib/rpm/rpmdb.sqlite-wal ]
    rm -f c/var/lib/rpm/rpmdb.sqlite-shm
    image rpm:c c
    diff_json rpm:a rpm:c
    jq -e '.notes == [] and (.packages | length == 1) and .packages[0].change == "removed"' diff.json

    # What is no database, and what is not read.
    rm -r b/var/lib/rpm/*
    echo "no database, but long enough to be taken for one" >b/var/lib/rpm/rpmdb.sqlite
    image rpm:d b
    cooper diff rpm:a rpm:d
    [ "$status" -eq 0 ]
    [[ $stderr == *"packages of /var/lib/rpm/rpmdb.sqlite are not compared: the database cannot be read"* ]]
    rm b/var/lib/rpm/*
    echo x >b/var/lib/rpm/Packages
    image rpm:e b
    cooper diff rpm:a rpm:e
    [[ $stderr == *"/var/lib/rpm/Packages are not compared: it is a Berkeley DB"* ]]
}

@test "--exit-code: 0 equal, 1 different, 128 failed; -q prints nothing" {
    mkdir a
    echo x >a/x
    image code:a a
    cooper diff --exit-code busybox code:a
    [ "$status" -eq 1 ]
    [ -n "$output" ]
    cooper diff -q busybox code:a
    [ "$status" -eq 1 ]
    [ -z "$output$stderr" ]
    cooper diff -q busybox busybox
    [ "$status" -eq 0 ]
    cooper diff busybox code:a
    [ "$status" -eq 0 ]
    cooper diff -q busybox "$REGISTRY/none:1"
    [ "$status" -eq 128 ]
    [[ $stderr == *"$REGISTRY/none:1: not in the store, and from the registry: "* ]]
    cooper diff busybox "$REGISTRY/none:1"
    [ "$status" -eq 1 ]
    cooper diff -q --only nothing busybox busybox
    [ "$status" -eq 2 ]
}

@test "what the store lacks comes from the registry, and gets no name" {
    printf 'FROM busybox\nRUN echo 1 >/one\n' >Dockerfile
    "$COOPER" build -q -t "$REGISTRY/app:1" --push . >/dev/null
    printf 'FROM busybox\nRUN echo 22 >/one\n' >Dockerfile
    "$COOPER" build -q -t "$REGISTRY/app:2" --push . >/dev/null
    cooper --root "$PWD/other" diff "$REGISTRY/app:1" "$REGISTRY/app:2"
    [ "$status" -eq 0 ]
    [[ $output == *"  ~ /one  2B -> 3B"* ]]
    cooper --root "$PWD/other" images -q
    [ -z "$output" ]
    # The same name here and there: docker:// is there.
    "$COOPER" tag "$REGISTRY/app:2" "$REGISTRY/app:1"
    cooper diff -q "$REGISTRY/app:1" "$REGISTRY/app:2"
    [ "$status" -eq 0 ]
    cooper diff --exit-code "$REGISTRY/app:1" "docker://$REGISTRY/app:1"
    [ "$status" -eq 1 ]
    [[ $output == *"  ~ /one  3B -> 2B"* ]]
}

# A manifest as an index has it: of what $1 names in the registry, for architecture $2.
index_entry() {
    curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' -D head "http://$REGISTRY/v2/many/manifests/$1" -o body
    printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d,"platform":{"os":"linux","architecture":"%s"}}' \
        "$(sha256sum body | cut -d' ' -f1)" "$(wc -c <body)" "$2"
}

# The image many:$1 for amd64 and arm64, with the files of these names.
many_push() {
    local arch

    printf 'FROM scratch\nCOPY file /arch\n' >Dockerfile
    for arch in amd64 arm64; do
        cp "$arch" file
        "$COOPER" build -q -t "$REGISTRY/many:$1-$arch" --platform "linux/$arch" --push . >/dev/null
    done
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' \
        "$(index_entry "$1-amd64" amd64)" "$(index_entry "$1-arm64" arm64)" >index
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary @index \
        "http://$REGISTRY/v2/many/manifests/$1"
}

@test "of images for several platforms one is compared" {
    echo amd64 >amd64
    echo arm64 >arm64
    many_push 1
    echo more >>arm64
    many_push 2
    cooper diff --exit-code --platform linux/amd64 "$REGISTRY/many:1" "$REGISTRY/many:2"
    [ "$status" -eq 0 ]
    cooper diff --exit-code --platform linux/arm64 "$REGISTRY/many:1" "$REGISTRY/many:2"
    [ "$status" -eq 1 ]
    [[ $output == *"  ~ /arch  6B -> 11B"* ]]
    # Which one of an index it was is said.
    diff_json --platform linux/arm64 "$REGISTRY/many:1" "$REGISTRY/many:2"
    jq -e '.a.platform.architecture == "arm64" and (.a.index | startswith("sha256:"))' diff.json
}

@test "names in an image do not speak to the terminal" {
    mkdir a b
    echo x >"b/$(printf 'a\033[31m\nb')"
    image terminal:a a
    image terminal:b b
    cooper diff terminal:a terminal:b
    [[ $output == *'  + /a\x1b[31m\nb  2B'* ]]
    [[ $output != *$'\033'* ]]
}

@test "a differing image is read without unpacking anything" {
    mkdir a
    echo x >a/x
    image unpack:a a
    ls "$COOPER_ROOT/layers" | sort >before
    "$COOPER" diff busybox unpack:a >/dev/null
    ls "$COOPER_ROOT/layers" | sort >after
    cmp before after
}
