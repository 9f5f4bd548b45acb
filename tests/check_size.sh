#!/bin/bash
# check_size.sh PROGRAM MAX: fails when the stripped program is larger than MAX bytes.
set -euo pipefail
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
size=$(stat -c %s "$stripped")
echo "$1: $size bytes stripped, $2 allowed"
((size <= $2))
