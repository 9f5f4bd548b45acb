# The examples: each is built, pushed, pulled and unpacked by other people's tools, run by podman
# and by cooper, and built again out of the cache.
bats_require_minimum_version 1.5.0
load lib
load peers

setup_file() {
    # Base images are kept between runs where the user's other caches are.
    export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    export EXAMPLES=$COOPER_SOURCE_DIR/examples
    "$EXAMPLES/bases.sh"
    e2e_registry_start
}
teardown_file() {
    peer_podman_end
    e2e_end
}
setup() { e2e_setup; }
teardown() { service_stop; }

# build_and_push NAME DIR [OPTION...]: builds, pushes, sets $image; a second build must run
# nothing and give the same image.
build_and_push() {
    local name=$1 dir=$2 ran

    shift 2
    image=$REGISTRY/examples/$name:1
    cooper build --progress=plain --iidfile first -t "$image" "$@" "$EXAMPLES/$dir"
    echo "$stderr"
    [ "$status" -eq 0 ]
    cooper build --progress=plain --iidfile second -t "$image" "$@" "$EXAMPLES/$dir"
    [ "$status" -eq 0 ]
    cmp first second
    [[ $stderr == *CACHED* ]]
    ran=$(awk '/^#[0-9]+ \[/ { name[$1] = $0 }
        /^#[0-9]+ (DONE|[0-9.]+ )/ && name[$1] !~ /\] FROM / { print name[$1] }' <<<"$stderr")
    [ -z "$ran" ]
    cooper push "$image"
    echo "$stderr"
    [ "$status" -eq 0 ]
}

# config FIELD: of $image's config in the registry.
config() {
    skopeo inspect --tls-verify=false --config --raw "docker://$image" | jq -c ".config.$1"
}

# example NAME: builds the service or directory NAME of the examples under that name, with the
# log in NAME.log.
example() {
    local name=$1 dir=$1 target=()

    case $name in
    greeter | counter | gateway | test) dir=monorepo target=(--target "$name") ;;
    again) dir=hello ;;
    esac
    "$COOPER" build --progress=plain --iidfile "$name.id" -t "eight/$name" \
        "${target[@]}" "$EXAMPLES/$dir" >"$name.log" 2>&1 </dev/null 3>&-
}

# The tests below build these again, so that what came of it is tried out there.
@test "every example, eight builds at once on one store" {
    local name failed='' names=(hello again web ml-api greeter counter gateway test)
    local -A pids=()

    for name in "${names[@]}"; do
        example "$name" &
        pids[$name]=$!
    done
    for name in "${names[@]}"; do
        wait "${pids[$name]}" || { failed+=" $name" && tail -n 40 "$name.log"; }
    done
    echo "failed:$failed"
    [ -z "$failed" ]
    cmp hello.id again.id
    for name in "${names[@]}"; do
        skopeo inspect "oci:$COOPER_ROOT:docker.io/eight/$name:latest" >/dev/null
    done
}

@test "hello: the image is one static binary" {
    build_and_push hello hello
    peer_unpack "$image"
    [ "$(cd bundle/rootfs && find . -mindepth 1)" = ./hello ]
    run --separate-stderr "${peer_run[@]}" "$image"
    [ "$output" = "Hello, world, from a cask." ]
    run --separate-stderr "${peer_run[@]}" "$image" reader
    [ "$output" = "Hello, reader, from a cask." ]
    cooper run "$image" reader
    [ "$output" = "Hello, reader, from a cask." ]
}

@test "hello: another store pulls what it runs" {
    build_and_push hello hello
    cooper --root "$PWD/other" run "$image"
    [ "$status" -eq 0 ]
    [ "$output" = "Hello, world, from a cask." ]
}

# What the web image answers at port $1.
web_answers() {
    [ "$(curl -s "http://127.0.0.1:$1/healthz")" = ok ]
    curl -s "http://127.0.0.1:$1/" | cmp - "$EXAMPLES/web/site/index.html"
    curl -s "http://127.0.0.1:$1/assets/cask.svg" | cmp - "$EXAMPLES/web/site/assets/cask.svg"
    run curl -s -i -H 'Accept-Encoding: gzip' -o page "http://127.0.0.1:$1/assets/style.css"
    grep -qi '^Content-Encoding: gzip' page
    [ "$(curl -s -o page -w '%{http_code}' "http://127.0.0.1:$1/nothing")" = 404 ]
}

@test "web: nginx serves the site as an ordinary user" {
    local port

    build_and_push web web
    [ "$(config User)" = '"www-data"' ]
    [ "$(config StopSignal)" = '"SIGQUIT"' ]
    [ "$(config ExposedPorts)" = '{"8080/tcp":{}}' ]
    [ "$(config Healthcheck.Test[0])" = '"CMD-SHELL"' ]
    [ "$(config Healthcheck.Interval)" = 10000000000 ]
    [ "$(config 'Labels["org.opencontainers.image.version"]')" = '"1.0.0"' ]
    peer_unpack "$image"
    [ "$(stat -c %u:%g bundle/rootfs/srv/site/index.html)" = 0:33 ]
    [ -x bundle/rootfs/usr/local/bin/entrypoint.sh ]

    port=$(free_port)
    serve "http://127.0.0.1:$port/" "${peer_run[@]}" -e PORT="$port" "$image"
    web_answers "$port"
    service_stop
    serve "http://127.0.0.1:$port/" "$COOPER" run --network host -e PORT="$port" "$image"
    web_answers "$port"
    # The image's own check of its health passes beside it.
    cooper run --network host -e PORT="$port" "$image" \
        sh -c "$(config 'Healthcheck.Test[1]' | jq -r .)"
    [ "$status" -eq 0 ]
    service_stop
    cooper run --network host -e PORT="$port" "$image" \
        sh -c "$(config 'Healthcheck.Test[1]' | jq -r .)"
    [ "$status" -eq 1 ]
}

# What the model says at port $1.
model_answers() {
    local url=http://127.0.0.1:$1 answer

    answer=$(curl -s -d '{"points": [[0, 0.1], [0.4, 0.4], [0.95, 0.95]]}' "$url/predict")
    [ "$(jq -c '[.predictions[].in_ring]' <<<"$answer")" = '[false,true,false]' ]
    jq -e '.predictions[1].probability > 0.9' <<<"$answer"
    [ "$(curl -s -o page -w '%{http_code}' -d '{"points": [1]}' "$url/predict")" = 400 ]
}

@test "ml-api: a model trained in one stage answers in another" {
    local port

    build_and_push ml-api ml-api
    peer_unpack "$image"
    [ -s bundle/rootfs/app/model.pt ]
    [ ! -e bundle/rootfs/src ]
    [ ! -e bundle/rootfs/var/cache/apt/pkgcache.bin ]
    rm -rf peer bundle

    port=$(free_port)
    serve "http://127.0.0.1:$port/healthz" "$COOPER" run --network host -e PORT="$port" "$image"
    model_answers "$port"
    service_stop
    # First: it is a big image.
    "${peer_podman[@]}" pull --quiet --tls-verify=false "$image"
    serve "http://127.0.0.1:$port/healthz" "${peer_run[@]}" -e PORT="$port" "$image"
    model_answers "$port"
    service_stop
    "${peer_podman[@]}" rmi --force "$image"
}

# The tests about what runs need a store in which nothing has.
fresh_store() {
    export COOPER_ROOT=$PWD/store
    "$EXAMPLES/bases.sh" debian:12
}

@test "monorepo: targets share stages, and what one does not need is not run" {
    fresh_store
    cooper build --progress=plain --target test "$EXAMPLES/monorepo"
    [ "$status" -eq 0 ]
    [[ $stderr == *"query: 0 failures"* ]]
    [[ $stderr != *"make -C services"* ]]
    cooper build --progress=plain --target greeter "$EXAMPLES/monorepo"
    [ "$status" -eq 0 ]
    [[ $stderr == *"greeter.o"* ]]
    [[ $stderr != *counter* ]]
    [[ $stderr != *python3* ]]
    # The toolchain came from the first build.
    [[ $stderr == *CACHED* ]]
    [[ $stderr != *"Setting up gcc"* ]]
}

@test "monorepo: a cache mount keeps the compiler's results beyond a step" {
    cp -r "$EXAMPLES/monorepo" copy
    cooper build --target test copy
    [ "$status" -eq 0 ]
    # The step runs again, as its input changed; all of its objects are known.
    echo '# changed' >>copy/lib/Makefile
    sed -i 's/make -C lib$/ccache -z \&\& make -C lib \&\& ccache --print-stats/' copy/Dockerfile
    cooper build --progress=plain --target test copy
    [ "$status" -eq 0 ]
    grep -E 'cache_miss[[:space:]]+0$' <<<"$stderr"
    grep -E '(direct|preprocessed)_cache_hit[[:space:]]+[1-9]' <<<"$stderr"
}

@test "monorepo: three services run together" {
    local name greeter counter gateway tool images=$REGISTRY/examples
    local cooper_run=("$COOPER" run --network host)

    for name in greeter counter gateway; do
        build_and_push "$name" monorepo --target "$name"
        peer_unpack "$image"
    done
    greeter=$(free_port) counter=$(free_port) gateway=$(free_port)
    for tool in peer_run cooper_run; do
        local -n run_with=$tool
        serve "http://127.0.0.1:$greeter/" "${run_with[@]}" -e PORT="$greeter" "$images/greeter:1"
        serve "http://127.0.0.1:$counter/" "${run_with[@]}" -e PORT="$counter" "$images/counter:1"
        serve "http://127.0.0.1:$gateway/healthz" "${run_with[@]}" -e PORT="$gateway" \
            -e GREETER="http://127.0.0.1:$greeter" -e COUNTER="http://127.0.0.1:$counter" \
            "$images/gateway:1"
        [ "$(curl -s "http://127.0.0.1:$gateway/welcome?name=Ada+L." | jq -c .)" = \
            '{"greeting":"Hello, Ada L.!","visit":1}' ]
        [ "$(curl -s "http://127.0.0.1:$gateway/welcome" | jq -c .)" = \
            '{"greeting":"Hello, world!","visit":2}' ]
        service_stop
    done
}

@test "every image is copied straight out of the store's directory" {
    local name

    cooper build -q -t straight "$EXAMPLES/hello"
    [ "$status" -eq 0 ]
    skopeo copy --quiet "oci:$COOPER_ROOT:docker.io/library/straight:latest" oci:copied:image
    umoci --log=warn unpack --image copied:image bundle
    [ "$(bundle/rootfs/hello)" = "Hello, world, from a cask." ]
    for name in $(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' \
        "$COOPER_ROOT/index.json"); do
        skopeo inspect "oci:$COOPER_ROOT:$name" >/dev/null
        skopeo inspect --config "oci:$COOPER_ROOT:$name" >/dev/null
    done
}

@test "every index, manifest, config and layer of the store follows the specification" {
    run "$COOPER_SOURCE_DIR/tests/e2e/validate_layout.py" "$COOPER_ROOT"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == "1 index, "* ]]
    [[ $output != *" 0 manifest"* ]]
}
