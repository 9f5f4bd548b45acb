#!/usr/bin/env bats
# Images for several platforms: built together, run where emulation is set up, joined, moved.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
    e2e_registry_start
    # What every test builds: one stage that runs here, and an image for each platform.
    mkdir "$BATS_FILE_TMPDIR/ctx"
    printf 'data\n' >"$BATS_FILE_TMPDIR/ctx/data"
    cat >"$BATS_FILE_TMPDIR/ctx/Dockerfile" <<'END'
FROM --platform=$BUILDPLATFORM busybox AS tools
RUN echo tools >/tools && echo run
FROM --platform=$BUILDPLATFORM tools AS cross
ARG TARGETARCH
RUN echo "for $TARGETARCH" >/program
FROM scratch
ARG TARGETARCH
LABEL org.opencontainers.image.version=1.2
COPY --from=cross /program /bin/program
COPY data /data-$TARGETARCH
END
}

teardown_file() { e2e_end; }

setup() {
    e2e_setup
    ctx=$BATS_FILE_TMPDIR/ctx
}

# The documents of an image of the store.
blob() { cat "$COOPER_ROOT/blobs/sha256/${1#sha256:}"; }

platforms_of() { blob "$1" | jq -r '.manifests[].platform | .os + "/" + .architecture' | paste -sd, -; }

@test "--platform a,b builds an index; what is common is run once" {
    cooper build --no-cache --progress plain --platform linux/amd64,linux/arm64 --platform linux/s390x \
        --platform linux/arm64/v8 -t several --iidfile id --metadata-file meta.json "$ctx"
    [ "$status" -eq 0 ]
    [ "$(platforms_of "$(cat id)")" = linux/amd64,linux/arm64,linux/s390x ]
    [ "$(grep -o '^#[0-9]* \[.*RUN echo tools' <<<"$stderr" | sort -u | wc -l)" -eq 1 ]
    [[ $stderr == *'->s390x cross '* ]]
    jq -e --arg id "$(cat id)" '."containerimage.digest" == $id
        and ."containerimage.descriptor".mediaType == "application/vnd.oci.image.index.v1+json"
        and (has("containerimage.config.digest") | not)
        and ."image.name" == "docker.io/library/several:latest"' meta.json
    for arch in amd64 arm64 s390x; do
        manifest=$(blob "$(cat id)" | jq -r --arg a "$arch" '.manifests[] | select(.platform.architecture == $a).digest')
        config=$(blob "$manifest" | jq -r .config.digest)
        [ "$(blob "$config" | jq -r .architecture)" = "$arch" ]
    done
    # Nothing runs again, and one platform by itself is the same image.
    cooper build -q --platform linux/amd64,linux/arm64,linux/s390x "$ctx"
    [ "$output" = "$(cat id)" ]
    cooper build -q --platform linux/s390x "$ctx"
    [ "$output" = "$manifest" ]
}

@test "files of several platforms go to a directory for each" {
    cooper build --platform linux/amd64,linux/arm64 -o out -o type=tar,dest=out.tar "$ctx"
    [ "$status" -eq 0 ]
    [ "$(cat out/linux_arm64/bin/program)" = 'for arm64' ]
    [ "$(cat out/linux_amd64/bin/program)" = 'for amd64' ]
    [ -e out/linux_amd64/data-amd64 ] && [ ! -e out/linux_amd64/data-arm64 ]
    tar -tf out.tar >list
    grep -qx linux_amd64/data-amd64 list && grep -qx linux_arm64/data-arm64 list
    cooper build --platform linux/arm64 -o alone "$ctx"
    [ "$(cat alone/bin/program)" = 'for arm64' ]
    cooper build --platform linux/arm64 -o type=local,dest=split,platform-split=true "$ctx"
    [ "$(cat split/linux_arm64/bin/program)" = 'for arm64' ]
    cooper build --platform linux/amd64,linux/arm64 -o type=local,dest=x,platform-split=false "$ctx"
    [ "$status" -eq 2 ]
    [[ $stderr == *platform-split=false* ]] && [ ! -e x ]
}

@test "layouts and OCI archives hold the index, docker archives refuse it" {
    cooper build --platform linux/amd64,linux/arm64 -t a:1 -o type=oci,dest=a.tar \
        -o type=oci,dest=layout,tar=false --annotation index:i=1 --annotation index-descriptor:d=2 \
        --annotation 'manifest[linux/arm64]:m=3' "$ctx"
    [ "$status" -eq 0 ]
    python3 "$BATS_TEST_DIRNAME/validate_layout.py" layout
    mkdir unpacked && tar -xf a.tar -C unpacked
    python3 "$BATS_TEST_DIRNAME/validate_layout.py" unpacked
    [ "$(find layout/blobs -type f | wc -l)" -eq "$(find unpacked/blobs -type f | wc -l)" ]
    jq -e '.manifests | length == 1 and .[0].annotations.d == "2"' layout/index.json
    index=$(jq -r '.manifests[0].digest' layout/index.json)
    jq -e '.annotations.i == "1"' "layout/blobs/sha256/${index#sha256:}"
    for try in type=docker,dest=x.tar type=docker; do
        cooper build --platform linux/amd64,linux/arm64 -t a:1 -o "$try" "$ctx"
        [ "$status" -eq 2 ]
        [[ $stderr == *"one platform"* ]] && [ ! -e x.tar ]
    done
    # It comes back whole.
    COOPER_ROOT=$PWD/other cooper load -i a.tar
    [ "$status" -eq 0 ]
    COOPER_ROOT=$PWD/other cooper inspect --platform linux/arm64 a:1
    [ "$(jq -r '.[0] | .Architecture + " " + (.Manifests | length | tostring)' <<<"$output")" = 'arm64 2' ]
}

@test "an index is pushed, pulled, saved, tagged and built upon" {
    cooper build --platform linux/amd64,linux/arm64 --push -t "$REGISTRY/multi:1" --iidfile id "$ctx"
    [ "$status" -eq 0 ]
    curl -sf -H 'Accept: application/vnd.oci.image.index.v1+json' "http://$REGISTRY/v2/multi/manifests/1" >index
    [ "sha256:$(sha256sum <index | cut -d' ' -f1)" = "$(cat id)" ]
    export COOPER_ROOT=$PWD/other
    cooper pull --all-platforms "$REGISTRY/multi:1"
    [ "$status" -eq 0 ]
    cooper inspect "$REGISTRY/multi:1"
    [ "$(jq -r '.[0].Id' <<<"$output")" = "$(cat id)" ]
    cooper save --format oci-archive -o saved.tar "$REGISTRY/multi:1"
    [ "$status" -eq 0 ]
    [ "$(tar -tf saved.tar | grep -c 'blobs/sha256/.')" -eq "$(find "$COOPER_ROOT/blobs/sha256" -type f | wc -l)" ]
    cooper tag "$REGISTRY/multi:1" "$REGISTRY/copied:2"
    cooper push -q "$REGISTRY/copied:2"
    [ "$output" = "$REGISTRY/copied@$(cat id)" ]
    printf 'FROM %s\nCOPY --from=%s /bin/program /again\n' "$REGISTRY/multi:1" "$REGISTRY/multi:1" >Dockerfile
    cooper build --platform linux/arm64,linux/amd64 -o out .
    [ "$(cat out/linux_arm64/again)" = 'for arm64' ]
    [ "$(cat out/linux_amd64/again)" = 'for amd64' ]
    cooper pull --all-platforms --platform linux/arm64 "$REGISTRY/multi:1"
    [ "$status" -eq 2 ]
    cooper fsck
    [ "$status" -eq 0 ]
}

@test "an image for no platform of this machine is shown all the same" {
    cooper build --platform linux/s390x,linux/riscv64 -t strange "$ctx"
    [ "$status" -eq 0 ]
    cooper images --format json strange
    [ "$status" -eq 0 ] && [ -z "$stderr" ]
    [ "$(jq -r .Repository <<<"$output")" = strange ]
    cooper inspect strange
    [ "$(jq -r '.[0].Architecture' <<<"$output")" = s390x ]
    cooper history strange
    [ "$status" -eq 0 ]
    cooper inspect --platform linux/arm64 strange
    [ "$status" -eq 1 ]
    [[ $stderr == *"linux/s390x, linux/riscv64"* ]]
}

# --- Foreign programs ---

foreign_context() {
    mkdir foreign
    python3 "$BATS_TEST_DIRNAME/foreign.py" foreign/hello
    chmod +x foreign/hello
    touch -d @1700000000 foreign/hello
    printf '%s\n' 'FROM scratch' 'COPY hello /bin/hello' 'RUN ["hello"]' >foreign/Dockerfile
}

# Runs a command where binfmt_misc knows how arm64 is run: user namespaces have one of their
# own since Linux 6.7. "$1": flags of the interpreter.
with_interpreter() {
    local flags=$1
    shift
    unshare --user --map-root-user --mount bash -c '
        mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 99
        printf %s ":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:'"$flags"'" >/proc/sys/fs/binfmt_misc/register || exit 99
        "$@"' -- "$@"
}

# Has the kernel such namespaces, and is nothing registered for all?
can_register() {
    [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] && with_interpreter F true 2>/dev/null
}

@test "a foreign RUN says what is missing, or works" {
    foreign_context
    cooper build --platform linux/arm64 -o out foreign
    if [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
        [ "$status" -eq 0 ]
        [ "$(cat out/out)" = 'built on aarch64' ]
    else
        [ "$status" -eq 1 ]
        [[ $stderr == *'/bin/hello is a program for arm64'* ]]
        [[ $stderr == *'qemu-user-static'*'binfmt-support'* ]]
        [[ $stderr == *'Dockerfile:3'* ]]
    fi
}

@test "a foreign RUN runs where an interpreter is registered" {
    foreign_context
    if can_register; then
        COOPER_ROOT=$PWD/s with_interpreter F "$COOPER" build --platform linux/arm64 -o out foreign
        [ "$(cat out/out)" = 'built on aarch64' ]
        # One that the step cannot see is told of.
        COOPER_ROOT=$PWD/s run --separate-stderr with_interpreter '' "$COOPER" build --no-cache --platform linux/arm64 foreign
        [ "$status" -eq 1 ]
        [[ $stderr == *"without the flag F"* ]]
    else # then at least what is built on this machine's platform needs none
        cooper build --platform linux/arm64 -o out "$ctx"
        [ "$(cat out/bin/program)" = 'for arm64' ]
    fi
}

# --- cooper index ---

@test "index create joins images of the store and of registries" {
    cooper build -q --platform linux/amd64 -t part:amd64 "$ctx"
    COOPER_ROOT=$PWD/elsewhere cooper build -q --platform linux/arm64 --push -t "$REGISTRY/part:arm64" \
        --build-context busybox="oci-layout://$COOPER_ROOT:docker.io/library/busybox:latest" "$ctx"
    [ "$status" -eq 0 ]
    cooper index create --dry-run part:amd64 "$REGISTRY/part:arm64"
    [ "$status" -eq 0 ]
    jq -e '.manifests | length == 2' <<<"$output"
    cooper index create -t joined:1 --annotation org.example.note=yes part:amd64 "$REGISTRY/part:arm64"
    [ "$status" -eq 0 ]
    id=$output
    [ "$(platforms_of "$id")" = linux/amd64,linux/arm64 ]
    blob "$id" | jq -e '.annotations == {"org.example.note": "yes"}'
    cooper index inspect joined:1
    [[ $output == *"$id"*'org.example.note=yes'*'linux/amd64'*'linux/arm64'* ]]
    cooper index inspect --raw joined:1
    [ "sha256:$(printf %s "$output" | sha256sum | cut -d' ' -f1)" = "$id" ]
    # An index gives all its images; the same image twice is there once.
    cooper index create -t joined:2 --annotation org.example.note=yes joined:1 part:amd64
    [ "$output" = "$id" ]
    cooper fsck
    [ "$status" -eq 0 ]
}

@test "index create --push leaves layers where they are" {
    for arch in amd64 arm64; do
        COOPER_ROOT=$PWD/$arch cooper build -q --platform "linux/$arch" --push -t "$REGISTRY/machine-$arch:1" \
            --build-context busybox="oci-layout://$COOPER_ROOT:docker.io/library/busybox:latest" "$ctx"
        [ "$status" -eq 0 ]
    done
    export COOPER_ROOT=$PWD/joiner
    cooper index create --push -t "$REGISTRY/release:1" "$REGISTRY/machine-amd64:1" "$REGISTRY/machine-arm64:1"
    [ "$status" -eq 0 ]
    id=$output
    [ "$(find "$COOPER_ROOT/blobs" -type f | wc -l)" -eq 5 ] # two manifests, two configs, the index
    cooper images -q
    [ -z "$output" ]
    cooper index inspect "$REGISTRY/release:1"
    [[ $output == *"$id"*'linux/amd64'*'linux/arm64'* ]]
    COOPER_ROOT=$PWD/user cooper pull --all-platforms "$REGISTRY/release:1"
    [ "$status" -eq 0 ]
}

@test "index create refuses what does not belong together" {
    cooper build -q --platform linux/amd64 -t one "$ctx"
    cooper build -q --platform linux/amd64 --label other=1 -t two "$ctx"
    cooper build -q --platform linux/arm64 --label org.opencontainers.image.version=1.3 -t three "$ctx"
    cooper build -q --platform linux/arm64 -o type=image,oci-mediatypes=false,name=four "$ctx"
    cooper index create -t x one two
    [ "$status" -eq 1 ]
    [[ $stderr == *"one and two are both for linux/amd64"* ]]
    cooper index create -t x one three
    [ "$status" -eq 1 ]
    [[ $stderr == *"org.opencontainers.image.version is 1.2 in one and 1.3 in three"* ]]
    cooper index create -t x one four
    [ "$status" -eq 1 ]
    [[ $stderr == *"docker's type"* ]]
    cooper index create --mixed -t x one three
    [ "$status" -eq 0 ]
    for wrong in 'create one' 'create -t x' 'create --raw -t x one' 'inspect' 'inspect --push one' 'join one'; do
        # shellcheck disable=SC2086
        cooper index $wrong
        [ "$status" -eq 2 ]
    done
    cooper index create -t x nothing-of-that-name:1 --insecure-registry x
    [ "$status" -ne 0 ]
    cooper index inspect "$REGISTRY/nothing:1"
    [ "$status" -eq 1 ]
}

@test "a base that the store has for another platform is asked for; without a registry it has to do" {
    cooper build -q --platform linux/amd64,linux/arm64 --push -t "$REGISTRY/base:1" "$ctx"
    [ "$status" -eq 0 ]
    printf 'FROM %s\n' "$REGISTRY/base:1" >Dockerfile
    export COOPER_ROOT=$PWD/other
    cooper pull -q --platform linux/amd64 "$REGISTRY/base:1"
    cooper build --platform linux/amd64,linux/arm64 -o out .
    [ "$status" -eq 0 ]
    [ "$(cat out/linux_arm64/bin/program)" = 'for arm64' ]
    [ "$(cat out/linux_amd64/bin/program)" = 'for amd64' ]
    cooper tag "$REGISTRY/base:1" 127.0.0.1:1/base:1
    printf 'FROM 127.0.0.1:1/base:1\n' >Dockerfile
    cooper build --platform linux/arm64 -o alone .
    [ "$status" -eq 0 ]
    [[ $stderr == *'127.0.0.1:1/base:1 is taken for linux/arm64 as the store has it, for another platform'* ]]
    [ "$(cat alone/bin/program)" = 'for amd64' ]
}
