#!/bin/bash
# Fails when a C file is not laid out as .clang-format says.
set -euo pipefail
cd "$(dirname "$0")/.."
find base parser cas registry builder cli tests -name '*.[ch]' -print0 |
    xargs -0 clang-format --dry-run -Werror
