# cooper rollback, log and promote.
bats_require_minimum_version 1.5.0
load lib
load serve
load release
setup_file() { release_setup_file; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

three() {
    "$COOPER" release -q app:1 "$R" 1.0.0
    "$COOPER" release -q app:2 "$R" 1.1.0
    "$COOPER" release -q app:3 "$R" 1.2.0
}

back() {
    three
    cooper rollback --yes -m "it leaks" "$R"
    [ "$status" -eq 0 ]
    [[ $output == *"from"*"1.2.0"*"$(id_of 3)"*"to"*"1.1.0"*"$(id_of 2)"* ]]
    [[ $output == *"layers: 0 the same, 1 removed"*"1 added"* ]]
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    # Only the tag that was named.
    [ "$(tag_of 1)" = "$(id_of 3)" ]
    [ "$(tag_of 1.2.0)" = "$(id_of 3)" ]
    # Forward again, by the same command.
    "$COOPER" rollback -q --yes "$R"
    [ "$(tag_of latest)" = "$(id_of 3)" ]
    for to in 1.0.0 "@{3}" "$(id_of 2)"; do
        "$COOPER" rollback -q --yes --to "$to" "$R"
    done
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    "$COOPER" log --format json "$R:latest" >log
    [ "$(jq -r .entry log | tr '\n' ' ')" = "0 1 2 3 4 5 6 7 " ]
    [ "$(jq -r '[.version, .command] | join("/")' log | tr '\n' ' ')" = \
        "1.1.0/rollback 1.2.0/rollback 1.0.0/rollback 1.2.0/rollback 1.1.0/rollback 1.2.0/release 1.1.0/release 1.0.0/release " ]
    [ "$(jq -r 'select(.entry == 4) | .message' log)" = "it leaks" ]
}

@test "a tag goes back to exactly what it was, and forward again" {
    both back
}

refusals() {
    three
    cooper rollback "$R" </dev/null
    [ "$status" -eq 2 ]
    [[ $stderr == *"--yes"* ]]
    cooper rollback --dry-run "$R"
    [ "$status" -eq 0 ]
    [[ $output == *"nothing was done"* ]]
    [ "$(tag_of latest)" = "$(id_of 3)" ]
    cooper rollback --yes "$R:1.1.0"
    [ "$status" -eq 1 ]
    [[ $stderr == *"1.1.0 is a version, which never changes"* ]]
    cooper rollback --yes --to 7.7.7 "$R"
    [ "$status" -eq 1 ]
    [[ $stderr == *"has no version '7.7.7'"* ]]
    cooper rollback --yes --to '@{9}' "$R"
    [ "$status" -eq 1 ]
    [[ $stderr == *"no @{9}: it knows 3 states"* ]]
    cooper rollback --yes --to "sha256:$(printf '0%.0s' {1..64})" "$R"
    [ "$status" -eq 1 ]
    [[ $stderr == *"has no image sha256:000"* ]]
    cooper rollback --yes "$R:nothere"
    [ "$status" -eq 1 ]
    [[ $stderr == *"has no tag 'nothere'"* ]]
    [ "$(tag_of latest)" = "$(id_of 3)" ]
    cooper rollback --to 1.2.0 --yes "$R"
    [ "$status" -eq 0 ]
    [[ $output == *"points there already"* ]]
}

@test "the packages that change are told where the store has both images" {
    local n

    R=$REGISTRY/$BATS_TEST_NUMBER/app
    for n in 1 2; do
        mkdir -p "root.$n/var/lib/dpkg"
        printf 'Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 8.%d\n\n' "$n" \
            >"root.$n/var/lib/dpkg/status"
        "$COOPER" import "root.$n" "packed:$n" >/dev/null
        "$COOPER" release -q "packed:$n" "$R" "$n.0.0"
    done
    cooper rollback --dry-run "$R"
    [ "$status" -eq 0 ]
    [[ $output == *"packages:"*"~ dpkg curl:amd64  8.2 -> 8.1"* ]]
    cooper rollback --dry-run --format json "$R"
    [ "$(jq -r '.packages[0] | .name + .before + .after' <<<"$output")" = curl8.28.1 ]
    # Nothing is fetched to tell it.
    cooper --root "$PWD/other" rollback --dry-run "$R"
    [ "$status" -eq 0 ]
    [[ $output != *"packages"* ]]
}

@test "versions do not move, and what is not there is no target" {
    both refusals
}

@test "on a terminal it asks" {
    R=$REGISTRY/$BATS_TEST_NUMBER/app
    three
    python3 "$COOPER_SOURCE_DIR/tests/e2e/answer.py" n "$COOPER" rollback "$R" >said || true
    grep -q 'Move the tag' said
    grep -q 'nothing was changed' said
    [ "$(tag_of latest)" = "$(id_of 3)" ]
    python3 "$COOPER_SOURCE_DIR/tests/e2e/answer.py" y "$COOPER" rollback "$R" >said
    [ "$(tag_of latest)" = "$(id_of 2)" ]
}

elsewhere() {
    three
    # Another machine knows what the repository knows.
    cooper --root "$PWD/other.$RANDOM" log "$R:latest"
    [ "$status" -eq 0 ]
    [[ ${lines[1]} == *"@{0}"*release*"1.2.0 ("* ]]
    "$COOPER" --root "$PWD/other.$RANDOM" rollback -q --yes "$R"
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    # A tag that others moved is told so, and its older states are not lost.
    skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$R:1.0.0" "docker://$R:latest"
    "$COOPER" log --remote --format json "$R:latest" >log
    [ "$(jq -r '[.version, .command] | join("/")' log | head -3 | tr '\n' ' ')" = "1.0.0/ 1.1.0/rollback 1.2.0/release " ]
    "$COOPER" log --remote "$R" >all
    [ "$(grep -c ' release ' all)" -eq 12 ]
}

@test "the history is in the repository, for every machine" {
    both elsewhere
}

unrecorded() {
    three
    # As if the run had been killed between moving the tag and writing the entry.
    skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$R:1.1.0" "docker://$R:latest"
    "$COOPER" rollback -q --yes "$R"
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    "$COOPER" log -n 1 --remote --format json "$R:latest" |
        jq -e --arg from "$(id_of 3)" '.command == "rollback" and .from == $from'
    "$COOPER" rollback -q --yes "$R"
    [ "$(tag_of latest)" = "$(id_of 3)" ]
}

@test "a rollback that was interrupted is completed, not undone, by the same command" {
    both unrecorded
}

@test "the store's own history is told too" {
    "$COOPER" tag app:1 local/thing
    "$COOPER" tag app:2 local/thing
    cooper log --format json local/thing
    [ "$status" -eq 0 ]
    [ "$(jq -r '[.where, .tag, .command, .to] | join(" ")' <<<"$output")" = \
        "store latest tag $(id_of 2)
store latest tag $(id_of 1)" ]
    "$COOPER" rmi local/thing >/dev/null
    cooper log local/thing:latest
    [[ ${lines[1]} == *latest*" -   "* ]]
    cooper log --local "$REGISTRY/never"
    [ "$status" -eq 1 ]
    [[ $stderr == *"nothing is known of the history"* ]]
}

promoted() {
    local production=$R-production

    "$COOPER" release -q --annotation team=core app:1 "$R" 1.0.0
    "$COOPER" release -q app:2 "$R" 1.1.0
    printf signature >signature.txt
    "$COOPER_SOURCE_DIR/tests/e2e/refer.py" "${R%%/*}" "${R#*/}" 1.0.0 test/signature signature.txt >referrer
    cooper --root "$PWD/empty" promote --format json "$R:1.0.0" "$production"
    echo "$stderr" >&2
    [ "$status" -eq 0 ]
    jq -e '.annotations.team == "core"' <<<"$output"
    for tag in 1.0.0 1.0 1 latest; do
        [ "$(tag_of $tag "$production")" = "$(id_of 1)" ]
    done
    # With what refers to it.
    curl -sf "http://${R%%/*}/v2/${production#*/}/manifests/$(cat referrer)" \
        -H 'Accept: application/vnd.oci.image.manifest.v1+json' | jq -e '.artifactType == "test/signature"'
    "$COOPER" log --remote --format json "$production:latest" | jq -e '.command == "promote"'
    # Production has rules of its own.
    cooper promote --as 1.0.0 "$R:1.1.0" "$production"
    [ "$status" -eq 1 ]
    [[ $stderr == *"is $(id_of 1) already, not $(id_of 2)"* ]]
    cooper promote "$R:nothere" "$production"
    [ "$status" -eq 1 ]
    cooper promote "$R:1.1.0" "$R"
    [ "$status" -eq 2 ]
}

@test "a promotion copies by digest, with referrers, and is recorded" {
    both promoted
}
