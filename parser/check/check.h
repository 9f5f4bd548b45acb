/*
 * Checks of a Dockerfile that parses: BuildKit's build checks under the same names, and
 * what people use other linters for. No I/O: what lies outside of the file (the environment
 * of base images, .dockerignore, build arguments) comes through the options, and a check
 * that would need what is not given stays silent.
 *
 * Which checks run is said, in this order, by the options' `config` or else the file's
 * `# check=skip=A,B;error=true;experimental=all`, and by such a comment above an
 * instruction for that one.
 *
 * Spec: docs.docker.com/reference/build-checks; BuildKit frontend/dockerfile/linter.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct dockerfile;
struct dockerfile_ignore;
struct dockerfile_stage;

enum dockerfile_rule {
    /* BuildKit's */
    DOCKERFILE_RULE_STAGE_NAME_CASING,
    DOCKERFILE_RULE_FROM_AS_CASING,
    DOCKERFILE_RULE_NO_EMPTY_CONTINUATION,
    DOCKERFILE_RULE_CONSISTENT_INSTRUCTION_CASING,
    DOCKERFILE_RULE_DUPLICATE_STAGE_NAME,
    DOCKERFILE_RULE_RESERVED_STAGE_NAME,
    DOCKERFILE_RULE_JSON_ARGS_RECOMMENDED,
    DOCKERFILE_RULE_MAINTAINER_DEPRECATED,
    DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM,
    DOCKERFILE_RULE_WORKDIR_RELATIVE_PATH,
    DOCKERFILE_RULE_UNDEFINED_VAR,
    DOCKERFILE_RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED,
    DOCKERFILE_RULE_LEGACY_KEY_VALUE_FORMAT,
    DOCKERFILE_RULE_INVALID_BASE_IMAGE_PLATFORM,
    DOCKERFILE_RULE_REDUNDANT_TARGET_PLATFORM,
    DOCKERFILE_RULE_SECRETS_USED_IN_ARG_OR_ENV,
    DOCKERFILE_RULE_INVALID_DEFAULT_ARG_IN_FROM,
    DOCKERFILE_RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    DOCKERFILE_RULE_COPY_IGNORED_FILE,
    DOCKERFILE_RULE_INVALID_DEFINITION_DESCRIPTION, /* experimental */
    DOCKERFILE_RULE_EXPOSE_PROTO_CASING,
    DOCKERFILE_RULE_EXPOSE_INVALID_FORMAT,
    /* beyond BuildKit's */
    DOCKERFILE_RULE_UNPINNED_BASE_IMAGE,
    DOCKERFILE_RULE_LATEST_BASE_IMAGE,
    DOCKERFILE_RULE_APT_INSTALL_WITHOUT_UPDATE,
    DOCKERFILE_RULE_APT_LISTS_KEPT,
    DOCKERFILE_RULE_CD_INSTEAD_OF_WORKDIR,
    DOCKERFILE_RULE_SUDO_USED,
    DOCKERFILE_RULE_ADD_INSTEAD_OF_COPY,
    DOCKERFILE_RULE_PIPE_WITHOUT_PIPEFAIL,
    DOCKERFILE_RULE_SECRETS_IN_CONTEXT,
    DOCKERFILE_RULE_CACHE_UNFRIENDLY_ORDER,
    DOCKERFILE_RULE_COUNT,
};

struct dockerfile_rule_info {
    const char *name;        /* "StageNameCasing" */
    const char *description; /* one sentence */
    const char *url;         /* its page, or "" */
    bool experimental;       /* off unless asked for */
    bool extra;              /* beyond BuildKit's: off unless options.extra */
};

const struct dockerfile_rule_info *dockerfile_rule_info(enum dockerfile_rule rule);
/* By its exact name. */
bool dockerfile_rule_find(struct view name, enum dockerfile_rule *rule);

/* Does the name of a variable say that its value is a secret (SecretsUsedInArgOrEnv)? */
bool dockerfile_name_is_secret(struct view name);

/* One finding; borrowed during the callback. */
struct dockerfile_finding {
    enum dockerfile_rule rule;
    struct source_pos pos;
    const char *message; /* "Stage name 'Base' should be lowercase" */
};

/* Which rules are off or on. Rules that are unknown are ignored, as BuildKit does. */
struct dockerfile_check_config {
    bool skip_all;
    bool experimental_all;
    bool error; /* findings make the check fail */
    bool skip[DOCKERFILE_RULE_COUNT];
    bool experimental[DOCKERFILE_RULE_COUNT];
};

/* Reads "skip=A,B;error=true;experimental=C"; "" is fine. ERROR_INVALID without a position.
 */
MUST_CHECK int dockerfile_check_config_parse(struct view text,
                                             struct dockerfile_check_config *config,
                                             struct error *err);

/* A base image that is no stage of the file. Borrowed. */
struct dockerfile_base {
    size_t stage;         /* its index in dockerfile.stages */
    struct view image;    /* expanded */
    struct view platform; /* --platform, expanded; empty without */
};

struct dockerfile_check_options {
    void (*on_finding)(void *context, const struct dockerfile_finding *finding);
    /* --build-arg: true and *value (borrowed) if given. May be NULL. */
    bool (*build_arg)(void *context, struct view name, struct view *value);
    /* The environment of a base image: true if it is known. Then `add` is called for each
     * variable. NULL: base images' environments are unknown, and UndefinedVar is silent
     * where one could define the variable. */
    bool (*base_env)(void *context,
                     const struct dockerfile_base *base,
                     void (*add)(void *add_context, struct view name, struct view value),
                     void *add_context);
    /* Is the base image for another platform than the stage asks for? Then true, and
     * *expected and *actual as "linux/amd64" (borrowed until the next call). May be NULL.
     */
    bool (*base_mismatch)(void *context,
                          const struct dockerfile_base *base,
                          struct view *expected,
                          struct view *actual);
    /* The names in a directory of the build context ("" is its top); nothing if it cannot
     * be read. NULL: SecretsInContext is silent. */
    void (*context_list)(void *context,
                         struct view directory,
                         void (*add)(void *add_context, struct view name),
                         void *add_context);
    /* Will this stage be built? Rules about what follows a FROM are asked of such stages
     * only. NULL: all. */
    bool (*stage_wanted)(void *context, size_t stage);
    void *context;
    const struct dockerfile_ignore *ignore;       /* of the build context, or NULL */
    const struct dockerfile_check_config *config; /* instead of the file's, or NULL */
    const char *target_platform;                  /* "linux/amd64" if NULL */
    const char *build_platform;                   /* the same */
    bool extra;                                   /* run the rules beyond BuildKit's too */
};

/*
 * Check the whole file. Findings are reported stage by stage, in the order of lines within
 * one; *count gets their number (may be NULL).
 *
 * Errors: ERROR_INVALID if the file's `# check=` is malformed, at its position;
 * ERROR_FAILED if there were findings and the configuration says error=true.
 */
MUST_CHECK int dockerfile_check(const struct dockerfile *file,
                                const struct dockerfile_check_options *options,
                                size_t *count,
                                struct error *err);
