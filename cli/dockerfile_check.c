#include "cli/dockerfile_check.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/check.h"
#include "builder/inputs.h"
#include "cli/output.h"
#include "parser/dockerfile.h"

static void inputs_freep(struct build_inputs **inputs)
{
    build_inputs_free(*inputs);
}

/* Checks look at images of the store if there is a store; without one they know less. */
static struct build_environment environment_of(struct cli_session *session)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    return (struct build_environment){.store = cli_session_store(session, &ignored),
                                      .registry = cli_session_registry(session)};
}

struct dockerfile *cli_dockerfile_of_context(struct cli_session *session,
                                             const struct build_request *request,
                                             struct buf *text,
                                             struct error *err)
{
    const struct build_environment env = environment_of(session);
    CLEANUP(inputs_freep)
    struct build_inputs *inputs = build_inputs_new(&env, request, err);
    const struct dockerfile_parse_options how = {.syntax = build_syntax_arg(request)};
    const char *name = NULL;

    if (inputs == NULL || build_inputs_dockerfile(inputs, text, &name, err) < 0)
        return NULL;
    return dockerfile_parse(buf_view(text), "Dockerfile", &how, err);
}

static int findings_collect(const struct cli_dockerfile_check *check,
                            const struct build_environment *env,
                            struct build_inputs *inputs,
                            const struct dockerfile *file,
                            struct cli_diagnostics *list,
                            struct error *err)
{
    const struct build_check_options options = {
        .env = env,
        .request = check->request,
        .inputs = inputs,
        .file = file,
        .extra = check->extra,
        .on_finding = cli_diagnostics_finding,
        .context = list,
    };

    return build_check(&options, NULL, err);
}

static int text_check(const struct cli_dockerfile_check *check,
                      const struct build_environment *env,
                      struct build_inputs *inputs,
                      struct view text,
                      const char *name,
                      struct cli_diagnostics *list,
                      struct error *err)
{
    const struct dockerfile_parse_options how = {
        .on_error = cli_diagnostics_error,
        .context = list,
        .syntax = build_syntax_arg(check->request),
    };
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, name, &how, err);

    return file != NULL ? findings_collect(check, env, inputs, file, list, err) : -1;
}

int cli_dockerfile_check(const struct cli_dockerfile_check *check,
                         size_t *findings,
                         struct error *err)
{
    CLEANUP(cli_diagnostics_release) struct cli_diagnostics list = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(buf_release) struct buf report = BUF_INIT((size_t)1 << 30);
    const struct build_environment env = environment_of(check->session);
    CLEANUP(inputs_freep)
    struct build_inputs *inputs = build_inputs_new(&env, check->request, err);
    const char *name = NULL;

    if (inputs == NULL || build_inputs_dockerfile(inputs, &text, &name, err) < 0)
        return -1;
    const int code = text_check(check, &env, inputs, buf_view(&text), name, &list, err);
    /* What is wrong elsewhere, as in .dockerignore, leaves nothing to report. */
    if (code < 0 && list.count == 0)
        return -1;

    const char *const path = check->source->path != NULL ? check->source->path : name;
    struct cli_diagnostics_source source = {
        .name = name,
        .path = strncmp(path, "./", 2) == 0 ? path + 2 : path,
        .text = buf_view(&text),
    };
    cli_diagnostics_sort(&list);
    cli_diagnostics_print(&list, check->format, &source, &report);
    if (buf_ok(&report, "report", err) < 0)
        return -1;
    cli_output_buf(&report);
    *findings = 0;
    for (size_t i = 0; i < list.count; i++)
        *findings += list.items[i].rule != NULL;
    return code;
}
