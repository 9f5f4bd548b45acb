/*
 * A commit's files in a directory.
 *
 * The directory is a repository while they are made: that of the store lends its objects,
 * submodules are clones inside. Afterwards nothing of git is left but what --keep-git-dir
 * asks for, and that is whole by itself.
 */
#include "builder/git_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A commit object begins with some lines and has a message of any length. */
#define COMMIT_MAX ((size_t)1 << 20)

static int in_tree(struct build_git *g,
                   const char *dir,
                   const char *const *args,
                   struct error *err)
{
    const char *argv[24] = {"-C", dir};
    size_t count = 2;

    while (*args) {
        if (count + 1 >= ARRAY_COUNT(argv))
            return error_set(err, ERROR_INVALID, "too many arguments for git");
        argv[count++] = *args++;
    }
    return build_git_run(&g->run, argv, NULL, err);
}

#define IN_TREE(g, dir, err, ...)                                                          \
    in_tree((g), (dir), (const char *const[]){__VA_ARGS__, NULL}, (err))

/* --- With the objects of the store --- */

static int write_file(const char *dir,
                      const char *name,
                      struct view data,
                      struct error *err)
{
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);
    CLEANUP(fd_closep)
    int fd =
        fs_open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, err);

    return fd < 0 ? -1 : fs_write_all(fd, data.data, data.size, err);
}

static int lend_objects(struct build_git *g, const char *dir, struct error *err)
{
    CLEANUP(base_freep) char *objects = base_format("%s/objects\n", g->repo);
    CLEANUP(base_freep) char *info = base_format("%s/.git/objects/info", dir);
    CLEANUP(base_freep) char *from = base_format("%s/shallow", g->repo);
    CLEANUP(buf_release) struct buf shallow = BUF_INIT(LIMIT_TEXT_SIZE);

    if (fs_mkdir_all_at(AT_FDCWD, info, 0755, err) < 0 ||
        write_file(dir, ".git/objects/info/alternates", view_of(objects), err) < 0)
        return -1;
    if (access(from, F_OK) < 0)
        return 0;
    if (fs_read_file_at(AT_FDCWD, from, &shallow, err) < 0)
        return -1;
    return write_file(dir, ".git/shallow", buf_view(&shallow), err);
}

static int make_lent(struct build_git *g, const char *dir, struct error *err)
{
    const char *format =
        strlen(g->commit) == 64 ? "--object-format=sha256" : "--object-format=sha1";

    if (IN_TREE(g, dir, err, "init", "-q", "--template=", format) < 0 ||
        lend_objects(g, dir, err) < 0)
        return -1;
    return IN_TREE(g, dir, err, "checkout", "-q", "--detach", g->commit);
}

/* --- With a repository to be kept --- */

/* The ref as a clone would have it: "main" of no kind is a branch. */
static char *kept_ref(const struct build_git *g)
{
    if (strncmp(g->ref, "refs/", 5) == 0)
        return base_strdup(g->ref);
    if (build_git_is_commit(g->ref) || strcmp(g->ref, "HEAD") == 0)
        return NULL;
    return base_format("refs/heads/%s", g->ref);
}

static int fetch_kept(struct build_git *g, const char *dir, struct error *err)
{
    CLEANUP(base_freep) char *local = git_local_ref(g);
    CLEANUP(base_freep) char *ref = kept_ref(g);
    CLEANUP(base_freep)
    char *spec = base_format("%s%s%s", local, ref ? ":" : "", ref ? ref : "");
    CLEANUP(base_freep) char *url = base_format("file://%s", g->repo);
    CLEANUP(base_freep) char *git_dir = base_format("--git-dir=%s", g->repo);
    const char *const point[] = {git_dir, "update-ref", local, g->object, NULL};
    int status;

    /* What the name meant when it was asked for; the repository may be ahead of it. */
    if (build_git_run(&g->run, point, NULL, err) < 0)
        return -1;
    g->run.local = true;
    status = IN_TREE(g, dir, err, "fetch", "-q", "-u", "--no-tags", "--depth=1", "--", url,
                     spec);
    g->run.local = false;
    return status;
}

static int make_kept(struct build_git *g, const char *dir, struct error *err)
{
    const char *format =
        strlen(g->commit) == 64 ? "--object-format=sha256" : "--object-format=sha1";

    if (IN_TREE(g, dir, err, "init", "-q", "--template=", format) < 0 ||
        IN_TREE(g, dir, err, "remote", "add", "origin", g->url->shown) < 0 ||
        fetch_kept(g, dir, err) < 0 ||
        IN_TREE(g, dir, err, "checkout", "-q", "--detach", g->commit) < 0 ||
        IN_TREE(g, dir, err, "reflog", "expire", "--all", "--expire=now") < 0)
        return -1;
    CLEANUP(base_freep) char *head = base_format("%s/.git/FETCH_HEAD", dir);
    (void)unlink(head);
    return 0;
}

/* --- Submodules --- */

static void dir_closep(DIR **dir)
{
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

/* Removes every ".git" below the directory, files too: those of submodules lead to what is
 * not there any more. `fd` is consumed. */
static int remove_git_below(int fd, unsigned depth, struct error *err)
{
    CLEANUP(dir_closep) DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (!dir) {
        fd_closep(&fd);
        return error_sys(err, "read a directory");
    }
    while ((e = readdir(dir)) != NULL) {
        struct stat st;
        int below;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (strcmp(e->d_name, ".git") == 0) {
            if (fs_remove_tree_at(dirfd(dir), ".git", err) < 0)
                return -1;
            continue;
        }
        if (depth == 0 || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISDIR(st.st_mode))
            continue;
        below = fs_open_nofollow(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY, 0, err);
        if (below < 0 || remove_git_below(below, depth - 1, err) < 0)
            return -1;
    }
    return 0;
}

/* How deep a path of LIMIT_PATH_SIZE can be. */
enum { DEPTH_MAX = 2048 };

static int remove_git(const char *dir, bool everywhere, struct error *err)
{
    const int fd = fs_open_at(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err);

    return fd < 0 ? -1 : remove_git_below(fd, everywhere ? DEPTH_MAX : 0, err);
}

static bool has_submodules(const struct build_git *g, const char *dir)
{
    CLEANUP(base_freep) char *path = base_format("%s/.gitmodules", dir);
    struct stat st;

    return !g->url->skip_submodules && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Their URLs may be relative to the repository's own, credentials included. */
static int update_submodules(struct build_git *g, const char *dir, struct error *err)
{
    if (IN_TREE(g, dir, err, "config", "remote.origin.url", g->url->remote) < 0 ||
        IN_TREE(g, dir, err, "submodule", "update", "-q", "--init", "--recursive",
                "--depth=1") < 0)
        return error_wrap(err, "submodules");
    return IN_TREE(g, dir, err, "config", "remote.origin.url", g->url->shown);
}

int git_make_tree(struct build_git *g, const char *dir, struct error *err)
{
    bool modules;

    if ((g->keep_git_dir ? make_kept(g, dir, err) : make_lent(g, dir, err)) < 0)
        return -1;
    modules = has_submodules(g, dir);
    if (modules && update_submodules(g, dir, err) < 0)
        return -1;
    return g->keep_git_dir ? 0 : remove_git(dir, modules, err);
}

int git_commit_time(struct build_git *g, struct timespec *out, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(COMMIT_MAX);
    CLEANUP(base_freep) char *dir = base_format("--git-dir=%s", g->repo);
    const char *const args[] = {
        dir, "log", "-1", "--format=%ct", "--no-show-signature", g->commit, NULL};
    uint64_t seconds;

    if (build_git_run(&g->run, args, &text, err) < 0)
        return -1;
    if (!view_to_u64(view_trim(buf_view(&text)), &seconds) || seconds > (uint64_t)1 << 40)
        return error_set(err, ERROR_CORRUPT, "the commit has no time");
    *out = (struct timespec){.tv_sec = (time_t)seconds};
    return 0;
}
