#!/usr/bin/env bats
# --cache-to and --cache-from: another machine (another store) builds without running a step
# and fetches only what it needs; what is wrong with a cache is a miss.

bats_require_minimum_version 1.5.0
load lib

setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    "$COOPER" tag busybox "$REGISTRY/busybox"
    "$COOPER" push "$REGISTRY/busybox"
}
teardown_file() { e2e_end; }

setup() {
    e2e_setup
    # So that no two tests share a repository.
    name=t$BATS_TEST_NUMBER
    mkdir ctx
    echo one >ctx/file
    head -c 200000 /dev/urandom >ctx/big
    cat >ctx/Dockerfile <<END
FROM $REGISTRY/busybox AS build
COPY file /src/file
RUN date +%N >/src/time; cp /src/file /src/out
FROM $REGISTRY/busybox
COPY big /big
RUN echo x >/x
COPY --from=build /src/out /out
RUN cat /out >/y
END
}

# The store of another machine.
fresh_store() {
    export COOPER_ROOT=$BATS_TEST_TMPDIR/store$1
}

# Builds with the log in `log`; prints "RAN of STEPS" counted from it.
build() {
    "$COOPER" build --progress=plain "$@" ctx >log 2>&1 || {
        cat log >&2
        return 1
    }
    grep -c ' not cached: \| DONE ' log >/dev/null || true
}

ran() {
    grep -c 'not cached: ' log || true
}

blob_count() {
    find "$COOPER_ROOT/blobs" -type f | wc -l
}

manifest() {
    curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        -H 'Accept: application/vnd.oci.image.index.v1+json' "http://$REGISTRY/v2/$1/manifests/$2"
}

@test "a fresh store with a registry's cache runs nothing and fetches no layer for a push" {
    for mode in min max; do
        fresh_store "a$mode"
        build -t "$REGISTRY/$name:$mode" --push \
            --cache-to "type=registry,ref=$REGISTRY/$name-cache:$mode,mode=$mode"
        [ "$(ran)" -eq 6 ]
        fresh_store "b$mode"
        build -t "$REGISTRY/$name-other:$mode" --push \
            --cache-from "type=registry,ref=$REGISTRY/$name-cache:$mode"
        [ "$(ran)" -eq 0 ]
        [ "$(manifest "$name" "$mode")" = "$(manifest "$name-other" "$mode")" ]
        # Documents only: the cache's and the base's, config and manifest of the result.
        run -0 find "$COOPER_ROOT/blobs" -type f -size +20k
        [ -z "$output" ]
    done
}

@test "mode=min has the layers of the result, mode=max those of all steps" {
    build --cache-to "type=registry,ref=$REGISTRY/$name:min" \
        --cache-to "type=registry,ref=$REGISTRY/$name:max,mode=max"
    # Base, and four steps; two more.
    [ "$(manifest "$name" min | jq '.layers | length')" -eq 5 ]
    [ "$(manifest "$name" max | jq '.layers | length')" -eq 7 ]
    run -0 bash -c "jq -r .config.mediaType <<<'$(manifest "$name" max)'"
    [ "$output" = application/vnd.cooper.cache.v1+json ]
    # Only with the build stage's layers does a change of the last stage not run it.
    sed -i 's,^COPY --from=build /src/out /out,COPY --from=build /src/out /out2,' ctx/Dockerfile
    sed -i 's,cat /out,cat /out2,' ctx/Dockerfile
    fresh_store b
    build --cache-from "$REGISTRY/$name:max"
    [ "$(ran)" -eq 2 ]
    fresh_store c
    build --cache-from "$REGISTRY/$name:min"
    [ "$(ran)" -eq 4 ]
}

@test "what a RUN needs as files is fetched, and nothing else" {
    build --cache-to "$REGISTRY/$name"
    echo 'RUN cat /big | wc -c >/size' >>ctx/Dockerfile
    fresh_store b
    build -o type=local,dest=out --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 1 ]
    [ "$(cat out/size)" -eq 200000 ]
    # The next build needs no other cache any more.
    build
    [ "$(ran)" -eq 0 ]
}

@test "an image kept in the store is complete" {
    build --cache-to "$REGISTRY/$name"
    fresh_store b
    build -t x --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 0 ]
    "$COOPER" save x -o x.tar
    build
    [ "$(ran)" -eq 0 ]
}

@test "writing a cache again uploads nothing" {
    build --cache-to "$REGISTRY/$name,mode=max" || true
    build --cache-to "type=registry,ref=$REGISTRY/$name,mode=max"
    find "$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs" -type f -name data | sort >before
    build --cache-to "type=registry,ref=$REGISTRY/$name,mode=max"
    find "$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs" -type f -name data | sort >after
    cmp before after
}

@test "an inline cache travels in the image" {
    build -t "$REGISTRY/$name:1" --push --cache-to type=inline
    [ "$("$COOPER" inspect "$REGISTRY/$name:1" | jq '.[0] | length > 0')" = true ]
    fresh_store b
    build -t "$REGISTRY/$name:2" --push --cache-from "$REGISTRY/$name:1" --cache-to type=inline
    [ "$(ran)" -eq 0 ]
    [ "$(manifest "$name" 1)" = "$(manifest "$name" 2)" ]
}

@test "an inline cache does not make images differ" {
    build --source-date-epoch 1000000000 -t "$REGISTRY/$name:1" --push --cache-to type=inline
    fresh_store b
    sed -i '/date +%N/s/date +%N/echo/' ctx/Dockerfile
    build --source-date-epoch 1000000000 -t "$REGISTRY/$name:1" --push --cache-to type=inline
    fresh_store c
    build --source-date-epoch 1000000000 -t "$REGISTRY/$name:2" --push --cache-to type=inline
    [ "$(ran)" -eq 6 ]
    [ "$(manifest "$name" 1)" = "$(manifest "$name" 2)" ]
}

@test "a directory is an OCI layout with one cache a tag" {
    build --cache-to type=local,dest=dir,mode=max
    "$COOPER_SOURCE_DIR/tests/e2e/validate_layout.py" dir || python3 -c 'import json; json.load(open("dir/index.json"))'
    fresh_store b
    build --cache-from type=local,src=dir
    [ "$(ran)" -eq 0 ]
    echo two >ctx/file
    build --cache-from type=local,src=dir --cache-to type=local,dest=dir,tag=second
    [ "$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' dir/index.json | sort | tr '\n' ' ')" = 'latest second ' ]
    fresh_store c
    build --cache-from type=local,src=dir,tag=second
    [ "$(ran)" -eq 0 ]
    digest=$(jq -r '.manifests[] | select(.annotations[] == "second").digest' dir/index.json)
    fresh_store d
    build --cache-from "type=local,src=dir,digest=$digest"
    [ "$(ran)" -eq 0 ]
}

@test "image-manifest=false writes an index of blobs, and it is read" {
    build --cache-to "type=registry,ref=$REGISTRY/$name,mode=max,image-manifest=false,oci-mediatypes=true" \
        --cache-to type=local,dest=dir,image-manifest=false
    [ "$(manifest "$name" latest | jq -r .mediaType)" = application/vnd.oci.image.index.v1+json ]
    fresh_store b
    build --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 0 ]
    fresh_store c
    build --cache-from type=local,src=dir
    [ "$(ran)" -eq 0 ]
}

@test "a cache in another compression serves every build" {
    build --cache-to "type=registry,ref=$REGISTRY/$name,compression=zstd,compression-level=10"
    [ "$(manifest "$name" latest | jq -r '[.layers[:-1][].mediaType] | unique[]')" = \
        application/vnd.oci.image.layer.v1.tar+zstd ]
    "$COOPER" build -q -t "$REGISTRY/$name:gz" --push ctx
    fresh_store b
    build -t "$REGISTRY/$name:gz2" --push --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 0 ]
    [ "$(manifest "$name" gz)" = "$(manifest "$name" gz2)" ]
}

@test "several caches are looked into, in order" {
    build --cache-to "$REGISTRY/$name:one"
    echo 'RUN echo more >/more' >>ctx/Dockerfile
    build --cache-to type=local,dest=two
    fresh_store b
    build --cache-from "$REGISTRY/$name:one" --cache-from type=local,src=two
    [ "$(ran)" -eq 0 ]
}

@test "SOURCE_DATE_EPOCH is had from a cache without one" {
    build --cache-to "$REGISTRY/$name"
    build --source-date-epoch 1000000000 -t "$REGISTRY/$name:a" --push
    [ "$(ran)" -eq 0 ]
    fresh_store b
    build --source-date-epoch 1000000000 -t "$REGISTRY/$name:b" --push --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 0 ]
    [ "$(manifest "$name" a)" = "$(manifest "$name" b)" ]
}

@test "caches that are missing, of others or broken are misses with a warning" {
    "$COOPER" build -q -t "$REGISTRY/$name:plain" --push ctx
    printf '{"imageLayoutVersion":"1.0.0"}' >file
    mkdir -p broken/blobs/sha256
    printf '{"imageLayoutVersion":"1.0.0"}' >broken/oci-layout
    echo '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:aaaa","size":1}]}' >broken/index.json
    fresh_store b
    build --cache-from "$REGISTRY/$name:absent" --cache-from "$REGISTRY/$name:plain" \
        --cache-from type=local,src=broken --cache-from type=local,src=nowhere \
        --cache-from 127.0.0.1:1/x
    [ "$(ran)" -eq 6 ]
    for cache in "$REGISTRY/$name:absent" "$REGISTRY/$name:plain" broken nowhere 127.0.0.1:1/x; do
        [ "$(grep -c "cache $cache is not used" log)" -eq 1 ]
    done
    grep -q 'carries no cache' log
}

@test "records that are no records are a miss" {
    build --cache-to type=local,dest=dir
    python3 - <<'END'
import hashlib, json, os
index = json.load(open("dir/index.json"))
def load(d): return json.load(open("dir/blobs/sha256/" + d["digest"][7:]))
def store(d, doc):
    b = json.dumps(doc).encode()
    d["digest"], d["size"] = "sha256:" + hashlib.sha256(b).hexdigest(), len(b)
    open("dir/blobs/sha256/" + d["digest"][7:], "wb").write(b)
entry = index["manifests"][0]
manifest = load(entry)
config = load(manifest["config"])
def variant(tag, change):
    c = json.loads(json.dumps(config)); change(c)
    m = json.loads(json.dumps(manifest)); store(m["config"], c)
    e = json.loads(json.dumps(entry)); store(e, m)
    e["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index["manifests"].append(e)
variant("version", lambda c: c.update(version=2))
variant("keys", lambda c: c.update(keys="other"))
variant("digest", lambda c: c["records"][0].update(outcome="sha256:zz"))
variant("many", lambda c: c["records"][0].update(layers=c["records"][0]["layers"] * 100 or [{}]))
variant("type", lambda c: c.update(records=[1, "x", None]))
def swap(c):
    for r in c["records"]: r["layers"] = [dict(l, diff_id=c["layers"][0]["diff_id"]) for l in r["layers"]]
variant("swapped", swap)
def outcomes(c):
    for r in c["records"]: r["outcome"] = c["layers"][0]["diff_id"]
variant("outcome", outcomes)
json.dump(index, open("dir/index.json", "w"))
END
    for tag in version keys digest many type; do
        fresh_store "$tag"
        build --cache-from "type=local,src=dir,tag=$tag"
        [ "$(ran)" -eq 6 ]
        grep -q 'cache dir is not used' log
    done
    # These are found out when the layers are fetched.
    for tag in swapped outcome; do
        fresh_store "$tag"
        build -o type=local,dest="out$tag" --cache-from "type=local,src=dir,tag=$tag"
        [ "$(cat "out$tag/y")" = one ]
    done
}

@test "a layer that is gone, or is not what it was, is a miss" {
    build --cache-to "type=registry,ref=$REGISTRY/$name,mode=max"
    # Removed from the registry behind its back: told by the first question.
    big=$(manifest "$name" latest | jq -r '[.layers[] | select(.size > 150000 and .size < 250000)][0].digest')
    data=$BATS_FILE_TMPDIR/registry/docker/registry/v2/blobs/sha256/${big:7:2}/${big:7}/data
    cp "$data" saved
    rm "$data"
    fresh_store b
    build -o type=local,dest=out --cache-from "$REGISTRY/$name"
    cmp ctx/big out/big
    [ "$(ran)" -ge 1 ]
    grep -q 'is not used' log
    # Of the right size, but damaged: found out when it is fetched.
    head -c "$(stat -c %s saved)" /dev/zero >"$data"
    fresh_store c
    build -o type=local,dest=out2 --cache-from "$REGISTRY/$name"
    cmp ctx/big out2/big
    cp saved "$data"
    fresh_store d
    build -o type=local,dest=out3 --cache-from "$REGISTRY/$name"
    [ "$(ran)" -eq 0 ]
    cmp ctx/big out3/big
}

@test "a cache that cannot be written is an error after the image is published" {
    run -1 "$COOPER" build --iidfile iid -t "$REGISTRY/$name:1" --push \
        --cache-to type=registry,ref=127.0.0.1:1/x ctx
    [[ $output == *'write the cache to 127.0.0.1:1/x'* ]]
    [ -s iid ]
    manifest "$name" 1 >/dev/null
    run -0 "$COOPER" build --cache-to type=registry,ref=127.0.0.1:1/x,ignore-error=true ctx
    [[ $output == *'write the cache to 127.0.0.1:1/x'* ]]
}

@test "the values of the flags are checked" {
    for value in type=gha type=s3,bucket=b type=azblob type=inline type=registry type=local \
        type=registry,ref=x,mode=max type=local,src=x,digest=zz ref=x 'type=registry,ref='; do
        run -2 "$COOPER" build --cache-from "$value" ctx
        [[ $output == *"--cache-from $value"* ]]
    done
    for value in type=gha type=registry type=local type=inline,mode=max type=local,dest=x,mode=most \
        type=registry,ref=x,compression=lzma type=registry,ref=x,oci-mediatypes=false \
        type=registry,ref=x,src=y; do
        run -2 "$COOPER" build --cache-to "$value" ctx
        [[ $output == *"--cache-to $value"* ]]
    done
}
