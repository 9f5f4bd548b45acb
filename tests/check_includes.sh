#!/bin/bash
# Fails when an #include points upwards, sideways, into another room's private header, or at
# a room that does not exist. The order of the house is in the table below.
#
#   cli -> builder -> { parser, registry, cas } -> base        registry -> cas
#   cli -> release -> { registry, cas } -> base
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may=(
    [base]="base"
    [parser]="parser base"
    [cas]="cas base"
    [registry]="registry cas base"
    [builder]="builder parser registry cas base"
    [release]="release registry cas base"
    [cli]="cli builder release parser registry cas base"
)
# Which files may include a library's headers: its doorkeepers. No header may.
libraries='^(jansson|curl/|sqlite3|openssl/|isa-l|zlib|zstd|archive|archive_entry|seccomp|yaml|microhttpd)'

failed=0
complain() {
    echo "$1" >&2
    failed=1
}

count=0
while IFS= read -r file; do
    room=${file%%/*}
    count=$((count + 1))
    while IFS=: read -r line text; do
        if [[ $text =~ ^[[:space:]]*#[[:space:]]*include[[:space:]]*\"([^\"]+)\" ]]; then
            target=${BASH_REMATCH[1]}
            if [[ $target != */* ]]; then
                complain "$file:$line: \"$target\" is not named from the root"
                continue
            fi
            to=${target%%/*}
            if [[ -z ${may[$to]:-} ]]; then
                complain "$file:$line: \"$target\" is in no room"
            elif [[ " ${may[$room]} " != *" $to "* ]]; then
                complain "$file:$line: $room must not know $to (\"$target\")"
            elif [[ $target == *_priv.h && $to != "$room" ]]; then
                complain "$file:$line: \"$target\" is private to $to"
            fi
        elif [[ $file == *.h && $text =~ \<([^\>]+)\> && ${BASH_REMATCH[1]} =~ $libraries ]]; then
            complain "$file:$line: a header must not show <${BASH_REMATCH[1]}>"
        fi
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file" || true)
done < <(find "${!may[@]}" -name '*.[ch]' | sort)

[[ $count -gt 0 ]] || complain "no sources found"
exit "$failed"
