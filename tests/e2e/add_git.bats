# ADD of git repositories, against a git daemon and git behind http.
bats_require_minimum_version 1.5.0
load lib
load sources
setup_file() {
    e2e_begin
    e2e_files_start
    e2e_git_repository
    e2e_git_start
}
teardown_file() {
    e2e_servers_stop
    e2e_end
}
setup() {
    e2e_setup
    mkdir ctx
    forget_requests
}

dockerfile() {
    printf '%s\n' 'FROM scratch' "$@" >ctx/Dockerfile
}

# The files of the built image, without directories: one a line.
files() {
    "$COOPER" build --progress quiet -o - "$@" ctx | tar -t | grep -v '/$' | LC_ALL=C sort
}

commit() {
    e2e_git -C "$BATS_FILE_TMPDIR/work" rev-parse "$1"
}

@test "ADD git: the default branch; modes, links, the commit's time, no .git" {
    dockerfile "ADD $GITD/repo.git /d"
    "$COOPER" build --progress quiet -o - ctx | TZ=UTC tar -tv --full-time --numeric-owner | sed 's/  */ /g' >out
    grep -qx -- '-rw-r--r-- 0/0 4 2017-07-14 02:40:00 d/f' out
    grep -qx -- '-rwxr-xr-x 0/0 10 2017-07-14 02:40:00 d/run.sh' out
    grep -qx -- 'lrwxrwxrwx 0/0 0 2017-07-14 02:40:00 d/link -> f' out
    grep -qx -- 'drwxr-xr-x 0/0 0 2017-07-14 02:40:00 d/sub/deep/' out
    run ! grep -q '\.git' out
}

@test "ADD git: a umask of the user's changes nothing" {
    dockerfile "ADD $GITD/repo.git /d"
    (umask 077 && COOPER_ROOT=$PWD/fresh "$COOPER" build --progress quiet -o - ctx) | tar -tv >narrow
    (umask 000 && COOPER_ROOT=$PWD/fresh2 "$COOPER" build --progress quiet -o - ctx) | tar -tv >wide
    cmp narrow wide
}

@test "ADD git: branch, tag, commit, subdirectory, in both forms" {
    local what
    while read -r what; do
        dockerfile "ADD $what /d"
        [ "$(files)" = $'d/f\nd/link\nd/run.sh\nd/sub/deep/x' ]
        "$COOPER" build -q -o out ctx
        [ "$(cat out/d/f)" = two ]
        rm -r out
    done <<END
$GITD/repo.git#dev
$GITD/repo.git#refs/heads/dev
$GITD/repo.git?branch=dev
$GITD/repo.git?ref=dev&submodules=0
$GITD/repo.git#$(commit dev)
$GITD/repo.git?ref=dev&checksum=$(commit dev)
$GITD/repo.git?commit=$(commit dev)&fetch-by-commit=1
$FILES/git/repo.git#dev
$FILES/repo.git#dev
END
    while read -r what; do
        dockerfile "ADD $what /d/"
        [ "$(files)" = d/deep/x ]
    done <<END
$GITD/repo.git#v1:sub
$GITD/repo.git#main:/sub/
$GITD/repo.git#:sub
$GITD/repo.git?tag=v1&subdir=sub
$FILES/git/repo.git#v1:../../sub
END
}

@test "ADD git: only the commit and whether it moved is asked for again" {
    dockerfile "ADD $FILES/git/repo.git#dev /d"
    "$COOPER" build -q -t again ctx
    forget_requests
    cooper build --progress plain -t again ctx
    [[ $stderr == *CACHED* ]]
    [ "$(requests | grep -c info/refs)" -eq 1 ]
    # Named by its commit, nothing is asked. (The same commit of another server is cached.)
    dockerfile "ADD $FILES/git/repo.git#$(commit dev) /d"
    "$COOPER" build -q --no-cache -t again ctx
    forget_requests
    "$COOPER" build -q -t again ctx
    "$COOPER" build -q --no-cache -t again ctx
    [ -z "$(requests)" ]
}

@test "ADD git: a branch that moved is added anew; what stayed the same stays cached" {
    local work=$PWD/work
    e2e_git clone -q "$WWW/repo.git" "$work"
    e2e_git clone -q --bare "$work" "$WWW/moving.git"
    dockerfile "ADD $GITD/moving.git#main /d" "COPY Dockerfile /after"
    "$COOPER" build -q ctx
    echo three >"$work/f"
    e2e_git -C "$work" commit -q -a -m three
    e2e_git -C "$work" push -q "$WWW/moving.git" HEAD:main
    "$COOPER" build -q -o out ctx
    [ "$(cat out/d/f)" = three ]
    # Force-pushed back.
    e2e_git -C "$work" push -q -f "$WWW/moving.git" HEAD~1:main
    "$COOPER" build -q -o out2 ctx
    [ "$(cat out2/d/f)" = one ]
}

@test "ADD git: --keep-git-dir leaves a repository that git can use" {
    dockerfile "ADD --keep-git-dir=true $GITD/repo.git#v1 /d" "ADD $GITD/repo.git?branch=dev&keep-git-dir=1 /e"
    "$COOPER" build -q -o out ctx
    [ -z "$(e2e_git -C out/d status --porcelain)" ]
    [ "$(e2e_git -C out/d rev-parse HEAD)" = "$(commit main)" ]
    [ "$(e2e_git -C out/d rev-parse v1)" = "$(commit v1)" ]
    [ "$(e2e_git -C out/d remote get-url origin)" = "$GITD/repo.git" ]
    [ "$(e2e_git -C out/e rev-parse dev)" = "$(commit dev)" ]
    e2e_git -C out/e fsck --full
    dockerfile "ADD --keep-git-dir=false $GITD/repo.git?keep-git-dir=1 /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"inconsistent keep-git-dir"* ]]
}

@test "ADD git: --checksum is the commit, or its beginning; another is refused with both" {
    local head
    head=$(commit main)
    dockerfile "ADD --checksum=$head $GITD/repo.git#main /d"
    "$COOPER" build -q ctx
    dockerfile "ADD --checksum=${head:0:12} $GITD/repo.git#v1 /d"
    "$COOPER" build -q ctx
    dockerfile "ADD --checksum=$(commit dev) $GITD/repo.git#main /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *Dockerfile:2*"$(commit dev)"*"$head"* ]]
    dockerfile "ADD --checksum=xyz $GITD/repo.git#main /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"expected hex commit hash"* ]]
}

@test "ADD git: submodules, also relative ones; never from this machine's files" {
    local work=$PWD/work
    e2e_git init -q inner
    echo inner >inner/i
    e2e_git -C inner add i
    e2e_git -C inner commit -q -m inner
    e2e_git clone -q --bare inner "$WWW/inner.git"
    e2e_git init -q "$work"
    e2e_git -C "$work" submodule --quiet add "$GITD/inner.git" absolute
    e2e_git -C "$work" submodule --quiet add "$GITD/inner.git" relative
    e2e_git -C "$work" config -f .gitmodules submodule.relative.url ../inner.git
    e2e_git -C "$work" commit -q -a -m outer
    e2e_git clone -q --bare "$work" "$WWW/outer.git"
    dockerfile "ADD $GITD/outer.git /d"
    [ "$(files)" = $'d/.gitmodules\nd/absolute/i\nd/relative/i' ]
    dockerfile "ADD $GITD/outer.git?submodules=false /d"
    [ "$(files)" = d/.gitmodules ]
    e2e_git -C "$work" config -f .gitmodules submodule.relative.url "file://$PWD/inner"
    e2e_git -C "$work" commit -q -a -m evil
    e2e_git -C "$work" push -q "$WWW/outer.git" HEAD:main
    dockerfile "ADD $GITD/outer.git /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *submodules*"'file' not allowed"* ]]
}

@test "ADD git: GIT_AUTH_TOKEN and GIT_AUTH_HEADER, by host first; nothing of them stays" {
    local host=${FILES#http://}
    dockerfile "ADD $FILES/gitauth/repo.git#v1:sub /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *GIT_AUTH_TOKEN* ]]
    export RIGHT=tok WRONG=wrong HEADER
    HEADER="basic $(printf 'x-access-token:tok' | base64)"
    "$COOPER" build -q --secret id=GIT_AUTH_TOKEN,env=RIGHT ctx
    dockerfile "ADD $FILES/gitauth/repo.git#dev:sub /d"
    "$COOPER" build -q --secret id=GIT_AUTH_HEADER,env=HEADER ctx
    dockerfile "ADD $FILES/gitauth/repo.git#main:sub /d"
    "$COOPER" build -q --secret id=GIT_AUTH_TOKEN,env=WRONG --secret "id=GIT_AUTH_TOKEN.$host,env=RIGHT" ctx
    run ! grep -rqa -e "$(printf 'x-access-token:tok' | base64)" "$COOPER_ROOT"
}

@test "ADD git: what fails says what and why" {
    local what text
    while read -r what text; do
        dockerfile "ADD $what /d"
        cooper build ctx
        [ "$status" -eq 1 ]
        [[ $stderr == *Dockerfile:2*"$text"* ]]
    done <<END
$GITD/repo.git#nothere no branch or tag nothere
$GITD/nothere.git git
git://127.0.0.1:1/repo.git refused
$GITD/repo.git#main:f subdirectory f
$GITD/repo.git#main:nothere subdirectory nothere
$GITD/repo.git?colour=red unexpected query
$GITD/repo.git?branch=a&tag=b conflicts
$GITD/repo.git#main?branch=dev no name of a branch
$GITD/repo.git#--upload-pack=x no name of a branch
END
    dockerfile "COPY $GITD/repo.git /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"can't be a git ref for COPY"* ]]
    dockerfile "ADD $GITD/repo.git#dev /d"
    mkdir empty
    run --separate-stderr env COOPER_ROOT="$PWD/fresh" PATH="$PWD/empty" "$COOPER" build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *"install the package git"* ]]
}

@test "ADD git: a hostile repository runs nothing and leads nowhere" {
    local work=$PWD/work
    e2e_git init -q "$work"
    ln -s / "$work/root"
    ln -s ../../../../etc "$work/sub"
    printf '* filter=evil\n' >"$work/.gitattributes"
    mkdir "$work/hooks"
    printf '#!/bin/sh\ntouch %s/ran\n' "$PWD" >"$work/hooks/post-checkout"
    chmod 755 "$work/hooks/post-checkout"
    e2e_git -C "$work" add -A
    e2e_git -C "$work" commit -q -m evil
    e2e_git clone -q --bare "$work" "$WWW/evil.git"
    mkdir -p "$HOME"
    printf '[core]\nhooksPath = %s/hooks\n[filter "evil"]\nsmudge = touch %s/ran; cat\n' "$work" "$PWD" >"$HOME/.gitconfig"
    dockerfile "ADD $GITD/evil.git /d"
    [ "$(files)" = $'d/.gitattributes\nd/hooks/post-checkout\nd/root\nd/sub' ]
    [ ! -e ran ]
    dockerfile "ADD $GITD/evil.git#:sub /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    dockerfile "ADD $GITD/evil.git#:root/etc /d"
    cooper build ctx
    [ "$status" -eq 1 ]
    rm "$HOME/.gitconfig"
}

@test "ADD git: eight builds at once share one repository" {
    local n pids=()
    for n in 1 2 3 4 5 6 7 8; do
        mkdir "c$n"
        printf 'FROM scratch\nADD %s/repo.git#%s /d\nCOPY n /n\n' "$GITD" "$([ $((n % 2)) = 0 ] && echo dev || echo v1)" >"c$n/Dockerfile"
        echo "$n" >"c$n/n"
        COOPER_ROOT=$PWD/shared "$COOPER" build -q -o "out$n" "c$n" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do
        wait "$n"
    done
    for n in 1 2 3 4 5 6 7 8; do
        [ "$(cat "out$n/d/f")" = "$([ $((n % 2)) = 0 ] && echo two || echo one)" ]
    done
}
