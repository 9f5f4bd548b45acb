/*
 * Contexts, their .dockerignore, and the Dockerfile that lies in or beside one.
 */
#include "builder/inputs_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/ignore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void inputs_main_release(struct build_inputs *in)
{
    build_context_close(in->context);
    build_context_source_free(in->source);
    free(in->dockerfile);
    free(in->ignore_name);
    buf_release(&in->ignore_text);
}

/* --- The Dockerfile --- */

static int open_main(struct build_inputs *in, struct error *err)
{
    const char *context = in->request->context;

    if (in->is_opened || !context)
        return 0;
    in->is_opened = true;
    return build_context_source_open(in->env, in->request, context, &in->source, err);
}

/* Dockerfile, or dockerfile if there is only that one, as BuildKit. */
static int read_source_default(struct build_inputs *in,
                               bool *found,
                               struct buf *text,
                               struct error *err)
{
    static const char *const names[] = {"Dockerfile", "dockerfile"};
    const char *only = build_context_source_dockerfile(in->source);

    *found = false;
    for (size_t i = 0; i < ARRAY_COUNT(names) && !*found; i++) {
        free(in->dockerfile);
        in->dockerfile = base_strdup(only ? only : names[i]);
        if (build_context_source_read(in->source, in->dockerfile, found, text, err) < 0)
            return -1;
    }
    return 0;
}

static int read_from_source(struct build_inputs *in, struct buf *text, struct error *err)
{
    const char *typed = in->request->dockerfile;
    bool found;

    if (!typed && read_source_default(in, &found, text, err) < 0)
        return -1;
    if (typed) {
        in->dockerfile = base_strdup(typed);
        if (build_context_source_read(in->source, typed, &found, text, err) < 0)
            return -1;
    }
    return found ? 0
                 : error_set(err, ERROR_NOT_FOUND,
                             "the build context %s holds no file %s; -f names another",
                             in->request->context, typed ? typed : "Dockerfile");
}

static int read_from_directory(struct build_inputs *in, struct buf *text, struct error *err)
{
    const struct build_request *r = in->request;
    CLEANUP(fd_closep) int fd = -1;

    if (r->dockerfile)
        in->dockerfile = base_strdup(r->dockerfile);
    else
        in->dockerfile = r->context ? base_format("%s/Dockerfile", r->context)
                                    : base_strdup("Dockerfile");
    fd = fs_open_at(AT_FDCWD, in->dockerfile, O_RDONLY, 0, err);
    if (fd < 0 || fs_read_all(fd, text, err) < 0)
        return error_wrap(err, "failed to read dockerfile %s", in->dockerfile);
    return 0;
}

/* What an error's position says: it outlives the inputs, but not the request. */
static const char *shown_name(const struct build_inputs *in)
{
    if (in->request->dockerfile)
        return path_base(view_of(in->request->dockerfile)).data;
    return view_eq_text(path_base(view_of(in->dockerfile)), "dockerfile") ? "dockerfile"
                                                                          : "Dockerfile";
}

int build_inputs_dockerfile(struct build_inputs *in,
                            struct buf *text,
                            const char **name,
                            struct error *err)
{
    const struct build_request *r = in->request;

    *name = "Dockerfile";
    if (r->dockerfile_text.data) {
        in->dockerfile = base_strdup(r->dockerfile);
        buf_append(text, r->dockerfile_text.data, r->dockerfile_text.size);
        return open_main(in, err);
    }
    if (r->dockerfile && strcmp(r->dockerfile, "-") == 0)
        return fs_read_all(STDIN_FILENO, text, err) < 0
                   ? error_wrap(err, "Dockerfile on standard input")
                   : open_main(in, err);
    if (open_main(in, err) < 0)
        return -1;
    if ((in->source ? read_from_source(in, text, err)
                    : read_from_directory(in, text, err)) < 0)
        return -1;
    *name = shown_name(in);
    return 0;
}

/* --- .dockerignore --- */

/* Reads the file if it exists; *found tells. A directory of that name ignores nothing. */
static int read_ignore(const char *path, bool *found, struct buf *out, struct error *err)
{
    struct stat st;

    *found = stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
    return *found ? fs_read_file_at(AT_FDCWD, path, out, err) : 0;
}

/* `directory` (or a source in its place) and the Dockerfile's path; *name gets what was
 * read (malloc'ed), NULL if there is none. */
static int find_ignore(struct build_context_source *source,
                       const char *directory,
                       const char *dockerfile,
                       char **name,
                       struct buf *out,
                       struct error *err)
{
    CLEANUP(base_freep)
    char *beside = dockerfile ? base_format("%s.dockerignore", dockerfile) : NULL;
    CLEANUP(base_freep)
    char *plain =
        source ? base_strdup(".dockerignore") : base_format("%s/.dockerignore", directory);
    char **const paths[] = {&beside, &plain};
    bool found = false;

    *name = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(paths) && !found; i++) {
        const char *path = *paths[i];

        if (!path)
            continue;
        if ((source ? build_context_source_read(source, path, &found, out, err)
                    : read_ignore(path, &found, out, err)) < 0)
            return -1;
        if (found)
            *name = view_dup(path_base(view_of(path)));
    }
    return 0;
}

/* Once: an archive that became the context cannot be asked again. */
static int load_main_ignore(struct build_inputs *in, struct error *err)
{
    if (in->ignore_is_read)
        return 0;
    buf_init(&in->ignore_text, LIMIT_DOCKERIGNORE_SIZE);
    if (find_ignore(in->source, in->request->context, in->dockerfile, &in->ignore_name,
                    &in->ignore_text, err) < 0)
        return -1;
    in->ignore_is_read = true;
    return 0;
}

/* The line goes into the message: the position is for the Dockerfile's. */
static struct dockerfile_ignore *parse_ignore(const struct buf *text,
                                              const char *name,
                                              struct error *err)
{
    struct dockerfile_ignore *set = dockerfile_ignore_parse(buf_view(text), name, err);

    if (!set && err->pos.line > 0) {
        error_wrap(err, "%s:%u", name, err->pos.line);
        err->pos = (struct source_pos){0};
    }
    return set;
}

int build_inputs_ignore(struct build_inputs *in,
                        struct dockerfile_ignore **out,
                        struct error *err)
{
    *out = NULL;
    if (!in->request->context)
        return 0;
    if (load_main_ignore(in, err) < 0)
        return -1;
    if (!in->ignore_name)
        return 0;
    *out = parse_ignore(&in->ignore_text, in->ignore_name, err);
    return *out ? 0 : -1;
}

const char *build_inputs_ignore_name(const struct build_inputs *in)
{
    return in->ignore_name;
}

/* --- Contexts --- */

/* `ignore` is consumed. */
static struct build_context *open_main_context(struct build_inputs *in,
                                               struct dockerfile_ignore *ignore,
                                               struct error *err)
{
    in->context =
        in->source ? build_context_source_take(in->source, ignore, err)
                   : build_context_open(in->env->store, in->request->context, ignore, err);
    return in->context;
}

struct build_context *build_inputs_context(struct build_inputs *in, struct error *err)
{
    struct dockerfile_ignore *ignore;

    if (in->context)
        return in->context;
    if (!in->request->context) {
        error_set(err, ERROR_INVALID, "this build has no context to take files from");
        return NULL;
    }
    if (open_main(in, err) < 0 || build_inputs_ignore(in, &ignore, err) < 0)
        return NULL;
    return open_main_context(in, ignore, err);
}

struct build_context *build_inputs_whole_context(struct build_inputs *in, struct error *err)
{
    if (open_main(in, err) < 0)
        return NULL;
    return open_main_context(in, NULL, err);
}

static int named_ignore(const struct named *n,
                        struct dockerfile_ignore **out,
                        struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERIGNORE_SIZE);
    CLEANUP(base_freep) char *name = NULL;

    *out = NULL;
    if (find_ignore(n->source, n->value, NULL, &name, &text, err) < 0)
        return -1;
    if (!name)
        return 0;
    *out = parse_ignore(&text, name, err);
    return *out ? 0 : -1;
}

struct build_context *inputs_named_context(struct build_inputs *in,
                                           struct named *n,
                                           struct error *err)
{
    struct dockerfile_ignore *ignore;

    if (n->context)
        return n->context;
    if (strcmp(n->value, "-") == 0) {
        error_set(err, ERROR_INVALID, "standard input can be the main context only");
        return NULL;
    }
    if (!n->source &&
        build_context_source_open(in->env, in->request, n->value, &n->source, err) < 0)
        return NULL;
    if (named_ignore(n, &ignore, err) < 0)
        return NULL;
    n->context = n->source ? build_context_source_take(n->source, ignore, err)
                           : build_context_open(in->env->store, n->value, ignore, err);
    return n->context;
}
