/*
 * Proxies that docker's configuration sets for builds: "proxies" of ~/.docker/config.json,
 * passed on as build arguments, as `docker build` does.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cli/build_value.h"

/* Those of docker's config.json for the daemon at $DOCKER_HOST, else its default ones. Adds
 * HTTP_PROXY, http_proxy, ... to `args` unless they are there. No file, no proxies.
 * ERROR_INVALID: the file is no JSON. */
MUST_CHECK int cli_build_proxies(struct cli_pairs *args, struct error *err);
