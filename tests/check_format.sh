#!/bin/bash
# check_format.sh [-i]: fails when a C file is not laid out as .clang-format says; with -i,
# lays them all out so.
set -euo pipefail
cd "$(dirname "$0")/.."
how=(--dry-run -Werror)
[[ ${1:-} != -i ]] || how=(-i)
find base parser cas registry release builder cli tests -name '*.[ch]' -print0 |
    xargs -0 clang-format "${how[@]}"
