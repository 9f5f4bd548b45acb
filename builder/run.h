/*
 * Starting an image in the sandbox of RUN steps: `cooper run`.
 * Spec: OCI image-spec conversion.md (how Env, User, WorkingDir, Entrypoint and Cmd apply).
 */
#pragma once

#include "base/error.h"
#include "builder/build.h"

struct build_run_options {
    const char *image;       /* reference in the store, pulled if absent */
    const char *const *argv; /* after the image name; replaces Cmd */
    size_t argc;
    const char *entrypoint; /* --entrypoint; NULL: the image's */
    const struct build_pair *env;
    size_t env_count;
    const char *user;
    const char *workdir;
    const char *hostname;
    const char *network;              /* NULL, "host", "none" */
    const struct build_pair *volumes; /* -v SOURCE:TARGET[:ro], value "TARGET[:ro]" */
    size_t volume_count;
    const struct build_pair *tmpfs; /* --tmpfs TARGET */
    size_t tmpfs_count;
    bool read_only;
    bool tty;         /* -t */
    bool interactive; /* -i: standard input attached */
    const bool *cancel;
};

/* Runs to the end; *exit_code is the command's, or 128 + signal. 127 / 126 for a command
 * that cannot be found / executed, as docker run. Changes are thrown away. */
MUST_CHECK int build_run_image(const struct build_environment *env,
                               const struct build_run_options *options,
                               int *exit_code,
                               struct error *err);
