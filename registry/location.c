#include "registry/location.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "registry/layout.h"

#include <stdlib.h>
#include <string.h>

static bool cut_prefix(struct view *v, const char *prefix)
{
    if (!view_starts(*v, prefix))
        return false;
    *v = view_sub(*v, strlen(prefix), v->size);
    return true;
}

void registry_location_init(struct registry_location *l,
                            const struct registry_reference *reference)
{
    *l = (struct registry_location){.kind = REGISTRY_LOCATION_REGISTRY};
    registry_reference_copy(&l->reference, reference);
    registry_reference_add_default_tag(&l->reference);
}

void registry_location_release(struct registry_location *l)
{
    registry_reference_release(&l->reference);
    free(l->path);
    free(l->name);
    *l = (struct registry_location){0};
}

static int parse_reference(struct view text,
                           struct registry_location *out,
                           struct error *err)
{
    if (registry_reference_parse(text, &out->reference, err) < 0)
        return -1;
    registry_reference_add_default_tag(&out->reference);
    return 0;
}

static int parse_layout(struct view path, struct registry_location *out, struct error *err)
{
    struct registry_layout_name name = {0};
    CLEANUP(base_freep) char *text = base_format("oci-layout://%.*s", VIEW_ARG(path));

    if (registry_layout_name_parse(view_of(text), &name, err) < 0)
        return -1;
    out->path = name.path;
    out->name = name.tag;
    out->digest = name.digest;
    return 0;
}

/* The path ends at the first colon, as it does for skopeo. */
static int parse_archive(struct view rest,
                         struct view text,
                         struct registry_location *out,
                         struct error *err)
{
    struct view path, name;
    const bool has_name = view_cut(rest, ':', &path, &name);

    while (view_starts(path, "//"))
        path = view_sub(path, 1, path.size);
    if (path.size == 0 || (has_name && name.size == 0))
        return error_set(err, ERROR_INVALID, "'%.*s' names no file", VIEW_ARG(text));
    out->path = view_dup(path);
    out->name = has_name ? view_dup(name) : NULL;
    return 0;
}

static bool is_digest(struct view text)
{
    return view_starts(text, "sha256:") || view_starts(text, "sha512:");
}

static int parse_store(struct view rest, struct registry_location *out, struct error *err)
{
    (void)cut_prefix(&rest, "//");
    if (is_digest(rest))
        return digest_parse(rest, &out->digest, err);
    if (parse_reference(rest, out, err) < 0)
        return -1;
    out->digest = out->reference.digest;
    return 0;
}

/* Longer ones before those that they begin with. */
static const struct {
    const char *prefix;
    enum registry_location_kind kind;
} kinds[] = {
    {"oci-layout://", REGISTRY_LOCATION_LAYOUT},
    {"oci-layout:", REGISTRY_LOCATION_LAYOUT},
    {"oci:", REGISTRY_LOCATION_LAYOUT},
    {"oci-archive:", REGISTRY_LOCATION_OCI_ARCHIVE},
    {"docker-archive:", REGISTRY_LOCATION_DOCKER_ARCHIVE},
    {"store:", REGISTRY_LOCATION_STORE},
    {"docker://", REGISTRY_LOCATION_REGISTRY},
};

/* What stands without a prefix is a registry's. */
static enum registry_location_kind cut_kind(struct view *text)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (cut_prefix(text, kinds[i].prefix))
            return kinds[i].kind;
    return REGISTRY_LOCATION_REGISTRY;
}

static int parse(struct view text, struct registry_location *out, struct error *err)
{
    struct view rest = text;

    out->kind = cut_kind(&rest);
    switch (out->kind) {
    case REGISTRY_LOCATION_LAYOUT:
        return parse_layout(rest, out, err);
    case REGISTRY_LOCATION_OCI_ARCHIVE:
    case REGISTRY_LOCATION_DOCKER_ARCHIVE:
        return parse_archive(rest, text, out, err);
    case REGISTRY_LOCATION_STORE:
        return parse_store(rest, out, err);
    case REGISTRY_LOCATION_REGISTRY:
        return parse_reference(rest, out, err);
    }
    abort();
}

int registry_location_parse(struct view text,
                            struct registry_location *out,
                            struct error *err)
{
    struct registry_location l = {0};

    if (parse(text, &l, err) < 0) {
        registry_location_release(&l);
        return -1;
    }
    *out = l;
    return 0;
}

static char *with_name(const char *prefix, const struct registry_location *l)
{
    const bool has_digest = digest_is_set(&l->digest);

    return base_format("%s%s%s%s%s%s", prefix, l->path, l->name ? ":" : "",
                       l->name ? l->name : "", has_digest ? "@" : "",
                       has_digest ? digest_format(&l->digest).text : "");
}

static char *store_text(const struct registry_location *l)
{
    if (!l->reference.host)
        return base_format("store:%s", digest_format(&l->digest).text);
    CLEANUP(base_freep) char *name = registry_reference_familiar(&l->reference);
    CLEANUP(base_freep) char *full = registry_reference_text(&l->reference);
    /* An image can be called "sha256", too. */
    return base_format("store:%s", is_digest(view_of(name)) ? full : name);
}

/* An image that is called "oci" or "store" would be taken for something else. */
static char *registry_text(const struct registry_location *l)
{
    char *const name = registry_reference_familiar(&l->reference);
    struct view rest = view_of(name);

    if (cut_kind(&rest) == REGISTRY_LOCATION_REGISTRY)
        return name;
    char *const full = base_format("docker://%s", name);
    free(name);
    return full;
}

char *registry_location_text(const struct registry_location *l)
{
    switch (l->kind) {
    case REGISTRY_LOCATION_REGISTRY:
        return registry_text(l);
    case REGISTRY_LOCATION_LAYOUT:
        return with_name("oci-layout://", l);
    case REGISTRY_LOCATION_OCI_ARCHIVE:
        return with_name("oci-archive:", l);
    case REGISTRY_LOCATION_DOCKER_ARCHIVE:
        return with_name("docker-archive:", l);
    case REGISTRY_LOCATION_STORE:
        return store_text(l);
    }
    abort();
}
