#include "builder/import_config.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/inputs.h"
#include "builder/plan.h"
#include "parser/dockerfile.h"

#include <time.h>

/* The planner gives an image FROM scratch what BuildKit gives it; docker import does not.
 */
#define SCRATCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static bool kind_is_config(enum dockerfile_kind kind)
{
    static const enum dockerfile_kind kinds[] = {
        DOCKERFILE_CMD,     DOCKERFILE_ENTRYPOINT,  DOCKERFILE_ENV,
        DOCKERFILE_EXPOSE,  DOCKERFILE_HEALTHCHECK, DOCKERFILE_LABEL,
        DOCKERFILE_ONBUILD, DOCKERFILE_SHELL,       DOCKERFILE_STOPSIGNAL,
        DOCKERFILE_USER,    DOCKERFILE_VOLUME,      DOCKERFILE_WORKDIR,
    };

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (kinds[i] == kind)
            return true;
    }
    return false;
}

static int kinds_check(const struct dockerfile *file, struct error *err)
{
    for (size_t i = 1; i < file->instruction_count; i++) {
        const struct dockerfile_instruction *const one = &file->instructions[i];

        if (!kind_is_config(one->kind))
            return error_set(
                err, ERROR_INVALID,
                "%s cannot be a change: only instructions that set the config can",
                dockerfile_kind_name(one->kind));
    }
    return 0;
}

static void defaults_remove(struct doc *config)
{
    const struct doc *const env = doc_get(config, "Env");
    const char *const first = doc_text(doc_at(env, 0));
    const char *const workdir = doc_text(doc_get(config, "WorkingDir"));

    if (first != NULL && strcmp(first, SCRATCH_PATH) == 0) {
        struct doc *const rest = doc_new_array();

        for (size_t i = 1; i < doc_count(env); i++)
            doc_append(rest, doc_copy(doc_at(env, i)));
        if (doc_count(rest) > 0) {
            doc_set(config, "Env", rest);
        } else {
            doc_unref(rest);
            doc_remove(config, "Env");
        }
    }
    if (workdir != NULL && strcmp(workdir, "/") == 0)
        doc_remove(config, "WorkingDir");
}

static struct doc *plan_config(const struct build_environment *env,
                               const struct build_import_options *options,
                               const struct dockerfile *file,
                               struct error *err)
{
    const struct build_request request = {.platforms = &options->platform,
                                          .platform_count = options->platform ? 1 : 0,
                                          .epoch = -1};
    struct build_inputs *const inputs = build_inputs_new(env, &request, err);
    struct build_plans plans = {0};
    struct doc *config = NULL;

    if (inputs == NULL)
        return NULL;
    if (build_plans_make(env, &request, inputs, file, &plans, err) == 0) {
        config = doc_copy(build_config_inner(&plans.items[0].config));
        defaults_remove(config);
    }
    build_plans_release(&plans);
    build_inputs_free(inputs);
    return config;
}

/* The "config" object. */
static struct doc *changes_apply(const struct build_environment *env,
                                 const struct build_import_options *options,
                                 struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(dockerfile_freep) struct dockerfile *file = NULL;
    struct doc *config = NULL;

    if (options->change_count == 0)
        return doc_new_object();
    buf_append_text(&text, "FROM scratch\n");
    for (size_t i = 0; i < options->change_count; i++)
        buf_printf(&text, "%s\n", options->changes[i]);
    if (buf_ok(&text, "--change", err) < 0)
        return NULL;
    file = dockerfile_parse(buf_view(&text), "--change", NULL, err);
    if (file != NULL && kinds_check(file, err) == 0)
        config = plan_config(env, options, file, err);
    if (config == NULL) {
        /* A line of this text is nothing that the user could look at. */
        err->pos = (struct source_pos){0};
        error_wrap(err, "--change");
    }
    return config;
}

static char *created_text(int64_t epoch)
{
    const time_t when = epoch >= 0 ? (time_t)epoch : time(NULL);
    char text[40];
    struct tm tm;

    gmtime_r(&when, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return base_strdup(text);
}

static struct doc *history_doc(const struct build_import_options *options,
                               const char *created)
{
    struct doc *const history = doc_new_array();
    struct doc *const entry = doc_new_object();
    CLEANUP(base_freep)
    char *comment = options->message != NULL
                        ? base_strdup(options->message)
                        : base_format("Imported from %s", options->source);

    doc_set_text(entry, "created", created);
    doc_set(entry, "comment", doc_new_text(view_of(comment)));
    doc_append(history, entry);
    return history;
}

struct doc *import_config_make(const struct build_environment *env,
                               const struct build_import_options *options,
                               struct error *err)
{
    struct registry_platform platform = registry_platform_host();
    CLEANUP(base_freep) char *created = created_text(options->epoch);
    struct doc *inner;
    struct doc *root;

    if (options->platform != NULL &&
        registry_platform_parse(view_of(options->platform), &platform, err) < 0)
        return NULL;
    inner = changes_apply(env, options, err);
    if (inner == NULL)
        return NULL;
    root = registry_platform_doc(&platform);
    doc_set_text(root, "created", created);
    doc_set(root, "config", inner);
    doc_set(root, "history", history_doc(options, created));
    return root;
}
