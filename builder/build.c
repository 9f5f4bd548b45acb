#include "builder/build.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/cache/cache.h"
#include "builder/cache/export.h"
#include "builder/check.h"
#include "builder/explain.h"
#include "builder/export/ahead.h"
#include "builder/inputs.h"
#include "builder/journal.h"
#include "builder/plan.h"
#include "builder/provenance.h"
#include "builder/publish.h"
#include "builder/solve.h"
#include "parser/dockerfile.h"
#include "registry/platform.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

void build_result_release(struct build_result *r)
{
    descriptor_release(&r->manifest);
    build_cache_export_free(r->cache);
    *r = (struct build_result){0};
}

/* Everything that one build holds, freed in one place. */
struct build {
    const struct build_environment *env;
    const struct build_request *request;
    char **names; /* the tags as full references */
    size_t name_count;
    struct build_inputs *inputs;
    struct buf text;
    struct dockerfile *file;
    struct build_plans plans;
    struct build_ahead *ahead;
    struct build_solution *solutions; /* one a plan; NULL: not yet */
};

static void solutions_release(struct build *b)
{
    for (size_t i = 0; b->solutions && i < b->plans.count; i++)
        build_solution_release(&b->solutions[i]);
    free(b->solutions);
    b->solutions = NULL;
}

static void build_release(struct build *b)
{
    build_ahead_free(b->ahead);
    solutions_release(b);
    build_plans_release(&b->plans);
    dockerfile_free(b->file);
    build_inputs_free(b->inputs);
    buf_release(&b->text);
    for (size_t i = 0; i < b->name_count; i++)
        free(b->names[i]);
    free(b->names);
}

static int read_names(struct build *b, struct error *err)
{
    b->names = base_alloc_array(b->request->tag_count + 1, sizeof(char *));
    for (size_t i = 0; i < b->request->tag_count; i++) {
        b->names[i] = registry_reference_normalize(view_of(b->request->tags[i]), err);
        if (!b->names[i])
            return error_wrap(err, "invalid tag \"%s\"", b->request->tags[i]);
        b->name_count = i + 1;
    }
    return 0;
}

static int read_dockerfile(struct build *b, struct error *err)
{
    const char *name;

    b->inputs = build_inputs_new(b->env, b->request, err);
    if (!b->inputs || build_inputs_dockerfile(b->inputs, &b->text, &name, err) < 0)
        return -1;
    if (b->request->on_dockerfile)
        b->request->on_dockerfile(b->request->dockerfile_context, buf_view(&b->text));
    const struct dockerfile_parse_options how = {
        .on_error = b->request->on_syntax_error,
        .context = b->request->syntax_context,
        .syntax = build_syntax_arg(b->request),
    };
    b->file = dockerfile_parse(buf_view(&b->text), name, &how, err);
    return b->file ? 0 : -1;
}

const char *build_request_arg(const struct build_request *request, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < request->arg_count; i++)
        if (strcmp(request->args[i].name, name) == 0)
            value = request->args[i].value ? request->args[i].value : getenv(name);
    return value;
}

struct view build_syntax_arg(const struct build_request *request)
{
    return view_of(build_request_arg(request, "BUILDKIT_SYNTAX"));
}

static void warn(void *context, const struct dockerfile_finding *finding)
{
    const struct build *b = context;
    const struct dockerfile_rule_info *rule = dockerfile_rule_info(finding->rule);

    event_send(&b->env->sink, (struct event){.type = EVENT_WARNING,
                                             .name = rule->name,
                                             .text = finding->message,
                                             .pos = finding->pos});
}

/* The warnings of the Dockerfile, as docker build gives them; an error if it asks for that.
 */
static int check(struct build *b, struct error *err)
{
    const struct build_check_options options = {
        .env = b->env,
        .request = b->request,
        .inputs = b->inputs,
        .file = b->file,
        .plan = &b->plans.items[0],
        .on_finding = warn,
        .context = b,
    };

    return build_check(&options, NULL, err);
}

int build_explain(const struct build_environment *env,
                  const struct build_request *request,
                  struct build_explanation *out,
                  struct error *err)
{
    struct build b = {
        .env = env, .request = request, .text = BUF_INIT(LIMIT_DOCKERFILE_SIZE)};
    int status = -1;

    *out = (struct build_explanation){0};
    if (read_dockerfile(&b, err) == 0 &&
        build_plans_make(env, request, b.inputs, b.file, &b.plans, err) == 0)
        status = build_solve_explain(env, request, &b.plans, out, err);
    build_release(&b);
    return status;
}

/* The steps, and beside them what can be sent of their layers already. */
static int solve(struct build *b, struct error *err)
{
    struct build_environment env = *b->env;

    if (build_publish_check(b->env, b->request, &b->plans, b->name_count, err) < 0 ||
        build_ahead_new(b->env, b->request, &b->plans, (const char *const *)b->names,
                        b->name_count, &b->ahead, err) < 0)
        return -1;
    env.watch = build_ahead_watch(b->ahead);
    b->solutions = base_alloc_array(b->plans.count, sizeof *b->solutions);
    return build_solve(&env, b->request, &b->plans, b->solutions, err);
}

/* Steps and outputs. What another cache promised and did not keep is bad from then on: then
 * all is done again without it, mostly out of the store's own records. */
static int make(struct build *b, struct build_result *out, struct error *err)
{
    size_t bad;

    do {
        bad = build_cache_bad_count(b->env->cache);
        build_ahead_free(b->ahead);
        b->ahead = NULL;
        solutions_release(b);
        build_result_release(out);
        if (solve(b, err) == 0) {
            const struct build_publish from = {.env = b->env,
                                               .request = b->request,
                                               .plans = &b->plans,
                                               .solutions = b->solutions,
                                               .ahead = b->ahead,
                                               .names = (const char *const *)b->names,
                                               .name_count = b->name_count};

            if (build_publish(&from, out, err) == 0)
                return 0;
        }
    } while (build_cache_retries(b->env->cache, bad, err));
    return -1;
}

/* What is known of other caches, for as long as there are layers of theirs. */
static int open_cache(struct build_environment *env,
                      const struct build_request *request,
                      struct error *err)
{
    struct registry_platform platform = registry_platform_host();

    if (request->platform_count > 0 &&
        registry_platform_parse(view_of(request->platforms[0]), &platform, err) < 0)
        return -1;
    env->cache =
        build_cache_new(env, request->cache_from, request->cache_from_count, &platform);
    return 0;
}

static void keep_provenance(const struct build *b, struct build_result *result)
{
    const struct build_provenance p = {.env = b->env,
                                       .request = b->request,
                                       .inputs = b->inputs,
                                       .dockerfile = buf_view(&b->text),
                                       .plans = &b->plans,
                                       .solutions = b->solutions,
                                       .result = result,
                                       .names = (const char *const *)b->names,
                                       .name_count = b->name_count};

    if (b->env->journal)
        snprintf(result->build, sizeof result->build, "%s",
                 build_journal_id(b->env->journal));
    build_provenance_keep(&p);
}

/* One build, told to the journal. */
static int perform(const struct build_environment *env,
                   const struct build_request *request,
                   struct build_result *out,
                   struct error *err)
{
    uint32_t step_count = 0;
    struct build_environment inner = *env;
    struct build b = {
        .env = &inner, .request = request, .text = BUF_INIT(LIMIT_DOCKERFILE_SIZE)};
    int status = -1;

    inner.step_count = &step_count;
    if (open_cache(&inner, request, err) == 0 && read_names(&b, err) == 0 &&
        read_dockerfile(&b, err) == 0 &&
        build_plans_make(&inner, request, b.inputs, b.file, &b.plans, err) == 0 &&
        check(&b, err) == 0)
        status = make(&b, out, err);
    if (status == 0 && out->has_image)
        keep_provenance(&b, out);
    if (status == 0) {
        build_cache_adopt(&inner, &b.solutions[0]);
        out->cache = build_cache_export_new(&inner, request, &b.plans, b.solutions,
                                            (const char *const *)b.names, b.name_count);
    }
    build_release(&b);
    build_cache_free(inner.cache);
    return status;
}

int build_run(const struct build_environment *env,
              const struct build_request *request,
              struct build_result *out,
              struct error *err)
{
    struct build_journal *journal = build_journal_new(env->store, request, &env->sink);
    struct build_environment inner = *env;
    int status;

    *out = (struct build_result){0};
    inner.sink = build_journal_sink(journal);
    inner.journal = journal;
    status = perform(&inner, request, out, err);
    build_journal_finish(journal, out, status < 0 ? err : NULL);
    if (status < 0)
        build_result_release(out);
    snprintf(out->build, sizeof out->build, "%s", build_journal_id(journal));
    out->is_kept = build_journal_has_state(journal);
    build_journal_free(journal);
    return status;
}
