# What every command has in common: help, wrong usage, exit codes, manual pages.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }

commands() {
    "$COOPER" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p' | grep -v '^help$'
}

# Long options of a command, by its help.
options() {
    "$COOPER" "$1" --help | grep -oE '^  (-[a-zA-Z], |    )--[a-z-]+' | grep -oE -- '--[a-z-]+'
}

@test "help goes to standard output and succeeds" {
    cooper --help
    [ "$status" -eq 0 ]
    [[ $output == *"Commands:"*build*import*run* ]]
    [ -z "$stderr" ]
}

@test "every command has help, also as 'help COMMAND'" {
    [ "$(commands | wc -l)" -ge 13 ]
    for command in $(commands); do
        cooper "$command" --help
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "Usage: cooper $command "* ]]
        local first=$output
        cooper help "$command"
        [ "$status" -eq 0 ]
        [ "$output" = "$first" ]
    done
}

# The options in a command's manual page; explain's says that it has those of build too.
page_options() {
    local page=$COOPER_SOURCE_DIR/man/cooper-$1.1

    if grep -q '^All options of$' "$page"; then page_options build; fi
    sed -n '/^\.Sh OPTIONS/,/^\.Sh /p' "$page" | grep -oE '^\.It .*' |
        grep -oE 'Fl Fl [a-z-]+' | sed 's/Fl Fl /--/'
}

@test "every command has a manual page that lists exactly the options of its help" {
    for command in $(commands); do
        local page=$COOPER_SOURCE_DIR/man/cooper-$command.1
        [ -e "$page" ]
        diff <(options "$command" | sort -u) <(page_options "$command" | sort -u)
    done
}

@test "manual pages are well-formed" {
    for page in "$COOPER_SOURCE_DIR"/man/*.1; do
        run mandoc -Tlint -Wwarning "$page"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
    done
}

@test "no command is wrong usage" {
    cooper
    [ "$status" -eq 2 ]
    [[ $stderr == *"cooper: error: a command is missing"* ]]
}

@test "an unknown command suggests a near one" {
    cooper biuld .
    [ "$status" -eq 2 ]
    [[ $stderr == *"unknown command: biuld (did you mean build?)"* ]]
    [ -z "$output" ]
}

@test "an unknown flag suggests a near one, for every command" {
    for command in $(commands); do
        cooper "$command" --hepl
        [ "$status" -eq 2 ]
        [[ $stderr == *"unknown flag: --hepl (did you mean --help?)"* ]]
        [[ $stderr == *"See 'cooper $command --help'."* ]]
    done
    cooper build --taq x .
    [[ $stderr == *"(did you mean --tag?)"* ]]
}

@test "an unknown letter, a missing value and a superfluous argument are wrong usage" {
    cooper images -x
    [ "$status" -eq 2 ]
    [[ $stderr == *"unknown shorthand flag: 'x'"* ]]
    cooper save -o
    [ "$status" -eq 2 ]
    [[ $stderr == *"flag needs an argument"* ]]
    cooper tag a
    [ "$status" -eq 2 ]
    [[ $stderr == *"tag needs exactly 2 arguments, not 1"* ]]
    cooper images a b
    [ "$status" -eq 2 ]
    [[ $stderr == *"at most 1 argument"* ]]
}

@test "switches take =true and =false, and letters bundle" {
    cooper images -q=false
    [ "$status" -eq 0 ]
    [[ $output == REPOSITORY* ]]
    cooper images --quiet=true
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    cooper images --quiet=perhaps
    [ "$status" -eq 2 ]
    cooper run -it nothere
    [ "$status" -eq 2 ]
    [[ $stderr == *"standard input is no terminal"* ]]
}

@test "a failed request is 1, told once" {
    cooper inspect nothere
    [ "$status" -eq 1 ]
    [ "$(grep -c 'cooper: error:' <<<"$stderr")" -eq 1 ]
    [[ $stderr == *"no image 'nothere' in the store"* ]]
    [ -z "$output" ]
}

@test "the version is told for people and for programs" {
    cooper version
    [ "$status" -eq 0 ]
    [[ $output == *"Version:"*"Platform:"* ]]
    local version
    version=$("$COOPER" version --format json | jq -r .Version)
    [[ $version == [0-9]*.[0-9]*.[0-9]* ]]
    cooper --version
    [ "$output" = "cooper version $version" ]
}

@test "a Go template is refused by name" {
    cooper images --format '{{.ID}}'
    [ "$status" -eq 2 ]
    [[ $stderr == *"Go templates are not known"* ]]
}

@test "--root goes before COOPER_ROOT" {
    cooper --root "$PWD/other" images
    [ "$status" -eq 0 ]
    [ -e other/oci-layout ]
}

@test "a full device is a failure" {
    [ -e /dev/full ]
    run bash -c '"$COOPER" --help >/dev/full'
    [ "$status" -eq 1 ]
    [[ $output == *"No space left on device"* ]]
}
