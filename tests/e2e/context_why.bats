# cooper context: what a build context holds, and what .dockerignore does.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir -p ctx/node_modules/a ctx/src/big ctx/docs
    local n
    for n in 1 2 3; do
        head -c "${n}00000" /dev/zero >"ctx/src/big/f$n"
        echo >"ctx/docs/d$n.md"
        echo >"ctx/node_modules/a/$n.js"
    done
    printf 'FROM scratch\nCOPY . /\n' >ctx/Dockerfile
    printf '# comment\n\nnode_modules\n**/*.md\n!docs/d3.md\nnothing*\n' >ctx/.dockerignore
}

# The lines of the output with single blanks.
lines() {
    printf '%s\n' "$output" | sed 's/  */ /g; s/ $//'
}

@test "totals, then what is sent, largest first" {
    cooper context ctx
    [ "$status" -eq 0 ]
    lines >got
    [ "$(head -1 got)" = 'ctx: 6 files, 600kB; .dockerignore leaves out 5 files, 5B' ]
    sed -n '3,$p' got >table
    printf '%s\n' 'SIZE FILES PATH' '300kB 1 src/big/f3' '200kB 1 src/big/f2' '100kB 1 src/big/f1' >want
    head -4 table | cmp - want
    grep -qx '1B 1 docs/d3.md' table
    run ! grep -q node_modules table
}

@test "in few lines directories are sums" {
    cooper context -n 3 ctx
    lines >got
    grep -qx '600kB 3 src/' got
    grep -q '(the rest)$' got
    run ! grep -q 'src/big' got
}

@test "--why: which line leaves out or takes back what" {
    cooper context --why ctx
    lines >got
    grep -qx '.dockerignore:3 node_modules leaves out 3 3B node_modules/' got
    grep -qx '.dockerignore:4 \*\*/\*.md leaves out 2 2B docs/d1.md, docs/d2.md' got
    grep -qx '.dockerignore:5 !docs/d3.md takes back 1 1B docs/d3.md' got
    grep -qx '.dockerignore:6 nothing\* nothing 0 0B' got
}

@test "json: totals, rules and every file; the sum is what a build sends" {
    cooper context --format json ctx
    jq -e '.sent.files == 6 and .sent.size == ([.files[] | select(.sent) | .size] | add)' <<<"$output"
    jq -e '.ignored.files == 5' <<<"$output"
    jq -e '.files[0] == {"path": "src/big/f3", "type": "file", "size": 300000, "sent": true}' <<<"$output"
    jq -e '[.files[] | select(.sent | not) | .line] | sort == [3, 3, 3, 4, 4]' <<<"$output"
    jq -e '[.rules[] | .line] == [3, 4, 5, 6]' <<<"$output"
    jq -r '.files[] | select(.sent) | .path' <<<"$output" | LC_ALL=C sort >said
    "$COOPER" build --progress quiet -o - ctx | tar -t | grep -v '/$' | LC_ALL=C sort | cmp - said
}

@test "-f chooses NAME.dockerignore; without any all is sent; archives too" {
    echo '*' >ctx/web.dockerignore
    touch ctx/web
    cooper context -f ctx/web ctx
    [[ $output == *"web.dockerignore leaves out"* ]]
    [[ $output == "ctx: 0 files"* ]]
    rm ctx/.dockerignore ctx/web ctx/web.dockerignore ctx/Dockerfile
    cooper context ctx
    [[ $output == "ctx: 9 files"*"there is no .dockerignore"* ]]
    cd ctx
    cooper context
    [[ $output == ".: 9 files"* ]]
    printf 'FROM scratch\n' >Dockerfile
    echo docs >.dockerignore
    tar -cf ../c.tar .
    cooper context --why ../c.tar
    [[ $output == "../c.tar: 8 files"*".dockerignore:1"*"docs/"* ]]
}

@test "names with control characters stay on their line; what is no context is an error" {
    touch $'ctx/new\nline'
    cooper context ctx
    [[ $output == *'new\x0aline'* ]]
    cooper context nothere
    [ "$status" -eq 1 ]
    [[ $stderr == *nothere* ]]
    run --separate-stderr bash -c 'printf "FROM scratch\n" | "$COOPER" context -'
    [ "$status" -eq 2 ]
    [[ $stderr == *"has no context"* ]]
}
