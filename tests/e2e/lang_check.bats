# cooper check, and what builds tell of it.
bats_require_minimum_version 1.5.0
load lib
setup_file() { e2e_begin; e2e_busybox; }
teardown_file() { e2e_end; }
setup() { e2e_setup; }

@test "check: findings alone do not fail; --strict does" {
    printf 'FROM busybox:latest AS Base\nENV A b\n' >Dockerfile
    cooper check
    [ "$status" -eq 0 ]
    [[ $output == "Check complete, 3 warnings have been found!"* ]]
    [[ $output == *"WARNING: StageNameCasing - https://docs.docker.com/"*"Dockerfile:1:24"*"^^^^"* ]]
    [[ $output == *LatestBaseImage*LegacyKeyValueFormat* ]]
    cooper check --strict
    [ "$status" -eq 1 ]
    [[ $stderr == *"3 findings (--strict)"* ]]
}

@test "check: a clean file" {
    printf 'FROM busybox:1\n' >Dockerfile
    cooper check --strict
    [ "$status" -eq 0 ]
    [ "$output" = "Check complete, no warnings found." ]
}

@test "check: --rules docker leaves cooper's own rules out" {
    printf 'FROM busybox\nADD a b\n' >Dockerfile
    cooper check --rules docker --strict
    [ "$status" -eq 0 ]
    cooper check --rules other
    [ "$status" -eq 2 ]
}

@test "check: '# check=' skips rules and makes findings errors" {
    printf '# check=skip=StageNameCasing\nFROM busybox:1 AS B\n' >Dockerfile
    cooper check --strict
    [ "$status" -eq 0 ]
    printf '# check=error=true\nFROM busybox:1 AS B\n' >Dockerfile
    cooper check
    [ "$status" -eq 1 ]
    [[ $stderr == *"lint violation found for rules: StageNameCasing"* ]]
}

@test "check: all syntax errors at once, each with its place" {
    printf 'FROM busybox:1\nRNU x\nCOPY a\nRUN ok\nHEALTHCHECK --nope CMD x\n' >Dockerfile
    cooper check
    [ "$status" -eq 1 ]
    [[ $output == "Check failed, 3 errors have been found!"* ]]
    [[ $output == *Dockerfile:2:1*Dockerfile:3:1*Dockerfile:5:13* ]]
}

@test "build: all syntax errors at once" {
    printf 'FROM busybox:1\nRNU x\nCOPY a\n' >Dockerfile
    cooper build .
    [ "$status" -eq 1 ]
    [[ $stderr == *Dockerfile:2:1*Dockerfile:3:1*"cooper: error: 2 errors in the Dockerfile"* ]]
}

@test "check: JSON is BuildKit's" {
    printf 'FROM busybox:1 AS B\n' >Dockerfile
    cooper check --format json
    [ "$status" -eq 0 ]
    [ "$(jq -r '.warnings[0].ruleName, .warnings[0].location.ranges[0].start.line, .sources[0].filename' <<<"$output" | xargs)" = "StageNameCasing 1 Dockerfile" ]
    [ "$(jq -r '.sources[0].data' <<<"$output" | base64 -d)" = "FROM busybox:1 AS B" ]
    printf 'RNU\n' >Dockerfile
    cooper check --format json
    [ "$status" -eq 1 ]
    [[ $(jq -r '.buildError.message' <<<"$output") == "unknown instruction: RNU"* ]]
    [ "$(jq '.errors | length' <<<"$output")" -eq 1 ]
}

@test "check: SARIF and GitHub's annotations" {
    mkdir app && printf 'FROM busybox:1 AS B\n' >app/Dockerfile
    cooper check --format sarif app
    [ "$(jq -r '.version, .runs[0].results[0].ruleId, .runs[0].results[0].locations[0].physicalLocation.artifactLocation.uri' <<<"$output" | xargs)" = "2.1.0 StageNameCasing app/Dockerfile" ]
    [ "$(jq -r '[.runs[0].results[].ruleId] - [.runs[0].tool.driver.rules[].id] | length' <<<"$output")" -eq 0 ]
    cooper check --format github app
    [ "$output" = "::warning file=app/Dockerfile,line=1,col=19,title=StageNameCasing::Stage name 'B' should be lowercase" ]
    cooper check --format other app
    [ "$status" -eq 2 ]
}

@test "check: --fix rewrites the file once and keeps its mode" {
    printf 'FROM busybox:1 as Base\nrun x \\\n\n  y\nENV A b c\n' >Dockerfile
    chmod 640 Dockerfile
    cooper check --fix --strict
    [ "$status" -eq 0 ]
    [[ $stderr == *"findings fixed"* ]]
    diff Dockerfile <(printf 'FROM busybox:1 AS base\nRUN x \\\n  y\nENV A="b c"\n')
    [ "$(stat -c %a Dockerfile)" = 640 ]
    cp Dockerfile before
    cooper check --fix
    cmp Dockerfile before
    cooper check --fix - <before
    [ "$status" -eq 2 ]
}

@test "check: .dockerignore, secrets of the context, standard input" {
    printf 'FROM busybox:1\nCOPY gone .env /x/\n' >Dockerfile
    printf 'gone\n' >.dockerignore
    touch .env
    cooper check
    [[ $output == *CopyIgnoredFile*'"gone"'*SecretsInContext*'".env"'* ]]
    cooper check - <Dockerfile
    [ "$status" -eq 0 ]
    [[ $output != *CopyIgnoredFile* ]]
}

@test "check: variables and platforms of base images that the store has" {
    printf 'FROM busybox:latest\nCOPY $PAHT /x\n' >Dockerfile
    cooper check --rules docker
    [[ $output == *"UndefinedVar"*"'\$PAHT' (did you mean \$PATH?)"* ]]
    printf 'FROM unknown.example/x:1\nCOPY $PAHT /x\n' >Dockerfile
    cooper check --rules docker --strict
    [ "$status" -eq 0 ]
    mkdir root && "$COOPER" import --platform linux/s390x root foreign:1
    printf 'FROM foreign:1\n' >Dockerfile
    cooper check --rules docker
    [[ $output == *InvalidBaseImagePlatform*'"linux/s390x"'* ]]
}

@test "check: only what the target needs" {
    printf 'FROM busybox:1 AS a\nMAINTAINER x\nFROM busybox:1 AS b\nENV A=1\n' >Dockerfile
    cooper check --target b --strict
    [ "$status" -eq 0 ]
    cooper check --target a --strict
    [ "$status" -eq 1 ]
}

@test "build: warns after the build, as docker" {
    printf 'FROM busybox:latest AS Base\nMAINTAINER me\nADD x /\n' >Dockerfile
    touch x
    cooper build .
    [ "$status" -eq 0 ]
    [[ $stderr == *" 2 warnings found"*" - StageNameCasing: "*"(line 1)"*" - MaintainerDeprecated: "*"(line 2)"* ]]
    [[ $stderr != *AddInsteadOfCopy* ]]
}

@test "build: '# check=error=true' fails before a step runs" {
    printf '# check=error=true\nFROM busybox:latest AS Base\nRUN touch /x\n' >Dockerfile
    cooper build -t never .
    [ "$status" -eq 1 ]
    [[ $stderr == *"lint violation found for rules: StageNameCasing"* ]]
    [[ $stderr != *"RUN touch"* ]]
    cooper inspect never
    [ "$status" -eq 1 ]
}

@test "build --check: docker's rules; findings exit with 1, nothing is built" {
    printf 'FROM busybox:latest AS Base\nRUN exit 5\n' >Dockerfile
    cooper build --check -t never .
    [ "$status" -eq 1 ]
    [[ $output == "Check complete, 1 warning has been found!"* ]]
    printf 'FROM busybox\nRUN exit 5\n' >Dockerfile
    cooper build --call=check .
    [ "$status" -eq 0 ]
    [ "$output" = "Check complete, no warnings found." ]
}

@test "build --call: outline and targets" {
    cat >Dockerfile <<'END'
# VERSION of the base
ARG VERSION=latest
ARG UNUSED
# build compiles
FROM busybox:$VERSION AS build
ARG X=2
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM scratch
COPY --from=build / /
END
    cooper build --call=outline .
    [ "$status" -eq 0 ]
    [[ $output == *"VERSION     latest   of the base"* ]]
    [[ $output == *"X           2"* ]]
    [[ $output == *"token    true"*default* ]]
    [[ $output != *UNUSED* ]]
    cooper build --call=outline,format=json --target build .
    [ "$(jq -r '.name, .description, .secrets[0].name, .ssh[0].name' <<<"$output" | xargs)" = "build compiles token default" ]
    cooper build --call=targets .
    [[ $output == *"build     compiles"*"(default)"* ]]
    cooper build --call=targets,format=json .
    [ "$(jq -r '.targets | map(.base) | join(" ")' <<<"$output")" = 'busybox:$VERSION scratch' ]
    cooper build --call=nothing .
    [ "$status" -eq 2 ]
}
