# Dockerfiles of hostile sizes: a result or a clear error, soon.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; }
teardown_file() { e2e_end; }
setup() { e2e_setup; mkdir empty; }

# check and fmt of standard input's text, each within 20 seconds.
treat() {
    cat >Dockerfile
    run -"$1" --separate-stderr timeout 20 "$COOPER" check -f Dockerfile empty
    run -"$1" --separate-stderr timeout 20 "$COOPER" fmt Dockerfile
}

repeat() { yes "$1" | head -n "$2"; }

@test "10 MB in one line, and in 160,000 lines" {
    treat 0 < <({ echo FROM a; printf 'RUN x'; head -c 10000000 /dev/zero | tr '\0' y; echo; })
    treat 0 < <({ echo FROM a; repeat 'RUN echo this is a step that does something with a few words' 160000; })
}

@test "100,000 instructions; past a quarter of a million it is refused" {
    treat 0 < <({ echo FROM a; repeat 'RUN x' 100000; })
    treat 1 < <({ echo FROM a; repeat 'RUN x' 300000; })
    [[ $stderr == *"more than 250000 instructions"* ]]
}

@test "10,000 nested expansions" {
    treat 0 < <({ echo FROM a; printf 'ENV A='; repeat '${a:-' 10000 | tr -d '\n'; repeat '}' 10000 | tr -d '\n'; echo; })
}

@test "a heredoc that never ends" {
    treat 1 < <({ echo FROM a; echo 'RUN <<E'; repeat line 2000000; })
    [[ $stderr == *"unterminated heredoc: no line 'E' follows"* ]]
    [ "${#stderr}" -lt 10000 ]
}

@test "findings, words and stages without number" {
    treat 0 < <({ echo FROM a; printf 'EXPOSE '; repeat '80/TCP' 500000 | tr '\n' ' '; echo; })
    treat 0 < <(repeat 'FROM a AS b' 200000)
    treat 0 < <({ echo FROM scratch; for ((i = 0; i < 20000; i++)); do echo "ENV A$i=\$B$i"; done; })
}

@test "past 16 MiB it is refused" {
    treat 1 < <({ echo FROM a; printf 'RUN x'; head -c 17000000 /dev/zero | tr '\0' y; echo; })
    [[ $stderr == *"larger than"* || $stderr == *"longer than"* || $stderr == *limit* ]]
}

@test "build: stages and variables without number are refused" {
    local i
    for ((i = 0; i < 6000; i++)); do echo "FROM s$i AS s$((i + 1))"; done >Dockerfile
    run -1 --separate-stderr timeout 60 "$COOPER" build empty -f Dockerfile
    [[ $stderr == *"more than 5000 stages"* ]]
    { echo FROM scratch; for ((i = 0; i < 5000; i++)); do echo "ENV A$i=1"; done; } >Dockerfile
    run -1 --separate-stderr timeout 60 "$COOPER" build empty -f Dockerfile
    [[ $stderr == *"more than 4096 variables"* ]]
    { echo FROM scratch; for ((i = 0; i < 4900; i++)); do echo "FROM s$i AS s$((i + 1))"; done; } | sed 's/^FROM s0 /FROM scratch /' >Dockerfile
    run -0 --separate-stderr timeout 60 "$COOPER" build empty -f Dockerfile
}
