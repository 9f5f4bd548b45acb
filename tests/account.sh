#!/bin/bash
# account.sh subids|single NAME HOME   makes a user, with subordinate ids or without
# account.sh single NAME               takes the subordinate ids of one away
# account.sh remove NAME               removes one; its home directory stays
#
# For tests that build as an ordinary user. Several may run at once, and not all of what is done here
# to the files in /etc is one change to them: so one lock is held around it.
set -euo pipefail
case ${1-} in subids | single | remove) ;; *) sed -n '2,4s/^# //p' "$0" >&2 && exit 2 ;; esac
grade=$1 name=${2:?the name} home=${3-}

exec {lock}>>"${TMPDIR:-/tmp}/cooper-accounts.lock"
flock "$lock"

if [ "$grade" = remove ]; then
    userdel "$name"
    exit
fi
[ -z "$home" ] || useradd --no-create-home --home-dir "$home" "$name"
sed -i "/^$name:/d" /etc/subuid /etc/subgid
[ "$grade" = single ] || usermod --add-subuids 700000-765535 --add-subgids 700000-765535 "$name"
