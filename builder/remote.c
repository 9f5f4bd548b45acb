#include "builder/remote_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "registry/fetch.h"

#include <stdlib.h>
#include <string.h>

/* BuildKit's name of a file whose URL has none. */
#define UNNAMED "__unnamed__"

static bool is_http(const char *source)
{
    return strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0;
}

int build_remote_kind(const char *source,
                      bool is_context,
                      enum build_remote_kind *out,
                      struct error *err)
{
    const enum build_git_url_flags flags =
        is_context ? BUILD_GIT_URL_CONTEXT : BUILD_GIT_URL_SOURCE;
    struct build_git_url url;
    bool is_git;

    if (build_git_url_parse(source, flags, &is_git, &url, err) < 0)
        return -1;
    if (is_git)
        build_git_url_release(&url);
    *out = is_git            ? BUILD_REMOTE_GIT
           : is_http(source) ? BUILD_REMOTE_FILE
                             : BUILD_REMOTE_NONE;
    return 0;
}

/* --- New --- */

/* The last component of the URL's path. */
static char *name_of(const char *shown)
{
    const char *begin = strstr(shown, "://") + 3;
    const char *path = begin + strcspn(begin, "/?#");
    const struct view all = {path, strcspn(path, "?#")};
    CLEANUP(base_freep) char *clean = path_clean_rooted(all);
    CLEANUP(base_freep) char *name = build_url_decode(path_base(view_of(clean)));

    /* An encoded slash or ".." is part of no name. */
    if (!name || *name == '\0' || strchr(name, '/') || strcmp(name, "..") == 0 ||
        strcmp(name, ".") == 0)
        return base_strdup(UNNAMED);
    return base_strdup(name);
}

static int read_checksum(struct build_remote *r, const char *checksum, struct error *err)
{
    struct build_git_url *u = &r->url;

    if (!checksum)
        return 0;
    if (r->kind == BUILD_REMOTE_FILE)
        return digest_parse(view_of(checksum), &r->want, err) < 0
                   ? error_wrap(err, "--checksum=%s", checksum)
                   : 0;
    if (strspn(checksum, "0123456789abcdefABCDEF") != strlen(checksum))
        return error_set(err, ERROR_INVALID,
                         "invalid checksum %s for Git URL, expected hex commit hash",
                         checksum);
    if (*u->checksum && strcmp(u->checksum, checksum) != 0)
        return error_set(err, ERROR_INVALID, "checksum mismatch \"%s\" != \"%s\"", checksum,
                         u->checksum);
    free(u->checksum);
    u->checksum = base_strdup(checksum);
    return 0;
}

static int open_git(struct build_remote *r,
                    const struct build_remote_options *o,
                    struct error *err)
{
    struct build_git_url *u = &r->url;
    const bool keep = u->has_keep_git_dir ? u->keep_git_dir : o->keep_git_dir;

    if (u->has_keep_git_dir && o->has_keep_git_dir && u->keep_git_dir != o->keep_git_dir)
        return error_set(err, ERROR_INVALID, "inconsistent keep-git-dir configuration");
    r->shown = base_strdup(o->source);
    r->path = base_strdup("/");
    if (read_checksum(r, o->checksum, err) < 0)
        return -1;
    const struct build_git_options options = {
        .env = o->env,
        .request = o->request,
        .url = u,
        /* As BuildKit: a part of a repository is none. */
        .keep_git_dir = keep && *u->subdir == '\0',
    };
    r->git = build_git_new(&options);
    free(r->shown);
    r->shown = base_strdup(u->shown);
    return 0;
}

static int open_file(struct build_remote *r,
                     const struct build_remote_options *o,
                     struct error *err)
{
    r->kind = BUILD_REMOTE_FILE;
    r->shown = registry_fetch_shown(o->source);
    r->path = name_of(r->shown);
    return read_checksum(r, o->checksum, err);
}

struct build_remote *build_remote_new(const struct build_remote_options *o,
                                      struct error *err)
{
    const enum build_git_url_flags flags =
        o->is_context ? BUILD_GIT_URL_CONTEXT : BUILD_GIT_URL_SOURCE;
    struct build_remote *r = base_alloc(sizeof *r);
    bool is_git;
    int status;

    r->env = o->env;
    r->request = o->request;
    r->source = base_strdup(o->source);
    pthread_mutex_init(&r->lock, NULL);
    status = build_git_url_parse(o->source, flags, &is_git, &r->url, err);
    if (status == 0) {
        r->kind = is_git ? BUILD_REMOTE_GIT : BUILD_REMOTE_FILE;
        status = is_git ? open_git(r, o, err) : open_file(r, o, err);
    }
    if (status == 0)
        return r;
    build_remote_free(r);
    return NULL;
}

void build_remote_free(struct build_remote *r)
{
    if (!r)
        return;
    build_context_close(r->context);
    build_git_free(r->git);
    build_git_url_release(&r->url);
    free(r->shown);
    free(r->path);
    if (r->source)
        explicit_bzero(r->source, strlen(r->source));
    free(r->source);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum build_remote_kind build_remote_kind_of(const struct build_remote *r)
{
    return r->kind;
}

const char *build_remote_shown(const struct build_remote *r)
{
    return r->shown;
}

const char *build_remote_path(const struct build_remote *r)
{
    return r->path;
}

/* --- Asking --- */

int build_remote_key(struct build_remote *r, struct digest *out, struct error *err)
{
    int status = 0;

    pthread_mutex_lock(&r->lock);
    if (!r->has_key) {
        status = r->kind == BUILD_REMOTE_GIT ? build_git_resolve(r->git, &r->key, err)
                                             : remote_file_resolve(r, err);
        r->has_key = status == 0;
    }
    *out = r->key;
    pthread_mutex_unlock(&r->lock);
    return status;
}

bool build_remote_is_quick(struct build_remote *r)
{
    return r->kind == BUILD_REMOTE_GIT || remote_file_is_known(r);
}

int build_remote_blob(struct build_remote *r, struct digest *out, struct error *err)
{
    struct digest key;

    if (build_remote_key(r, &key, err) < 0)
        return -1;
    *out = r->blob;
    return 0;
}

int build_remote_directory(struct build_remote *r,
                           const char **path,
                           bool *has_time,
                           struct timespec *time,
                           struct error *err)
{
    int status;

    *has_time = !r->url.times_of_checkout;
    pthread_mutex_lock(&r->lock);
    status = build_git_checkout(r->git, path, time, err);
    pthread_mutex_unlock(&r->lock);
    return status;
}

static struct build_tree *git_tree(struct build_remote *r, struct error *err)
{
    struct build_context_checkout checkout;
    const char *path;

    if (!r->context) {
        if (build_git_checkout(r->git, &path, &checkout.time, err) < 0)
            return NULL;
        checkout.has_time = !r->url.times_of_checkout;
        r->context = build_context_open_checkout(r->env->store, path, &checkout, NULL, err);
    }
    return r->context ? build_context_tree(r->context) : NULL;
}

struct build_tree *build_remote_tree(struct build_remote *r, struct error *err)
{
    struct build_tree *tree;
    struct digest key;

    if (build_remote_key(r, &key, err) < 0)
        return NULL;
    if (r->kind == BUILD_REMOTE_FILE)
        return &r->tree;
    pthread_mutex_lock(&r->lock);
    tree = git_tree(r, err);
    pthread_mutex_unlock(&r->lock);
    return tree;
}

const char *build_remote_commit(const struct build_remote *r)
{
    return r->git ? build_git_commit(r->git) : NULL;
}

char *build_remote_pinned(const struct build_remote *r)
{
    const char *commit = build_remote_commit(r);

    if (!commit)
        return base_strdup(r->shown);
    return base_format("%s#%s%s%s", r->url.shown, commit, *r->url.subdir ? ":" : "",
                       r->url.subdir);
}
