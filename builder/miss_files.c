#include "builder/miss_files.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "builder/miss.h"
#include "cas/dir_read.h"

/* Files that are named; of more, how many there are. */
#define NAMED_MAX  3u
#define PATH_WIDTH ((size_t)100)

struct comparison {
    const struct build_miss_files *q;
    struct view root; /* the destination, relative, without "/" at its end */
    struct buf names;
    size_t named;
    size_t differing;
    size_t compared; /* files that are copied */
    size_t matched;  /* paths that both have */
};

/* Parents of the destination, and the directory itself, are the image's, not the copy's. */
static bool is_copied(const struct comparison *c, const struct cas_entry *e)
{
    if (!path_has_prefix(e->path, c->root) && c->root.size > 0)
        return false;
    return e->path.size > c->root.size || e->type != CAS_ENTRY_DIR;
}

static const char *difference_of(const struct comparison *c,
                                 const struct cas_entry *was,
                                 const struct cas_entry *is)
{
    if (was->type != is->type)
        return "type";
    if (is->type == CAS_ENTRY_FILE &&
        (was->size != is->size ||
         (digest_is_set(&was->content) && digest_is_set(&is->content) &&
          !digest_eq(&was->content, &is->content))))
        return "content";
    if ((is->type == CAS_ENTRY_SYMLINK || is->type == CAS_ENTRY_HARDLINK) &&
        !view_eq(was->target, is->target))
        return "target";
    if (was->mode != is->mode && !c->q->any_mode && is->type != CAS_ENTRY_SYMLINK)
        return "mode";
    if ((was->uid != is->uid || was->gid != is->gid) && !c->q->any_owner)
        return "owner";
    if (!cas_xattrs_equal(was, is))
        return "xattr";
    return NULL;
}

/* A path in the image has a slash before it, one of the source has none. */
static void tell(struct comparison *c, const char *lead, struct view path, const char *how)
{
    c->differing++;
    if (c->named >= NAMED_MAX)
        return;
    buf_printf(&c->names, "%s%s", c->named++ ? ", " : "", lead);
    build_miss_clip(&c->names, path, PATH_WIDTH);
    buf_printf(&c->names, " (%s)", how);
}

static void tell_new(struct comparison *c, size_t i, const char *how)
{
    const struct view source = c->q->source(c->q->context, i);

    if (source.size > 0)
        tell(c, "", source, how);
    else
        tell(c, "/", c->q->entries[i].path, how);
}

/* Directories count only where nothing else differs: COPY leaves those that the image has
 * as they are, so their attributes in the old layer need not be its doing. */
static bool is_wanted(const struct cas_entry *e, bool directories)
{
    return (e->type == CAS_ENTRY_DIR) == directories;
}

static void compare_pair(struct comparison *c,
                         const struct cas_entry *was,
                         size_t i,
                         bool directories)
{
    const char *how = difference_of(c, was, &c->q->entries[i]);

    c->matched++;
    if (how && is_wanted(&c->q->entries[i], directories))
        tell_new(c, i, how);
}

static void compare(struct comparison *c, bool directories)
{
    const size_t old_count = cas_index_count(c->q->was);
    size_t i = 0;
    size_t k = 0;

    c->compared = 0;
    c->matched = 0;
    while (i < c->q->count || k < old_count) {
        const struct cas_entry *is = i < c->q->count ? &c->q->entries[i] : NULL;
        struct cas_entry was = {0};
        int order = -1;

        if (k < old_count) {
            cas_index_at(c->q->was, k, &was);
            order = is ? cas_entry_path_compare(is->path, was.path) : 1;
        }
        if (is && order <= 0 && is_copied(c, is)) {
            c->compared += is->type != CAS_ENTRY_DIR;
            if (order == 0)
                compare_pair(c, &was, i, directories);
            else if (is_wanted(is, directories))
                tell_new(c, i, "added");
        }
        if (order > 0 && is_copied(c, &was) && was.type != CAS_ENTRY_WHITEOUT &&
            is_wanted(&was, directories))
            tell(c, "/", was.path, "removed");
        i += order <= 0;
        k += order >= 0;
    }
}

/* 4120 -> "4,120" */
static void append_number(struct buf *out, size_t n)
{
    CLEANUP(base_freep) char *digits = base_format("%zu", n);
    const size_t size = strlen(digits);

    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}

static char *sentence(struct comparison *c)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    append_number(&out, c->differing);
    if (c->compared > 0) {
        buf_append_text(&out, " of ");
        append_number(&out, c->compared > c->differing ? c->compared : c->differing);
    }
    buf_printf(&out, " file%s differ%s: %s", c->compared > 1 || c->differing > 1 ? "s" : "",
               c->differing == 1 ? "s" : "", buf_text(&c->names));
    if (c->differing > c->named) {
        buf_append_text(&out, " and ");
        append_number(&out, c->differing - c->named);
        buf_append_text(&out, " more");
    }
    return buf_take(&out);
}

char *build_miss_files(const struct build_miss_files *q)
{
    CLEANUP(base_freep) char *root = path_clean_rooted(view_of(q->destination));
    CLEANUP(buf_release) struct buf names = BUF_INIT(LIMIT_TEXT_SIZE);
    struct comparison c = {.q = q, .root = view_of(root + 1), .names = names};
    char *text = NULL;

    compare(&c, false);
    /* Nothing stands where it stood: the destination leads through a symlink, or was laid
     * out otherwise. */
    if (c.matched > 0 || c.compared == 0 || cas_index_count(q->was) == 0) {
        if (c.differing == 0)
            compare(&c, true);
        text = c.differing > 0 ? sentence(&c) : NULL;
    }
    names = c.names;
    return text;
}
