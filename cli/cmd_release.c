/* cooper release IMAGE[@DIGEST] REPOSITORY VERSION */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/image.h"
#include "cli/release_annotate.h"
#include "cli/release_facts.h"
#include "cli/release_run.h"
#include "registry/copy.h"
#include "registry/push.h"

#include <stddef.h>
#include <string.h>

struct release_options {
    struct cli_release_options common;
    bool annotate;
};

static const struct cli_option options[] = {
    CLI_RELEASE_OPTIONS(release_options),
    {0, "annotate", CLI_OPTION_SWITCH, NULL,
     "Put the annotations into the image's manifest too",
     offsetof(struct release_options, annotate)},
};

/* The image, in the store or at a registry. */
struct source {
    struct cli_session *session;
    struct descriptor root;
    struct registry_reference remote; /* host NULL: it is in the store */
    struct cli_image image;           /* of the store; the config NULL if it has none */
    char *named;                      /* REPOSITORY@DIGEST or the image's name */
};

static void source_release(struct source *s)
{
    descriptor_release(&s->root);
    registry_reference_release(&s->remote);
    cli_image_release(&s->image);
    free(s->named);
}

static int from_store(void *context,
                      const struct registry_reference *to,
                      const struct event_sink *sink,
                      struct error *err)
{
    const struct source *const s = context;
    const struct registry_push_options push = {.progress = {.sink = sink}};
    struct digest digest;

    return registry_push(cli_session_registry(s->session), s->session->store, &s->root, to,
                         &push, &digest, err);
}

static int from_registry(void *context,
                         const struct registry_reference *to,
                         const struct event_sink *sink,
                         struct error *err)
{
    const struct source *const s = context;
    CLEANUP(registry_location_release) struct registry_location origin = {0};
    CLEANUP(registry_location_release) struct registry_location target = {0};
    CLEANUP(registry_copy_result_release) struct registry_copy_result result = {0};
    const struct registry_copy_options copy = {
        .all_platforms = true, .referrers = true, .progress = {.sink = sink}};

    if (registry_reference_same_repository(&s->remote, to)) /* it is there */
        return 0;
    registry_location_init(&origin, &s->remote);
    registry_location_init(&target, to);
    return registry_copy(cli_session_registry(s->session), &origin, &target, &copy, &result,
                         err);
}

/* What is not in the store is looked for at its registry, if the name has one. */
static int find_remote(struct source *s, const char *text, struct error *err)
{
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    CLEANUP(error_clear) struct error absent = error_take(err);
    bool found;

    if (!cli_release_has_host(text))
        return error_move(err, &absent);
    if (registry_reference_parse(view_of(text), &ref, err) < 0)
        return -1;
    registry_reference_add_default_tag(&ref);
    if (registry_manifest_head(cli_session_registry(s->session), &ref, &found, &s->root,
                               err) < 0)
        return error_wrap(err, "%s", text);
    if (!found)
        return error_set(err, ERROR_NOT_FOUND,
                         "no image '%s', neither in the store nor at its registry", text);
    base_freep(&ref.tag);
    ref.digest = s->root.digest;
    registry_reference_copy(&s->remote, &ref);
    s->named = registry_reference_familiar(&s->remote);
    return 0;
}

static int find(struct source *s, const char *text, struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* then nothing is told of it */
    struct cas_store *const store = cli_session_store(s->session, err);

    if (!store)
        return -1;
    if (cli_image_resolve(store, text, &name, &s->root, err) < 0)
        return error_is(err, ERROR_NOT_FOUND) ? find_remote(s, text, err) : -1;
    /* An index without this machine's platform has no config to ask. */
    if (cli_image_load(store, name, &s->root, &s->image, &ignored) < 0)
        s->image = (struct cli_image){0};
    s->named = base_strdup(text);
    return 0;
}

/* The manifest with the annotations is another one, with another digest. */
static int annotate(struct source *s,
                    const struct release_options *o,
                    const char *version,
                    struct doc **known,
                    struct error *err)
{
    const struct cli_release_source facts = {
        .version = version,
        .config = s->image.config,
        .given = &o->common.annotations,
        .is_from_here = true,
    };

    if (!o->annotate)
        return 0;
    if (s->remote.host || strchr(s->named, '@'))
        return error_set(err, ERROR_USAGE,
                         "--annotate makes another manifest, so it is for images of the "
                         "store that are not named by digest: '%s'",
                         s->named);
    *known = cli_release_facts(&facts, err);
    return *known ? cli_release_annotate(s->session->store, *known, &s->root, err) : -1;
}

static int release_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct release_options *const o = opaque;
    CLEANUP(source_release) struct source source = {.session = session};
    CLEANUP(registry_reference_release) struct registry_reference target = {0};
    CLEANUP(doc_unrefp) struct doc *known = NULL;

    if (cli_release_check(&o->common, err) < 0 ||
        registry_reference_parse(view_of(arguments->items[1]), &target, err) < 0)
        return -1;
    if (target.tag || digest_is_set(&target.digest))
        return error_set(err, ERROR_USAGE,
                         "a release goes to a repository, named without tag and digest: "
                         "'%s'; the version is an argument of its own",
                         arguments->items[1]);
    if (find(&source, arguments->items[0], err) < 0 ||
        annotate(&source, o, arguments->items[2], &known, err) < 0)
        return -1;
    const struct cli_release release = {
        .command = "release",
        .options = &o->common,
        .target = &target,
        .version = arguments->items[2],
        .digest = source.root.digest,
        .source = source.named,
        .known = known,
        .config = source.image.config,
        .is_from_here = true,
        .bring = source.remote.host ? from_registry : from_store,
        .context = &source,
    };
    return cli_release_run(session, &release, err);
}

const struct cli_command cli_command_release = {
    .name = "release",
    .usage = "[OPTIONS] IMAGE[@DIGEST] REPOSITORY VERSION",
    .summary = "Publish an image as a version that never changes",
    .details =
        "Pushes the content, makes the version's tag, then moves the tags that follow it:\n"
        "a release of 1.4.2 moves 1.4, 1 and latest, a pre-release none. Everything is "
        "read\n"
        "back. What was interrupted is completed by the same command.\n\n"
        "A version that exists with another digest is refused. IMAGE is an image of the\n"
        "store, else one at its registry.",
    CLI_OPTIONS(options, struct release_options),
    .argument_min = 3,
    .argument_max = 3,
    .is_interruptible = true,
    .run = release_run,
};
