/* Image configs of a stranger: each accessor answers, whatever stands where; what is set is
 * there afterwards; the base's document stays as it was; triggers parse or are refused. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/limits.h"
#include "builder/config.h"
#include "builder/run_spec.h"
#include "parser/dockerfile.h"

#include <assert.h>
#include <string.h>

static void check_platform(const struct doc *config)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct registry_platform p;

    if (registry_platform_from_doc(config, &p, &err) == 0)
        assert(p.os[0] && p.architecture[0]);
}

/* What a stage does with its base's config. */
static void check_base(const struct doc *config)
{
    char sh[] = "sh", option[] = "-c";
    char *const list[] = {sh, option};
    CLEANUP(build_config_release) struct build_config c = {0};
    CLEANUP(build_config_release) struct build_config copy = {0};
    struct view value;

    build_config_init_base(&c, config);
    assert(!doc_get(c.root, "created") && !doc_get(c.root, "rootfs"));
    assert(build_config_env_get(&c, VIEW_LIT("PATH"), &value));
    build_config_env_set(&c, VIEW_LIT("NAME"), VIEW_LIT("value"));
    assert(build_config_env_get(&c, VIEW_LIT("NAME"), &value));
    assert(view_eq_text(value, "value"));
    build_config_copy(&copy, &c);
    assert(doc_equal(copy.root, c.root));
    build_config_set_key(&c, "Labels", "key", "value");
    build_config_set_key(&c, "Volumes", "/v", NULL);
    build_config_set_list(&c, "Cmd", list, 2);
    build_config_set_text(&c, "User", "user");
    assert(strcmp(build_config_text(&c, "User"), "user") == 0);
    assert(doc_count(doc_get(doc_get(c.root, "config"), "Cmd")) == 2);
    build_config_history(&c, "step", true);
    assert(doc_count(doc_get(c.root, "history")) >= 1);
}

/* What a container of the image is started with. */
static void check_run(const struct doc *config)
{
    static const char *const given[] = {"a", NULL};
    const struct build_run_options plain = {0};
    const struct build_run_options with = {.argv = given, .argc = 1, .entrypoint = "e"};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(run_texts_release) struct run_texts argv = {0};
    CLEANUP(run_texts_release) struct run_texts whole = {0};
    CLEANUP(run_texts_release) struct run_texts env = {0};

    if (run_spec_argv(config, &plain, &argv, &err) == 0)
        assert(argv.count > 0 && run_texts_list(&argv)[argv.count] == NULL);
    else
        assert(err.code == ERROR_INVALID);
    error_clear(&err);
    assert(run_spec_argv(config, &with, &whole, &err) == 0 && whole.count == 2);
    run_spec_env(config, &plain, "/root", "host", &env);
    for (size_t i = 0; i < env.count; i++)
        assert(env.items[i] != NULL);
}

static void check_triggers(const struct doc *config)
{
    const struct doc *list = doc_get(doc_get(config, "config"), "OnBuild");
    const struct source_pos pos = {0};

    for (size_t i = 0; i < doc_count(list) && i < 8; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct dockerfile *tree =
            dockerfile_parse_trigger(doc_view(doc_at(list, i)), pos, &err);

        assert(!tree || tree->instruction_count == 1);
        dockerfile_free(tree);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *d = doc_parse((struct view){(const char *)data, size}, &err);
    CLEANUP(doc_unrefp) struct doc *before = NULL;

    /* Whatever calls itself a config is an object before anything else is asked. */
    if (!d || doc_type(d) != DOC_OBJECT)
        return 0;
    before = doc_copy(d);
    check_platform(d);
    check_base(d);
    check_run(d);
    check_triggers(d);
    assert(doc_equal(before, d));
    return 0;
}
