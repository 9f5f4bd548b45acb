#!/usr/bin/env bats
# cooper rebuild: an image built again from what is recorded of it, and compared.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
}

teardown_file() { e2e_end; }

setup() {
    e2e_setup
    mkdir ctx
    echo data >ctx/data
    cat >ctx/Dockerfile <<'END'
FROM busybox AS made
ARG WHAT=nothing
RUN echo "$WHAT" >/made
FROM busybox
COPY data /data
COPY --from=made /made /made
END
}

blob() { cat "$COOPER_ROOT/blobs/sha256/${1#sha256:}"; }

# The first build that is made; $1: a name, then options.
built() {
    local name=$1

    shift
    cooper build -q --source-date-epoch 1700000000 -t "$name" "$@" ctx
    [ "$status" -eq 0 ]
    id=$output
}

@test "the same inputs give the same digest, and every step runs" {
    built same --build-arg WHAT=this --label l=1 --annotation a=2 --compression zstd --squash
    cooper rebuild --progress plain same
    [ "$status" -eq 0 ]
    [ "$output" = "The same: $id" ]
    [ "$(grep -c 'not cached: --no-cache' <<<"$stderr")" -eq 3 ]
    # By ID, by digest; a name is not moved.
    cooper tag same other
    cooper rebuild -q "${id#sha256:}"
    [ "$status" -eq 0 ] && [ "$output" = "$id" ]
    # The record is still that of the build.
    cooper rebuild --record same
    jq -e '.subject[0].name == "docker.io/library/same:latest"
        and ._type == "https://in-toto.io/Statement/v1"
        and .predicate.buildDefinition.externalParameters.args.WHAT == "this"' <<<"$output"
}

@test "the recorded Dockerfile and base are used, whatever became of them" {
    built pinned
    sed -i 's/^COPY data/COPY --chmod=600 data/' ctx/Dockerfile
    mkdir empty && cooper import empty busybox
    cooper rebuild pinned
    [ "$status" -eq 0 ]
    [ "$output" = "The same: $id" ]
    "$COOPER" rmi busybox >/dev/null
    e2e_busybox
}

@test "a changed context is told of: the step, the files" {
    built changed
    echo other >ctx/data
    cooper rebuild changed
    [ "$status" -eq 1 ]
    [[ $output == "Different: $id was built, and now sha256:"* ]]
    [[ $output == *'The first step with another outcome: [stage-1 2/3] COPY data /data'* ]]
    [[ $output == *'~ /data '* ]]
    [[ $output != *'~ /made'* ]]
    # Elsewhere the context is as it was.
    mkdir elsewhere && cp -r ctx/. elsewhere && echo data >elsewhere/data
    cooper rebuild --context elsewhere changed
    [ "$status" -eq 0 ]
    rm -r ctx
    cooper rebuild changed
    [ "$status" -eq 128 ]
    [[ $stderr == *'--context names another'* ]]
}

@test "a step that gives something else each time is named, for each platform" {
    printf 'FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/random; echo same >/same\n' >ctx/Dockerfile
    built random --platform linux/amd64,linux/arm64
    cooper rebuild random
    [ "$status" -eq 1 ]
    [[ $output == *'another outcome: ['*' 2/2] RUN cat /proc'* ]]
    [[ $output == *'linux/amd64:'*'~ /random '*'linux/arm64:'*'~ /random '* ]]
    [[ $output != *'/same '* ]]
    local now=${output#* and now }
    now=${now%%$'\n'*}
    blob "$now" | jq -e '.manifests | length == 2'
}

@test "times alone are told of as such" {
    cooper build -q -t times ctx
    sleep 1.1
    cooper rebuild times
    [ "$status" -eq 1 ]
    [[ $stderr == *'without SOURCE_DATE_EPOCH'* ]]
    [[ $output == *'Every step changed the same files, but for their times.'* ]]
    [[ $output == *'~ /made '*time* ]]
}

@test "what cannot be built again says why" {
    cooper rebuild busybox
    [ "$status" -eq 128 ]
    [[ $stderr == *'no record of how'*'not built in this store'* ]]
    cooper rebuild nothere
    [ "$status" -eq 128 ]
    tar -C ctx -c . | "$COOPER" build -q -t piped - >/dev/null
    cooper rebuild piped
    [ "$status" -eq 128 ]
    [[ $stderr == *'standard input'*'--context'* ]]
    cooper rebuild --context ctx piped
    [ "$status" -eq 1 ] # its times are others
    printf 'FROM busybox\nRUN --mount=type=secret,id=s,required=true cat /run/secrets/s >/s\n' >ctx/Dockerfile
    echo hidden >secret
    built secret --secret id=s,src=secret
    cooper rebuild secret
    [ "$status" -eq 128 ]
    cooper rebuild --secret id=s,src=secret secret
    [ "$status" -eq 0 ]
}

@test "a record holds no secret, no proxy and no password" {
    printf 'FROM busybox\nARG HTTP_PROXY\nRUN --mount=type=secret,id=s cat /run/secrets/s >/dev/null\n' >ctx/Dockerfile
    echo hidden-value >secret
    built quiet --secret id=s,src=secret --build-arg HTTP_PROXY=http://user:hidden-word@127.0.0.1:1
    cooper rebuild --record quiet
    jq -e '.predicate.buildDefinition.externalParameters.secrets == ["s"]' <<<"$output"
    run ! grep -rqE 'hidden-(value|word)' "$COOPER_ROOT/provenance"
}

@test "a context of a git repository is built again at its commit" {
    local git=(git -C repo -c user.email=a@example.org -c user.name=n)

    mv ctx repo
    "${git[@]}" init -q -b main
    "${git[@]}" add -A
    "${git[@]}" commit -q -m first
    commit=$("${git[@]}" rev-parse HEAD)
    cooper build -q --source-date-epoch 1700000000 -t local repo
    cooper rebuild --record local
    [ "$(jq -r '.predicate.buildDefinition.resolvedDependencies[].digest.gitCommit | select(.)' <<<"$output")" = "$commit" ]
    "${git[@]}" pack-refs --all
    cooper build -q --source-date-epoch 1700000000 -t packed repo
    cooper rebuild --record packed
    [ "$(jq -r '.predicate.buildDefinition.resolvedDependencies[].digest.gitCommit | select(.)' <<<"$output")" = "$commit" ]
}

@test "records go with their images, and the store knows them" {
    built counted --label only=here
    [ -e "$COOPER_ROOT/provenance/${id#sha256:}" ]
    cooper fsck
    [ "$status" -eq 0 ]
    cooper rmi counted
    cooper prune -a -f
    [ "$status" -eq 0 ]
    [ ! -e "$COOPER_ROOT/provenance/${id#sha256:}" ]
}
