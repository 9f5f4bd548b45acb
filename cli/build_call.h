/*
 * cooper build --call: instead of building, tells about the Dockerfile.
 *
 *     build     builds (the default)
 *     check     its checks, as docker's (also --check)
 *     outline   the arguments, secrets and SSH keys that the target takes
 *     targets   the stages
 *
 * ",format=json" after the name gives BuildKit's JSON documents.
 * Spec: docs.docker.com/reference/cli/docker/buildx/build, "--call".
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "cli/build_source.h"
#include "cli/session.h"

enum cli_build_method {
    CLI_BUILD_METHOD_BUILD,
    CLI_BUILD_METHOD_CHECK,
    CLI_BUILD_METHOD_OUTLINE,
    CLI_BUILD_METHOD_TARGETS,
};

struct cli_build_call {
    enum cli_build_method method;
    bool json;
};

/* NULL is build. ERROR_USAGE. */
MUST_CHECK int cli_build_call_parse(const char *text,
                                    struct cli_build_call *out,
                                    struct error *err);
/* Any method but build; prints on standard output. As docker, a check with findings makes
 * the program exit with 1. */
MUST_CHECK int cli_build_call_run(const struct cli_build_call *call,
                                  struct cli_session *session,
                                  const struct build_request *request,
                                  const struct cli_build_source *source,
                                  struct error *err);
