/* cooper promote REPOSITORY:VERSION REPOSITORY */
#include "cli/command.h"

#include "base/alloc.h"
#include "cli/release_run.h"
#include "registry/copy.h"
#include "release/log.h"

#include <stddef.h>

struct promote_options {
    struct cli_release_options common;
    const char *as;
};

static const struct cli_option options[] = {
    CLI_RELEASE_OPTIONS(promote_options),
    {0, "as", CLI_OPTION_TEXT, "VERSION", "Under another version than it had",
     offsetof(struct promote_options, as)},
};

struct origin {
    struct cli_session *session;
    struct registry_reference by_digest;
    struct descriptor root;
    char *named; /* REPOSITORY:VERSION@DIGEST */
};

static void origin_release(struct origin *o)
{
    registry_reference_release(&o->by_digest);
    descriptor_release(&o->root);
    base_freep(&o->named);
}

static int copy(void *context,
                const struct registry_reference *to,
                const struct event_sink *sink,
                struct error *err)
{
    const struct origin *const o = context;
    CLEANUP(registry_location_release) struct registry_location from = {0};
    CLEANUP(registry_location_release) struct registry_location target = {0};
    CLEANUP(registry_copy_result_release) struct registry_copy_result result = {0};
    const struct registry_copy_options how = {
        .all_platforms = true, .referrers = true, .progress = {.sink = sink}};

    registry_location_init(&from, &o->by_digest);
    registry_location_init(&target, to);
    return registry_copy(cli_session_registry(o->session), &from, &target, &how, &result,
                         err);
}

static int find(struct origin *o,
                const struct registry_reference *source,
                const char *text,
                struct error *err)
{
    bool found;

    if (registry_manifest_head(cli_session_registry(o->session), source, &found, &o->root,
                               err) < 0)
        return error_wrap(err, "%s", text);
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "no image '%s' at its registry", text);
    registry_reference_copy(&o->by_digest, source);
    o->by_digest.digest = o->root.digest;
    o->named = registry_reference_familiar(&o->by_digest);
    base_freep(&o->by_digest.tag);
    return 0;
}

/* What the version was released with, by the history of where it was; nothing is fine. */
static int facts(const struct origin *o,
                 const char *tag,
                 struct release_log *log,
                 const struct doc **out,
                 struct error *err)
{
    CLEANUP(release_place_release) struct release_place place = {0};
    CLEANUP(release_names_release) struct release_names tags = {0};

    *out = NULL;
    release_place_init(&place, cli_session_registry(o->session), &o->by_digest);
    if (release_place_tags(&place, &tags, err) < 0 ||
        release_log_read(&place, &tags, log, err) < 0)
        return -1;
    for (size_t i = 0; tag && i < log->count && !*out; i++) {
        const struct release_record *const r = &log->items[i];
        const struct release_move *const m =
            r->version ? release_record_find(r, tag) : NULL;

        if (m && digest_eq(&m->to, &o->root.digest))
            *out = r->annotations;
    }
    return 0;
}

static int check(const struct registry_reference *source,
                 const struct registry_reference *target,
                 const struct promote_options *o,
                 struct error *err)
{
    if (!source->tag && !o->as)
        return error_set(err, ERROR_USAGE,
                         "the source is REPOSITORY:VERSION, or --as says the version");
    if (target->tag || digest_is_set(&target->digest))
        return error_set(err, ERROR_USAGE,
                         "the target is a repository, named without tag and digest");
    if (registry_reference_same_repository(source, target))
        return error_set(err, ERROR_USAGE,
                         "source and target are one repository; 'cooper release' gives an "
                         "image a further version");
    return cli_release_check(&o->common, err);
}

static int promote_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct promote_options *const o = opaque;
    CLEANUP(origin_release) struct origin origin = {.session = session};
    CLEANUP(registry_reference_release) struct registry_reference source = {0};
    CLEANUP(registry_reference_release) struct registry_reference target = {0};
    CLEANUP(release_log_release) struct release_log log = {0};
    const struct doc *known;

    if (registry_reference_parse(view_of(arguments->items[0]), &source, err) < 0 ||
        registry_reference_parse(view_of(arguments->items[1]), &target, err) < 0 ||
        check(&source, &target, o, err) < 0 ||
        find(&origin, &source, arguments->items[0], err) < 0 ||
        facts(&origin, source.tag, &log, &known, err) < 0)
        return -1;
    const struct cli_release release = {
        .command = "promote",
        .options = &o->common,
        .target = &target,
        .version = o->as ? o->as : source.tag,
        .digest = origin.root.digest,
        .source = origin.named,
        .known = known,
        .bring = copy,
        .context = &origin,
    };
    return cli_release_run(session, &release, err);
}

const struct cli_command cli_command_promote = {
    .name = "promote",
    .usage = "[OPTIONS] REPOSITORY:VERSION[@DIGEST] REPOSITORY",
    .summary = "Copy a version to another repository, unchanged, and release it there",
    .details =
        "The image is copied by digest, with what refers to it (signatures, SBOMs), from\n"
        "staging to production, say; there the version is made and the tags that follow "
        "it\n"
        "are moved as 'cooper release' does.",
    CLI_OPTIONS(options, struct promote_options),
    .argument_min = 2,
    .argument_max = 2,
    .is_interruptible = true,
    .run = promote_run,
};
