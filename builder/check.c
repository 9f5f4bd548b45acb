#include "builder/check.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/graph.h"
#include "builder/inputs.h"
#include "builder/plan.h"
#include "parser/dockerfile.h"
#include "parser/ignore.h"
#include "parser/outline.h"
#include "registry/platform.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const struct build_check_options *options;
    struct registry_platform target;
    struct dockerfile_ignore *ignore;
    struct build_image **images; /* of each stage, found in the store */
    bool *looked;                /* was the store asked for it? */
    bool *needed;                /* by request->target; NULL: all are */
    struct registry_platform_text expected;
    struct registry_platform_text actual;
};

static void check_release(struct check *c)
{
    for (size_t i = 0; c->images && i < c->options->file->stage_count; i++)
        build_image_free(c->images[i]);
    free(c->images);
    free(c->looked);
    free(c->needed);
    dockerfile_ignore_free(c->ignore);
}

/* --- Build arguments --- */

static bool find_build_arg(void *context, struct view name, struct view *value)
{
    const struct check *c = context;
    const struct build_request *r = c->options->request;
    bool found = false;

    for (size_t i = 0; i < r->arg_count; i++) {
        const char *text = r->args[i].value ? r->args[i].value : getenv(r->args[i].name);

        if (!text || !view_eq_text(name, r->args[i].name))
            continue;
        *value = view_of(text);
        found = true;
    }
    return found;
}

/* --- Base images --- */

static struct registry_platform platform_of(const struct check *c,
                                            const struct dockerfile_base *base)
{
    struct error ignored = ERROR_INIT; /* a build says what is wrong with it */
    struct registry_platform platform;

    if (base->platform.size > 0 &&
        registry_platform_parse(base->platform, &platform, &ignored) == 0)
        return platform;
    error_clear(&ignored);
    return c->target;
}

static const struct build_image *find_image(struct check *c,
                                            const struct dockerfile_base *base)
{
    struct error ignored = ERROR_INIT; /* what cannot be looked at is not known */
    const struct registry_platform platform = platform_of(c, base);

    if (c->options->plan)
        return c->options->plan->stages[base->stage].image;
    if (!c->options->env->store || c->looked[base->stage])
        return c->images[base->stage];
    c->looked[base->stage] = true;
    CLEANUP(base_freep) char *name = view_dup(base->image);
    if (build_inputs_find_image(c->options->inputs, name, &platform,
                                &c->images[base->stage], &ignored) < 0)
        error_clear(&ignored);
    return c->images[base->stage];
}

static bool base_env(void *context,
                     const struct dockerfile_base *base,
                     void (*add)(void *add_context, struct view name, struct view value),
                     void *add_context)
{
    const struct build_image *image = find_image(context, base);
    const struct doc *env = image ? doc_get(doc_get(image->config, "config"), "Env") : NULL;

    for (size_t i = 0; i < doc_count(env); i++) {
        struct view name, value;

        view_cut(doc_view(doc_at(env, i)), '=', &name, &value);
        add(add_context, name, value);
    }
    return image != NULL;
}

static bool base_mismatch(void *context,
                          const struct dockerfile_base *base,
                          struct view *expected,
                          struct view *actual)
{
    struct check *c = context;
    const struct registry_platform want = platform_of(c, base);
    const struct build_image *image = find_image(c, base);
    struct error ignored = ERROR_INIT; /* a config without a platform promises none */
    struct registry_platform have;

    if (!image || registry_platform_from_doc(image->config, &have, &ignored) < 0) {
        error_clear(&ignored);
        return false;
    }
    c->expected = registry_platform_format(&want);
    c->actual = registry_platform_format(&have);
    *expected = view_of(c->expected.text);
    *actual = view_of(c->actual.text);
    return strcmp(want.os, have.os) != 0 ||
           strcmp(want.architecture, have.architecture) != 0;
}

/* --- The context --- */

static void context_list(void *context,
                         struct view directory,
                         void (*add)(void *add_context, struct view name),
                         void *add_context)
{
    const struct check *c = context;
    struct error ignored = ERROR_INIT; /* a source that is missing or no directory */
    CLEANUP(base_freep)
    char *path = directory.size ? view_dup(directory) : base_strdup(".");
    CLEANUP(fd_closep) int root = -1;
    int fd = -1;
    DIR *dir;

    if (!c->options->request->context)
        return;
    root = fs_open_at(AT_FDCWD, c->options->request->context, O_PATH | O_DIRECTORY, 0,
                      &ignored);
    if (root >= 0)
        fd = fs_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0, &ignored);
    error_clear(&ignored);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        fd_closep(&fd);
        return;
    }
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            add(add_context, view_of(entry->d_name));
    closedir(dir);
}

/* --- Which stages --- */

/* Without a plan: what --target reaches by names as they are written. */
static void find_needed(struct check *c)
{
    const struct dockerfile *file = c->options->file;
    const char *target = c->options->request->target;
    size_t stage;

    if (c->options->plan || !target || !*target)
        return;
    stage = dockerfile_stage_find(file, view_of(target));
    if (stage == file->stage_count)
        return;
    c->needed = base_alloc_array(file->stage_count + 1, sizeof *c->needed);
    dockerfile_stages_needed(file, stage, c->needed);
}

static bool stage_wanted(void *context, size_t stage)
{
    const struct check *c = context;

    if (c->options->plan)
        return c->options->plan->stages[stage].is_needed;
    return !c->needed || c->needed[stage];
}

/* --- Public --- */

static void on_finding(void *context, const struct dockerfile_finding *finding)
{
    const struct check *c = context;

    c->options->on_finding(c->options->context, finding);
}

int build_check(const struct build_check_options *options, size_t *count, struct error *err)
{
    const size_t stages = options->file->stage_count;
    const struct registry_platform host = registry_platform_host();
    CLEANUP(check_release)
    struct check c = {.options = options,
                      .target = host,
                      .images = base_alloc_array(stages + 1, sizeof(struct build_image *)),
                      .looked = base_alloc_array(stages + 1, sizeof(bool))};

    /* In place of what `# check=` says. */
    const char *arg = build_request_arg(options->request, "BUILDKIT_DOCKERFILE_CHECK");
    struct dockerfile_check_config config = {0};

    if (options->request->platform_count > 0 &&
        registry_platform_parse(view_of(options->request->platforms[0]), &c.target, err) <
            0)
        return error_wrap(err, "--platform");
    if (build_inputs_ignore(options->inputs, &c.ignore, err) < 0)
        return -1;
    if (arg && dockerfile_check_config_parse(view_of(arg), &config, err) < 0)
        return error_wrap(err, "BUILDKIT_DOCKERFILE_CHECK");
    find_needed(&c);
    const struct registry_platform_text target = registry_platform_format(&c.target);
    const struct registry_platform_text build = registry_platform_format(&host);
    const struct dockerfile_check_options how = {
        .on_finding = on_finding,
        .build_arg = find_build_arg,
        .base_env = base_env,
        .base_mismatch = base_mismatch,
        .context_list = context_list,
        .stage_wanted = stage_wanted,
        .context = &c,
        .ignore = c.ignore,
        .target_platform = target.text,
        .build_platform = build.text,
        .extra = options->extra,
        .config = arg ? &config : NULL,
    };
    return dockerfile_check(options->file, &how, count, err);
}
