/* Names, descriptions and pages of the rules. */
#include "parser/check/check.h"

#define PAGE(name) "https://docs.docker.com/go/dockerfile/rule/" name "/"

static const struct dockerfile_rule_info rules[DOCKERFILE_RULE_COUNT] = {
    [DOCKERFILE_RULE_STAGE_NAME_CASING] = {"StageNameCasing",
                                           "Stage names should be lowercase",
                                           PAGE("stage-name-casing"), false, false},
    [DOCKERFILE_RULE_FROM_AS_CASING] =
        {"FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword",
         PAGE("from-as-casing"), false, false},
    [DOCKERFILE_RULE_NO_EMPTY_CONTINUATION] =
        {"NoEmptyContinuation",
         "Empty continuation lines will become errors in a future release",
         PAGE("no-empty-continuation"), false, false},
    [DOCKERFILE_RULE_CONSISTENT_INSTRUCTION_CASING] =
        {"ConsistentInstructionCasing",
         "All commands within the Dockerfile should use the same casing (either upper or "
         "lower)",
         PAGE("consistent-instruction-casing"), false, false},
    [DOCKERFILE_RULE_DUPLICATE_STAGE_NAME] = {"DuplicateStageName",
                                              "Stage names should be unique",
                                              PAGE("duplicate-stage-name"), false, false},
    [DOCKERFILE_RULE_RESERVED_STAGE_NAME] =
        {"ReservedStageName", "Reserved words should not be used as stage names",
         PAGE("reserved-stage-name"), false, false},
    [DOCKERFILE_RULE_JSON_ARGS_RECOMMENDED] =
        {"JSONArgsRecommended",
         "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior "
         "related to OS signals",
         PAGE("json-args-recommended"), false, false},
    [DOCKERFILE_RULE_MAINTAINER_DEPRECATED] =
        {"MaintainerDeprecated",
         "The MAINTAINER instruction is deprecated, use a label instead to define an image "
         "author",
         PAGE("maintainer-deprecated"), false, false},
    [DOCKERFILE_RULE_UNDEFINED_ARG_IN_FROM] = {"UndefinedArgInFrom",
                                               "FROM command must use declared ARGs",
                                               PAGE("undefined-arg-in-from"), false, false},
    [DOCKERFILE_RULE_WORKDIR_RELATIVE_PATH] =
        {"WorkdirRelativePath",
         "Relative workdir without an absolute workdir declared within the build can have "
         "unexpected results if the base image changes",
         PAGE("workdir-relative-path"), false, false},
    [DOCKERFILE_RULE_UNDEFINED_VAR] = {"UndefinedVar",
                                       "Variables should be defined before their use",
                                       PAGE("undefined-var"), false, false},
    [DOCKERFILE_RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED] =
        {"MultipleInstructionsDisallowed",
         "Multiple instructions of the same type should not be used in the same stage",
         PAGE("multiple-instructions-disallowed"), false, false},
    [DOCKERFILE_RULE_LEGACY_KEY_VALUE_FORMAT] =
        {"LegacyKeyValueFormat",
         "Legacy key/value format with whitespace separator should not be used",
         PAGE("legacy-key-value-format"), false, false},
    [DOCKERFILE_RULE_INVALID_BASE_IMAGE_PLATFORM] =
        {"InvalidBaseImagePlatform",
         "Base image platform does not match expected target platform", "", false, false},
    [DOCKERFILE_RULE_REDUNDANT_TARGET_PLATFORM] =
        {"RedundantTargetPlatform",
         "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is "
         "the "
         "default behavior",
         PAGE("redundant-target-platform"), false, false},
    [DOCKERFILE_RULE_SECRETS_USED_IN_ARG_OR_ENV] =
        {"SecretsUsedInArgOrEnv",
         "Sensitive data should not be used in the ARG or ENV commands",
         PAGE("secrets-used-in-arg-or-env"), false, false},
    [DOCKERFILE_RULE_INVALID_DEFAULT_ARG_IN_FROM] =
        {"InvalidDefaultArgInFrom",
         "Default value for global ARG results in an empty or invalid base image name",
         PAGE("invalid-default-arg-in-from"), false, false},
    [DOCKERFILE_RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED] =
        {"FromPlatformFlagConstDisallowed",
         "FROM --platform flag should not use a constant value",
         PAGE("from-platform-flag-const-disallowed"), false, false},
    [DOCKERFILE_RULE_COPY_IGNORED_FILE] =
        {"CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore",
         PAGE("copy-ignored-file"), false, false},
    [DOCKERFILE_RULE_INVALID_DEFINITION_DESCRIPTION] =
        {"InvalidDefinitionDescription",
         "Comment for build stage or argument should follow the format: `# <arg/stage "
         "name> "
         "<description>`. If this is not intended to be a description comment, add an "
         "empty "
         "line or comment between the instruction and the comment.",
         PAGE("invalid-definition-description"), true, false},
    [DOCKERFILE_RULE_EXPOSE_PROTO_CASING] =
        {"ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase",
         PAGE("expose-proto-casing"), false, false},
    [DOCKERFILE_RULE_EXPOSE_INVALID_FORMAT] =
        {"ExposeInvalidFormat",
         "IP address and host-port mapping should not be used in EXPOSE instruction. This "
         "will become an error in a future release",
         PAGE("expose-invalid-format"), false, false},
    [DOCKERFILE_RULE_UNPINNED_BASE_IMAGE] = {"UnpinnedBaseImage",
                                             "Base images should have a tag or a digest",
                                             "", false, true},
    [DOCKERFILE_RULE_LATEST_BASE_IMAGE] =
        {"LatestBaseImage", "Base images should not use the tag latest, which moves", "",
         false, true},
    [DOCKERFILE_RULE_APT_INSTALL_WITHOUT_UPDATE] =
        {"AptInstallWithoutUpdate",
         "apt-get install should follow apt-get update in the same RUN, or it works on "
         "lists "
         "from the cache",
         "", false, true},
    [DOCKERFILE_RULE_APT_LISTS_KEPT] =
        {"AptListsKept",
         "Package lists should be removed in the RUN that fetched them, or kept in a cache "
         "mount",
         "", false, true},
    [DOCKERFILE_RULE_CD_INSTEAD_OF_WORKDIR] =
        {"CdInsteadOfWorkdir", "WORKDIR should be used to change the directory", "", false,
         true},
    [DOCKERFILE_RULE_SUDO_USED] = {"SudoUsed",
                                   "USER should be used instead of sudo in a build", "",
                                   false, true},
    [DOCKERFILE_RULE_ADD_INSTEAD_OF_COPY] =
        {"AddInsteadOfCopy", "COPY should be used where no archive or URL is added", "",
         false, true},
    [DOCKERFILE_RULE_PIPE_WITHOUT_PIPEFAIL] =
        {"PipeWithoutPipefail",
         "A failure on the left of a pipe goes unseen without set -o pipefail", "", false,
         true},
    [DOCKERFILE_RULE_SECRETS_IN_CONTEXT] =
        {"SecretsInContext", "Files that hold secrets should not be copied into an image",
         "", false, true},
    [DOCKERFILE_RULE_CACHE_UNFRIENDLY_ORDER] =
        {"CacheUnfriendlyOrder",
         "Dependency manifests should be copied, and dependencies installed, before the "
         "sources",
         "", false, true},
};

const struct dockerfile_rule_info *dockerfile_rule_info(enum dockerfile_rule rule)
{
    return &rules[rule];
}

bool dockerfile_rule_find(struct view name, enum dockerfile_rule *rule)
{
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        if (view_eq_text(name, rules[i].name)) {
            *rule = (enum dockerfile_rule)i;
            return true;
        }
    }
    return false;
}
