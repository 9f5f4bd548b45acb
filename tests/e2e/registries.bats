# How registries are configured: mirrors, trust, blocking; in cooper's, the containers tools'
# and docker's files.
bats_require_minimum_version 1.5.0
load lib
load serve
load registries
setup_file() {
    e2e_begin
    e2e_registry_start
    e2e_busybox
    "$COOPER" copy -q store:busybox "$REGISTRY/hub/library/thing:1" >/dev/null
    "$COOPER" import -m second "$BATS_FILE_TMPDIR/busybox" second >/dev/null
    "$COOPER" copy -q store:second "$REGISTRY/plain/thing:1" >/dev/null
}
teardown_file() {
    background_stop
    e2e_end
}
setup() {
    e2e_setup
    export XDG_CONFIG_HOME=$PWD/config CONTAINERS_REGISTRIES_CONF=/dev/null
    unset COOPER_REGISTRIES
    mkdir -p config/cooper config/containers config/docker
}
teardown() { registry_stop; }

digest_of() {
    "$COOPER" inspect --remote -f json "$1" | jq -r '.[0].Digest'
}

@test "a mirror answers in the registry's place, by prefix" {
    cat >config/cooper/registries.yaml <<END
registries:
  - prefix: docker.io
    mirrors: [$REGISTRY/hub]
  - prefix: registry.invalid/team
    mirrors:
      - location: $REGISTRY/nothing
      - location: $REGISTRY/plain
END
    cooper --root "$PWD/store" pull -q thing:1
    [ "$status" -eq 0 ]
    [ "$output" = docker.io/library/thing:1 ]
    [ "$(digest_of thing:1)" = "$("$COOPER" inspect busybox | jq -r '.[0].Id')" ]
    # The first that has it; the longest prefix.
    [ "$(digest_of registry.invalid/team/thing:1)" = "$("$COOPER" inspect second | jq -r '.[0].Id')" ]
    cooper pull registry.invalid/teams/thing:1
    [ "$status" -eq 1 ]
    [[ $stderr == *registry.invalid* ]]
    # What no mirror has is the registry's to tell.
    cooper pull registry.invalid/team/other:1
    [ "$status" -eq 1 ]
    [[ $stderr == *"resolve host: registry.invalid"* ]]
    # A push does not go to mirrors.
    cooper copy store:busybox registry.invalid/team/new:1
    [ "$status" -eq 1 ]
    cooper tags "$REGISTRY/plain/new"
    [ "$status" -eq 1 ]
}

@test "a build takes its base from a mirror" {
    echo "registries: [{prefix: docker.io, mirrors: [$REGISTRY/hub]}]" >registries.yaml
    printf 'FROM thing:1\nRUN echo built >/file\n' >Dockerfile
    COOPER_REGISTRIES=$PWD/registries.yaml cooper --root "$PWD/store" build -q .
    [ "$status" -eq 0 ]
}

@test "a mirror that is down, damaged or refuses is as if it was not there" {
    cat >hostile.py <<'END'
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        status = 401 if "401" in self.path else 500
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
END
    python3 hostile.py </dev/null >/dev/null 2>&1 3>&- 4>&- &
    background_add $!
    local try
    for ((try = 0; try < 600; try++)); do
        [ ! -e port ] || break
        sleep 0.1
    done
    cat >config/cooper/registries.yaml <<END
registries:
  - prefix: $REGISTRY
    mirrors: ["127.0.0.1:1", "nothere.invalid/x", "127.0.0.1:$(cat port)/401", "127.0.0.1:$(cat port)/500"]
END
    cooper --root "$PWD/store" pull -q "$REGISTRY/plain/thing:1"
    [ "$status" -eq 0 ]
    [ -z "$stderr" ]
    background_stop
}

@test "locations stand in for prefixes, and wildcards for hosts" {
    cat >config/cooper/registries.yaml <<END
registries:
  - prefix: old.example.com/things
    location: $REGISTRY/plain
  - prefix: "*.example.com"
    location: $REGISTRY
END
    [ "$(digest_of old.example.com/things/thing:1)" = "$(digest_of "$REGISTRY/plain/thing:1")" ]
    [ "$(digest_of any.example.com/plain/thing:1)" = "$(digest_of "$REGISTRY/plain/thing:1")" ]
    cooper copy -q store:second old.example.com/things/pushed:1
    [ "$status" -eq 0 ]
    cooper tags "$REGISTRY/plain/pushed"
    [ "$output" = 1 ]
    cooper tags old.example.com/things/pushed
    [ "$output" = 1 ]
}

@test "what is blocked is not asked" {
    cat >config/cooper/registries.yaml <<END
registries:
  - {prefix: $REGISTRY/plain, blocked: true}
END
    cooper pull "$REGISTRY/plain/thing:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"$REGISTRY/plain is blocked by the configuration of registries"* ]]
    cooper inspect --remote "$REGISTRY/hub/library/thing:1"
    [ "$status" -eq 0 ]
}

@test "registries.conf and its drop-ins say the same things" {
    unset CONTAINERS_REGISTRIES_CONF
    mkdir config/containers/registries.conf.d
    cat >config/containers/registries.conf <<END
# what containers-registries.conf(5) shows
unqualified-search-registries = ["registry.fedoraproject.org",
    'docker.io', # and that
]
short-name-mode = "enforcing"
[aliases]
"almalinux" = "docker.io/library/almalinux"
3scale-operator.v1 = """registry.example.com/\\
    a"""
[[registry]]
prefix = "docker.io"
location = 'docker.io'
[[registry.mirror]]
location = "$REGISTRY/hub"
insecure = false
[[registry]]
location = "blocked.example.com"
blocked = true
END
    cat >config/containers/registries.conf.d/10-more.conf <<END
[[registry]]
prefix = "registry.invalid"
mirror-by-digest-only = true
[[registry.mirror]]
location = "$REGISTRY"
END
    [ "$(digest_of thing:1)" = "$("$COOPER" inspect busybox | jq -r '.[0].Id')" ]
    cooper pull blocked.example.com/x
    [ "$status" -eq 1 ]
    [[ $stderr == *"blocked.example.com is blocked"* ]]
    # A tag may have moved since the mirror looked; a digest may not.
    cooper inspect --remote registry.invalid/plain/thing:1
    [ "$status" -eq 1 ]
    cooper inspect --remote "registry.invalid/plain/thing@$(digest_of "$REGISTRY/plain/thing:1")"
    [ "$status" -eq 0 ]
    # cooper's own file counts more.
    echo "registries: [{prefix: blocked.example.com, location: $REGISTRY}]" >config/cooper/registries.yaml
    cooper inspect --remote blocked.example.com/plain/thing:1
    [ "$status" -eq 0 ]
}

@test "docker's daemon.json has mirrors for Docker Hub alone" {
    echo "{\"registry-mirrors\": [\"http://$REGISTRY\"], \"debug\": true}" >config/docker/daemon.json
    "$COOPER" copy -q store:second "$REGISTRY/library/mirrored:1" >/dev/null
    [ "$(digest_of mirrored:1)" = "$(digest_of "$REGISTRY/plain/thing:1")" ]
    cooper inspect --remote registry.invalid/library/mirrored:1
    [ "$status" -eq 1 ]
}

@test "a file that is wrong is named, with its line or its entry" {
    unset CONTAINERS_REGISTRIES_CONF
    printf '[[registry]]\nlocation = example.com\n' >config/containers/registries.conf
    cooper inspect --remote "$REGISTRY/plain/thing:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *"config/containers/registries.conf: line 2: "* ]]
    printf '[registries.search]\nregistries = ["docker.io"]\n' >config/containers/registries.conf
    cooper inspect --remote "$REGISTRY/plain/thing:1"
    [[ $stderr == *"version 1 of registries.conf"* ]]
    : >config/containers/registries.conf
    printf 'registries:\n- prefix: a.example\n  mirror: x\n' >config/cooper/registries.yaml
    cooper inspect --remote "$REGISTRY/plain/thing:1"
    [[ $stderr == *"registries.yaml: registry 1: 'mirror' is unknown here"* ]]
    printf 'registries:\n- prefix: "https://a.example"\n' >config/cooper/registries.yaml
    cooper inspect --remote "$REGISTRY/plain/thing:1"
    [[ $stderr == *"prefix 'https://a.example' is not HOST[:PORT][/PATH]"* ]]
    COOPER_REGISTRIES=$PWD/nothere cooper inspect --remote "$REGISTRY/plain/thing:1"
    [[ $stderr == *"there is no $PWD/nothere"* ]]
    : >config/cooper/registries.yaml
    cooper inspect --remote "$REGISTRY/plain/thing:1"
    [ "$status" -eq 0 ]
}

@test "certs.d and registries.yaml say whose certificates are good" {
    certificate_make server
    registry_serve --tls-cert server.crt --tls-key server.key
    # On a loopback address http is tried first, which the server understands as a mistake.
    cooper copy -q store:busybox "$SERVED/x:1"
    [ "$status" -eq 1 ]
    [[ $stderr == *certificate* ]]
    mkdir -p "config/containers/certs.d/$SERVED"
    cp server.crt "config/containers/certs.d/$SERVED/ca.crt"
    cooper copy -q store:busybox "$SERVED/x:1"
    [ "$status" -eq 0 ]
    # Of several authorities any will do.
    certificate_make other
    cp other.crt "config/containers/certs.d/$SERVED/a.crt"
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 0 ]
    mv config/containers/certs.d config/docker/
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 0 ]
    rm -r config/docker/certs.d
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 1 ]
    echo "registries: [{prefix: $SERVED, ca: $PWD/server.crt}]" >config/cooper/registries.yaml
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 0 ]
    echo "registries: [{prefix: $SERVED, insecure: true}]" >config/cooper/registries.yaml
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 0 ]
    echo "{\"insecure-registries\": [\"$SERVED\", \"10.0.0.0/8\"]}" >config/docker/daemon.json
    : >config/cooper/registries.yaml
    cooper inspect --remote "$SERVED/x:1"
    [ "$status" -eq 0 ]
}

@test "a client certificate is shown to the registry that wants one" {
    certificate_make server
    certificate_make client
    guarded_start mutual "  tls: {certificate: $PWD/server.crt, key: $PWD/server.key, clientcas: [$PWD/client.crt]}"
    echo "registries: [{prefix: $GUARDED, ca: $PWD/server.crt}]" >config/cooper/registries.yaml
    cooper copy -q store:busybox "$GUARDED/x:1"
    [ "$status" -eq 1 ]
    cat >config/cooper/registries.yaml <<END
registries:
  - {prefix: $GUARDED, ca: $PWD/server.crt, cert: $PWD/client.crt, key: $PWD/client.key}
END
    cooper copy -q store:busybox "$GUARDED/x:1"
    [ "$status" -eq 0 ]
    : >config/cooper/registries.yaml
    mkdir -p "config/containers/certs.d/$GUARDED"
    cp server.crt "config/containers/certs.d/$GUARDED/ca.crt"
    cp client.crt "config/containers/certs.d/$GUARDED/client.cert"
    cp client.key "config/containers/certs.d/$GUARDED/client.key"
    cooper inspect --remote "$GUARDED/x:1"
    [ "$status" -eq 0 ]
    background_stop
}

@test "credentials for the registry do not go to its mirror" {
    password_line me secret >htpasswd
    registry_serve --auth htpasswd
    cat >seen.py <<'END'
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        with open("seen", "a") as f:
            f.write(self.path + " " + str(self.headers.get("Authorization")) + "\n")
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
END
    python3 seen.py </dev/null >/dev/null 2>&1 3>&- 4>&- &
    background_add $!
    local try
    for ((try = 0; try < 600; try++)); do
        [ ! -e port ] || break
        sleep 0.1
    done
    "$COOPER" login -u me --password-stdin "$SERVED" <<<secret
    "$COOPER" copy -q store:busybox "$SERVED/x:1" >/dev/null
    echo "registries: [{prefix: $SERVED, mirrors: [\"127.0.0.1:$(cat port)/m\"]}]" >config/cooper/registries.yaml
    cooper --root "$PWD/store" pull -q "$SERVED/x:1"
    [ "$status" -eq 0 ]
    grep -q '^/v2/m/x/manifests/1 None' seen
    run ! grep -qv ' None$' seen
    background_stop
}
