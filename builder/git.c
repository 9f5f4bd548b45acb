#include "builder/git_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/secret.h"
#include "builder/trust.h"
#include "cas/lease.h"
#include "cas/scratch.h"
#include "registry/base64.h"
#include "registry/credential.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Trees of one repository that are kept: a branch that moves, some stages. */
#define TREES_MAX 4

/* Changes when the way trees are made changes. */
#define TREE_VERSION "cooper-git-tree-1"

static const struct build_ssh *default_ssh(const struct build_request *request)
{
    for (size_t i = 0; i < request->ssh_count; i++)
        if (strcmp(request->ssh[i].id, "default") == 0)
            return &request->ssh[i];
    return NULL;
}

struct build_git *build_git_new(const struct build_git_options *options)
{
    const struct digest id = digest_of(DIGEST_SHA256, view_of(options->url->remote));
    const char *store = cas_store_path(options->env->store);
    struct build_git *g = base_alloc(sizeof *g);

    g->env = options->env;
    g->request = options->request;
    g->url = options->url;
    g->keep_git_dir = options->keep_git_dir;
    g->tree_fd = g->ca_fd = -1;
    g->dir = base_format("%s/git/%.32s", store, digest_hex(&id).text);
    g->repo = base_format("%s/repo", g->dir);
    g->known_hosts = base_format("%s/git/known_hosts", store);
    g->run = (struct build_git_env){.shown = g->url->shown,
                                    .scope = g->url->scope,
                                    .known_hosts = g->known_hosts,
                                    .ssh = default_ssh(options->request),
                                    .cancel = options->request->cancel};
    return g;
}

void build_git_free(struct build_git *g)
{
    if (!g)
        return;
    registry_secret_freep(&g->credentials);
    free(g->known_hosts);
    free(g->dir);
    free(g->repo);
    free(g->commit);
    free(g->object);
    free(g->ref);
    fd_closep(&g->tree_fd);
    fd_closep(&g->ca_fd);
    free(g->ca_file);
    free(g->tree);
    free(g->place);
    free(g);
}

const char *build_git_commit(const struct build_git *g)
{
    return g->commit;
}

/* --- Credentials --- */

/* "basic BASE64(x-access-token:TOKEN)", as the large forges want tokens. malloc'ed. */
static char *header_of_token(const char *token)
{
    CLEANUP(registry_secret_freep) char *plain = base_format("x-access-token:%s", token);
    CLEANUP(registry_secret_freep) char *text = registry_base64_encode(view_of(plain));

    return base_format("basic %s", text);
}

static int read_secret(struct build_git *g,
                       const char *id,
                       bool is_token,
                       struct error *err)
{
    struct buf text = BUF_INIT(LIMIT_SECRET_SIZE);
    bool found;
    int status = build_secret_find(g->request, id, &found, &text, err);

    if (status == 0 && found) {
        CLEANUP(registry_secret_freep) char *value = view_dup(view_trim(buf_view(&text)));

        if (strpbrk(value, "\r\n"))
            status = error_set(err, ERROR_INVALID, "secret %s has more than one line", id);
        else
            g->credentials = is_token ? header_of_token(value) : base_strdup(value);
    }
    if (text.data)
        explicit_bzero(text.data, text.capacity);
    buf_release(&text);
    return status;
}

/* --ca: besides what is trusted anyway. git, a child of ours, reads it of our memory. */
static int make_trust(struct build_git *g, struct error *err)
{
    CLEANUP(buf_release) struct buf trusted = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf all = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the system's, then */
    const char *const given = getenv("SSL_CERT_FILE");

    if (g->request->ca.size == 0 || g->ca_fd >= 0)
        return 0;
    if (!given || !*given || fs_read_file_at(AT_FDCWD, given, &trusted, &ignored) < 0) {
        buf_clear(&trusted);
        build_trust_system(&trusted);
    }
    build_trust_join(buf_view(&trusted), g->request->ca, &all);
    g->ca_fd = memfd_create("cooper-ca", MFD_CLOEXEC);
    if (g->ca_fd < 0)
        return error_sys(err, "memfd_create");
    g->ca_file = base_format("/proc/%d/fd/%d", (int)getpid(), g->ca_fd);
    g->run.ca_file = g->ca_file;
    return buf_ok(&all, "the certificates", err) < 0
               ? -1
               : fs_write_all(g->ca_fd, all.data, all.size, err);
}

/* As docker documents: the host's own before the general one, a header before a token. */
static int find_credentials(struct build_git *g, struct error *err)
{
    CLEANUP(base_freep) char *header = base_format("GIT_AUTH_HEADER.%s", g->url->host);
    CLEANUP(base_freep) char *token = base_format("GIT_AUTH_TOKEN.%s", g->url->host);
    const char *const ids[] = {header, token, "GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"};

    if (!g->url->scope)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(ids) && !g->credentials; i++)
        if (read_secret(g, ids[i], i % 2 == 1, err) < 0)
            return -1;
    g->run.credentials = g->credentials;
    return 0;
}

/* --- Which commit --- */

/* What the files depend on. The name counts only where it is seen: in .git. */
static struct digest tree_key(const struct build_git *g)
{
    CLEANUP(base_freep)
    char *text = base_format("%s\n%s\n%s\n%s\n%d", TREE_VERSION, g->commit,
                             g->keep_git_dir ? g->object : "",
                             g->keep_git_dir ? g->ref : "", g->url->skip_submodules);

    return digest_of(DIGEST_SHA256, view_of(text));
}

int build_git_resolve(struct build_git *g, struct digest *key, struct error *err)
{
    CLEANUP(base_freep) char *text = NULL;
    struct digest tree;

    if (!g->commit &&
        (make_trust(g, err) < 0 || find_credentials(g, err) < 0 || git_ask(g, err) < 0))
        return error_wrap(err, "git repository %s", g->url->shown);
    tree = tree_key(g);
    text = base_format("%s\n%s\n%d", digest_hex(&tree).text, g->url->subdir,
                       g->url->times_of_checkout);
    *key = digest_of(DIGEST_SHA256, view_of(text));
    return 0;
}

/* --- Trees --- */

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* The tree of that name if nobody uses it, locked; -1 otherwise. */
static int lock_unused(int dir_fd, const char *name)
{
    const int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The tree that was used longest ago, and how many there are. */
static char *find_oldest(DIR *dir, size_t *count)
{
    struct timespec oldest = {0};
    struct dirent *e;
    char *name = NULL;

    *count = 0;
    rewinddir(dir);
    while ((e = readdir(dir)) != NULL) {
        struct stat st;

        if (strncmp(e->d_name, "tree.", 5) != 0 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        (*count)++;
        if (name && !cas_lease_before(st.st_atim, oldest))
            continue;
        free(name);
        name = base_strdup(e->d_name);
        oldest = st.st_atim;
    }
    return name;
}

/* Trees that are in use, or cannot be removed, only take room. */
static void drop_old_trees(struct build_git *g)
{
    CLEANUP(dir_closep) DIR *dir = opendir(g->dir);
    size_t count = TREES_MAX + 1;

    while (dir && count > TREES_MAX) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT;
        CLEANUP(base_freep) char *name = find_oldest(dir, &count);
        CLEANUP(fd_closep)
        int lock = name && count > TREES_MAX ? lock_unused(dirfd(dir), name) : -1;

        if (lock < 0 || fs_remove_tree_at(dirfd(dir), name, &ignored) < 0)
            return;
    }
}

/* Holds the tree: *found false if it is not there. */
static int hold_tree(struct build_git *g, bool *found, struct error *err)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};

    fd_closep(&g->tree_fd);
    g->tree_fd = open(g->tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *found = g->tree_fd >= 0;
    if (!*found)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", g->tree);
    if (flock(g->tree_fd, LOCK_SH) < 0 || futimens(g->tree_fd, times) < 0)
        return error_sys(err, "hold %s", g->tree);
    return 0;
}

static int make_tree(struct build_git *g, struct error *err)
{
    CLEANUP(cas_scratch_removep) struct cas_scratch scratch = CAS_SCRATCH_INIT;
    const char *store = cas_store_path(g->env->store);
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}};
    bool published;

    drop_old_trees(g);
    if (git_fetch(g, err) < 0 || cas_scratch_open(&scratch, g->env->store, err) < 0)
        return -1;
    CLEANUP(base_freep) char *dir = base_format("%s/%s", store, scratch.path);
    if (git_make_tree(g, dir, err) < 0 || git_commit_time(g, &times[1], err) < 0)
        return -1;
    if (futimens(scratch.fd, times) < 0)
        return error_sys(err, "set the time of %s", dir);
    return cas_scratch_publish(&scratch, g->tree + strlen(store) + 1, &published, err);
}

static int lock_repository(struct build_git *g, struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/lock", g->dir);
    CLEANUP(fd_closep) int fd = -1;

    if (fs_mkdir_all_at(AT_FDCWD, g->dir, 0700, err) < 0)
        return -1;
    fd = fs_open_at(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, err);
    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR || build_git_is_cancelled(&g->run))
            return error_sys(err, "lock %s", path);
    }
    return fd_take(&fd);
}

static int need_tree(struct build_git *g, struct error *err)
{
    const struct digest key = tree_key(g);
    CLEANUP(fd_closep) int lock = lock_repository(g, err);
    bool found;

    if (lock < 0)
        return -1;
    free(g->tree);
    g->tree = base_format("%s/tree.%.32s", g->dir, digest_hex(&key).text);
    if (hold_tree(g, &found, err) < 0 || found)
        return found ? 0 : -1;
    if (make_tree(g, err) < 0 || hold_tree(g, &found, err) < 0)
        return -1;
    return found ? 0 : error_set(err, ERROR_CORRUPT, "%s vanished", g->tree);
}

/* The subdirectory, which no symlink may lead to. */
static int check_subdir(const struct build_git *g, struct error *err)
{
    CLEANUP(fd_closep) int fd = -1;

    if (*g->url->subdir == '\0')
        return 0;
    fd = fs_open_nofollow(g->tree_fd, g->url->subdir, O_RDONLY | O_DIRECTORY, 0, err);
    return fd < 0 ? error_wrap(err, "subdirectory %s", g->url->subdir) : 0;
}

int build_git_checkout(struct build_git *g,
                       const char **path,
                       struct timespec *time,
                       struct error *err)
{
    struct digest ignored;
    struct stat st;

    if (build_git_resolve(g, &ignored, err) < 0)
        return -1;
    if (g->tree_fd < 0 && (need_tree(g, err) < 0 || check_subdir(g, err) < 0)) {
        fd_closep(&g->tree_fd);
        return error_wrap(err, "git repository %s", g->url->shown);
    }
    if (fstat(g->tree_fd, &st) < 0)
        return error_sys(err, "stat %s", g->tree);
    if (!g->place)
        g->place = *g->url->subdir ? base_format("%s/%s", g->tree, g->url->subdir)
                                   : base_strdup(g->tree);
    *path = g->place;
    *time = st.st_mtim;
    return 0;
}
