#include "release/rollback.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void release_rollback_release(struct release_rollback *r)
{
    release_names_release(&r->tags);
    release_log_release(&r->log);
    release_manifest_release(&r->from);
    release_manifest_release(&r->to);
}

/* "@{N}" */
static bool entry_parse(const char *text, uint64_t *n)
{
    const size_t size = strlen(text);

    return size > 3 && strncmp(text, "@{", 2) == 0 && text[size - 1] == '}' &&
           view_to_u64((struct view){text + 2, size - 3}, n);
}

static int find_entry(const struct release_rollback *r,
                      const struct digest *now,
                      uint64_t n,
                      struct digest *out,
                      struct error *err)
{
    CLEANUP(release_states_release) struct release_states states = {0};

    release_log_states(&r->log, r->tag, now, &states);
    if (n >= states.count)
        return error_set(err, ERROR_NOT_FOUND,
                         "the history of the tag '%s' has no @{%ju}: it knows %zu state%s",
                         r->tag, (uintmax_t)n, states.count, states.count == 1 ? "" : "s");
    *out = states.items[n].digest;
    return 0;
}

static int find_version(const struct release_rollback *r,
                        const char *text,
                        struct digest *out,
                        struct error *err)
{
    CLEANUP(base_freep) char *tag = base_strdup(text);
    CLEANUP(base_freep) char *name = release_place_name(r->place);

    for (char *c = tag; *c; c++)
        *c = *c == '+' ? '_' : *c;
    if (!release_names_has(&r->tags, tag) || release_tag_is_internal(tag))
        return error_set(err, ERROR_NOT_FOUND, "%s has no version '%s'", name, text);
    return release_place_digest(r->place, tag, out, err);
}

static int target_find(const struct release_rollback *r,
                       const struct digest *now,
                       const char *target,
                       struct digest *out,
                       struct error *err)
{
    uint64_t n = 1;

    if (!target || entry_parse(target, &n))
        return find_entry(r, now, n, out, err);
    if (target[0] == '@')
        return error_set(err, ERROR_INVALID, "'%s' is not @{N}", target);
    if (strchr(target, ':'))
        return digest_parse(view_of(target), out, err);
    return find_version(r, target, out, err);
}

/* Moving tags move; versions do not, whether cooper released them or they only look so. */
static int check_tag(const struct release_rollback *r, struct error *err)
{
    struct release_version version;
    const bool looks_so = release_version_from_tag(RELEASE_SEMVER, r->tag, &version);

    if (looks_so)
        release_version_release(&version);
    if (looks_so || release_log_is_version(&r->log, r->tag))
        return error_set(
            err, ERROR_INVALID,
            "%s is a version, which never changes; roll back a tag that moves, "
            "such as 'latest'",
            r->tag);
    if (release_tag_is_internal(r->tag))
        return error_set(err, ERROR_INVALID, "%s is a tag that cooper keeps", r->tag);
    return 0;
}

static int get(struct release_place *p,
               const struct digest *digest,
               struct release_manifest *out,
               struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;

    if (release_place_get(p, digest, out, err) == 0)
        return 0;
    name = release_place_name(p);
    if (error_is(err, ERROR_NOT_FOUND))
        return error_set(err, ERROR_NOT_FOUND, "%s has no image %s any more", name,
                         digest_format(digest).text);
    return error_wrap(err, "%s", name);
}

/* Where the history says that the tag points; not set: nothing is said of it. */
static struct digest recorded(const struct release_rollback *r)
{
    for (size_t i = 0; i < r->log.count; i++) {
        const struct release_move *const m = release_record_find(&r->log.items[i], r->tag);

        if (m)
            return m->to;
    }
    return (struct digest){0};
}

/* Where to, seen from where the tag points, or, if the history does not know of that move
 * and it was the one that is asked for now, from where the history ends. */
static int resolve(struct release_rollback *r,
                   const struct digest *now,
                   const char *target,
                   struct digest *to,
                   struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then it is not that move */
    const struct digest known = recorded(r);

    r->origin = *now;
    if (digest_is_set(&known) && !digest_eq(&known, now) &&
        target_find(r, &known, target, to, &ignored) == 0 && digest_eq(to, now)) {
        r->is_moved = true;
        r->origin = known;
        return 0;
    }
    return target_find(r, now, target, to, err);
}

int release_rollback_plan(struct release_rollback *r, const char *target, struct error *err)
{
    CLEANUP(base_freep) char *name = release_place_name(r->place);
    struct digest now, to;

    if (release_place_tags(r->place, &r->tags, err) < 0 ||
        release_log_read(r->place, &r->tags, &r->log, err) < 0 || check_tag(r, err) < 0 ||
        release_place_digest(r->place, r->tag, &now, err) < 0)
        return -1;
    if (!digest_is_set(&now))
        return error_set(err, ERROR_NOT_FOUND, "%s has no tag '%s'", name, r->tag);
    if (resolve(r, &now, target, &to, err) < 0 || get(r->place, &to, &r->to, err) < 0)
        return -1;
    if (get(r->place, &r->origin, &r->from, err) == 0)
        return 0;
    if (!error_is(err, ERROR_NOT_FOUND))
        return -1;
    error_clear(err); /* it was removed, so there is nothing to compare with */
    return 0;
}

bool release_rollback_is_done(const struct release_rollback *r)
{
    return digest_eq(&r->origin, &r->to.descriptor.digest);
}

static int record(struct release_rollback *r, struct error *err)
{
    const char *const version = release_log_version(&r->log, &r->to.descriptor.digest);
    CLEANUP(release_record_release)
    struct release_record one = {
        .sequence = release_log_next(&r->log),
        .who = base_strdup(r->who),
        .command = base_strdup("rollback"),
        .message = base_strdup(r->message),
        .source = base_strdup(version),
    };

    release_record_stamp(&one);
    release_record_add(&one, r->tag, &r->origin, &r->to.descriptor.digest);
    return release_log_write(r->place, &one, err);
}

static int move(struct release_rollback *r, struct error *err)
{
    struct digest now;
    bool done;

    if (release_place_check(r->place, &r->to, err) < 0 ||
        release_place_set(r->place, r->tag, &r->origin, &r->to, &done, &now, err) < 0)
        return -1;
    if (done)
        return 0;
    return error_set(err, ERROR_EXISTS,
                     "somebody else moved '%s' to %s meanwhile: look again", r->tag,
                     digest_is_set(&now) ? digest_format(&now).text : "nothing");
}

int release_rollback_run(struct release_rollback *r, struct error *err)
{
    if (release_rollback_is_done(r))
        return 0;
    if (release_place_prepare(r->place, err) < 0 || (!r->is_moved && move(r, err) < 0))
        return -1;
    return record(r, err);
}
