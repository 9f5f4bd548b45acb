#!/bin/bash
# run.sh [root|subids|single|none] [ARGUMENT...]: every case of the corpus with the program $COOPER,
# and at the end the figure: "N passed, N failed". Arguments are handed to `corpus.py check`, to
# choose among the cases: run.sh --only 'copy/*'
#
# The builds run as root, or as a user made for it, with subordinate ids or without; with "none"
# as such a user with --isolation none, where what is listed in none.list fails.
#
# A sanitizer's report fails the case in which the program made it, also where an error is
# expected; a report of any of its child processes fails the run.
set -euo pipefail
: "${COOPER:?the program under test}"
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/cooper-conformance.XXXXXX")
user=
finish() {
    rm -rf --one-file-system "$work"
    [ -z "$user" ] || "$here/../account.sh" remove "$user"
}
trap finish EXIT
mkdir "$work/bin" "$work/reports" "$work/cases"
# Copies, as no other user may get to the originals.
cp "$(realpath "$COOPER")" "$(dirname "$(realpath "$COOPER")")"/*.so "$work/bin"

case ${1-} in
root) shift ;;
subids | single)
    user=cooper-$1-$$
    "$here/../account.sh" "$1" "$user" "$work"
    chmod 755 "$work" "$work"/*
    chmod 1777 "$work/reports"
    set -- --as "$user" "${@:2}"
    ;;
none)
    user=cooper-none-$$
    "$here/../account.sh" single "$user" "$work"
    chmod 755 "$work" "$work"/*
    chmod 1777 "$work/reports"
    set -- --as "$user" --builder "cooper --isolation none build --progress=plain -f {dockerfile} {build_args} {target} {secrets} {build_contexts} -o type=oci,dest={out} {context}" "${@:2}"
    expected=$here/none.list
    ;;
esac
export PATH=$work/bin:$PATH HOME=$work/home
unset SOURCE_DATE_EPOCH BUILDKIT_PROGRESS COOPER_ROOT COOPER_DEBUG DOCKER_CONFIG

# 134 is SIGABRT to a shell: the checker takes it for a crash.
sanitize=abort_on_error=1:exitcode=134:log_path=$work/reports/report
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}$sanitize
export UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}$sanitize
export TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}$sanitize

"$here/corpus.py" bases --busybox "$(command -v busybox)" "$work/bases" >"$work/bases.log"

status=0 expected=${expected-}
"$here/corpus.py" check --bases "$work/bases" --work "$work/cases" --jobs "$(nproc)" \
    --logs "$work/logs" "$@" | tee "$work/figure" || status=$?

# What is not of run/ fails if, and only if, it is listed. Of run/ a list can tell only what was
# there when it was written: the rest is told of.
if [ -n "$expected" ]; then
    status=0
    sed -n 's/^\([a-z]*\/[^ ]*\) .*/\1/p' "$expected" | sort >"$work/listed"
    sed -n 's/^FAIL \([^:]*\):.*/\1/p' "$work/figure" | sort >"$work/failed"
    diff <(grep -v ^run/ "$work/listed") <(grep -v ^run/ "$work/failed") >&2 || status=1
    comm -13 "$work/listed" "$work/failed" | sed 's/^/not listed: /' >&2
    grep -q '^[1-9][0-9]* passed' "$work/figure" || status=1
fi
while read -r name; do
    log=$work/logs/${name//\//_}.log
    [ ! -e "$log" ] || { echo "--- $name" && cat "$log"; } >&2
done < <(sed -n 's/^FAIL \([^:]*\):.*/\1/p' "$work/figure")
if [ -n "$(ls -A "$work/reports")" ]; then
    cat "$work"/reports/* >&2
    echo "sanitizer reports: $(ls "$work/reports" | wc -l)" >&2
    status=1
fi
exit "$status"
