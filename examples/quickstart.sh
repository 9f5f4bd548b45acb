#!/bin/bash
# quickstart.sh: from a fresh Debian 12 and a clone of cooper to a first image, built and run.
#
# Installs the packages that cooper is built with (as root, or with sudo), builds cooper in
# build/quickstart, makes the base images, builds examples/hello, prints its digest and runs it.
# It may be run again: what is there already is used.
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
