# What the fault tests share, besides what the end-to-end tests do.
load ../e2e/lib

# Nothing visible in the store $1 ($COOPER_ROOT) is damaged or half there; nothing of a command
# that ended is left.
store_is_whole() {
    python3 "$BATS_TEST_DIRNAME/store.py" "${1:-$COOPER_ROOT}"
}

# Refs, blobs, layers and ingests, one a line.
store_list() {
    python3 "$BATS_TEST_DIRNAME/store.py" "$COOPER_ROOT" list
}

# The last command failed as it should: exit code 1, and one error on standard error that has
# the texts given.
failed_with() {
    local text

    [ "$status" -eq 1 ] || return 1
    [ "$(grep -c '^cooper: error: ' <<<"$stderr")" -eq 1 ] || return 1
    for text; do
        [[ $stderr == *"$text"* ]] || { echo "not said: $text in: $stderr"; return 1; }
    done
}

# Another image, in the local store or the registry, can be read by skopeo.
skopeo_reads() {
    rm -rf skopeo.out
    skopeo copy -q --src-tls-verify=false "$1" dir:skopeo.out
}
