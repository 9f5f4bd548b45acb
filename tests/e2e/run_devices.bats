# RUN --device: CDI specifications of harmless devices.
bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_busybox
}
teardown_file() { e2e_end; }
setup() {
    e2e_setup
    mkdir ctx cdi other library
    echo library >library/lib.so
    export COOPER_CDI_DIRS=$PWD/cdi:$PWD/other
    cat >cdi/vendor.yaml <<END
# As vendors' tools write them.
cdiVersion: "0.6.0"
kind: "vendor.test/gpu"
annotations: {"note": "a flow mapping"}
containerEdits:
  env:
  - COMMON=everywhere
  mounts:
  - hostPath: $PWD/library
    containerPath: /usr/lib/vendor
    options: ["ro", "nosuid", "nodev", "bind"]
devices:
- name: "0"
  containerEdits:
    env: [GPU=zero]
    deviceNodes:
    - path: /dev/vendor/gpu0
      hostPath: /dev/zero
      fileMode: 0666
    additionalGids: [44]
- name: one
  containerEdits:
    env: ['GPU=one']
    hooks:
    - hookName: createContainer
      path: /usr/bin/vendor-hook
      args: [vendor-hook, update-ldcache, --folder, /usr/lib/vendor]
END
    cat >cdi/free.json <<'END'
{"cdiVersion": "0.5.0", "kind": "free.test/toy",
 "devices": [{"name": "toy",
              "annotations": {"org.mobyproject.buildkit.device.class": "toys",
                              "org.mobyproject.buildkit.device.autoallow": "true"},
              "containerEdits": {"env": ["TOY=json"]}}]}
END
}

dockerfile() {
    { echo 'FROM busybox'; cat; } >ctx/Dockerfile
}

@test "a device's nodes, mounts, variables and groups are given, and are in no layer" {
    dockerfile <<'END'
RUN --device=vendor.test/gpu=0 head -c 4 /dev/vendor/gpu0 | od -An -tx1 >/zeros && echo "$COMMON $GPU" >/env && \
    id -G >/groups && cat /usr/lib/vendor/lib.so >/lib && ! touch /usr/lib/vendor/x 2>/dev/null && \
    ! chmod 600 /dev/vendor/gpu0 2>/dev/null
RUN --device=vendor.test/gpu=0 mknod /n c 1 5; ! head -c 1 /n 2>/dev/null && rm -f /n
RUN ls /dev >/devices; env >/later
END
    "$COOPER" build -q --allow device -o out ctx
    [ "$(tr -d ' ' <out/zeros)" = 00000000 ]
    [ "$(cat out/env)" = 'everywhere zero' ]
    [ "$(cat out/groups)" = '0 44' ]
    [ "$(cat out/lib)" = library ]
    [ ! -e out/usr/lib/vendor ]
    run ! grep -q vendor out/devices
    run ! grep -q GPU out/later
}

@test "a device needs the right to it: --allow, --device, or its specification's word" {
    dockerfile <<<'RUN --device=vendor.test/gpu=0 test "$GPU" = zero'
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'Dockerfile:2'*'--allow device=vendor.test/gpu=0'* ]]
    cooper build --allow device=vendor.test/gpu=one ctx
    [ "$status" -eq 1 ]
    "$COOPER" build -q --no-cache --allow device=vendor.test/gpu=0 ctx
    "$COOPER" build -q --no-cache --allow device=vendor.test/gpu ctx
    dockerfile <<<'RUN --device=free.test/toy test "$TOY" = json'
    "$COOPER" build -q ctx
    dockerfile <<<'RUN test "$GPU" = one'
    "$COOPER" build -q --device vendor.test/gpu=one ctx
    # Another name for it.
    dockerfile <<<'RUN --device=any.test/gpu test "$GPU" = zero'
    "$COOPER" build -q --allow device=vendor.test/gpu=0,alias=any.test/gpu ctx
    cooper build --allow devices ctx
    [ "$status" -eq 2 ]
}

@test "names: a kind is its first device, * all of them, a class those annotated with it" {
    dockerfile <<'END'
RUN --device=vendor.test/gpu test "$GPU" = zero
RUN --device=vendor.test/gpu=* test "$GPU" = one && test -c /dev/vendor/gpu0
RUN --device=toys test "$TOY" = json
END
    "$COOPER" build -q --allow device ctx
    # Of equal names the last directory's counts.
    sed 's/TOY=json/TOY=other/' cdi/free.json >other/free.json
    dockerfile <<<'RUN --device=toys test "$TOY" = other'
    "$COOPER" build -q --allow device ctx
}

@test "a device that is missing is told; if it is required, it is an error" {
    dockerfile <<<'RUN --device=vendor.test/gpu=9 true'
    cooper build --allow device ctx
    [ "$status" -eq 0 ]
    [[ $stderr == *'device vendor.test/gpu=9: no CDI specification has it'* ]]
    dockerfile <<<'RUN --device=vendor.test/gpu=9,required true'
    cooper build --allow device ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'device vendor.test/gpu=9'*"$PWD/cdi"* ]]
}

@test "hooks are not run, and what to do instead is told" {
    dockerfile <<<'RUN --device=vendor.test/gpu=one true'
    cooper build --allow device ctx
    [ "$status" -eq 0 ]
    [[ $stderr == *'device vendor.test/gpu=one: its createContainer hook is not run: vendor-hook update-ldcache'*'ldconfig'* ]]
}

@test "a specification that cannot be read, a node that is none: each is named" {
    dockerfile <<<'RUN --device=free.test/toy true'
    printf 'cdiVersion: "0.6.0"\nkind: [x\n' >other/broken.yaml
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *other/broken.yaml*line* ]]
    printf 'kind: nothing\n' >other/broken.yaml
    cooper build ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'no CDI specification'* ]]
    cat >other/broken.yaml <<'END'
cdiVersion: "0.6.0"
kind: bad.test/file
devices:
- name: file
  containerEdits:
    deviceNodes:
    - path: /etc/passwd
END
    dockerfile <<<'RUN --device=bad.test/file,required cat /etc/passwd'
    cooper build --allow device ctx
    [ "$status" -eq 1 ]
    [[ $stderr == *'/etc/passwd is no device node'* ]]
}

@test "devices are part of what a step is: another one misses the cache" {
    dockerfile <<<'RUN --device=vendor.test/gpu=0 cat /proc/sys/kernel/random/uuid >/uuid'
    "$COOPER" build -q --allow device ctx >first
    "$COOPER" build -q --allow device ctx >again
    cmp first again
    dockerfile <<<'RUN --device=vendor.test/gpu=one cat /proc/sys/kernel/random/uuid >/uuid'
    "$COOPER" build -q --allow device ctx >second
    run ! cmp first second
}
