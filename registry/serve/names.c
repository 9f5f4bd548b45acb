#include "registry/serve/serve_priv.h"

#include "base/alloc.h"
#include "cas/ref.h"
#include "registry/reference.h"

#include <fnmatch.h>
#include <string.h>

/* What docker's grammar makes of names without a host. */
#define DEFAULT_PREFIX  "docker.io/"
#define OFFICIAL_PREFIX "docker.io/library/"

char *serve_names_prefix(const struct serve *s, const char *repository)
{
    return base_format("%s/%s:", s->name, repository);
}

char *serve_names_own_prefix(const struct serve *s, const char *repository)
{
    CLEANUP(registry_reference_release) struct registry_reference r = {0};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    if (s->options.is_pushed_only ||
        registry_reference_parse(view_of(repository), &r, &ignored) < 0 ||
        strcmp(r.host, s->name) == 0)
        return NULL;
    CLEANUP(base_freep) char *name = registry_reference_name(&r);
    return base_format("%s:", name);
}

/* The part of a ref before its tag: ports have colons too. */
static struct view without_tag(struct view ref)
{
    size_t at = ref.size;

    while (at > 0 && ref.data[at - 1] != ':' && ref.data[at - 1] != '/')
        at--;
    return at > 0 && ref.data[at - 1] == ':' ? view_sub(ref, 0, at - 1) : ref;
}

char *serve_names_repository(const struct serve *s, const char *ref)
{
    const size_t size = strlen(s->name);
    struct view name = without_tag(view_of(ref));

    if (strncmp(ref, s->name, size) == 0 && ref[size] == '/')
        name = view_sub(name, size + 1, name.size);
    else if (s->options.is_pushed_only)
        return NULL;
    else if (view_starts(name, OFFICIAL_PREFIX))
        name = view_sub(name, sizeof OFFICIAL_PREFIX - 1, name.size);
    else if (view_starts(name, DEFAULT_PREFIX))
        name = view_sub(name, sizeof DEFAULT_PREFIX - 1, name.size);
    return serve_is_repository(name) ? view_dup(name) : NULL;
}

bool serve_names_fixed(const struct serve *s, const char *repository, const char *tag)
{
    CLEANUP(base_freep) char *whole = base_format("%s:%s", repository, tag);

    for (size_t i = 0; i < s->options.immutable_count; i++) {
        const char *const pattern = s->options.immutable[i];
        if (fnmatch(pattern, strchr(pattern, ':') ? whole : tag, 0) == 0)
            return true;
    }
    return false;
}

static int find_under(struct serve *s,
                      const char *prefix,
                      const char *tag,
                      bool *found,
                      struct descriptor *out,
                      struct error *err)
{
    CLEANUP(cas_ref_release) struct cas_ref ref = {0};
    CLEANUP(base_freep) char *name = prefix ? base_format("%s%s", prefix, tag) : NULL;

    *found = false;
    if (!name)
        return 0;
    if (cas_ref_find(s->store, name, found, &ref, err) < 0)
        return -1;
    if (*found)
        descriptor_copy(out, &ref.target);
    return 0;
}

int serve_tag_find(struct serve *s,
                   const char *repository,
                   const char *tag,
                   bool *found,
                   bool *own,
                   struct descriptor *out,
                   struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(s, repository);
    CLEANUP(base_freep) char *own_prefix = serve_names_own_prefix(s, repository);

    if (find_under(s, prefix, tag, found, out, err) < 0)
        return -1;
    if (own)
        *own = !*found;
    return *found ? 0 : find_under(s, own_prefix, tag, found, out, err);
}
