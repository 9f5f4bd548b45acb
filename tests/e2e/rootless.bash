# An ordinary user, made for one test file, who builds in a place of its own; for tests that load
# lib first. rootless_begin in setup_file, rootless_end in teardown_file.

# Makes $BUILDER with subordinate ids, and $PLACE: bin/ with the program and what it loads, home/.
rootless_begin() {
    export BUILDER=cooper-e2e-$$
    # Where both can go.
    PLACE=$(mktemp -d /tmp/cooper-rootless.XXXXXX)
    export PLACE
    chmod 755 "$PLACE"
    mkdir "$PLACE/bin"
    cp -r "$(dirname "$COOPER")"/{cooper,libcooper-*.so} "$PLACE/bin/"
    "$COOPER_SOURCE_DIR/tests/account.sh" subids "$BUILDER" "$PLACE/home"
    install -d -o "$BUILDER" -g "$BUILDER" "$PLACE/home"
}

# From now on the user has one id only, and a store of its own for that.
rootless_single() {
    "$COOPER_SOURCE_DIR/tests/account.sh" single "$BUILDER"
    export COOPER_ROOT=$PLACE/home/single
}

rootless_end() {
    local try

    # Nobody is removed who still has a process.
    for ((try = 0; try < 300; try++)); do
        pkill -KILL -u "$BUILDER" || break
        sleep 0.1
    done
    "$COOPER_SOURCE_DIR/tests/account.sh" remove "$BUILDER"
    rm -rf "$PLACE"
}

# Runs a command as the user, with nothing of this environment.
as_user() {
    setpriv --reuid "$BUILDER" --regid "$BUILDER" --init-groups \
        env -i PATH="$PATH" HOME="$PLACE/home" ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"} "$@"
}

# cooper as this user, with one id.
single() {
    as_user COOPER_ROOT="$PLACE/home/single" "$PLACE/bin/cooper" "$@"
}
