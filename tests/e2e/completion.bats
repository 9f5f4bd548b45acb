#!/usr/bin/env bats
# What shells complete: asked of the program, shown by a real bash and a real fish.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir bin
    ln -s "$COOPER" bin/cooper
    PATH=$PWD/bin:$PATH
    for shell in bash zsh fish; do "$COOPER" completion "$shell" >"cooper.$shell"; done
}

# What bash would reply to this line, as it takes lines apart: at white space, ":" and "=".
bash_reply() { # LINE
    bash --norc --noprofile -c '
        source ./cooper.bash
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
        rest=$1
        while [[ -n $rest ]]; do
            rest=${rest#"${rest%%[![:space:]]*}"}
            if [[ $rest == [:=]* ]]; then
                word=${rest%%[!:=]*}
            else
                word=${rest%%[:=[:space:]]*}
            fi
            [[ -z $word ]] || COMP_WORDS+=("$word")
            rest=${rest#"$word"}
        done
        [[ $1 != *[[:space:]] ]] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _cooper
        printf "%s\n" "${COMPREPLY[@]}"
        complete -p cooper >/dev/null
    ' bash "$1"
}

replies() { # LINE REPLY...: exactly these
    local line=$1
    shift
    [ "$(bash_reply "$line" | sort)" = "$(printf '%s\n' "$@" | sort)" ] || {
        echo "$line: $(bash_reply "$line" | xargs)" >&2
        return 1
    }
}

@test "the scripts are what the shells read" {
    bash -n cooper.bash
    zsh -n cooper.zsh
    fish -n cooper.fish
    cooper completion tcsh
    [ "$status" -eq 2 ]
    [[ $stderr == *"not for 'tcsh'"* ]]
    cooper completion
    [ "$status" -eq 2 ]
}

@test "bash: commands and options, those before the command too" {
    replies 'cooper comp' completion
    replies 'cooper --storage-b' --storage-budget
    replies 'cooper build --prog' --progress
    replies 'cooper --root /nowhere rollb' rollback
    replies 'cooper help rebu' rebuild
    replies 'cooper build --no-such' ''
    replies 'cooper nonsense --' ''
    bash_reply 'cooper ' | grep -qx images
    bash_reply 'cooper build --' | grep -qx -- --cache-from
    bash_reply 'cooper build --' | grep -qx -- --help
    # Every option of the help is there.
    "$COOPER" build --help | grep -o -- '^ *\(-., \)\?--[a-z-]*' | grep -o -- '--[a-z-]*' | sort -u >help
    bash_reply 'cooper build --' | sort -u >offered
    diff help offered
}

@test "bash: fixed values, attached or not" {
    replies 'cooper build --progress ' auto plain tty quiet rawjson
    replies 'cooper build --progress=p' plain
    replies 'cooper --isolation s' subids single
    replies 'cooper build -o type=lo' load local
    replies 'cooper build --output type=local,de' local,dest=
    replies 'cooper build --cache-to type=registry,ref=x,mode=' min max
    replies 'cooper check --format g' github
    replies 'cooper builds r' rm
}

@test "every value that is offered is one that is taken" {
    printf 'FROM busybox\n' >Dockerfile
    for option in progress network compression call; do
        bash_reply "cooper build --$option=" >values
        [ "$(wc -l <values)" -gt 1 ]
        while read -r value; do
            run -0 --separate-stderr "$COOPER" build "--$option=$value" . || {
                echo "$option=$value: $stderr" >&2
                return 1
            }
        done <values
    done
    bash_reply 'cooper doctor --format=' >values
    [ "$(wc -l <values)" -eq 2 ]
    while read -r value; do run -0 "$COOPER" doctor --format="$value"; done <values
    bash_reply 'cooper --isolation=' >values
    [ "$(wc -l <values)" -eq 5 ]
    while read -r value; do run -0 "$COOPER" --isolation="$value" version; done <values
}

@test "bash: names of the store, with tags, and builds" {
    "$COOPER" tag busybox example.org/team/app:1.2
    "$COOPER" tag busybox app:edge
    printf 'FROM busybox\n' >Dockerfile
    "$COOPER" build -q . >/dev/null
    id=$("$COOPER" builds -q | head -n1)
    replies 'cooper run exam' example.org/team/app:1.2
    # Behind a colon bash shows, and puts in, only what follows it.
    replies 'cooper run app:e' edge
    replies 'cooper rmi example.org/team/app:' 1.2
    replies "cooper logs ${id:0:11}" "$id"
    replies 'cooper build -t example' example.org/team/app:1.2
    # Of another store, and where there is none: which is not made.
    replies "cooper --root $PWD/none run app" ''
    [ ! -e none ]
}

@test "bash: files" {
    mkdir deep
    touch deep/Dockerfile.one deep/Dockerfile.two
    replies 'cooper build -f deep/Dockerfile.o' deep/Dockerfile.one
    replies 'cooper build --file=deep/Dockerfile.o' deep/Dockerfile.one
    replies 'cooper build -o type=local,dest=de' deep
    replies 'cooper build de' deep
    replies 'cooper build --secret id=a,src=deep/Dockerfile.t' deep/Dockerfile.two
}

@test "fish: commands, options, values, names and files" {
    complete_in_fish() {
        fish --no-config -c 'source ./cooper.fish; complete -C $argv[1]' "$1" | cut -f1
    }
    [ "$(complete_in_fish 'cooper comp')" = completion ]
    [ "$(complete_in_fish 'cooper build --prog')" = --progress ]
    [ "$(complete_in_fish 'cooper build --progress=ra')" = --progress=rawjson ]
    [ "$(complete_in_fish 'cooper build -o type=lo' | xargs)" = 'type=load type=local' ]
    [[ "$(complete_in_fish 'cooper run busy')" == busybox:latest ]]
    mkdir deep
    touch deep/Dockerfile.one
    [ "$(complete_in_fish 'cooper build --file=deep/Docker')" = --file=deep/Dockerfile.one ]
}

@test "an installation has the scripts where the shells look" {
    build=${COOPER_BIN_DIR%/bin}
    [ -e "$build/cmake_install.cmake" ]
    for shell in bash zsh fish; do
        grep -q "completions/cooper.$shell" "$build/cmake_install.cmake"
    done
}
