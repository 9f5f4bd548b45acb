/* The planner, seen through the configs of whole builds, and what it refuses. */
#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <stdlib.h>
#include <string.h>

static void config_is(struct rig *r, const char *dockerfile, const char *want)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    struct doc *config;

    rig_dockerfile(r, dockerfile);
    rig_must_build(r);
    assert_int_equal(cas_blob_read(r->store, &r->result.config, &text, &r->err), 0);
    config = doc_parse(buf_view(&text), &r->err);
    assert_non_null(config);
    buf_clear(&text);
    doc_write(doc_get(config, "config"), DOC_WRITE_COMPACT, &text);
    doc_unref(config);
    assert_string_equal(buf_text(&text), want);
}

static void fails_at(struct rig *r, const char *dockerfile, unsigned line, const char *text)
{
    rig_dockerfile(r, dockerfile);
    if (rig_build(r) == 0)
        fail_msg("built: %s", dockerfile);
    if (r->err.pos.line != line || !strstr(error_text(&r->err), text))
        fail_msg("%s: line %u: %s", dockerfile, r->err.pos.line, error_text(&r->err));
    error_clear(&r->err);
}

#define PATH_ENV "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\""

static void test_metadata_is_that_of_the_last_word(void **state)
{
    struct rig *r = *state;

    config_is(r, "FROM scratch\nENV A=1 B=$A\nENV A=2 C=${A:-x}${D:-y}\n",
              "{\"Env\":[" PATH_ENV ",\"A=2\",\"B=\",\"C=1y\"],\"WorkingDir\":\"/\"}");
    config_is(r, "FROM scratch\nWORKDIR x\nWORKDIR ../y\nUSER a\nUSER b:c\nSTOPSIGNAL 9\n",
              "{\"Env\":[" PATH_ENV
              "],\"WorkingDir\":\"/y\",\"User\":\"b:c\",\"StopSignal\":\"9\"}");
}

static void test_entrypoint_drops_the_bases_cmd_but_not_its_own(void **state)
{
    struct rig *r = *state;

    config_is(r, "FROM scratch AS a\nCMD [\"x\"]\nFROM a\nENTRYPOINT [\"e\"]\n",
              "{\"Env\":[" PATH_ENV
              "],\"WorkingDir\":\"/\",\"ArgsEscaped\":true,\"Entrypoint\":[\"e\"]}");
    config_is(r, "FROM scratch\nCMD [\"x\"]\nENTRYPOINT [\"e\"]\n",
              "{\"Env\":[" PATH_ENV "],\"WorkingDir\":\"/"
              "\",\"Cmd\":[\"x\"],\"ArgsEscaped\":true,\"Entrypoint\":[\"e\"]}");
}

static void test_what_does_not_fit_is_refused_where_it_stands(void **state)
{
    struct rig *r = *state;

    rig_write(r, "f", "x");
    fails_at(r, "FROM scratch\nCOPY --from=nobody:5000/a:b:c f /\n", 2, "");
    fails_at(r, "FROM scratch\n\nCOPY --chmod=9 f /\n", 3, "chmod");
    fails_at(r, "FROM scratch\nCOPY --link --chown=bob f /\n", 2, "numeric");
    fails_at(r, "FROM scratch\nEXPOSE 70000\n", 2, "70000");
    fails_at(r, "FROM scratch\nEXPOSE 80/carrier-pigeon\n", 2, "proto");
    fails_at(r, "FROM scratch\nADD https://example.com/x /\n", 2, "https://example.com/x");
    fails_at(r, "FROM scratch\nCOPY https://example.com/x /\n", 2, "URL");
    fails_at(r, "FROM scratch AS a\nCOPY --from=a f /\n", 2, "circular");
    fails_at(r, "FROM scratch AS a\nCOPY --from=b f /\nFROM a AS b\nCOPY f /\n", 3,
             "circular");
    fails_at(r, "FROM scratch\nENV A=${B?missing}\n", 2, "missing");
    fails_at(r, "FROM scratch\nRUN --security=insecure true\n", 2, "--allow");
}

static void test_a_target_that_is_not_there_is_guessed(void **state)
{
    struct rig *r = *state;

    r->request.target = "buidl";
    rig_dockerfile(r, "FROM scratch AS build\nFROM scratch\n");
    assert_int_equal(rig_build(r), -1);
    rig_expect_failure(r, ERROR_INVALID, "did you mean build?");
}

static void test_arguments_come_from_where_they_are_given(void **state)
{
    struct rig *r = *state;
    const struct build_pair args[] = {
        {"GIVEN", "flag"}, {"FROM_ENVIRONMENT", NULL}, {"NOT_SET_ANYWHERE", NULL}};

    r->request.args = args;
    r->request.arg_count = 3;
    setenv("FROM_ENVIRONMENT", "environment", 1);
    config_is(
        r,
        "ARG GLOBAL=g\nFROM scratch\nARG GIVEN=default\nARG GLOBAL\nARG FROM_ENVIRONMENT\n"
        "ARG NOT_SET_ANYWHERE=fallback\nARG LATE=$GIVEN\n"
        "LABEL a=$GIVEN b=$GLOBAL c=$FROM_ENVIRONMENT d=$NOT_SET_ANYWHERE e=$LATE\n",
        "{\"Env\":[" PATH_ENV
        "],\"WorkingDir\":\"/\",\"Labels\":{\"a\":\"flag\",\"b\":\"g\","
        "\"c\":\"environment\",\"d\":\"fallback\",\"e\":\"flag\"}}");
    unsetenv("FROM_ENVIRONMENT");
}

static void test_the_platform_is_predefined(void **state)
{
    static const char *const platform[] = {"linux/arm64/v8"};
    struct rig *r = *state;

    r->request.platforms = platform;
    r->request.platform_count = 1;
    config_is(r,
              "FROM scratch AS name\nARG TARGETARCH\nARG TARGETOS\nARG TARGETSTAGE\nLABEL "
              "a=$TARGETOS/$TARGETARCH s=$TARGETSTAGE\n",
              "{\"Env\":[" PATH_ENV
              "],\"WorkingDir\":\"/\",\"Labels\":{\"a\":\"linux/arm64\",\"s\":\"name\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_metadata_is_that_of_the_last_word),
        rig_test(test_entrypoint_drops_the_bases_cmd_but_not_its_own),
        rig_test(test_what_does_not_fit_is_refused_where_it_stands),
        rig_test(test_a_target_that_is_not_there_is_guessed),
        rig_test(test_arguments_come_from_where_they_are_given),
        rig_test(test_the_platform_is_predefined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
