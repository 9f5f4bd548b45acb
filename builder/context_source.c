#include "builder/context_source.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/context_tar.h"
#include "builder/remote.h"
#include "cas/blob.h"
#include "registry/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* BuildKit's name of what it fetched by a URL. */
#define FETCHED "context"

/* So much of a file tells what it is. */
#define HEAD_SIZE 512

struct build_context_source {
    const struct build_environment *env;
    char *shown;
    struct context_tar *tar;     /* an archive, or one file */
    struct build_remote *remote; /* a repository's holds its tree */
    const char *directory;       /* of a repository; the remote's */
    struct build_context_checkout checkout;
    struct build_context *raw; /* all of the directory */
    bool is_dockerfile;
};

/* --- Archives --- */

/* Copies the rest of standard input behind what was read of it already. */
static int spool_input(const struct build_environment *env,
                       struct view head,
                       struct error *err)
{
    enum { CHUNK = 1 << 18 };
    CLEANUP(fd_closep)
    int fd = fs_open_at(cas_store_fd(env->store), ".", O_TMPFILE | O_RDWR, 0600, err);
    CLEANUP(base_freep) char *chunk = base_alloc(CHUNK);
    uint64_t size = head.size;

    if (fd < 0 || fs_write_all(fd, head.data, head.size, err) < 0)
        return -1;
    for (;;) {
        const ssize_t got = read(STDIN_FILENO, chunk, CHUNK);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_sys(err, "read standard input");
        if (got == 0)
            return fd_take(&fd);
        size += (uint64_t)got;
        if (size > LIMIT_FETCH_SIZE)
            return error_set(err, ERROR_LIMIT, "it has more than %ju bytes",
                             (uintmax_t)LIMIT_FETCH_SIZE);
        if (fs_write_all(fd, chunk, (size_t)got, err) < 0)
            return -1;
    }
}

/* `fd` is consumed. */
static int open_tar(struct build_context_source *s, int fd, struct error *err)
{
    CLEANUP(fd_closep) int owned = fd;

    s->tar = owned < 0 ? NULL : context_tar_open(cas_store_fd(s->env->store), owned, err);
    return s->tar ? 0 : -1;
}

static int read_head(int fd, char *head, size_t *size, struct error *err)
{
    ssize_t got;

    for (*size = 0; *size < HEAD_SIZE; *size += (size_t)got) {
        got = pread(fd, head + *size, HEAD_SIZE - *size, (off_t)*size);
        if (got < 0)
            return error_sys(err, "read");
        if (got == 0)
            break;
    }
    return 0;
}

static int open_file(struct build_context_source *s, const char *path, struct error *err)
{
    CLEANUP(fd_closep) int fd = fs_open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, err);
    char head[HEAD_SIZE];
    size_t size;

    if (fd < 0 || read_head(fd, head, &size, err) < 0)
        return -1;
    if (!context_tar_is_archive((struct view){head, size}))
        return error_set(err, ERROR_INVALID, "it is neither a directory nor an archive");
    return open_tar(s, fd_take(&fd), err);
}

/* --- From elsewhere --- */

/* An archive, or a Dockerfile and nothing besides. */
static int open_fetched(struct build_context_source *s, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    CLEANUP(fd_closep) int fd = -1;
    char head[HEAD_SIZE];
    struct digest blob;
    size_t size;

    if (build_remote_blob(s->remote, &blob, err) < 0)
        return -1;
    fd = cas_blob_open(s->env->store, &blob, err);
    if (fd < 0 || read_head(fd, head, &size, err) < 0)
        return -1;
    if (context_tar_is_archive((struct view){head, size}))
        return open_tar(s, fd_take(&fd), err);
    if (fs_read_all(fd, &text, err) < 0)
        return error_wrap(err, "it is no archive, so it is taken for a Dockerfile");
    s->is_dockerfile = true;
    s->tar = context_tar_of_file(FETCHED, buf_view(&text));
    return 0;
}

static int open_repository(struct build_context_source *s, struct error *err)
{
    if (build_remote_directory(s->remote, &s->directory, &s->checkout.has_time,
                               &s->checkout.time, err) < 0)
        return -1;
    s->raw =
        build_context_open_checkout(s->env->store, s->directory, &s->checkout, NULL, err);
    return s->raw ? 0 : -1;
}

static int open_remote(struct build_context_source *s,
                       const struct build_request *request,
                       const char *text,
                       struct error *err)
{
    const struct build_remote_options options = {
        .env = s->env, .request = request, .source = text, .is_context = true};

    s->remote = build_remote_new(&options, err);
    if (!s->remote)
        return -1;
    return build_remote_kind_of(s->remote) == BUILD_REMOTE_GIT ? open_repository(s, err)
                                                               : open_fetched(s, err);
}

/* --- All of them --- */

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int open_as(struct build_context_source *s,
                   const struct build_request *request,
                   const char *text,
                   enum build_remote_kind kind,
                   struct error *err)
{
    if (kind != BUILD_REMOTE_NONE)
        return open_remote(s, request, text, err);
    if (strcmp(text, "-") == 0)
        return open_tar(s, spool_input(s->env, request->context_head, err), err);
    return open_file(s, text, err);
}

int build_context_source_open(const struct build_environment *env,
                              const struct build_request *request,
                              const char *text,
                              struct build_context_source **out,
                              struct error *err)
{
    enum build_remote_kind kind = BUILD_REMOTE_NONE;
    struct build_context_source *s;
    struct stat st;

    *out = NULL;
    /* A directory may be called github.com/x: what is there comes first. */
    if (stat(text, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    if (build_remote_kind(text, true, &kind, err) < 0)
        return error_wrap(err, "build context");
    if (kind == BUILD_REMOTE_NONE && strcmp(text, "-") != 0 && !is_file(text))
        return 0;
    if (!env->store || !env->registry)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the context %s has to be read into a store, and there is none",
                         text);
    s = base_alloc(sizeof *s);
    s->env = env;
    s->shown = strcmp(text, "-") == 0 ? base_strdup("on standard input")
                                      : registry_fetch_shown(text);
    if (open_as(s, request, text, kind, err) < 0) {
        error_wrap(err, "build context %s", s->shown);
        build_context_source_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void build_context_source_free(struct build_context_source *s)
{
    if (!s)
        return;
    build_context_close(s->raw);
    context_tar_free(s->tar);
    build_remote_free(s->remote);
    free(s->shown);
    free(s);
}

const char *build_context_source_dockerfile(const struct build_context_source *s)
{
    return s->is_dockerfile ? FETCHED : NULL;
}

static int read_content(const struct build_tree *tree,
                        const struct build_tree_entry *e,
                        struct buf *out,
                        struct error *err)
{
    struct cas_content content;
    CLEANUP(fd_closep) int fd = -1;

    if (tree->open(tree->self, &e->place, &content, err) < 0)
        return -1;
    fd = content.fd;
    if (fd >= 0)
        return fs_read_all(fd, out, err);
    buf_append_view(out, content.memory);
    return buf_ok(out, "file", err);
}

int build_context_source_read(struct build_context_source *s,
                              const char *path,
                              bool *found,
                              struct buf *out,
                              struct error *err)
{
    const struct build_tree *tree =
        s->tar ? context_tar_tree(s->tar) : build_context_tree(s->raw);
    struct build_tree_entry e;

    if (build_tree_resolve(tree, view_of(path), true, found, &e, NULL, err) < 0)
        return error_wrap(err, "%s", path);
    if (!*found)
        return 0;
    if (e.entry.type != CAS_ENTRY_FILE)
        return error_set(err, ERROR_INVALID, "%s is no file", path);
    return read_content(tree, &e, out, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

struct build_context *build_context_source_take(struct build_context_source *s,
                                                struct dockerfile_ignore *ignore,
                                                struct error *err)
{
    struct context_tar *tar = s->tar;

    if (!tar) {
        build_context_close(s->raw);
        s->raw = NULL;
        return build_context_open_checkout(s->env->store, s->directory, &s->checkout,
                                           ignore, err);
    }
    s->tar = NULL;
    return build_context_open_tar(tar, s->shown, ignore, err);
}

char *build_context_source_pinned(const struct build_context_source *s)
{
    char *path;

    if (s->remote)
        return build_remote_pinned(s->remote);
    path = realpath(s->shown, NULL);
    return path ? path : base_strdup(s->shown);
}

const char *build_context_source_commit(const struct build_context_source *s)
{
    return s->remote ? build_remote_commit(s->remote) : NULL;
}
