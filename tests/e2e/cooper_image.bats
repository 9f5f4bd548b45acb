# examples/cooper-image: an image of cooper that cooper built, in rootless podman: as an ordinary
# user, and as a pod under Kubernetes' "restricted" policy is.
bats_require_minimum_version 1.5.0
load lib
load rootless

# What is installed of this build's program, as `cmake --install` lays it out.
installed() {
    mkdir -p "$1/usr/bin" "$1/usr/lib/cooper"
    cp "$COOPER" "$1/usr/bin/cooper"
    cp "$(dirname "$COOPER")"/libcooper-*.so "$1/usr/lib/cooper/"
}

# Debian's libraries that only this build needs: those of sanitizers.
more_packages() {
    ldd "$COOPER" | sed -nE 's/.*lib(asan|ubsan|tsan)\.so\.([0-9]+) .*/lib\1\2/p' | paste -sd' '
}

setup_file() {
    # Base images are kept between runs where the user's other caches are.
    export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    e2e_registry_start
    "$COOPER_SOURCE_DIR/examples/bases.sh" debian:12
    e2e_busybox "$REGISTRY/busybox"
    "$COOPER" push -q "$REGISTRY/busybox"
    rootless_begin
    installed "$BATS_FILE_TMPDIR/installed"
    "$COOPER" build -q -t cooper -f "$COOPER_SOURCE_DIR/examples/cooper-image/Dockerfile" \
        --build-arg PROGRAM=installed --build-arg MORE_PACKAGES="$(more_packages)" \
        --build-context installed="$BATS_FILE_TMPDIR/installed" "$COOPER_SOURCE_DIR"
    "$COOPER" save -o "$PLACE/image.tar" cooper
    chmod a+r "$PLACE/image.tar"
    mkdir "$PLACE/home/run"
    chown "$BUILDER" "$PLACE/home/run"
    cd "$PLACE/home"
    pod load -q -i "$PLACE/image.tar"
}
teardown_file() {
    # podman leaves a process that holds its namespaces.
    pod system migrate
    pod system reset --force >/dev/null 2>&1 || true
    rootless_end
    e2e_end
}
setup() {
    e2e_setup
    mkdir -p "$PLACE/home/work"
    cd "$PLACE/home/work"
}

pod() {
    as_user XDG_RUNTIME_DIR="$PLACE/home/run" podman --runtime runc --cgroup-manager=cgroupfs \
        --events-backend=none "$@"
}

# cooper in a container; options of podman, then "--", then cooper's.
contained() {
    local options=()

    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    # A sanitizer looks for leaks as a debugger would, which the container forbids.
    run --separate-stderr pod run --rm --network=host --ulimit host -e ASAN_OPTIONS=detect_leaks=0 \
        -v "$PLACE/home/work:/work:ro" "${options[@]}" docker.io/library/cooper \
        --insecure-registry "$REGISTRY" "$@"
    echo "$stderr"
}

restricted=(--cap-drop ALL --security-opt no-new-privileges)

# The file $2 of the image $1 of the registry.
file_of() {
    "$COOPER" pull -q "$1" >/dev/null
    "$COOPER" run --network none "$1" cat "$2"
}

@test "the image is an ordinary user's, and says what it is" {
    contained -- version
    [ "$status" -eq 0 ]
    [[ $output == *"Dockerfile: "* ]]
    "$COOPER" inspect cooper | jq -e '.[0].Config | .User == "1000:1000" and .Entrypoint == ["/usr/bin/cooper"]'
    contained -- doctor
    [ "$status" -eq 0 ]
    [[ $output == *isolation* ]]
}

@test "it builds with RUN and pushes, as an ordinary user of a container" {
    printf 'FROM %s/busybox\nCOPY word /word\nRUN cat /word >/ran && chown bob /ran && id -u >>/ran\n' "$REGISTRY" >Dockerfile
    echo hello >word
    contained -- build -t "$REGISTRY/contained:1" --push .
    [ "$status" -eq 0 ]
    [ "$(file_of "$REGISTRY/contained:1" /ran)" = $'hello\n0' ]
}

@test "without capabilities and privileges it builds and pushes" {
    printf 'FROM %s/busybox\nCOPY --chown=bob word /word\n' "$REGISTRY" >Dockerfile
    echo restricted >word
    contained "${restricted[@]}" -- build -t "$REGISTRY/restricted:1" --push .
    [ "$status" -eq 0 ]
    [ "$(file_of "$REGISTRY/restricted:1" /word)" = restricted ]
}

@test "with --isolation none, typed out, steps run there too, and the log says what is missing" {
    printf 'FROM %s/busybox\nCOPY word /word\nRUN cat /word >/ran && echo more >>/ran\n' "$REGISTRY" >Dockerfile
    echo none >word
    contained "${restricted[@]}" -- build --isolation none --progress plain -t "$REGISTRY/none:1" --push .
    [ "$status" -eq 0 ]
    [[ $stderr == *"isolation of the steps: NONE"* ]]
    [ "$(file_of "$REGISTRY/none:1" /ran)" = $'none\nmore' ]
}

@test "it releases what it finds in the registry, with a store that is empty" {
    printf 'FROM %s/busybox\nLABEL x=y\n' "$REGISTRY" >Dockerfile
    contained "${restricted[@]}" -- build -t "$REGISTRY/app:commit-1" --push .
    [ "$status" -eq 0 ]
    contained "${restricted[@]}" -- release -q "$REGISTRY/app:commit-1" "$REGISTRY/app" 1.0.0
    [ "$status" -eq 0 ]
    "$COOPER" tags "$REGISTRY/app" | grep -qx latest
    [ "$("$COOPER" diff -q "docker://$REGISTRY/app:commit-1" "docker://$REGISTRY/app:1.0.0"; echo $?)" = 0 ]
}
