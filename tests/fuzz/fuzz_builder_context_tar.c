/* An archive that is a build context is a tree whose every path stays inside, which finds
 * what it walks, and which holds what .dockerignore leaves; or it is refused. What comes
 * before the first NUL is the .dockerignore. */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/context_tar.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Larger files are sparse, and hashing them would take the time of thousands of runs. */
#define DIGEST_MAX ((uint64_t)1 << 20)

struct walk {
    struct context_tar *tar;
    const struct dockerfile_ignore *ignore;
    char *last;
    size_t count;
};

static void check_path(struct view path)
{
    struct view part, rest = path;

    assert(path.size > 0 && path.data[0] != '/');
    assert(!memchr(path.data, '\0', path.size));
    while (rest.size > 0) {
        (void)view_cut(rest, '/', &part, &rest);
        assert(part.size > 0 && !view_eq_text(part, ".") && !view_eq_text(part, ".."));
    }
}

static void check_content(struct walk *w, const struct build_tree_entry *e)
{
    const struct build_tree *tree = context_tar_tree(w->tar);
    struct error err = ERROR_INIT;
    struct cas_content content;
    struct digest digest;
    int fd;

    if (e->entry.type != CAS_ENTRY_FILE || e->place.size > DIGEST_MAX)
        return;
    assert(e->place.size == e->entry.size);
    const int opened = tree->open(tree->self, &e->place, &content, &err);
    assert(opened == 0);
    fd = content.fd;
    assert(fd >= 0 || content.memory.size == e->place.size);
    fd_closep(&fd);
    const int hashed = tree->digest(tree->self, &e->place, &digest, &err);
    assert(hashed == 0);
}

static int visit(void *context, const struct build_tree_entry *e, struct error *err)
{
    struct walk *w = context;
    const struct build_tree *tree = context_tar_tree(w->tar);
    struct build_tree_entry again;
    bool found;

    if (e->entry.path.size == 0)
        return 1;
    check_path(e->entry.path);
    assert(e->entry.type != CAS_ENTRY_HARDLINK && e->entry.type != CAS_ENTRY_WHITEOUT);
    assert(e->entry.mode <= 07777);
    assert(!w->last || cas_entry_path_compare(view_of(w->last), e->entry.path) < 0);
    base_freep(&w->last);
    w->last = view_dup(e->entry.path);
    const int status = tree->find(tree->self, e->entry.path, &found, &again, err);
    assert(status == 0 && found && again.entry.type == e->entry.type);
    check_content(w, e);
    w->count++;
    return 1;
}

static void walk(struct context_tar *tar)
{
    const struct build_tree *tree = context_tar_tree(tar);
    struct walk w = {.tar = tar};
    struct error err = ERROR_INIT;

    const int status = tree->walk(tree->self, VIEW_LIT(""), visit, &w, &err);
    assert(status == 0);
    base_freep(&w.last);
}

static struct dockerfile_ignore *read_ignore(struct view text)
{
    struct error err = ERROR_INIT;
    struct dockerfile_ignore *set = dockerfile_ignore_parse(text, ".dockerignore", &err);

    error_clear(&err);
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view input = {(const char *)data, size};
    CLEANUP(fd_closep) int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd_closep) int fd = memfd_create("tar", MFD_CLOEXEC);
    CLEANUP(dockerfile_ignore_freep) struct dockerfile_ignore *ignore = NULL;
    CLEANUP(context_tar_freep) struct context_tar *tar = NULL;
    struct error err = ERROR_INIT;
    struct view patterns, archive;

    (void)view_cut(input, '\0', &patterns, &archive);
    assert(dir >= 0 && fd >= 0);
    const int written = fs_write_all(fd, archive.data, archive.size, &err);
    assert(written == 0);
    tar = context_tar_open(dir, fd, &err);
    if (!tar) {
        assert(err.code == ERROR_CORRUPT || err.code == ERROR_LIMIT ||
               err.code == ERROR_INVALID);
        error_clear(&err);
        return 0;
    }
    walk(tar);
    ignore = read_ignore(patterns);
    const int filtered = context_tar_ignore(tar, ignore, &err);
    assert(filtered == 0);
    walk(tar);
    return 0;
}
