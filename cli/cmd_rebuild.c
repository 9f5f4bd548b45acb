/* cooper rebuild IMAGE */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/provenance.h"
#include "builder/rebuild.h"
#include "cas/blob.h"
#include "cli/build_run.h"
#include "cli/build_value.h"
#include "cli/compared.h"
#include "cli/diff_report.h"
#include "cli/image.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/progress.h"

#include <stddef.h>

/* 1 says that the images differ. */
enum { STATUS_DIFFERENT = 1, STATUS_FAILED = 128 };

struct rebuild_options {
    const char *context;
    const char *progress;
    struct cli_texts secrets;
    struct cli_texts ssh;
    bool record;
    bool quiet;
};

#define FIELD(name) offsetof(struct rebuild_options, name)

static const struct cli_option options[] = {
    {0, "context", CLI_OPTION_TEXT, "PATH|URL",
     "The context, in place of where it was when the image was built", FIELD(context)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     FIELD(progress)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print the new ID only", FIELD(quiet)},
    {0, "record", CLI_OPTION_SWITCH, NULL,
     "Print the record of how the image was built, and build nothing", FIELD(record)},
    {0, "secret", CLI_OPTION_TEXTS, "id=ID[,src=FILE|,env=NAME]",
     "A secret that a step mounts: secrets are not recorded", FIELD(secrets)},
    {0, "ssh", CLI_OPTION_TEXTS, "default|ID[=SOCKET|=KEY[,KEY]]",
     "An agent for the steps' ssh mounts", FIELD(ssh)},
};

struct rebuilding {
    struct cli_session *session;
    const struct rebuild_options *o;
    enum cli_progress_mode mode;
    struct descriptor root; /* of the image that there is */
    struct doc *record;
    struct build_result result;
};

static void rebuilding_release(struct rebuilding *r)
{
    descriptor_release(&r->root);
    doc_unref(r->record);
    build_result_release(&r->result);
}

/* --- Building ----------------------------------------------------------------------- */

static int build(struct rebuilding *r, struct build_rebuild *again, struct error *err)
{
    CLEANUP(buf_release) struct buf failures = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(r->mode, "Rebuilding");
    struct build_environment env;
    int result =
        cli_session_environment(r->session, cli_progress_sink(progress), &env, err);

    again->request.cancel = cli_interrupt_flag();
    if (result == 0)
        result = build_run(&env, &again->request, &r->result, err);
    cli_progress_finish(progress);
    if (result == 0)
        return 0;
    cli_progress_failures(progress, &failures);
    fwrite(buf_text(&failures), 1, failures.size, stderr);
    return -1;
}

static int build_again(struct rebuilding *r, struct error *err)
{
    CLEANUP(build_rebuild_release) struct build_rebuild again = {0};
    CLEANUP(cli_secrets_release) struct cli_secrets secrets = {0};
    CLEANUP(cli_agents_release) struct cli_agents agents = {0};

    if (build_rebuild_open(r->record, r->o->context, &again, err) < 0 ||
        cli_build_secrets(&r->o->secrets, &secrets, err) < 0 ||
        cli_build_agents(&r->o->ssh, &agents, err) < 0)
        return -1;
    again.request.secrets = secrets.items;
    again.request.secret_count = secrets.count;
    again.request.ssh = agents.items;
    again.request.ssh_count = agents.count;
    if (again.request.epoch < 0 && !r->o->quiet)
        cli_message_warning("the image was built without SOURCE_DATE_EPOCH: times of "
                            "config and layers are those of the build and will differ");
    return build(r, &again, err);
}

/* --- Comparing ---------------------------------------------------------------------- */

static int compare_sides(struct rebuilding *r,
                         const struct registry_platform *platform,
                         struct cli_compared sides[2],
                         struct error *err)
{
    CLEANUP(cli_transfers_release) struct cli_transfers transfers = {.mode = r->mode};
    CLEANUP(build_compare_release) struct build_compare c = {0};
    const struct digest_text ids[2] = {digest_format(&r->root.digest),
                                       digest_format(&r->result.manifest.digest)};

    for (size_t i = 0; i < 2; i++)
        if (cli_compared_open(&sides[i], r->session, &transfers, ids[i].text, platform,
                              err) < 0 ||
            cli_compared_bring(&sides[i], err) < 0)
            return -1;
    const struct build_compare_image before = cli_compared_image(&sides[0]);
    const struct build_compare_image after = cli_compared_image(&sides[1]);
    if (digest_eq(&sides[0].image.manifest.digest, &sides[1].image.manifest.digest))
        return 0;
    if (build_compare_run(&before, &after, BUILD_COMPARE_ALL | BUILD_COMPARE_TIMES, &c,
                          err) < 0)
        return -1;
    cli_transfers_release(&transfers);
    if (platform != NULL)
        printf("%s:\n", registry_platform_format(platform).text);
    cli_diff_report_text(sides, &c);
    return 0;
}

static int compare_images(struct rebuilding *r,
                          const struct registry_platform *platform,
                          struct error *err)
{
    struct cli_compared sides[2] = {{0}, {0}};
    const int result = compare_sides(r, platform, sides, err);

    cli_compared_release(&sides[0]);
    cli_compared_release(&sides[1]);
    return result;
}

/* One image, or each of an index. */
static int compare_all(struct rebuilding *r, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *index = NULL;
    const struct doc *entries;

    if (!registry_media_is_index(r->root.media_type))
        return compare_images(r, NULL, err);
    index = cas_blob_read_doc(r->session->store, &r->root, LIMIT_MANIFEST_SIZE, err);
    if (index == NULL)
        return -1;
    entries = doc_get(index, "manifests");
    for (size_t i = 0; i < doc_count(entries); i++) {
        struct registry_platform platform;

        if (registry_platform_from_doc(doc_get(doc_at(entries, i), "platform"), &platform,
                                       err) < 0 ||
            compare_images(r, &platform, err) < 0)
            return -1;
    }
    return 0;
}

/* Which step began it. */
static void tell_step(const struct rebuilding *r)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *now =
        build_provenance_find(r->session->store, &r->result.manifest.digest, &ignored);
    const char *step = now != NULL ? build_provenance_first_change(r->record, now) : NULL;

    if (step != NULL)
        printf("The first step with another outcome: %s\n", step);
    else
        puts("Every step changed the same files, but for their times.");
}

static int tell(struct rebuilding *r, struct error *err)
{
    const struct digest_text was = digest_format(&r->root.digest);
    const struct digest_text is = digest_format(&r->result.manifest.digest);
    const bool same = digest_eq(&r->root.digest, &r->result.manifest.digest);

    r->session->exit_code = same ? 0 : STATUS_DIFFERENT;
    if (r->o->quiet) {
        puts(is.text);
        return 0;
    }
    if (same) {
        printf("The same: %s\n", is.text);
        return 0;
    }
    printf("Different: %s was built, and now %s\n", was.text, is.text);
    tell_step(r);
    fflush(stdout);
    return compare_all(r, err);
}

/* ------------------------------------------------------------------------------------ */

static int rebuild(struct rebuilding *r, const char *image, struct error *err)
{
    CLEANUP(base_freep) char *name = NULL;

    if (cli_session_store(r->session, err) == NULL ||
        cli_image_resolve(r->session->store, image, &name, &r->root, err) < 0)
        return -1;
    r->record = build_provenance_find(r->session->store, &r->root.digest, err);
    if (r->record == NULL)
        return -1;
    if (r->o->record) {
        cli_output_doc(r->record, DOC_WRITE_INDENT);
        return 0;
    }
    return build_again(r, err) < 0 ? error_wrap(err, "rebuild %s", image) : tell(r, err);
}

static int rebuild_run(struct cli_session *session,
                       const void *opaque,
                       const struct cli_texts *arguments,
                       struct error *err)
{
    const struct rebuild_options *const o = opaque;
    CLEANUP(rebuilding_release) struct rebuilding r = {.session = session, .o = o};

    session->failure_code = STATUS_FAILED;
    if (cli_progress_mode_parse(o->progress, &r.mode, err) < 0)
        return -1;
    if (o->quiet)
        r.mode = CLI_PROGRESS_QUIET;
    if (!o->record && cli_session_enter_sandbox(session, false, err) < 0)
        return -1;
    return rebuild(&r, arguments->items[0], err);
}

const struct cli_command cli_command_rebuild = {
    .name = "rebuild",
    .usage = "[OPTIONS] IMAGE",
    .summary = "Build an image again from its recorded inputs, and compare",
    .details =
        "Every step runs anew, on the base images that it ran on then. If the digest "
        "is another\none, it is told which step began it, and which files differ and "
        "how. No name in the\nstore changes. Exit status: 0 the same, 1 different, 128 "
        "it could not be built.",
    CLI_OPTIONS(options, struct rebuild_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = rebuild_run,
};
