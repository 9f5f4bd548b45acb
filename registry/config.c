#include "registry/config.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What docker calls its own registry in config.json, for reasons of history. */
#define HUB_HOST   "docker.io"
#define HUB_SERVER "https://index.docker.io/v1/"

enum { FILE_AUTH, FILE_DOCKER, FILE_RUNTIME, FILE_COUNT };

struct config_file {
    char *path; /* NULL: there is no such place */
    bool is_read;
    struct doc *doc; /* NULL: there is no such file */
};

struct registry_config {
    pthread_mutex_t lock; /* guards the documents, which are one thread's at a time */
    struct config_file files[FILE_COUNT];
};

static char *environment_path(const char *variable, const char *below)
{
    const char *value = getenv(variable);

    return value && *value ? base_format("%s%s", value, below) : NULL;
}

static char *docker_path(const struct registry_config_options *options)
{
    char *path;

    if (options && options->docker_dir)
        return base_format("%s/config.json", options->docker_dir);
    path = environment_path("DOCKER_CONFIG", "/config.json");
    return path ? path : environment_path("HOME", "/.docker/config.json");
}

struct registry_config *registry_config_new(const struct registry_config_options *options)
{
    struct registry_config *c = base_alloc(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    c->files[FILE_AUTH].path = options && options->auth_file
                                   ? base_strdup(options->auth_file)
                                   : environment_path("REGISTRY_AUTH_FILE", "");
    c->files[FILE_DOCKER].path = docker_path(options);
    c->files[FILE_RUNTIME].path =
        environment_path("XDG_RUNTIME_DIR", "/containers/auth.json");
    return c;
}

void registry_config_free(struct registry_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        free(c->files[i].path);
        doc_unref(c->files[i].doc);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void registry_config_freep(struct registry_config **c)
{
    registry_config_free(*c);
    *c = NULL;
}

static int file_read(struct config_file *f, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    if (f->is_read || !f->path)
        return 0;
    if (fs_read_file_at(AT_FDCWD, f->path, &text, &failure) < 0) {
        if (!error_is(&failure, ERROR_NOT_FOUND))
            return error_move(err, &failure);
        f->is_read = true;
        return 0;
    }
    /* `touch auth.json` is how some make an empty one. */
    f->doc = view_trim(buf_view(&text)).size ? doc_parse(buf_view(&text), err)
                                             : doc_new_object();
    if (text.data)
        explicit_bzero(text.data, text.size);
    if (!f->doc)
        return error_wrap(err, "%s", f->path);
    f->is_read = true;
    return 0;
}

static void file_forget(struct config_file *f)
{
    doc_unref(f->doc);
    f->doc = NULL;
    f->is_read = false;
}

/* ---- Keys ---- */

/* "https://host/v1/" and "host" are the same registry: docker's ConvertToHostname. */
static struct view key_without_scheme(const char *key)
{
    struct view k = view_of(key);

    if (view_starts(k, "https://"))
        k = view_sub(k, 8, k.size);
    else if (view_starts(k, "http://"))
        k = view_sub(k, 7, k.size);
    return k;
}

static bool is_hub(struct view host)
{
    return view_eq_text(host, HUB_HOST) || view_eq_text(host, "index.docker.io") ||
           view_eq_text(host, "registry-1.docker.io");
}

static bool host_matches(struct view key_host, const char *host)
{
    return view_eq_text(key_host, host) ||
           (is_hub(key_host) && strcmp(host, HUB_HOST) == 0);
}

/* How much of HOST/PATH the key names: 0 does not fit, 1 the host, more for a longer path.
 */
static size_t key_fit(const char *key, const char *host, const char *path)
{
    struct view key_host, key_path;
    const struct view rest = key_without_scheme(key);

    (void)view_cut(rest, '/', &key_host, &key_path);
    if (!host_matches(key_host, host))
        return 0;
    while (key_path.size && key_path.data[key_path.size - 1] == '/')
        key_path.size--;
    if (key_path.size == 0 || rest.size != strlen(key) || view_eq_text(key_path, "v1") ||
        view_eq_text(key_path, "v2"))
        return 1;
    return path && path_has_prefix(view_of(path), key_path) ? 1 + key_path.size : 0;
}

static const struct doc *find_entry(const struct doc *object,
                                    const char *host,
                                    const char *path)
{
    const struct doc *best = NULL;
    size_t best_fit = 0;

    for (size_t i = 0; i < doc_count(object); i++) {
        const char *key;
        const struct doc *value = doc_member_at(object, i, &key);
        const size_t fit = key_fit(key, host, path);

        if (fit > best_fit) {
            best = value;
            best_fit = fit;
        }
    }
    return best;
}

static const char *server_name(const char *host)
{
    return strcmp(host, HUB_HOST) == 0 ? HUB_SERVER : host;
}

/* ---- Entries ---- */

static char *text_or_null(const struct doc *d)
{
    const char *text = doc_text(d);

    return text && *text ? base_strdup(text) : NULL;
}

/* "auth" is base 64 of "user:password", sometimes padded with NULs. */
static int read_auth(const char *auth, struct registry_credential *out, struct error *err)
{
    size_t size = 0;
    CLEANUP(registry_secret_freep)
    char *text = registry_base64_decode(view_of(auth), &size);
    char *colon = text ? strchr(text, ':') : NULL;

    if (!colon)
        return error_set(err, ERROR_INVALID, "\"auth\" is not base 64 of user:password");
    if (!out->username)
        out->username = base_strndup(text, (size_t)(colon - text));
    if (!out->password)
        out->password = base_strdup(colon + 1);
    return 0;
}

static int read_entry(const struct doc *entry,
                      struct registry_credential *out,
                      struct error *err)
{
    const char *auth = doc_text(doc_get(entry, "auth"));
    struct registry_credential c = {
        .username = text_or_null(doc_get(entry, "username")),
        .password = text_or_null(doc_get(entry, "password")),
        .identity_token = text_or_null(doc_get(entry, "identitytoken")),
        .registry_token = text_or_null(doc_get(entry, "registrytoken")),
    };

    if (auth && *auth && read_auth(auth, &c, err) < 0) {
        registry_credential_release(&c);
        return -1;
    }
    *out = c;
    return 0;
}

/* The helper that is in charge of the host according to a file; malloc'ed or NULL. */
static char *helper_for(const struct doc *config, const char *host)
{
    const char *name = doc_text(find_entry(doc_get(config, "credHelpers"), host, NULL));

    if (!name)
        name = doc_text(doc_get(config, "credsStore"));
    return name && *name ? base_strdup(name) : NULL;
}

/* What one file says: a helper to ask (*helper) and an entry of its own. */
static int look_up_locked(struct config_file *f,
                          const char *host,
                          const char *path,
                          char **helper,
                          struct registry_credential *out,
                          struct error *err)
{
    if (file_read(f, err) < 0)
        return -1;
    if (!f->doc)
        return 0;
    *helper = helper_for(f->doc, host);
    const struct doc *entry = find_entry(doc_get(f->doc, "auths"), host, path);
    if (entry && read_entry(entry, out, err) < 0)
        return error_wrap(err, "%s: credentials for %s", f->path, host);
    return 0;
}

static int find_in_file(struct registry_config *c,
                        struct config_file *f,
                        const char *host,
                        const char *path,
                        bool *found,
                        struct registry_credential *out,
                        struct error *err)
{
    CLEANUP(base_freep) char *helper = NULL;
    CLEANUP(registry_credential_release) struct registry_credential entry = {0};

    pthread_mutex_lock(&c->lock);
    const int rc = look_up_locked(f, host, path, &helper, &entry, err);
    pthread_mutex_unlock(&c->lock);
    if (rc < 0)
        return -1;
    if (helper && registry_helper_get(helper, server_name(host), found, out, err) < 0)
        return -1;
    if (*found || !registry_credential_is_set(&entry))
        return 0;
    *found = true;
    *out = entry;
    entry = (struct registry_credential){0};
    return 0;
}

int registry_config_find(struct registry_config *c,
                         const char *host,
                         const char *path,
                         bool *found,
                         struct registry_credential *out,
                         struct error *err)
{
    *found = false;
    for (size_t i = 0; i < FILE_COUNT && !*found; i++) {
        if (find_in_file(c, &c->files[i], host, path, found, out, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- Storing ---- */

static struct config_file *file_in_use(struct registry_config *c)
{
    return c->files[FILE_AUTH].path ? &c->files[FILE_AUTH] : &c->files[FILE_DOCKER];
}

/* A link in place of the file is followed: people keep these files elsewhere. */
static int file_write(const struct config_file *f, const struct doc *doc, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    CLEANUP(base_freep) char *real = realpath(f->path, NULL);
    const char *target = real ? real : f->path;
    CLEANUP(base_freep) char *dir = view_dup(path_dir(view_of(target)));
    int rc;

    doc_write(doc, DOC_WRITE_INDENT, &text);
    buf_append_char(&text, '\n');
    if (buf_ok(&text, "the credentials file", err) < 0)
        return -1;
    if (*dir && fs_mkdir_all_at(AT_FDCWD, dir, 0700, err) < 0)
        return -1;
    rc = fs_replace_file_at(AT_FDCWD, target, buf_view(&text), 0600, err);
    explicit_bzero(text.data, text.size);
    return rc;
}

/* Replaces (or, with NULL, removes) the entry of `server` and writes the file. Consumes
 * `entry`. */
static int change_entry(struct config_file *f,
                        const char *server,
                        struct doc *entry,
                        struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *config = f->doc ? doc_copy(f->doc) : doc_new_object();
    const struct doc *old = doc_get(config, "auths");
    struct doc *auths = old ? doc_copy(old) : doc_new_object();

    if (entry)
        doc_set(auths, server, entry);
    else
        doc_remove(auths, server);
    doc_set(config, "auths", auths);
    const int rc = file_write(f, config, err);
    file_forget(f);
    return rc;
}

static struct doc *make_entry(const struct registry_credential *c)
{
    struct doc *entry = doc_new_object();
    CLEANUP(registry_secret_freep)
    char *pair = base_format("%s:%s", c->username ? c->username : "",
                             c->password ? c->password : "");
    CLEANUP(registry_secret_freep) char *auth = registry_base64_encode(view_of(pair));

    doc_set_text(entry, "auth", auth);
    if (c->identity_token)
        doc_set_text(entry, "identitytoken", c->identity_token);
    return entry;
}

static int check_place(const struct config_file *f, struct error *err)
{
    if (f->path)
        return 0;
    return error_set(err, ERROR_INVALID,
                     "no place for credentials: neither HOME nor DOCKER_CONFIG is set");
}

static int helper_of_file(struct registry_config *c,
                          const char *host,
                          char **helper,
                          struct error *err)
{
    struct config_file *f = file_in_use(c);
    int rc;

    if (check_place(f, err) < 0)
        return -1;
    pthread_mutex_lock(&c->lock);
    file_forget(f); /* another program may have written it meanwhile */
    rc = file_read(f, err);
    if (rc == 0)
        *helper = helper_for(f->doc, host);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int registry_config_store(struct registry_config *c,
                          const char *host,
                          const struct registry_credential *credential,
                          struct error *err)
{
    CLEANUP(base_freep) char *helper = NULL;

    if (!registry_credential_is_set(credential))
        return error_set(err, ERROR_INVALID, "a user name and a password are needed");
    if (helper_of_file(c, host, &helper, err) < 0 ||
        (helper && registry_helper_store(helper, server_name(host), credential, err) < 0))
        return -1;
    pthread_mutex_lock(&c->lock);
    /* With a helper docker leaves an empty entry, so that one sees where one is logged in.
     */
    const int rc = change_entry(file_in_use(c), server_name(host),
                                helper ? doc_new_object() : make_entry(credential), err);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int registry_config_place(struct registry_config *c,
                          const char *host,
                          char **place,
                          bool *is_plain,
                          struct error *err)
{
    CLEANUP(base_freep) char *helper = NULL;

    if (helper_of_file(c, host, &helper, err) < 0)
        return -1;
    *is_plain = !helper;
    *place = helper ? base_format("docker-credential-%s", helper)
                    : base_strdup(file_in_use(c)->path);
    return 0;
}

/* The key under which a file really keeps the host; malloc'ed or NULL. */
static char *key_in_use(const struct doc *auths, const char *host)
{
    for (size_t i = 0; i < doc_count(auths); i++) {
        const char *key;

        (void)doc_member_at(auths, i, &key);
        if (key_fit(key, host, NULL) == 1)
            return base_strdup(key);
    }
    return NULL;
}

int registry_config_erase(struct registry_config *c, const char *host, struct error *err)
{
    CLEANUP(base_freep) char *helper = NULL;
    CLEANUP(base_freep) char *key = NULL;
    struct config_file *f = file_in_use(c);
    int rc = 0;

    if (helper_of_file(c, host, &helper, err) < 0 ||
        (helper && registry_helper_erase(helper, server_name(host), err) < 0))
        return -1;
    pthread_mutex_lock(&c->lock);
    if (file_read(f, err) < 0)
        rc = -1;
    else if ((key = key_in_use(doc_get(f->doc, "auths"), host)))
        rc = change_entry(f, key, NULL, err);
    else if (!helper)
        rc = error_set(err, ERROR_NOT_FOUND, "not logged in to %s", host);
    pthread_mutex_unlock(&c->lock);
    return rc;
}
