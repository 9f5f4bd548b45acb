#!/usr/bin/env bats
# cooper rebuild of an image whose context was a repository elsewhere.

bats_require_minimum_version 1.5.0
load lib
load sources

setup_file() {
    e2e_begin
    e2e_files_start
    e2e_git_repository
    e2e_git_start
    e2e_busybox
}

teardown_file() {
    e2e_servers_stop
    e2e_end
}

# A repository of the test's own, $GITD/$name.git, with one commit on main.
setup() {
    e2e_setup
    name=own-$BATS_TEST_NUMBER
    e2e_git init -q -b main work
    mkdir work/app
    printf 'FROM busybox\nCOPY data /data\nRUN cat /data /data >/twice\n' >work/app/Dockerfile
    echo first >work/app/data
    e2e_git -C work add -A
    e2e_git -C work commit -q -m first
    e2e_git clone -q --bare work "$WWW/$name.git"
    commit=$(e2e_git -C work rev-parse HEAD)
}

# The branch goes on.
push() {
    echo "$1" >work/app/data
    e2e_git -C work commit -q -a -m "$1"
    e2e_git -C work push -q "$WWW/$name.git" main
}

recorded() {
    "$COOPER" rebuild --record "$1" | jq -r '.predicate.buildDefinition.resolvedDependencies[].digest.gitCommit | select(.)'
}

@test "it is built again from the commit that it was built from, whatever the branch is now" {
    cooper build -q --source-date-epoch 1700000000 -t app "$GITD/$name.git#main:app"
    [ "$status" -eq 0 ]
    local id=$output
    [ "$(recorded app)" = "$commit" ]
    cooper rebuild app
    [ "$status" -eq 0 ]
    [ "$output" = "The same: $id" ]
    push second
    cooper rebuild app
    echo "$output$stderr"
    [ "$status" -eq 0 ]
    [ "$output" = "The same: $id" ]
    # Another build is of what the branch is.
    cooper build -q --source-date-epoch 1700000000 -t app "$GITD/$name.git#main:app"
    [ "$output" != "$id" ]
    [ "$(recorded app)" = "$(e2e_git -C work rev-parse HEAD)" ]
}

@test "another context in its place is told of: the step, the file" {
    cooper build -q --source-date-epoch 1700000000 -t app "$GITD/$name.git#main:app"
    [ "$status" -eq 0 ]
    push second
    cooper rebuild --context "$GITD/$name.git#main:app" app
    [ "$status" -eq 1 ]
    [[ $output == *'The first step with another outcome: [2/3] COPY data /data'*'~ /data '* ]]
}

@test "a repository that is gone is not needed as long as the store has the commit" {
    cooper build -q --source-date-epoch 1700000000 -t app "$GITD/$name.git#main:app"
    [ "$status" -eq 0 ]
    local id=$output
    mv "$WWW/$name.git" "$WWW/$name.away"
    cooper rebuild app
    [ "$status" -eq 0 ]
    [ "$output" = "The same: $id" ]
    rm -rf "$COOPER_ROOT"/git
    cooper rebuild app
    echo "$stderr"
    [ "$status" -eq 128 ]
    [[ $stderr == *"$name.git"* ]]
    # Or one that was begun anew, without that history.
    rm -rf work/.git
    e2e_git init -q -b main work
    e2e_git -C work add -A
    e2e_git -C work commit -q -m other
    e2e_git clone -q --bare work "$WWW/$name.git"
    cooper rebuild app
    echo "$stderr"
    [ "$status" -eq 128 ]
    [[ $stderr == *"$commit"* ]]
}
