# With SOURCE_DATE_EPOCH, same inputs, same digest; for tests that load lib and rootless first.

# In setup_file: base images in an archive and the examples, where the user can read them.
reproducible_begin() {
    # Base images are kept between runs where the user's other caches are.
    export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}
    e2e_begin
    rootless_begin
    export SOURCE_DATE_EPOCH=1700000000
    "$COOPER_SOURCE_DIR/examples/bases.sh"
    "$COOPER" save -o "$PLACE/bases.tar" debian:12 busybox
    cp -r "$COOPER_SOURCE_DIR/examples" "$PLACE/examples"
    chmod -R a+rX "$PLACE"
}

# build root|user WORKERS EXAMPLE [OPTION...]: in a store for each of these; prints the digest; the
# log is in "log".
build() {
    local who=$1 workers=$2 example=$3 store

    shift 3
    if [ "$who" = root ]; then
        store=$PLACE/store-$workers
        [ -d "$store" ] || "$COOPER" --root "$store" load -q -i "$PLACE/bases.tar" >/dev/null
        "$COOPER" --root "$store" build --progress plain --parallel "$workers" --iidfile id \
            "$@" "$PLACE/examples/$example" 2>log 3>&- 4>&-
    else
        store=$PLACE/home/store-$workers
        [ -d "$store" ] || as_user "$PLACE/bin/cooper" --root "$store" load -q -i "$PLACE/bases.tar" >/dev/null
        (cd "$PLACE/home" && as_user "$PLACE/bin/cooper" --root "$store" build --progress plain \
            --parallel "$workers" --iidfile id "$@" "$PLACE/examples/$example") 2>log 3>&- 4>&-
        cp "$PLACE/home/id" id
    fi || {
        cat log >&2
        return 1
    }
    cat id
}

# same EXAMPLE "WHO:WORKERS..." [OPTION...]: cold in each of these stores, then from its cache.
same() {
    local example=$1 all=$2 first='' who id

    shift 2
    for who in $all; do
        id=$(build "${who%:*}" "${who#*:}" "$example" "$@")
        grep -q 'not cached' log
        [ -n "$first" ] || first=$id
        echo "$example $* as $who: $id"
        [ "$id" = "$first" ]
        [ "$(build "${who%:*}" "${who#*:}" "$example" "$@")" = "$first" ]
        run ! grep -q 'not cached' log
    done
}

# What the stores hold goes, so that the next example does not need its disk beside theirs.
forget() {
    rm -rf "$PLACE"/store-* "$PLACE"/home/store-*
}
