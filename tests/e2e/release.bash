# What tests of releases share, after lib and serve have been loaded.
#
# Every promise is tested at docker-registry, which knows neither conditional requests nor
# referrers, and at `cooper serve`, which knows both:
#
#   both SCENARIO    calls the function twice, with $R as the repository

release_setup_file() {
    e2e_begin
    e2e_registry_start
    local n

    for n in 1 2 3 4; do release_image "$n"; done
}

# The image app:N of the file's store: one small layer.
release_image() {
    local root=$BATS_FILE_TMPDIR/image.$1

    mkdir -p "$root"
    echo "release $1" >"$root/version"
    "$COOPER" import "$root" "app:$1" >/dev/null
}

# The digest of app:N.
id_of() {
    "$COOPER" inspect "app:$1" | jq -r '.[0].Id'
}

# Where a tag of $R (or $2) points; empty: there is none.
tag_of() {
    local repository=${2:-$R}

    curl -sI -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.oci.image.index.v1+json' \
        "http://${repository%%/*}/v2/${repository#*/}/manifests/$1" |
        tr -d '\r' | sed -nE 's/^docker-content-digest: (.*)/\1/Ip'
}

# The tags of $R, cooper's own left out, on one line.
tags_of() {
    curl -s "http://${R%%/*}/v2/${R#*/}/tags/list" |
        jq -r '.tags[]?' | grep -vE '^(cooper-|sha256-)' | sort | tr '\n' ' '
}

# `cooper serve` on a store of its own.
release_serve() {
    COOPER_ROOT=$PWD/served registry_serve "$@"
}

both() {
    R=$REGISTRY/$BATS_TEST_NUMBER/app
    "$@"
    release_serve
    R=$SERVED/$BATS_TEST_NUMBER/app
    "$@"
    registry_stop
}
