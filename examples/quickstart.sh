#!/bin/bash
# quickstart.sh: from a fresh Debian 12 and a clone of cooper to a first image, built and run.
#
# Installs the packages that cooper is built with (as root, or with sudo), builds cooper in
# build/quickstart, makes the base images, builds examples/hello, prints its digest and runs it, then
# pushes it to a registry of cooper's own (cooper serve) and pulls it back into an empty store. It may
# be run again: what is there already is used.
set -euo pipefail
cd "$(dirname "$0")/.."

say() {
    printf '\n==> %s\n' "$*"
}

say "packages"
tests/packages.sh build

say "cooper"
cmake --preset release -B build/quickstart -D COOPER_TESTS=OFF
cmake --build build/quickstart --target cooper -j "$(nproc)"
export COOPER=$PWD/build/quickstart/bin/cooper
"$COOPER" version

say "base images"
examples/bases.sh

say "examples/hello"
"$COOPER" build -t hello examples/hello
# Nothing has changed, so this only tells the digest.
printf 'digest: %s\n' "$("$COOPER" build --quiet examples/hello)"

say "cooper run hello"
"$COOPER" run hello

say "cooper serve, cooper push, cooper pull"
scratch=$(mktemp -d)
# The registry keeps what it is sent in a store of its own; its port is any that is free.
coproc "$COOPER" --root "$scratch/registry" serve --listen 127.0.0.1:0
registry_pid=$COPROC_PID
trap 'kill "$registry_pid" 2>/dev/null && wait "$registry_pid"; rm -rf "$scratch"' EXIT
read -r line <&"${COPROC[0]}"
echo "$line"
registry=${line##* as }
"$COOPER" tag hello "$registry/hello:1"
"$COOPER" push "$registry/hello:1"
"$COOPER" --root "$scratch/elsewhere" pull "$registry/hello:1"
"$COOPER" rmi "$registry/hello:1" >/dev/null
printf 'pulled: %s\n' "$("$COOPER" --root "$scratch/elsewhere" inspect "$registry/hello:1" | sed -n 's/.*"Id": *"\([^"]*\)".*/\1/p')"
printf 'Its pages for a browser: cooper serve, then http://127.0.0.1:5000/\n'
