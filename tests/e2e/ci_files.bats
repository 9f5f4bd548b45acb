# The files of examples/ci: the shell steps of each run here, against a registry that wants a login.
bats_require_minimum_version 1.5.0
load lib
load serve
load registries
setup_file() {
    e2e_begin
    e2e_busybox
    password_line robot "$PASSWORD" >"$BATS_FILE_TMPDIR/htpasswd"
    guarded_start ci "auth:
  htpasswd: {realm: test, path: $BATS_FILE_TMPDIR/htpasswd}"
    export GUARDED
    # Steps call it by its name.
    mkdir "$BATS_FILE_TMPDIR/bin"
    ln -s "$COOPER" "$BATS_FILE_TMPDIR/bin/cooper"
    export PATH=$BATS_FILE_TMPDIR/bin:$PATH
    export CI_FILES=$COOPER_SOURCE_DIR/examples/ci
}
teardown_file() {
    background_stop
    e2e_end
}
setup() {
    e2e_setup
    export DOCKER_CONFIG=$PWD/docker
}

PASSWORD='p@ss $word'

# The project: $1 is what its image says; `test` fails unless there is a word.
project() {
    cat >Dockerfile <<'END'
FROM busybox AS app
COPY word /word
CMD ["cat", "/word"]
FROM app AS test
RUN grep -q . /word
FROM app
END
    echo "$1" >word
}

# steps FILE JOB: runs the steps of the job, each as its CI system does. Unset variables are
# errors: a system that sets them is all that is not here.
steps() {
    local step

    rm -rf steps
    "$COOPER_SOURCE_DIR/tests/e2e/ci_steps.py" "$CI_FILES/$1" "$2" steps
    [ -e steps/1.sh ]
    for step in $(ls steps | sort -n); do
        sh -eu "steps/$step" || return 1
    done
}

# The digest that a tag of the registry has, by what the registry itself says.
tag_digest() {
    curl -sfI -u "robot:$PASSWORD" -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$GUARDED/v2/$1/manifests/$2" | tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}

# released REPO VERSION: what the job wrote is what the registry has, under all tags that follow.
released() {
    local digest tag

    digest=$(tag_digest "$1" "$2")
    [[ $digest == sha256:* ]]
    [ "$(cat pinned/digest.txt)" = "$digest" ]
    [ "$(python3 -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["images"][0]["digest"])' pinned/kustomization.yaml)" = "$digest" ]
    for tag in "${2%.*}" "${2%%.*}" latest; do
        [ "$(tag_digest "$1" "$tag")" = "$digest" ]
    done
}

# A machine of its own for a job: a store that has the base image alone.
fresh_store() {
    export COOPER_ROOT=$PWD/store.$1
    rm -rf "$COOPER_ROOT"
    "$COOPER" import -c 'CMD ["/bin/sh"]' -c 'ENV PATH=/bin' "$BATS_FILE_TMPDIR/busybox" busybox >/dev/null
}

# journey FILE REPO BUILD RELEASE ROLLBACK NEXT: build and release 1.0.0 and 1.0.1 by the jobs
# of these names, then roll back. NEXT COMMIT VERSION sets what the system would.
journey() {
    local file=$1 repo=$2 build=$3 release=$4 rollback=$5 next=$6 first

    project one
    fresh_store 1
    "$next" 1111111111111111111111111111111111111111 v1.0.0
    steps "$file" "$build"
    fresh_store 2
    steps "$file" "$release"
    released "$repo" 1.0.0
    first=$(tag_digest "$repo" latest)

    # Another machine builds with the registry's cache alone.
    project two
    fresh_store 3
    "$next" 2222222222222222222222222222222222222222 v1.0.1
    steps "$file" "$build"
    steps "$file" "$release"
    released "$repo" 1.0.1
    [ "$(tag_digest "$repo" latest)" != "$first" ]

    # A test that fails ends the job.
    : >word
    fresh_store 4
    run steps "$file" "$build"
    [ "$status" -ne 0 ]

    export ROLLBACK_TO=1.0.0 REASON='two is not one; $(touch hacked)'
    fresh_store 5
    steps "$file" "$rollback"
    [ "$(tag_digest "$repo" latest)" = "$first" ]
    [ "$(tag_digest "$repo" 1.0.1)" != "$first" ]
    [ ! -e hacked ]
    "$COOPER" log "$GUARDED/$repo:latest" | grep -q 'two is not one'
}

github_next() {
    export COMMIT=$1 VERSION_TAG=$2 PUSHES=true
}

@test "GitHub Actions: build, release, rollback" {
    export REGISTRY=$GUARDED IMAGE=$GUARDED/github/app REGISTRY_USER=robot REGISTRY_PASSWORD=$PASSWORD
    journey github-actions.yml github/app build release rollback github_next
    [ "$(cat pinned/digest.txt)" = "$(tag_digest github/app 1.0.0)" ]
}

@test "GitHub Actions: a pull request is built and pushes nothing" {
    export REGISTRY=$GUARDED IMAGE=$GUARDED/github/pull REGISTRY_USER=robot REGISTRY_PASSWORD=$PASSWORD
    export COMMIT=3 PUSHES=false
    project one
    steps github-actions.yml build
    [ -z "$(tag_digest github/pull commit-3)" ]
    [ -z "$(tag_digest github/pull cache)" ]
}

gitlab_next() {
    export CI_COMMIT_SHA=$1 CI_COMMIT_TAG=$2
}

@test "GitLab CI: build, release, rollback" {
    export CI_REGISTRY=$GUARDED CI_REGISTRY_IMAGE=$GUARDED/gitlab/app CI_REGISTRY_USER=robot \
        CI_REGISTRY_PASSWORD=$PASSWORD CACHE=$GUARDED/gitlab/app:cache
    journey gitlab-ci.yml gitlab/app build release rollback gitlab_next
    [ "$(cat pinned/digest.txt)" = "$(tag_digest gitlab/app 1.0.0)" ]
}

jenkins_next() {
    export GIT_COMMIT=$1 TAG_NAME=$2
}

@test "Jenkins: build, release, rollback" {
    export REGISTRY=$GUARDED IMAGE=$GUARDED/jenkins/app REGISTRY_LOGIN_USR=robot REGISTRY_LOGIN_PSW=$PASSWORD
    journey Jenkinsfile jenkins/app 'log in,test,build' release rollback jenkins_next
    [ "$(cat pinned/digest.txt)" = "$(tag_digest jenkins/app 1.0.0)" ]
}

tekton_next() {
    export COMMIT=$1 VERSION_TAG=$2
    mkdir -p pinned
    # A Task has one result; the other forms are the other systems'.
    export DIGEST_FILE=$PWD/pinned/digest.txt
}

tekton_released() {
    [ "$(cat pinned/digest.txt)" = "$(tag_digest tekton/app "$1")" ]
}

@test "Tekton: build, release, rollback" {
    local first
    export IMAGE=$GUARDED/tekton/app ISOLATION=auto
    # In a cluster the login is mounted.
    "$COOPER" login -u robot --password-stdin "$GUARDED" <<<"$PASSWORD"
    project one
    tekton_next 1 v1.0.0
    steps tekton.yaml cooper-build
    tekton_released commit-1
    steps tekton.yaml cooper-release
    tekton_released 1.0.0
    tekton_released latest
    first=$(tag_digest tekton/app latest)
    project two
    tekton_next 2 v1.0.1
    steps tekton.yaml cooper-build
    steps tekton.yaml cooper-release
    tekton_released latest
    export ROLLBACK_TO=1.0.0 REASON=two
    steps tekton.yaml cooper-rollback
    [ "$(tag_digest tekton/app latest)" = "$first" ]
    tekton_released latest
}

@test "Kubernetes: the Component that a release writes is the one that the example has" {
    export IMAGE=$GUARDED/kubernetes/app REGISTRY=$GUARDED REGISTRY_USER=robot REGISTRY_PASSWORD=$PASSWORD
    cp -r "$CI_FILES/kubernetes" .
    project one
    github_next 1 v1.0.0
    steps github-actions.yml build
    steps github-actions.yml release
    cp pinned/kustomization.yaml kubernetes/image/
    # Same members; kustomize puts the digest in where the Deployment names the image.
    python3 - "$CI_FILES/kubernetes/image/kustomization.yaml" kubernetes/image/kustomization.yaml \
        kubernetes/kustomization.yaml <<'END'
import sys, yaml
example, written, top = (yaml.safe_load(open(p)) for p in sys.argv[1:])
assert example.keys() == written.keys(), written
assert example["kind"] == written["kind"] == "Component"
assert example["images"][0].keys() == written["images"][0].keys()
assert top["components"] == ["image"] and top["resources"] == ["deployment.yaml"]
END
    grep -q "digest: \"$(tag_digest kubernetes/app 1.0.0)\"" kubernetes/image/kustomization.yaml
}

@test "no manifest runs with privilege, and every image of cooper is pinned by digest" {
    python3 - "$CI_FILES" <<'END'
import pathlib, sys, yaml
root = pathlib.Path(sys.argv[1])

def walk(node, path=""):
    if isinstance(node, dict):
        for key, value in node.items():
            assert not (key == "privileged" and value), path
            if key == "image" and isinstance(value, str) and "cooper" in value:
                assert "@sha256:" in value, (path, value)
            walk(value, path + "/" + str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            walk(value, path + "/" + str(i))

files = list(root.rglob("*.y*ml"))
assert len(files) >= 7, files
for file in files:
    for doc in yaml.safe_load_all(file.read_text()):
        walk(doc, file.name)
job = yaml.safe_load((root / "kubernetes/build-job.yaml").read_text())
pod = job["spec"]["template"]["spec"]
security = pod["containers"][0]["securityContext"]
assert pod["securityContext"]["runAsNonRoot"] and security["capabilities"]["drop"] == ["ALL"]
assert security["allowPrivilegeEscalation"] is False
END
    grep -q "image 'registry.example.com/tools/cooper@sha256:" "$CI_FILES/Jenkinsfile"
}
