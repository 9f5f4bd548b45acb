/*
 * Where the inputs of a build came from, as somebody needs it who builds again.
 */
#include "builder/inputs_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/git_url.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *build_inputs_origin(const struct build_inputs *in)
{
    const char *context = in->request->context;

    if (in->source)
        return build_context_source_pinned(in->source);
    if (!context || strcmp(context, "-") == 0)
        return base_strdup(context);
    char *path = realpath(context, NULL);
    return path ? path : base_strdup(context);
}

char *build_inputs_dockerfile_path(const struct build_inputs *in)
{
    char *path = in->dockerfile && !in->source ? realpath(in->dockerfile, NULL) : NULL;

    return path ? path : base_strdup(in->dockerfile);
}

/* --- The revision --- */

static bool read_line(const char *dir, const char *name, struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);
    CLEANUP(fd_closep) int fd = fs_open_at(AT_FDCWD, path, O_RDONLY, 0, &ignored);

    buf_clear(out);
    return fd >= 0 && fs_read_all(fd, out, &ignored) == 0 && out->size > 0;
}

static char *first_word(struct view text)
{
    struct view word, rest;

    (void)view_cut(text, '\n', &word, &rest);
    (void)view_cut(view_trim(word), ' ', &word, &rest);
    return view_dup(word);
}

/* "COMMIT refs/heads/main" a line. */
static char *find_packed(const char *git, struct view ref)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct view rest, line, commit, name;

    if (!read_line(git, "packed-refs", &text))
        return NULL;
    rest = buf_view(&text);
    while (rest.size > 0) {
        (void)view_cut(rest, '\n', &line, &rest);
        if (view_cut(line, ' ', &commit, &name) && view_eq(name, ref))
            return view_dup(commit);
    }
    return NULL;
}

/* What HEAD is, in a repository's directory. malloc'ed; NULL: not known. */
static char *head_of(const char *git)
{
    CLEANUP(buf_release) struct buf head = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct view ref, rest;

    if (!read_line(git, "HEAD", &head))
        return NULL;
    if (!view_starts(buf_view(&head), "ref: "))
        return first_word(buf_view(&head));
    (void)view_cut(view_sub(buf_view(&head), 5, head.size), '\n', &ref, &rest);
    CLEANUP(base_freep) char *name = view_dup(ref);
    return read_line(git, name, &text) ? first_word(buf_view(&text))
                                       : find_packed(git, ref);
}

/* Of the working tree that a directory lies in; the files are read, as git itself takes
 * longer than a build from the cache. Whether there are changes is not looked at: what the
 * steps copied has digests of its own. */
char *build_inputs_revision(const struct build_inputs *in)
{
    CLEANUP(base_freep) char *dir = build_inputs_origin(in);
    char *commit = NULL;

    if (in->source || !dir || *dir != '/')
        return in->source ? base_strdup(build_context_source_commit(in->source)) : NULL;
    while (*dir) {
        CLEANUP(base_freep) char *git = base_format("%s/.git", dir);

        if (access(git, F_OK) == 0) {
            commit = head_of(git);
            break;
        }
        *strrchr(dir, '/') = '\0';
    }
    if (commit && !build_git_is_commit(commit)) {
        free(commit);
        commit = NULL;
    }
    return commit;
}
