# cooper release: immutable versions, and the tags that follow them.
bats_require_minimum_version 1.5.0
load lib
load serve
load release
setup_file() { release_setup_file; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

first_release() {
    cooper release app:1 "$R" 1.4.2 -m "the first"
    echo "$stderr" >&2
    [ "$status" -eq 0 ]
    [[ $output == *"1.4.2"*"make"*"-"*"1.4.2"* ]]
    [[ $output == *"$R:1.4.2: $(id_of 1)"* ]]
    [ "$(tags_of)" = "1 1.4 1.4.2 latest " ]
    for tag in 1 1.4 1.4.2 latest; do
        [ "$(tag_of $tag)" = "$(id_of 1)" ]
    done
    cooper --root "$PWD/other.${R%%/*}" pull -q "$R:latest"
    [ "$status" -eq 0 ]
}

@test "a release makes the version, and the moving tags follow" {
    both first_release
}

moves() {
    "$COOPER" release -q app:1 "$R" 1.4.2
    "$COOPER" release -q app:2 "$R" 1.5.0
    cooper release --format json app:3 "$R" 1.5.1
    [ "$status" -eq 0 ]
    jq -e '.version == "1.5.1" and .was_released == false and
        ([.tags[] | {(.tag): .action}] | add ==
        {"1.5.1": "make", "1.5": "move", "1": "move", "latest": "move"})' <<<"$output"
    [ "$(jq -r '.tags[] | select(.tag == "1.5") | .from' <<<"$output")" = "$(id_of 2)" ]
    [ "$(tag_of 1.4)" = "$(id_of 1)" ]
    [ "$(tag_of 1.5)" = "$(id_of 3)" ]
    [ "$(tag_of 1)" = "$(id_of 3)" ]
    [ "$(tag_of latest)" = "$(id_of 3)" ]
    [ "$(tag_of 1.5.0)" = "$(id_of 2)" ]
}

@test "each release moves the tags of its line and leaves the others" {
    both moves
}

other_digest() {
    "$COOPER" release -q app:1 "$R" 1.0.0
    cooper release app:2 "$R" 1.0.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"$R:1.0.0 is $(id_of 1) already, not $(id_of 2)"* ]]
    [ "$(tag_of 1.0.0)" = "$(id_of 1)" ]
    [ "$(tag_of latest)" = "$(id_of 1)" ]
    cooper release --dry-run app:2 "$R" 1.0.0
    [ "$status" -eq 1 ]
}

@test "a version with another digest is refused, both digests shown" {
    both other_digest
}

again() {
    "$COOPER" release -q app:1 "$R" 1.0.0
    cooper release app:1 "$R" 1.0.0
    [ "$status" -eq 0 ]
    [[ $output == *"was released before"* ]]
    [ "$("$COOPER" log --format json "$R" | jq -s 'map(select(.tag == "1.0.0")) | length')" -eq 1 ]
    # What was rolled back meanwhile stays so.
    "$COOPER" release -q app:2 "$R" 1.1.0
    "$COOPER" rollback -q --yes "$R"
    cooper release app:2 "$R" 1.1.0
    [ "$status" -eq 0 ]
    [[ $output == *"moved on since the release"* ]]
    [ "$(tag_of latest)" = "$(id_of 1)" ]
}

@test "the same release again changes nothing" {
    both again
}

prerelease() {
    "$COOPER" release -q app:1 "$R" 1.0.0
    "$COOPER" release -q app:2 "$R" 2.0.0-rc.1
    [ "$(tags_of)" = "1 1.0 1.0.0 2.0.0-rc.1 latest " ]
    [ "$(tag_of latest)" = "$(id_of 1)" ]
    cooper release -q app:3 "$R" 2.0.0-beta.1
    [ "$status" -eq 1 ]
    [[ $stderr == *"2.0.0-beta.1 is older than 2.0.0-rc.1"*--backport* ]]
}

@test "a pre-release moves nothing" {
    both prerelease
}

backport() {
    "$COOPER" release -q app:1 "$R" 1.4.2
    "$COOPER" release -q app:2 "$R" 1.5.0
    cooper release app:3 "$R" 1.4.3
    [ "$status" -eq 1 ]
    [[ $stderr == *"1.4.3 is older than 1.5.0"*--backport* ]]
    [ -z "$(tag_of 1.4.3)" ]
    cooper release --backport app:3 "$R" 1.4.3
    [ "$status" -eq 0 ]
    [[ $output == *latest*leave*"left to 1.5.0"* ]]
    [ "$(tag_of 1.4)" = "$(id_of 3)" ]
    [ "$(tag_of 1)" = "$(id_of 2)" ]
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    # Another major version is another line.
    "$COOPER" release -q app:4 "$R" 2.0.0
    "$COOPER" release -q app:4 "$R" 1.5.1
    [ "$(tag_of 1)" = "$(id_of 4)" ]
}

@test "an older version needs --backport, and takes nothing from newer ones" {
    both backport
}

schemes() {
    "$COOPER" release -q --scheme calver app:1 "$R" 2026.10.1
    "$COOPER" release -q --scheme calver app:2 "$R" 2026.11.0
    [ "$(tag_of 2026.10)" = "$(id_of 1)" ]
    [ "$(tag_of 2026)" = "$(id_of 2)" ]
    "$COOPER" release -q --scheme any --move stable app:3 "$R" build_77
    [ "$(tag_of stable)" = "$(id_of 3)" ]
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    "$COOPER" release -q --move none app:3 "$R" 9.0.0+b1
    [ "$(tag_of 9.0.0_b1)" = "$(id_of 3)" ]
    [ -z "$(tag_of 9)" ]
    cooper release app:3 "$R" 2026.11
    [ "$status" -eq 1 ]
    [[ $stderr == *"'2026.11' is no version of the scheme semver"* ]]
}

@test "schemes and moving tags can be chosen" {
    both schemes
}

dry_run() {
    cooper release --dry-run app:1 "$R" 1.0.0
    [ "$status" -eq 0 ]
    [[ $output == *latest*make*"--dry-run"* ]]
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://${R%%/*}/v2/${R#*/}/tags/list")" = 404 ]
}

@test "a dry run changes nothing" {
    both dry_run
}

from_registry() {
    "$COOPER" tag app:1 "$R-built:main"
    "$COOPER" push -q "$R-built:main"
    cooper --root "$PWD/empty.${R%%:*}" release -q "$R-built@$(id_of 1)" "$R" 1.0.0
    [ "$status" -eq 0 ]
    [ "$output" = "$R@$(id_of 1)" ]
    [ "$(tag_of latest)" = "$(id_of 1)" ]
    "$COOPER" rmi "$R-built:main" >/dev/null
    cooper release "$R-built:nothere" "$R" 1.0.1
    [ "$status" -eq 1 ]
    [[ $stderr == *"neither in the store nor at its registry"* ]]
    cooper release nothere "$R" 1.0.1
    [ "$status" -eq 1 ]
}

@test "an image that is at a registry is released without the store" {
    both from_registry
}

annotated() {
    git init -q . 2>/dev/null
    git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x
    git remote get-url origin >/dev/null 2>&1 ||
        git remote add origin https://me:secret@git.example.org/app
    COOPER_USER=ann "$COOPER" release --format json --annotation team=core -m why app:1 "$R" 1.0.0 >plan
    jq -e --arg rev "$(git rev-parse HEAD)" '.annotations |
        .["org.opencontainers.image.version"] == "1.0.0" and
        .["org.opencontainers.image.revision"] == $rev and
        .["org.opencontainers.image.source"] == "https://git.example.org/app" and
        .["org.opencontainers.image.created"] != null and .team == "core"' plan
    "$COOPER" log --format json "$R:latest" >log
    jq -e '.who == "ann" and .message == "why" and .command == "release"' log
    GITHUB_ACTOR=bot GITHUB_SHA=abc GITHUB_SERVER_URL=https://g GITHUB_REPOSITORY=o/r \
        "$COOPER" release --format json app:2 "$R" 1.0.1 |
        jq -e '.annotations | .["org.opencontainers.image.revision"] == "abc" and
            .["org.opencontainers.image.source"] == "https://g/o/r"'
    "$COOPER" log -n 1 --format json "$R:latest" | jq -e '.who == "bot"'
}

@test "an entry says who, why, and what of git" {
    both annotated
}

annotates_manifest() {
    local digest

    cooper release --annotate --annotation team=core -q app:1 "$R" 1.0.0
    [ "$status" -eq 0 ]
    digest=${output#*@}
    [ "$digest" != "$(id_of 1)" ]
    [ "$(tag_of latest)" = "$digest" ]
    skopeo inspect --raw --tls-verify=false "docker://$R:1.0.0" | jq -e '.annotations |
        .["org.opencontainers.image.version"] == "1.0.0" and .team == "core" and
        .["org.opencontainers.image.created"] != null'
    # The same again is the same image.
    cooper release --annotate --annotation team=core app:1 "$R" 1.0.0
    [ "$status" -eq 0 ]
    [[ $output == *"was released before"* ]]
    cooper release --annotate app:1 "$R" 1.0.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"is $digest already"* ]]
    cooper release --annotate "app:1@$(id_of 1)" "$R" 1.0.1
    [ "$status" -eq 2 ]
}

@test "annotations go into the manifest where that is asked for" {
    both annotates_manifest
}

@test "the digest is written for deployments" {
    R=$REGISTRY/$BATS_TEST_NUMBER/app
    "$COOPER" release -q --write-digest d --write-digest ref=r --write-digest kustomize=k \
        --write-digest helm=h app:1 "$R" 1.0.0
    [ "$(cat d)" = "$(id_of 1)" ]
    [ "$(cat r)" = "$R@$(id_of 1)" ]
    printf '%s\n' 'apiVersion: kustomize.config.k8s.io/v1alpha1' 'kind: Component' images: \
        "  - name: \"$R\"" "    newName: \"$R\"" "    digest: \"$(id_of 1)\"" | diff - k
    printf '%s\n' image: "  repository: \"$R\"" '  tag: "1.0.0"' "  digest: \"$(id_of 1)\"" | diff - h
    "$COOPER" release -q app:2 "$R" 1.1.0
    "$COOPER" rollback -q --yes --write-digest d "$R"
    [ "$(cat d)" = "$(id_of 1)" ]
    cooper release --write-digest nothere/x=1 app:3 "$R" 1.2.0
    [ "$status" -eq 2 ]
    cooper release --write-digest nothere/x app:3 "$R" 1.2.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"--write-digest nothere/x"* ]]
}

@test "wrong usage is found before anything is asked" {
    for arguments in "app:1 127.0.0.1:1/x:tag 1.0.0" "app:1 127.0.0.1:1/x 1.0.0 --scheme odd" \
        "app:1 127.0.0.1:1/x 1.0.0 --move {x}" "app:1 127.0.0.1:1/x 1.0.0 --format odd" "app:1 x"; do
        # shellcheck disable=SC2086
        cooper release $arguments
        [ "$status" -eq 2 ]
    done
    cooper release app:1 127.0.0.1:1/x 1.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"'1.0' is no version"* ]]
    cooper release app:1 127.0.0.1:1/x 1.0.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"127.0.0.1:1"* ]]
}

@test "a registry that lets no tag be moved says so" {
    release_serve --immutable '*'
    R=$SERVED/app
    "$COOPER" release -q app:1 "$R" 1.0.0
    cooper release app:2 "$R" 1.1.0
    [ "$status" -eq 1 ]
    [[ $stderr == *"does not let the tag '1' be moved from $(id_of 1)"* ]]
    cooper release --move none -q app:2 "$R" 1.1.0
    [ "$status" -eq 0 ]
}
