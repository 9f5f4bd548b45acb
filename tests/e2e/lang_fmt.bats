# cooper fmt and cooper parse.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() { e2e_setup; printf 'from  a  as b\n\n\n\nrun x  \\\n\n   y\n' >Dockerfile; }

formatted() { printf 'FROM a  as b\n\nRUN x  \\\n   y\n'; }

@test "fmt: prints the canonical layout and leaves the file" {
    cp Dockerfile before
    cooper fmt
    [ "$status" -eq 0 ]
    diff <(echo "$output") <(formatted)
    cmp Dockerfile before
    cooper fmt - <before
    diff <(echo "$output") <(formatted)
}

@test "fmt: --write rewrites, --check and --diff tell" {
    cooper fmt --check
    [ "$status" -eq 1 ]
    [ "$output" = Dockerfile ]
    cooper fmt -d
    [ "$status" -eq 0 ]
    echo "$output" >change
    cp Dockerfile patched && patch -s patched change
    cooper fmt --write .
    [ "$status" -eq 0 ]
    diff Dockerfile <(formatted)
    cmp Dockerfile patched
    cooper fmt --check
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    cooper fmt -w --check
    [ "$status" -eq 2 ]
}

@test "fmt: several files; a broken one is told and not touched" {
    cp Dockerfile one
    printf 'RNU\n' >two
    cooper fmt -w one two
    [ "$status" -eq 1 ]
    [[ $stderr == *two:1:1*"cooper: error: two: unknown instruction"* ]]
    diff one <(formatted)
    [ "$(cat two)" = RNU ]
}

@test "parse: the tree as JSON, from a file, a directory or standard input" {
    cooper parse
    [ "$status" -eq 0 ]
    local first=$output
    [ "$(jq -r '.stages[0].name, .instructions[1].kind, .instructions[1].line_end' <<<"$first" | xargs)" = "b RUN 7" ]
    cooper parse .
    [ "$output" = "$first" ]
    cooper parse --format json - <Dockerfile
    [ "$output" = "$first" ]
    cooper parse --format yaml
    [ "$status" -eq 2 ]
    cooper parse missing
    [ "$status" -eq 1 ]
}

@test "parse: of a broken file all errors and no tree" {
    printf 'FROM a\nRNU\nCOPY\n' >Dockerfile
    cooper parse
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *Dockerfile:2:1*Dockerfile:3:1* ]]
}

@test "parse: a file whose tree would fill the memory is refused, one of a megabyte is not" {
    { echo 'FROM a'; echo "ENV $(seq -f 'a%.0f=b' -s ' ' 90000)"; } >Dockerfile
    cooper parse
    [ "$status" -eq 0 ]
    [ "$(jq '.instructions | length' <<<"$output")" -eq 2 ]
    { echo 'FROM a'; echo "ENV $(seq -f 'a%.0f=b' -s ' ' 160000)"; } >Dockerfile
    cooper parse
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"Dockerfile has "*" bytes: the tree of a Dockerfile"* ]]
}
