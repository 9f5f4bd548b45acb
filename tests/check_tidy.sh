#!/bin/bash
# check_tidy.sh BUILD_DIR: runs clang-tidy with the checks of .clang-tidy over every source of
# the rooms, and fails on any finding.
set -euo pipefail
build=$1
cd "$(dirname "$0")/.."
# clang-tidy reads the commands of any compiler but complains of gcc's own flags; they are
# taken out of a copy.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -E 's/ -W[a-z0-9=,-]+//g; s/ -fsanitize=[a-z,]+//g' \
    "$build/compile_commands.json" >"$database/compile_commands.json"
run-clang-tidy -quiet -j 2 -p "$database" \
    "^$PWD/(base|parser|cas|registry|release|builder|cli)/.*\\.c\$" 2>&1 |
    sed 's/\x1b\[[0-9;]*m//g' |
    { grep -vE '^(clang-tidy|[0-9]+ warnings? generated|Suppressed|Use -)' || true; } |
    tee "$database/findings"
! grep -qE '(warning|error):' "$database/findings"
