/* Every rule: a file where it fires, at its line, and one where it must not. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/check/check.h"
#include "parser/dockerfile.h"
#include "parser/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void note(void *context, const struct dockerfile_finding *finding)
{
    buf_printf(context, "%u %s: %s\n", finding->pos.line,
               dockerfile_rule_info(finding->rule)->name, finding->message);
}

/* All findings as text, one a line. */
static int findings(const char *text,
                    struct dockerfile_check_options options,
                    struct buf *out,
                    struct error *err)
{
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(view_of(text), "Dockerfile", NULL, err);

    if (!file)
        fail_msg("%s: %s", text, error_text(err));
    options.on_finding = note;
    options.context = out;
    return dockerfile_check(file, &options, NULL, err);
}

static void expect(const char *text,
                   struct dockerfile_check_options options,
                   const char *want)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_int_equal(findings(text, options, &got, &err), 0);
    if (strcmp(buf_text(&got), want) != 0)
        fail_msg("--- of\n%s--- found\n%s--- wanted\n%s", text, buf_text(&got), want);
}

static const struct dockerfile_check_options defaults = {.on_finding = note};

static void test_each_rule_fires_and_is_silent(void **state)
{
    static const struct {
        const char *text;
        const char *found; /* "" where it must be silent */
    } cases[] = {
        {"FROM a AS Base\n", "1 StageNameCasing: Stage name 'Base' should be lowercase\n"},
        {"FROM a AS base-1\n", ""},
        {"FROM a as b\n",
         "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match\n"},
        {"from a as b\n", ""},
        {"FROM a\nRUN x \\\n\n  y\n", "3 NoEmptyContinuation: Empty continuation line\n"},
        {"FROM a\nRUN x \\\n # comment\n  y\n", ""},
        {"FROM a\nRUN x\nworkdir /x\nUsEr y\n",
         "3 ConsistentInstructionCasing: Command 'workdir' should match the case of the "
         "command "
         "majority (uppercase)\n"
         "4 ConsistentInstructionCasing: Command 'UsEr' should match the case of the "
         "command "
         "majority (uppercase)\n"},
        {"arg x\nFROM a\nRUN x\n", ""},
        {"FROM a AS b\nFROM a AS c\nFROM c AS B\n",
         "3 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique\n"
         "3 StageNameCasing: Stage name 'B' should be lowercase\n"},
        {"FROM a AS scratch\n",
         "1 ReservedStageName: Stage name should not use the same name as reserved stage "
         "\"scratch\"\n"},
        {"FROM scratch AS scratchy\n", ""},
        {"FROM a\nCMD x\n",
         "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended "
         "behavior related to OS signals\n"},
        {"FROM a\nCMD [\"x\"]\n", ""},
        {"FROM a AS b\nSHELL [\"sh\"]\nFROM b\nENTRYPOINT x\n", ""},
        {"FROM a\nMAINTAINER me\n",
         "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using "
         "label\n"},
        {"FROM a\nLABEL maintainer=me\n", ""},
        {"ARG VERSION=1\nFROM a:$VERSON\n",
         "2 UndefinedArgInFrom: FROM argument 'VERSON' is not declared (did you mean "
         "VERSION?)\n"
         "2 InvalidDefaultArgInFrom: Default value for ARG a:$VERSON results in empty or "
         "invalid base image name\n"},
        {"ARG VERSION=1\nFROM a:$VERSION\n", ""},
        {"FROM a\nWORKDIR x\nWORKDIR y\n", "2 WorkdirRelativePath: Relative workdir \"x\" "
                                           "can have unexpected results if the base "
                                           "image changes\n"},
        {"FROM a AS b\nWORKDIR /x\nFROM b\nWORKDIR y\n", ""},
        {"FROM scratch\nENV PATHS=1\nCOPY $PATSH /x\n",
         "3 UndefinedVar: Usage of undefined variable '$PATSH' (did you mean $PATH?)\n"},
        {"FROM scratch\nENV A=$PATH\n", ""},
        {"FROM scratch\nARG A\nENV B=$A C=1\nCOPY ${C}${B} \\$D /x\nRUN $E\n", ""},
        {"FROM scratch\nENV A=1 B=$A\n",
         "2 UndefinedVar: Usage of undefined variable '$A'\n"},
        {"FROM a\nCOPY $FROM_BASE /x\n", ""},
        {"FROM scratch AS b\nARG A=1\nFROM b\nCOPY $A /x\n", ""},
        {"FROM a\nCMD [\"x\"]\nCMD [\"y\"]\n",
         "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used "
         "in the "
         "same stage because only the last one will be used\n"},
        {"FROM a\nCMD [\"x\"]\nFROM b\nCMD [\"y\"]\n", ""},
        {"FROM a\nENV A b\n", "2 LegacyKeyValueFormat: \"ENV key=value\" should be used "
                              "instead of legacy \"ENV key "
                              "value\" format\n"},
        {"FROM a\nLABEL A=b\n", ""},
        {"FROM --platform=$TARGETPLATFORM a\n",
         "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in "
         "FROM is "
         "redundant as this is the default behavior\n"},
        {"FROM --platform=$BUILDPLATFORM a\n", ""},
        {"FROM a\nARG API_KEY\nENV TOKEN=x\n", "2 SecretsUsedInArgOrEnv: Do not use ARG or "
                                               "ENV instructions for sensitive data (ARG "
                                               "\"API_KEY\")\n"
                                               "3 SecretsUsedInArgOrEnv: Do not use ARG or "
                                               "ENV instructions for sensitive data (ENV "
                                               "\"TOKEN\")\n"},
        {"FROM a\nARG PUBLIC_KEY MONKEY TOKEN_FILE\n", ""},
        {"ARG A\nFROM $A\n", "2 InvalidDefaultArgInFrom: Default value for ARG $A results "
                             "in empty or invalid base "
                             "image name\n"},
        {"ARG A=reg.io:5000/x/y_z@sha256:1\nFROM ${A}\n", ""},
        {"FROM --platform=linux/arm64 a\n", "1 FromPlatformFlagConstDisallowed: FROM "
                                            "--platform flag should not use constant value "
                                            "\"linux/arm64\"\n"},
        {"FROM --platform=linux/arm64 a AS b-arm64\n", ""},
        {"# check=experimental=all\nFROM a\n# other text\nARG A\n# x y\nFROM a AS z\n",
         "4 InvalidDefinitionDescription: Comment for ARG should follow the format: `# A "
         "<description>`\n"
         "6 InvalidDefinitionDescription: Comment for FROM should follow the format: `# z "
         "<description>`\n"},
        {"FROM a\n# other text\nARG A\n", ""},
        {"FROM a\nEXPOSE 80/TCP\n",
         "2 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be "
         "lowercase\n"},
        {"FROM a\nEXPOSE 80/tcp 90-99\n", ""},
        {"FROM a\nEXPOSE 8080:80 127.0.0.1::81\n",
         "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or "
         "host-port "
         "mapping, found '127.0.0.1::81'\n"
         "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or "
         "host-port "
         "mapping, found '8080:80'\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        expect(cases[i].text, defaults, cases[i].found);
}

static void test_extra_rules_fire_only_if_asked_for(void **state)
{
    static const struct {
        const char *text;
        const char *rule; /* NULL where all must be silent */
    } cases[] = {
        {"FROM debian\n", "UnpinnedBaseImage"},
        {"FROM reg.io:5000/debian\n", "UnpinnedBaseImage"},
        {"FROM reg.io:5000/debian:12\n", NULL},
        {"FROM debian@sha256:1\n", NULL},
        {"FROM a:1 AS debian\nFROM debian\n", NULL},
        {"FROM scratch\n", NULL},
        {"FROM debian:latest\n", "LatestBaseImage"},
        {"FROM a:1\nRUN apt-get install -y x\n", "AptInstallWithoutUpdate"},
        {"FROM a:1\nRUN apt-get update && apt-get install x && rm -r "
         "/var/lib/apt/lists/*\n",
         NULL},
        {"FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get install x\n", NULL},
        {"FROM a:1\nRUN echo 'apt-get install x' # apt-get install\n", NULL},
        {"FROM a:1\nRUN <<E\napt-get update\nE\n", "AptListsKept"},
        {"FROM a:1\nRUN cd /x && make\n", "CdInsteadOfWorkdir"},
        {"FROM a:1\nRUN make; (cd x; make)\n", NULL},
        {"FROM a:1\nRUN A=1 sudo make\n", "SudoUsed"},
        {"FROM a:1\nRUN echo sudo\n", NULL},
        {"FROM a:1\nADD x /y\n", "AddInsteadOfCopy"},
        {"FROM a:1\nADD x.tar.gz /y\n", NULL},
        {"FROM a:1\nADD https://x/y /y\n", NULL},
        {"FROM a:1\nRUN a | b\n", "PipeWithoutPipefail"},
        {"FROM a:1\nRUN set -o pipefail; a | b\n", NULL},
        {"FROM a:1\nRUN a || b && echo 'x | y' \\| z\n", NULL},
        {"FROM a:1\nSHELL [\"bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN a | b\n", NULL},
        {"FROM a:1\nCOPY . .\nRUN npm ci\n", "CacheUnfriendlyOrder"},
        {"FROM a:1\nADD ./ /app\nRUN make && pip3 install -r req.txt\n",
         "CacheUnfriendlyOrder"},
        {"FROM a:1\nCOPY / .\nRUN <<E\ngo mod download\nE\n", "CacheUnfriendlyOrder"},
        {"FROM a:1\nCOPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm ci\n", NULL},
        {"FROM a:1\nCOPY . .\nRUN npm run build\nRUN npm install -g x\n", NULL},
        {"FROM a:1\nCOPY . .\nRUN pip install flask\n", NULL},
        {"FROM a:1 AS b\nCOPY . .\nFROM b\nRUN npm ci\n", NULL},
        {"FROM a:1\nCOPY --from=b:1 . .\nRUN npm ci\n", NULL},
    };
    const struct dockerfile_check_options extra = {.extra = true};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
        assert_int_equal(findings(cases[i].text, extra, &got, &err), 0);
        const bool found = cases[i].rule && strstr(buf_text(&got), cases[i].rule);
        if (cases[i].rule ? !found : got.size > 0)
            fail_msg("--- of\n%s--- found\n%s", cases[i].text, buf_text(&got));
        expect(cases[i].text, defaults, "");
    }
}

static void test_ignored_files_are_found_unless_exceptions_are(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *ignore =
        dockerfile_ignore_parse(VIEW_LIT("*.log\n"), "x", &err);
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *mixed =
        dockerfile_ignore_parse(VIEW_LIT("*.log\n!a.log\n"), "x", &err);
    static const char text[] = "FROM a\nCOPY ./a.log . /x\nADD b.log https://c.log /x\n"
                               "COPY --from=b a.log /x\n";

    (void)state;
    expect(text, (struct dockerfile_check_options){.ignore = ignore},
           "2 CopyIgnoredFile: Attempting to Copy file \"a.log\" that is excluded by "
           ".dockerignore\n"
           "3 CopyIgnoredFile: Attempting to Add file \"b.log\" that is excluded by "
           ".dockerignore\n");
    expect(text, (struct dockerfile_check_options){.ignore = mixed}, "");
    expect(text, defaults, "");
}

static bool base_env(void *context,
                     const struct dockerfile_base *base,
                     void (*add)(void *add_context, struct view name, struct view value),
                     void *add_context)
{
    (void)context;
    add(add_context, VIEW_LIT("JAVA_HOME"), VIEW_LIT("/java"));
    return view_eq_text(base->image, "known");
}

static bool base_mismatch(void *context,
                          const struct dockerfile_base *base,
                          struct view *expected,
                          struct view *actual)
{
    (void)context;
    *expected = VIEW_LIT("linux/amd64");
    *actual = VIEW_LIT("linux/arm64");
    return view_eq_text(base->image, "arm") && base->platform.size == 0 && base->stage == 1;
}

static void test_base_images_of_other_platforms_are_told(void **state)
{
    const struct dockerfile_check_options options = {.base_mismatch = base_mismatch};

    (void)state;
    expect("FROM intel\nFROM arm\n", options,
           "2 InvalidBaseImagePlatform: Base image arm was pulled with platform "
           "\"linux/arm64\", expected \"linux/amd64\" for current build\n");
    expect("FROM intel\nFROM --platform=$BUILDPLATFORM arm\n", options, "");
    expect("FROM intel\nFROM arm\n", defaults, "");
}

static void context_list(void *context,
                         struct view directory,
                         void (*add)(void *add_context, struct view name),
                         void *add_context)
{
    static const char *const top[] = {".env", "main.c", "server.key", ".env.example",
                                      "x.pem"};
    static const char *const etc[] = {"id_rsa.pub", "id_rsa"};
    const bool is_top = directory.size == 0;

    (void)context;
    for (size_t i = 0; is_top && i < ARRAY_COUNT(top); i++)
        add(add_context, view_of(top[i]));
    for (size_t i = 0; view_eq_text(directory, "etc") && i < ARRAY_COUNT(etc); i++)
        add(add_context, view_of(etc[i]));
}

#define SECRET(line, path)                                                                 \
#line " SecretsInContext: COPY brings \"" path                                         \
          "\" into the image, which looks like a secret: leave it out with "               \
          ".dockerignore, or use RUN --mount=type=secret\n"

static void test_secrets_of_the_context_are_told(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct dockerfile_check_options options = {.context_list = context_list, .extra = true};

    (void)state;
    expect("FROM a:1\nCOPY . /x\nCOPY ./ /y\n", options,
           SECRET(2, ".env") SECRET(2, "server.key"));
    expect("FROM a:1\nCOPY /etc/ /x\n", options, SECRET(2, "etc/id_rsa"));
    expect("FROM a:1\nCOPY keys/tls.key /x\n", options, SECRET(2, "keys/tls.key"));
    expect("FROM a:1\nCOPY src main.c .env.example /x/\nCOPY --from=b:1 . /x\n", options,
           "");
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *ignore =
        dockerfile_ignore_parse(VIEW_LIT(".env\n*.key\n"), ".dockerignore", &err);
    options.ignore = ignore;
    expect("FROM a:1\nCOPY . /x\n", options, "");
    options.ignore = NULL;
    options.extra = false;
    expect("FROM a:1\nCOPY . /x\n", options, "");
}

static bool stage_wanted(void *context, size_t stage)
{
    (void)context;
    return stage == 1;
}

static void test_only_wanted_stages_are_checked_beyond_their_from(void **state)
{
    const struct dockerfile_check_options options = {.stage_wanted = stage_wanted};

    (void)state;
    expect("FROM a AS B\nMAINTAINER x\nFROM b\nMAINTAINER y\n", options,
           "1 StageNameCasing: Stage name 'B' should be lowercase\n"
           "4 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using "
           "label\n");
}

static void test_base_images_define_variables(void **state)
{
    const struct dockerfile_check_options options = {.base_env = base_env};

    (void)state;
    expect("FROM known\nENV A=$JAVA_HOME B=$JAVA_HOM\n", options,
           "2 UndefinedVar: Usage of undefined variable '$JAVA_HOM' (did you mean "
           "$JAVA_HOME?)\n");
    expect("FROM unknown\nENV B=$JAVA_HOM\n", options, "");
}

static void test_rules_are_skipped_by_file_and_by_comment(void **state)
{
    static const struct dockerfile_check_config skip_all = {.skip_all = true};

    (void)state;
    expect("# check=skip=StageNameCasing,Unknown\nFROM a AS B\n", defaults, "");
    expect("# check=skip=all\nFROM a AS B\nMAINTAINER x\n", defaults, "");
    expect("FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER x\nMAINTAINER y\n",
           defaults,
           "4 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using "
           "label\n");
    expect("FROM a AS B\n", (struct dockerfile_check_options){.config = &skip_all}, "");
}

static void test_findings_are_errors_if_asked_for(void **state)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);

    (void)state;
    assert_int_equal(findings("# check=skip=FromAsCasing;error=true\nFROM a AS B\n",
                              defaults, &got, &err),
                     -1);
    assert_int_equal(err.code, ERROR_FAILED);
    assert_int_equal(findings("# check=error=true\nFROM a\n", defaults, &got, &err), 0);
}

static void test_malformed_options_are_refused(void **state)
{
    static const char *const texts[] = {"# check=x\nFROM a\n", "# check=x=y\nFROM a\n",
                                        "# check=error=maybe\nFROM a\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(buf_release) struct buf got = BUF_INIT(LIMIT_TEXT_SIZE);
        assert_int_equal(findings(texts[i], defaults, &got, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(err.pos.line, 1);
    }
}

static void test_rules_have_a_name_and_a_page(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DOCKERFILE_RULE_COUNT; i++) {
        enum dockerfile_rule found;
        const struct dockerfile_rule_info *info =
            dockerfile_rule_info((enum dockerfile_rule)i);
        assert_true(info->name && *info->description && info->url);
        assert_true(dockerfile_rule_find(view_of(info->name), &found));
        assert_int_equal(found, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_fires_and_is_silent),
        cmocka_unit_test(test_extra_rules_fire_only_if_asked_for),
        cmocka_unit_test(test_ignored_files_are_found_unless_exceptions_are),
        cmocka_unit_test(test_base_images_of_other_platforms_are_told),
        cmocka_unit_test(test_secrets_of_the_context_are_told),
        cmocka_unit_test(test_only_wanted_stages_are_checked_beyond_their_from),
        cmocka_unit_test(test_base_images_define_variables),
        cmocka_unit_test(test_rules_are_skipped_by_file_and_by_comment),
        cmocka_unit_test(test_findings_are_errors_if_asked_for),
        cmocka_unit_test(test_malformed_options_are_refused),
        cmocka_unit_test(test_rules_have_a_name_and_a_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
