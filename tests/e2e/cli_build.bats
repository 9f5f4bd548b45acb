# build, as far as the command line goes: flags, outputs, progress, messages, what is left for
# other programs. What Dockerfiles mean is tested elsewhere.
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
    printf 'FROM busybox\nCOPY file /file\nRUN echo made >/made\n' >ctx/Dockerfile
}

id_of() {
    "$COOPER" inspect "$1" | jq -r '.[0].Id'
}

@test "a build shows its steps on standard error and leaves its image in the store" {
    cooper build --progress plain --no-cache -t "$BATS_TEST_NUMBER:a" -t other:b ctx
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [[ $stderr == *"RUN echo made >/made"*DONE* ]]
    [ "$(id_of "$BATS_TEST_NUMBER:a")" = "$(id_of other:b)" ]
    cooper run other:b cat /file /made
    [ "$output" = "$(printf 'content\nmade')" ]
}

@test "what was built before is CACHED, and --no-cache builds it again" {
    "$COOPER" build -q ctx
    cooper build --progress plain ctx
    [[ $stderr == *CACHED* ]]
    cooper build --progress plain --no-cache ctx
    [[ $stderr != *CACHED* ]]
}

@test "-q prints the image's ID and nothing else; it can be run" {
    cooper build -q ctx
    [ "$status" -eq 0 ]
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    [ -z "$stderr" ]
    cooper run "$output" cat /made
    [ "$output" = made ]
}

@test "--iidfile and --metadata-file tell other programs" {
    cooper build -q -t named:1 --iidfile iid --metadata-file metadata.json ctx
    [ "$(cat iid)" = "$output" ]
    jq -e --arg id "$output" '."containerimage.digest" == $id and
        ."containerimage.descriptor".digest == $id and
        ."image.name" == "docker.io/library/named:1" and
        (."containerimage.config.digest" | startswith("sha256:"))' metadata.json
    echo 'RUN exit 1' >>ctx/Dockerfile
    cooper build -q --iidfile iid ctx
    [ "$status" -eq 1 ]
    [ ! -e iid ]
}

@test "a failed step shows its output, its lines and one error, and moves no name" {
    "$COOPER" build -q -t kept ctx
    local before
    before=$(id_of kept)
    printf 'FROM busybox\n\nRUN echo some output; exit 3\n\nCOPY file /\n' >ctx/Dockerfile
    for mode in plain quiet rawjson; do
        cooper build --progress "$mode" -t kept ctx
        [ "$status" -eq 1 ]
        [ -z "$output" ]
        [[ $stderr == *"some output"* ]]
        [[ $stderr == *$'Dockerfile:3:1\n--------------------\n'* ]]
        [[ $stderr == *"   3 | >>> RUN echo some output; exit 3"* ]]
        [ "$(grep -c '^cooper: error: .*exit code: 3' <<<"$stderr")" -eq 1 ]
        [ "$(id_of kept)" = "$before" ]
    done
}

@test "an error in the Dockerfile is shown with its line" {
    printf 'FROM busybox\nCOYP a b\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:2"*">>> COYP a b"*"did you mean COPY?"* ]]
    printf 'FROM busybox\n\033[31mX\n' >ctx/Dockerfile
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $(sed -n '/^Dockerfile:/,/^cooper/p' <<<"$stderr" | sed '$d') != *$'\033'* ]]
}

@test "rawjson is JSON, line by line, with every step and its output" {
    "$COOPER" build --progress rawjson --no-cache ctx 2>events
    jq -es 'map(.vertexes // [] | .[] | select(.completed)) | any(.name | endswith("RUN echo made >/made"))' events
    printf 'FROM busybox\nRUN echo visible\n' >ctx/Dockerfile
    "$COOPER" build --progress rawjson --no-cache ctx 2>events
    [ "$(jq -r '.logs // [] | .[].data' events | base64 -d)" = visible ]
}

@test "on a terminal the picture is redrawn and ends with every step" {
    printf 'FROM busybox\nRUN echo visible; sleep 1\n' >ctx/Dockerfile
    TERM=xterm run script -qec "stty cols 60 rows 20; \"$COOPER\" build --no-cache ctx" /dev/null
    [ "$status" -eq 0 ]
    [[ $output == *"[+] Building"*" => => # visible"*"FINISHED"* ]]
    [[ ${output##*FINISHED} == *"RUN echo visible"* ]]
}

@test "BUILDKIT_PROGRESS is the default of --progress; others are refused" {
    BUILDKIT_PROGRESS=quiet cooper build ctx
    [ -z "$stderr" ]
    cooper build --progress fancy ctx
    [ "$status" -eq 2 ]
}

@test "the Dockerfile: -f, lower case, standard input" {
    mv ctx/Dockerfile ctx/dockerfile
    cooper build -q ctx
    [ "$status" -eq 0 ]
    local id=$output
    mv ctx/dockerfile elsewhere
    cooper build -q -f elsewhere ctx
    [ "$output" = "$id" ]
    run --separate-stderr bash -c '"$COOPER" build -q -f - ctx <elsewhere'
    [ "$output" = "$id" ]
    run --separate-stderr bash -c 'printf "FROM busybox\nRUN exit 9\n" | "$COOPER" build -'
    [ "$status" -eq 1 ]
    [[ $stderr == *"Dockerfile:2"*">>> RUN exit 9"* ]]
    cooper build -f nothere ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *nothere* ]]
}

@test "contexts that cannot be had are refused" {
    cooper build nothere
    [ "$status" -eq 1 ]
    [[ $stderr == *"context nothere"* ]]
    cooper build ctx/file
    [ "$status" -eq 1 ]
    [[ $stderr == *"ctx/file: it is neither a directory nor an archive"* ]]
}

@test "-o DIR and -o - give the files" {
    cooper build -o out ctx
    [ "$status" -eq 0 ]
    [ "$(cat out/made)" = made ]
    "$COOPER" build -o - ctx >out.tar
    [ "$(tar -xOf out.tar made 2>/dev/null || tar -xOf out.tar ./made)" = made ]
    cooper build -o type=local,dest=again ctx
    diff -r --no-dereference out again
}

@test "-o type=oci and type=docker are read by skopeo" {
    cooper build -t arch:1 -o type=oci,dest=oci.tar -o type=docker,dest=docker.tar \
        -o type=oci,dest=layout,tar=false ctx
    [ "$status" -eq 0 ]
    local id
    id=$(id_of arch:1)
    [ "$(skopeo inspect oci-archive:oci.tar | jq -r .Digest)" = "$id" ]
    [ "$(skopeo inspect oci:layout | jq -r .Digest)" = "$id" ]
    skopeo copy -q docker-archive:docker.tar:arch:1 oci:converted:x
}

@test "compression is that of the output" {
    cooper build -o type=oci,dest=layout,tar=false,compression=zstd --no-cache ctx
    [ "$status" -eq 0 ]
    skopeo inspect --raw oci:layout | jq -e '.layers[-1].mediaType | endswith("+zstd")'
}

@test "--push and type=registry bring every name to its registry" {
    cooper build -q --push -t "$REGISTRY/built:1" -t "$REGISTRY/built:2" ctx
    [ "$status" -eq 0 ]
    for tag in 1 2; do
        [ "$(skopeo inspect --tls-verify=false "docker://$REGISTRY/built:$tag" | jq -r .Digest)" = "$output" ]
    done
    cooper build -q -o "type=image,name=$REGISTRY/third:3,push=true" ctx
    [ "$status" -eq 0 ]
    skopeo inspect --tls-verify=false "docker://$REGISTRY/third:3"
}

@test "outputs that make no sense are wrong usage" {
    cooper build --load=containerd ctx
    [ "$status" -eq 2 ]
    [[ $stderr == *"no images without a name: give the image a name with -t NAME"* ]]
    for output in type=nothing,dest=x type=local dest=x type=oci,dest=x,unknown=1 \
        type=image,dest=x type=oci,dest=x,compression=lz4; do
        cooper build -o "$output" ctx
        [ "$status" -eq 2 ]
        [[ $stderr == *"--output $output"* ]]
    done
    cooper build -q -o - ctx
    [ "$status" -eq 2 ]
}

@test "build arguments, labels, annotations, hosts and secrets arrive" {
    printf '%s\n' 'FROM busybox' 'ARG A' 'ARG B' 'RUN echo "$A $B" >/args' \
        'RUN grep -q "10.1.2.3.*extra" /etc/hosts' \
        'RUN --mount=type=secret,id=s --mount=type=secret,id=e cat /run/secrets/s /run/secrets/e >/secrets' \
        >ctx/Dockerfile
    printf secret1 >secretfile
    B=environment SECRET=secret2 cooper build -q -t values --build-arg A=flag --build-arg B \
        --label l=1 --label empty --annotation a=2 --add-host extra:10.1.2.3 \
        --secret id=s,src=secretfile --secret id=e,env=SECRET ctx
    [ "$status" -eq 0 ]
    "$COOPER" inspect values | jq -e '.[0].Config.Labels | .l == "1" and .empty == ""'
    jq -e '.annotations.a == "2"' "$COOPER_ROOT/blobs/sha256/${output#sha256:}"
    cooper run values cat /args /secrets
    [ "$output" = "$(printf 'flag environment\nsecret1secret2')" ]
}

@test "proxies of docker's configuration are build arguments" {
    mkdir -p "$DOCKER_CONFIG"
    echo '{"proxies":{"default":{"httpProxy":"http://proxy.example:3128"}}}' >"$DOCKER_CONFIG/config.json"
    printf 'FROM busybox\nRUN echo "$http_proxy $HTTP_PROXY" >/proxies\n' >ctx/Dockerfile
    cooper build -q -t proxies ctx
    rm "$DOCKER_CONFIG/config.json"
    [ "$status" -eq 0 ]
    cooper run proxies cat /proxies
    [ "$output" = "http://proxy.example:3128 http://proxy.example:3128" ]
}

@test "SOURCE_DATE_EPOCH: by flag, argument, environment: one digest" {
    cooper build -q --no-cache --source-date-epoch 1700000000 ctx
    [ "$status" -eq 0 ]
    local id=$output
    cooper build -q --no-cache --build-arg SOURCE_DATE_EPOCH=1700000000 ctx
    [ "$output" = "$id" ]
    SOURCE_DATE_EPOCH=1700000000 cooper build -q --no-cache ctx
    [ "$output" = "$id" ]
    SOURCE_DATE_EPOCH=yesterday cooper build -q ctx
    [ "$status" -eq 2 ]
}

@test "values that cannot be had are wrong usage" {
    for flag in --provenance=true --sbom=true --attest=type=sbom --allow=everything --network=bridge --add-host=x \
        --shm-size=big --platform=linux/amd64,a/b/c/d --secret=foo=1 --build-context=x \
        --annotation=index:a=b --source-date-epoch=-1 --parallel=many; do
        cooper build "$flag" ctx
        [ "$status" -eq 2 ]
        [[ $stderr == *"cooper: error: "* ]]
    done
    cooper build --provenance=false --sbom=false --attest=type=sbom,disabled=true --rm --force-rm \
        -q ctx
    [ "$status" -eq 0 ]
}

@test "an interrupted build says so with 130 and moves no name" {
    local seconds=4712$$

    printf 'FROM busybox\nRUN sleep %s\n' "$seconds" >ctx/Dockerfile
    "$COOPER" build -t interrupted ctx 2>log &
    local pid=$!
    for _ in $(seq 100); do
        pgrep -f "^sleep $seconds\$" >/dev/null && break
        sleep 0.1
    done
    pgrep -f "^sleep $seconds\$"
    kill -TERM "$pid"
    local status=0
    wait "$pid" || status=$?
    [ "$status" -eq 130 ]
    [ "$(grep -c 'cooper: error:' log)" -eq 1 ]
    run ! pgrep -f "^sleep $seconds\$"
    cooper inspect interrupted
    [ "$status" -eq 1 ]
}
