#!/bin/sh
# Puts the port into nginx's configuration, in a place that an ordinary user may write to, and
# becomes nginx, so that signals reach it.
set -eu

sed "s/@PORT@/${PORT:?the port to listen on}/" /etc/nginx/nginx.conf.in >/tmp/nginx.conf
if [ "${1:-}" = nginx ]; then
    shift
    set -- nginx -c /tmp/nginx.conf "$@"
fi
exec "$@"
