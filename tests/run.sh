#!/bin/bash
# run.sh: builds cooper four times and tests everything, ending with ctest's summary.
#
#   debug    (address and undefined sanitizers)  unit, fuzz replays, checks of the source,
#                                                conformance
#   tsan     (thread sanitizer)                  unit
#   fuzz     (libFuzzer, clang)                  a short run of each fuzz target
#   release                                      unit, size, e2e, fault, conformance
#
# Arguments are handed to ctest, to choose among these: run.sh -R conformance
set -euo pipefail
cd "$(dirname "$0")/.."

# What a machine or its user has set must not decide.
umask 022
export LC_ALL=C.UTF-8 HOME=${HOME:-$(getent passwd "$EUID" | cut -d : -f 6)}

tests/packages.sh

jobs=$(nproc)
for preset in debug tsan release; do
    cmake --preset "$preset"
    cmake --build "build/$preset" -j "$jobs"
done

cmake --preset fuzz
cmake --build build/fuzz -j "$jobs" --target fuzzers

# One run over the tests of all builds, so that there is one summary.
mkdir -p build/all
printf 'subdirs(../debug ../tsan ../fuzz ../release)\n' >build/all/CTestTestfile.cmake

labels='unit-(debug|tsan|release)|fuzz-(debug|fuzz)|check-debug|size-release'
labels+='|e2e-release|fault-release|conformance-(debug|release)'
# Whatever hangs in spite of its own limit, the run ends within the hour.
exec ctest --test-dir build/all -L "^($labels)\$" -j "$jobs" --output-on-failure \
    --no-tests=error --stop-time "$(date -d '+70 minutes' '+%H:%M:%S %z')" "$@"
