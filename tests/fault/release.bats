# Releases at the same time.
bats_require_minimum_version 1.5.0
load lib
load ../e2e/serve
load ../e2e/release
setup_file() { release_setup_file; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }
teardown() { registry_stop; }

# Twenty images, as app:100 to app:119.
many_images() {
    local n

    for n in {100..119}; do release_image "$n"; done
}

# Starts a release for each; the outcomes are in the files status.N, what they say in said.N.
all_at_once() { # VERSION-PREFIX, to which the number is added if it ends with a dot
    local n version started=()

    for n in {100..119}; do
        version=$1
        [[ $version != *. ]] || version+=$((n - 100))
        {
            outcome=0
            "$COOPER" release -q --backport "app:$n" "$R" "$version" >"said.$n" 2>&1 </dev/null || outcome=$?
            echo "$outcome" >"status.$n"
        } 3>&- 4>&- &
        started+=($!)
    done
    wait "${started[@]}"
}

one_wins() {
    local n winner=

    "$COOPER" release -q app:1 "$R" 1.4.1
    all_at_once 1.4.2
    [ "$(cat status.* | grep -c '^0$')" -eq 1 ] || { tail -n 3 said.* >&2; return 1; }
    for n in {100..119}; do
        if [ "$(cat "status.$n")" -eq 0 ]; then
            winner=$n
        else
            [ "$(cat "status.$n")" -eq 1 ]
            grep -q "$R:1.4.2 is .*sha256:.*, not $(id_of "$n")" "said.$n" || { cat "said.$n" >&2; return 1; }
        fi
    done
    for tag in 1.4.2 1.4 1 latest; do
        [ "$(tag_of $tag)" = "$(id_of "$winner")" ]
    done
    grep -q "$(id_of "$winner")" said.*
    [ "$("$COOPER" log --remote --format json "$R:latest" | jq -r .to | head -2 | tr '\n' ' ')" = \
        "$(id_of "$winner") $(id_of 1) " ]
}

@test "of twenty releases of one version at once exactly one wins" {
    many_images
    both one_wins
}

all_succeed() {
    all_at_once 1.4.
    [ "$(cat status.* | grep -c '^0$')" -eq 20 ] || { tail -n 3 said.* >&2; return 1; }
    for n in {100..119}; do
        [ "$(tag_of 1.4.$((n - 100)))" = "$(id_of "$n")" ]
    done
    for tag in 1.4 1 latest; do
        [ "$(tag_of $tag)" = "$(id_of 119)" ]
    done
    # No entry is lost.
    "$COOPER" log --remote --format json "$R" |
        jq -r 'select(.tag | test("^1[.]4[.]")) | .tag' | sort -u | wc -l | grep -qx 20
}

@test "twenty releases of twenty versions at once all succeed, and the newest has the moving tags" {
    many_images
    both all_succeed
}

same_image() {
    local n started=()

    for n in {100..119}; do
        {
            outcome=0
            "$COOPER" release -q app:1 "$R" 1.4.2 >"said.$n" 2>&1 </dev/null || outcome=$?
            echo "$outcome" >"status.$n"
        } 3>&- 4>&- &
        started+=($!)
    done
    wait "${started[@]}"
    [ "$(cat status.* | grep -c '^0$')" -eq 20 ] || { tail -n 3 said.* >&2; return 1; }
    [ "$(tag_of latest)" = "$(id_of 1)" ]
}

@test "twenty releases of one image as one version at once all succeed" {
    both same_image
}

abandoned() {
    # A run that raised a claim, for an image with a higher digest, and was killed.
    local claim digest

    digest=$(printf 'f%.0s' {1..64})
    "$COOPER" release -q app:1 "$R" 1.0.0
    claim=cooper-claim-1.0.1.${digest:0:16}.00000000
    skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$R:cooper-releases" "docker://$R:$claim.1"
    "$COOPER" release -q app:2 "$R" 1.0.1
    [ "$(tag_of latest)" = "$(id_of 2)" ]
    # One that upheld it has won.
    claim=cooper-claim-1.0.2.${digest:0:16}.00000000
    "$BATS_TEST_DIRNAME/release_claim.py" "${R%%/*}" "${R#*/}" "$claim" "sha256:$digest"
    cooper release app:3 "$R" 1.0.2
    failed_with "$R:1.0.2 is being released as sha256:$digest, not $(id_of 3)" "cooper-claim-1.0.2.*"
    [ -z "$(tag_of 1.0.2)" ]
}

@test "claims of runs that were killed are passed over or respected" {
    R=$REGISTRY/$BATS_TEST_NUMBER/app
    abandoned
}
