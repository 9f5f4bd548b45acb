#include "builder/describe.h"

#include "base/alloc.h"
#include "builder/remote.h"
#include "cas/digest.h"
#include "parser/check/check.h"

#include <string.h>

/* A script or a copied text is known by its digest from this size on. */
#define TEXT_KEPT ((size_t)4096)

static const char *const op_names[] = {
    [BUILD_OP_SOURCE] = "from",
    [BUILD_OP_COPY] = "copy",
    [BUILD_OP_MKDIR] = "workdir",
    [BUILD_OP_RUN] = "run",
};

/* --- Titles --- */

static bool title_split(const char *title, struct view *label, struct view *text)
{
    struct view all = view_of(title);

    if (*title != '[' || !view_cut(all, ']', label, text))
        return false;
    *label = view_sub(*label, 1, label->size);
    *text = view_trim(*text);
    return true;
}

struct view build_title_stage(const char *title)
{
    struct view label, text;
    size_t size;

    if (!title_split(title, &label, &text))
        return VIEW_LIT("");
    /* "web 2/5", "2/5", "web  2/12", "internal" */
    for (size = label.size; size > 0 && label.data[size - 1] != ' '; size--)
        continue;
    return view_trim(view_sub(label, 0, size));
}

struct view build_title_text(const char *title)
{
    struct view label, text;

    return title_split(title, &label, &text) ? text : view_of(title);
}

/* --- Parts --- */

static void set_text(struct doc *d, const char *key, const char *text)
{
    if (text && *text)
        doc_set_text(d, key, text);
}

static void set_long(struct doc *d, const char *key, struct view text)
{
    const struct digest digest =
        text.size > TEXT_KEPT ? digest_of(DIGEST_SHA256, text) : (struct digest){0};

    if (text.size > TEXT_KEPT)
        doc_set_text(d, key, digest_format(&digest).text);
    else if (text.size > 0)
        doc_set_view(d, key, text);
}

static struct doc *texts_of(char *const *items, size_t count)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < count; i++)
        doc_append(list, doc_new_text(view_of(items[i])));
    return list;
}

/* --- RUN --- */

/* Two characters that no command line can have. */
static void set_secret(struct doc *to,
                       const char *name,
                       struct view value,
                       struct view salt)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    CLEANUP(base_freep) char *kept = NULL;
    struct digest digest;

    hasher_update(h, salt.data, salt.size);
    hasher_update(h, name, strlen(name) + 1);
    if (value.size > 0)
        hasher_update(h, value.data, value.size);
    hasher_final(h, &digest);
    kept = base_format("\x01%.16s", digest_hex(&digest).text);
    doc_set_text(to, name, kept);
}

static void add_variables(struct doc *d, const struct build_run_op *op, struct view salt)
{
    struct doc *env = doc_new_object();
    struct doc *args = doc_new_object();

    for (size_t i = 0; i < op->env_count; i++) {
        struct doc *to = op->env_is_arg && op->env_is_arg[i] ? args : env;
        struct view name, value;

        view_cut(view_of(op->env[i]), '=', &name, &value);
        CLEANUP(base_freep) char *key = view_dup(name);
        if (dockerfile_name_is_secret(name))
            set_secret(to, key, value, salt);
        else
            doc_set_view(to, key, value.data ? value : VIEW_LIT(""));
    }
    doc_set(d, "args", args);
    doc_set(d, "env", env);
}

static const char *mount_name(enum dockerfile_mount_type type)
{
    static const char *const names[] = {
        [DOCKERFILE_MOUNT_BIND] = "bind",   [DOCKERFILE_MOUNT_CACHE] = "cache",
        [DOCKERFILE_MOUNT_TMPFS] = "tmpfs", [DOCKERFILE_MOUNT_SECRET] = "secret",
        [DOCKERFILE_MOUNT_SSH] = "ssh",
    };

    return names[type];
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* One text a mount: enough to see that it differs, and mostly how. */
static struct doc *mounts_of(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->mount_count; i++) {
        const struct build_mount *m = &op->mounts[i];
        CLEANUP(base_freep)
        char *text = base_format(
            "%s id=%s source=%s target=%s env=%s %s%s mode=%o uid=%u gid=%u size=%lld "
            "sharing=%d",
            mount_name(m->type), or_empty(m->id), or_empty(m->source), or_empty(m->target),
            or_empty(m->env), m->read_only ? "ro" : "rw", m->required ? " required" : "",
            m->mode, m->uid, m->gid, (long long)m->size, (int)m->sharing);

        doc_append_text(list, text);
    }
    return list;
}

static struct doc *devices_of(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->device_count; i++)
        doc_append(list, doc_new_text(view_of(op->devices[i].name)));
    return list;
}

static struct doc *ulimits_of(const struct build_run_op *op)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < op->ulimit_count; i++) {
        const struct build_ulimit *u = &op->ulimits[i];
        CLEANUP(base_freep)
        char *text = base_format("%s=%jd:%jd", build_ulimit_name(u->resource),
                                 (intmax_t)u->soft, (intmax_t)u->hard);

        doc_append_text(list, text);
    }
    return list;
}

static void add_run(struct doc *d, const struct build_run_op *op, struct view salt)
{
    static const char *const networks[] = {
        [DOCKERFILE_NETWORK_DEFAULT] = "default",
        [DOCKERFILE_NETWORK_NONE] = "none",
        [DOCKERFILE_NETWORK_HOST] = "host",
    };

    doc_set(d, "command", texts_of(op->argv, op->argc));
    set_long(d, "script", view_of(or_empty(op->script)));
    add_variables(d, op, salt);
    set_text(d, "workdir", op->workdir);
    doc_set_text(d, "user", op->user && *op->user ? op->user : "root");
    doc_set_text(d, "network", networks[op->network]);
    doc_set_text(d, "security", op->insecure ? "insecure" : "sandbox");
    doc_set(d, "mounts", mounts_of(op));
    set_text(d, "hostname", op->hostname);
    doc_set(d, "devices", devices_of(op));
    doc_set(d, "ulimits", ulimits_of(op));
}

/* --- COPY --- */

static void add_source(struct doc *list, const struct build_copy_source *s)
{
    const char *from =
        s->from == BUILD_FROM_REMOTE ? build_remote_shown(s->remote) : or_empty(s->path);
    CLEANUP(base_freep)
    char *path = base_format("%s%s%s", from, s->pattern ? " " : "", or_empty(s->pattern));

    doc_append(list, doc_new_text(view_of(path)));
}

static void add_copy(struct doc *d, const struct build_copy_op *op)
{
    struct doc *sources = doc_new_array();
    struct doc *excludes = doc_new_array();
    struct doc *texts = doc_new_array();

    for (size_t i = 0; i < op->source_count; i++) {
        add_source(sources, &op->sources[i]);
        if (op->sources[i].from != BUILD_FROM_TEXT)
            continue;
        const struct digest digest = digest_of(DIGEST_SHA256, op->sources[i].text);
        doc_append_text(texts, digest_format(&digest).text);
    }
    for (size_t i = 0; i < op->exclude_count; i++)
        doc_append(excludes, doc_new_text(op->excludes[i]));
    doc_set(d, "sources", sources);
    doc_set_text(d, "destination", or_empty(op->dest));
    doc_set_text(d, "chown", or_empty(op->chown));
    doc_set_text(d, "chmod", or_empty(op->chmod));
    doc_set_text(d, "link", op->link ? "true" : "false");
    doc_set(d, "exclude", excludes);
    doc_set(d, "texts", texts);
}

/* --- All --- */

static void add_source_image(struct doc *d, const struct build_image *image)
{
    doc_set_text(d, "image", or_empty(image->name));
    doc_set_text(d, "digest", digest_format(&image->image.manifest.digest).text);
}

struct doc *build_describe(const struct build_node *n, struct view salt)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, "op", op_names[n->op]);
    doc_set_view(d, "stage", build_title_stage(n->title));
    doc_set(d, "text", doc_new_text(build_title_text(n->title)));
    switch (n->op) {
    case BUILD_OP_SOURCE:
        add_source_image(d, n->image);
        break;
    case BUILD_OP_COPY:
        add_copy(d, &n->copy);
        break;
    case BUILD_OP_MKDIR:
        doc_set_text(d, "path", or_empty(n->mkdir.path));
        doc_set_text(d, "user", or_empty(n->mkdir.user));
        break;
    case BUILD_OP_RUN:
        add_run(d, &n->run, salt);
        break;
    }
    return d;
}
