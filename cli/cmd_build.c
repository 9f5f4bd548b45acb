/* cooper build PATH */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/build.h"
#include "cli/build_cache.h"
#include "cli/build_call.h"
#include "cli/build_explain.h"
#include "cli/build_failure.h"
#include "cli/build_output.h"
#include "cli/build_proxy.h"
#include "cli/build_report.h"
#include "cli/build_run.h"
#include "cli/build_source.h"
#include "cli/build_value.h"
#include "cli/diagnostics.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/progress.h"
#include "registry/reference.h"

#include <stddef.h>

struct build_options {
    const char *file;
    const char *target;
    struct cli_texts platforms;
    const char *progress;
    const char *iidfile;
    const char *metadata_file;
    const char *provenance;
    const char *sbom;
    struct cli_texts attest;
    const char *call;
    const char *on_failure;
    const char *format;
    struct cli_texts tags;
    struct cli_texts args;
    struct cli_texts contexts;
    struct cli_texts labels;
    struct cli_run_options run;
    struct cli_output_options out;
    struct cli_texts cache_from;
    struct cli_texts cache_to;
    struct cli_texts no_cache_filter;
    struct cli_time epoch;
    unsigned parallel;
    bool nothing_left; /* what is so anyhow */
    bool no_cache;
    bool pull;
    bool quiet;
    bool check;
};

#define FIELD(name) offsetof(struct build_options, name)

static const struct cli_option options[] = {
    {0, "add-host", CLI_OPTION_TEXTS, "HOST:ADDRESS", "A line for /etc/hosts of steps",
     FIELD(run.hosts)},
    {0, "allow", CLI_OPTION_TEXTS, "ENTITLEMENT",
     "Allow network.host, security.insecure or device[=NAME] to RUN", FIELD(run.allow)},
    {0, "annotation", CLI_OPTION_TEXTS, "[TYPE:]KEY=VALUE",
     "An annotation of the manifest (or manifest-descriptor:)", FIELD(out.annotations)},
    {0, "attest", CLI_OPTION_TEXTS, "type=TYPE,disabled=true",
     "Only disabled: attestations are not made", FIELD(attest)},
    {0, "build-arg", CLI_OPTION_TEXTS, "NAME[=VALUE]",
     "A value for ARG (default: from the environment)", FIELD(args)},
    {0, "build-context", CLI_OPTION_TEXTS, "NAME=SOURCE",
     "A further context: directory, archive, URL, oci-layout://PATH, docker-image://NAME, "
     "target:STAGE",
     FIELD(contexts)},
    {0, "ca", CLI_OPTION_TEXTS, "FILE",
     "Trust these certificates: registries, and inside RUN", FIELD(run.ca)},
    {0, "cache-from", CLI_OPTION_TEXTS, "REF|type=TYPE,...",
     "Find results in a registry (ref=) or directory (type=local,src=)", FIELD(cache_from)},
    {0, "cache-to", CLI_OPTION_TEXTS, "REF|type=TYPE,...",
     "Leave results in a registry, a directory (type=local,dest=) or the image (inline)",
     FIELD(cache_to)},
    {0, "call", CLI_OPTION_TEXT, "METHOD[,format=json]",
     "Tell about the Dockerfile instead of building: check, outline or targets",
     FIELD(call)},
    {0, "cgroup-parent", CLI_OPTION_TEXT, "GROUP",
     "The control group that RUN steps are below", FIELD(run.cgroup_parent)},
    {0, "check", CLI_OPTION_SWITCH, NULL, "As --call=check", FIELD(check)},
    {0, "compression", CLI_OPTION_TEXT, "TYPE",
     "Of new layers: gzip (default), zstd or uncompressed", FIELD(out.compression)},
    {0, "compression-level", CLI_OPTION_TEXT, "N", "1 to 9 for gzip, 1 to 22 for zstd",
     FIELD(out.compression_level)},
    {0, "cpu-period", CLI_OPTION_TEXT, "US", "The period of --cpu-quota (default 100000)",
     FIELD(run.cpu_period)},
    {0, "cpu-quota", CLI_OPTION_TEXT, "US", "Processor time of a RUN step in each period",
     FIELD(run.cpu_quota)},
    {'c', "cpu-shares", CLI_OPTION_TEXT, "N", "Weight of a RUN step (others have 1024)",
     FIELD(run.cpu_shares)},
    {0, "cpuset-cpus", CLI_OPTION_TEXT, "LIST", "Processors of RUN steps: 0-2,4",
     FIELD(run.cpuset_cpus)},
    {0, "cpuset-mems", CLI_OPTION_TEXT, "LIST", "Memory nodes of RUN steps",
     FIELD(run.cpuset_mems)},
    {0, "device", CLI_OPTION_TEXTS, "NAME", "A CDI device for every RUN step",
     FIELD(run.devices)},
    {'f', "file", CLI_OPTION_TEXT, "FILE",
     "The Dockerfile (default PATH/Dockerfile; - is standard input)", FIELD(file)},
    {0, "force-compression", CLI_OPTION_SWITCH, NULL,
     "Compress the layers of base images as well", FIELD(out.force_compression)},
    {0, "force-rm", CLI_OPTION_SWITCH, NULL, "As --rm", FIELD(nothing_left)},
    {0, "iidfile", CLI_OPTION_TEXT, "FILE", "Write the image's ID to this file",
     FIELD(iidfile)},
    {0, "label", CLI_OPTION_TEXTS, "KEY=VALUE", "A label of the image", FIELD(labels)},
    {0, "load", CLI_OPTION_MAYBE, "[=INTO]",
     "Give the image to docker, podman or containerd on this machine", FIELD(out.load)},
    {'m', "memory", CLI_OPTION_TEXT, "SIZE", "Memory of a RUN step", FIELD(run.memory)},
    {0, "memory-swap", CLI_OPTION_TEXT, "SIZE",
     "Memory and swap together (default: twice the memory; -1: any)",
     FIELD(run.memory_swap)},
    {0, "metadata-file", CLI_OPTION_TEXT, "FILE",
     "Write digests and names of the result as JSON to this file", FIELD(metadata_file)},
    {0, "isolation", CLI_OPTION_TEXT, "auto|root|subids|single|none",
     "How RUN steps are shut in (default auto)", FIELD(run.isolation)},
    {0, "network", CLI_OPTION_TEXT, "MODE", "Network of RUN: default, none or host",
     FIELD(run.network)},
    {0, "no-cache", CLI_OPTION_SWITCH, NULL, "Run every step anew", FIELD(no_cache)},
    {0, "no-cache-filter", CLI_OPTION_TEXTS, "STAGE[,STAGE]",
     "Run the steps of these stages anew", FIELD(no_cache_filter)},
    {0, "on-failure", CLI_OPTION_TEXT, "image=NAME",
     "Keep the state of a RUN that fails as an image", FIELD(on_failure)},
    {'o', "output", CLI_OPTION_TEXTS, "DEST",
     "Where the result goes: DIR, -, or type=TYPE,dest=PATH,...", FIELD(out.outputs)},
    {0, "parallel", CLI_OPTION_COUNT, "N", "Steps at once (default: as many as processors)",
     FIELD(parallel)},
    {0, "platform", CLI_OPTION_TEXTS, "OS/ARCH[/VARIANT][,...]",
     "Platforms of the image (default: this machine's); several give an index",
     FIELD(platforms)},
    {0, "progress", CLI_OPTION_TEXT, "MODE", "auto, plain, tty, quiet or rawjson",
     FIELD(progress)},
    {0, "provenance", CLI_OPTION_TEXT, "false", "Only false: attestations are not made",
     FIELD(provenance)},
    {0, "pull", CLI_OPTION_SWITCH, NULL, "Ask registries for newer base images",
     FIELD(pull)},
    {0, "push", CLI_OPTION_SWITCH, NULL, "As -o type=registry", FIELD(out.push)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Show no progress, print the image's ID",
     FIELD(quiet)},
    {0, "resource", CLI_OPTION_TEXTS, "KEY=VALUE[,...]",
     "Limits of a RUN step: memory=512m,cpus=1.5,pids=200", FIELD(run.resources)},
    {0, "rm", CLI_OPTION_SWITCH, NULL,
     "As docker build has it: of steps nothing is left here in any case",
     FIELD(nothing_left)},
    {0, "sbom", CLI_OPTION_TEXT, "false", "Only false: attestations are not made",
     FIELD(sbom)},
    {0, "secret", CLI_OPTION_TEXTS, "id=ID[,src=FILE|,env=NAME]",
     "A secret for RUN --mount=type=secret", FIELD(run.secrets)},
    {0, "shm-size", CLI_OPTION_BYTES, "SIZE", "Size of /dev/shm (default 64m)",
     FIELD(run.shm_size)},
    {0, "source-date-epoch", CLI_OPTION_TIME, "SECONDS",
     "The latest time in the image (default $SOURCE_DATE_EPOCH)", FIELD(epoch)},
    {0, "split", CLI_OPTION_BYTES, "SIZE", "Split new layers that are larger than this",
     FIELD(out.split)},
    {0, "squash", CLI_OPTION_SWITCH, NULL, "Join the layers above the base into one",
     FIELD(out.squash)},
    {0, "squash-all", CLI_OPTION_SWITCH, NULL, "Join all layers into one",
     FIELD(out.squash_all)},
    {0, "ssh", CLI_OPTION_TEXTS, "ID[=SOCKET|KEY,...]",
     "An ssh agent for RUN --mount=type=ssh (default: $SSH_AUTH_SOCK)", FIELD(run.ssh)},
    {'t', "tag", CLI_OPTION_TEXTS, "NAME[:TAG]", "A name for the image", FIELD(tags)},
    {0, "target", CLI_OPTION_TEXT, "STAGE", "Build this stage (default: the last)",
     FIELD(target)},
    {0, "ulimit", CLI_OPTION_TEXTS, "NAME=SOFT[:HARD]", "A ulimit of RUN steps",
     FIELD(run.ulimits)},
    /* Of `explain` alone; `build` leaves the last row away. */
    {0, "format", CLI_OPTION_TEXT, "FORMAT", "table or json", FIELD(format)},
};

/* Everything that the request borrows from. */
struct build_values {
    struct cli_build_source source;
    struct cli_pairs args;
    struct cli_pairs contexts;
    struct cli_pairs labels;
    struct cli_run_values run;
    struct cli_outputs outputs;
    struct cli_texts tags;
    struct cli_platforms platforms;
    struct cli_texts stages; /* of --no-cache-filter */
    struct cli_caches caches;
    char *lists[2]; /* the texts that `stages` and `tags` were cut from */
};

static void values_release(struct build_values *v)
{
    cli_build_source_release(&v->source);
    cli_pairs_release(&v->args);
    cli_pairs_release(&v->contexts);
    cli_pairs_release(&v->labels);
    cli_run_values_release(&v->run);
    cli_outputs_release(&v->outputs);
    cli_texts_release(&v->tags);
    cli_platforms_release(&v->platforms);
    cli_texts_release(&v->stages);
    cli_caches_release(&v->caches);
    for (size_t i = 0; i < ARRAY_COUNT(v->lists); i++)
        free(v->lists[i]);
}

/* Cuts "a,b" and further such texts into a list; *memory is what the list borrows from. */
static void list_cut(struct buf *joined, struct cli_texts *out, char **memory)
{
    char *next;

    *memory = buf_take(joined);
    next = *memory;
    while (next != NULL && *next != '\0') {
        const char *const item = strsep(&next, ",");

        if (item[0] != '\0')
            cli_texts_add(out, item);
    }
}

static void stages_read(const struct build_options *o, struct build_values *v)
{
    CLEANUP(buf_release) struct buf joined = BUF_INIT(LIMIT_TEXT_SIZE);

    for (size_t i = 0; i < o->no_cache_filter.count; i++)
        buf_printf(&joined, "%s,", o->no_cache_filter.items[i]);
    list_cut(&joined, &v->stages, &v->lists[0]);
}

/* -t, and the names of -o type=image,name=. */
static void tags_read(const struct build_options *o, struct build_values *v)
{
    CLEANUP(buf_release) struct buf joined = BUF_INIT(LIMIT_TEXT_SIZE);

    for (size_t i = 0; i < o->tags.count; i++)
        cli_texts_add(&v->tags, o->tags.items[i]);
    for (size_t i = 0; i < v->outputs.count; i++) {
        if (v->outputs.items[i].type == BUILD_OUTPUT_STORE &&
            v->outputs.items[i].name != NULL)
            buf_printf(&joined, "%s,", v->outputs.items[i].name);
    }
    list_cut(&joined, &v->tags, &v->lists[1]);
}

static int refusals_check(const struct build_options *o, struct error *err)
{
    if (o->provenance != NULL && strcmp(o->provenance, "false") != 0)
        return error_set(err, ERROR_USAGE, "--provenance=%s: attestations are not made",
                         o->provenance);
    if (o->sbom != NULL && strcmp(o->sbom, "false") != 0)
        return error_set(err, ERROR_USAGE, "--sbom=%s: attestations are not made", o->sbom);
    for (size_t i = 0; i < o->attest.count; i++)
        if (strstr(o->attest.items[i], "disabled=true") == NULL)
            return error_set(err, ERROR_USAGE, "--attest %s: attestations are not made",
                             o->attest.items[i]);
    return 0;
}

/*
 * The flag, else the build argument, else the environment. Steps see it in any case: it is
 * a build argument that needs no value of its own.
 */
static int epoch_read(const struct build_options *o,
                      struct build_values *v,
                      struct build_request *r,
                      struct error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    char number[32];
    uint64_t seconds = 0;

    r->epoch = -1;
    for (size_t i = 0; i < v->args.count; i++) {
        if (strcmp(v->args.items[i].name, "SOURCE_DATE_EPOCH") == 0 &&
            v->args.items[i].value != NULL)
            text = v->args.items[i].value;
    }
    if (o->epoch.given) {
        snprintf(number, sizeof number, "%lld", o->epoch.seconds);
        text = number;
    }
    if (text == NULL || text[0] == '\0')
        return 0;
    if (!view_to_u64(view_of(text), &seconds) || seconds > INT64_MAX)
        return error_set(
            err, ERROR_USAGE,
            "SOURCE_DATE_EPOCH is a number of seconds since 1970-01-01, not '%s'", text);
    r->epoch = (int64_t)seconds;
    if (!cli_pairs_has(&v->args, "SOURCE_DATE_EPOCH"))
        cli_pairs_add(&v->args, VIEW_LIT("SOURCE_DATE_EPOCH"), text);
    return 0;
}

static int values_read(const struct build_options *o,
                       const char *context,
                       struct build_values *v,
                       struct error *err)
{
    if (refusals_check(o, err) < 0 || cli_build_args(&o->args, &v->args, err) < 0 ||
        cli_build_contexts(&o->contexts, &v->contexts, err) < 0 ||
        cli_build_labels(&o->labels, &v->labels, err) < 0 ||
        cli_build_outputs(&o->out, &v->outputs, err) < 0 ||
        cli_caches_read(&o->cache_from, &o->cache_to, &v->caches, err) < 0 ||
        cli_build_proxies(&v->args, err) < 0)
        return -1;
    stages_read(o, v);
    tags_read(o, v);
    if (o->quiet && v->outputs.uses_stdout)
        return error_set(
            err, ERROR_USAGE,
            "--quiet prints to standard output, and so does one of the outputs");
    return cli_build_source_resolve(context, o->file, &v->source, err);
}

static int request_fill(const struct build_options *o,
                        struct build_values *v,
                        struct build_request *r,
                        struct error *err)
{
    if (epoch_read(o, v, r, err) < 0 ||
        cli_build_platforms(&o->platforms, &v->platforms, err) < 0 ||
        cli_run_read(&o->run, &v->run, r, err) < 0 ||
        cli_build_on_failure(o->on_failure, &r->on_failure, err) < 0)
        return -1;
    cli_build_source_attach(&v->source, r);
    r->target = o->target;
    r->platforms = v->platforms.items;
    r->platform_count = v->platforms.count;
    r->args = v->args.items;
    r->arg_count = v->args.count;
    r->contexts = v->contexts.items;
    r->context_count = v->contexts.count;
    r->labels = v->labels.items;
    r->label_count = v->labels.count;
    r->tags = v->tags.items;
    r->tag_count = v->tags.count;
    cli_outputs_request(&v->outputs, r);
    r->no_cache_filter = v->stages.items;
    r->no_cache_filter_count = v->stages.count;
    r->no_cache = o->no_cache;
    r->cache_from = v->caches.from;
    r->cache_from_count = v->caches.from_count;
    r->cache_to = v->caches.to;
    r->cache_to_count = v->caches.to_count;
    r->pull = o->pull;
    r->parallel = o->parallel;
    r->cancel = cli_interrupt_flag();
    return 0;
}

/* What goes before the error line: the output of what failed, the lines of the Dockerfile.
 * Of several syntax errors each is told with its lines. */
static void failure_print(struct cli_progress *progress,
                          const struct cli_build_source *source,
                          const struct cli_diagnostics *errors,
                          const struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    cli_progress_failures(progress, &text);
    if (errors->count <= 1)
        cli_build_source_excerpt(source, err, &text);
    for (size_t i = 0; errors->count > 1 && i < errors->count; i++) {
        const struct error one = {.pos = errors->items[i].pos};

        buf_printf(&text, "ERROR: %s\n", errors->items[i].text);
        cli_build_source_excerpt(source, &one, &text);
    }
    fwrite(buf_text(&text), 1, text.size, stderr);
}

static void hints_print(const struct cli_session *session,
                        const struct build_request *request,
                        const struct build_result *result,
                        const struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    cli_build_failure_hints(session, request, result, err, &text);
    fwrite(buf_text(&text), 1, text.size, stderr);
}

static int build_perform(struct cli_session *session,
                         const struct build_values *values,
                         struct build_request *request,
                         enum cli_progress_mode mode,
                         struct build_result *result,
                         struct error *err)
{
    CLEANUP(cli_diagnostics_release) struct cli_diagnostics errors = {0};
    CLEANUP(cli_progress_freep)
    struct cli_progress *progress = cli_progress_new(mode, "Building");
    struct cli_storage_guard *guard = NULL;
    struct build_environment env;
    int code = cli_session_environment(session, cli_progress_sink(progress), &env, err);

    if (code == 0)
        code = cli_storage_guard_start(env.store, &session->storage_limit, request->cancel,
                                       &guard, err);
    if (guard != NULL)
        request->cancel = cli_storage_guard_cancel(guard);
    request->on_syntax_error = cli_diagnostics_error;
    request->syntax_context = &errors;
    if (code == 0)
        code = build_run(&env, request, result, err);
    cli_storage_guard_stop(guard, err);
    request->cancel = cli_interrupt_flag();
    cli_progress_finish(progress);
    if (code < 0 && err->code != ERROR_CANCELLED)
        failure_print(progress, &values->source, &errors, err);
    if (code < 0)
        hints_print(session, request, result, err);
    if (code < 0 && errors.count > 1)
        error_wrap(err, "%zu errors in the Dockerfile, the first", errors.count);
    request->on_syntax_error = NULL;
    request->syntax_context = NULL;
    return code;
}

/* What came out, for people; programs have -q, --iidfile and --metadata-file. */
static int result_tell(const struct build_request *request,
                       const struct build_result *result,
                       struct error *err)
{
    fprintf(stderr, "writing image %s\n", digest_format(&result->manifest.digest).text);
    for (size_t i = 0; i < request->tag_count; i++) {
        CLEANUP(base_freep)
        char *name = registry_reference_normalize(view_of(request->tags[i]), err);

        if (!name)
            return -1;
        fprintf(stderr, "naming to %s\n", name);
    }
    return 0;
}

static int build_finish(const struct build_options *o,
                        enum cli_progress_mode mode,
                        const struct build_request *request,
                        const struct build_result *result,
                        struct error *err)
{
    if (cli_build_report(request, result, o->iidfile, o->metadata_file, err) < 0)
        return -1;
    if (result->has_image && mode != CLI_PROGRESS_QUIET && mode != CLI_PROGRESS_RAWJSON &&
        result_tell(request, result, err) < 0)
        return -1;
    if (o->quiet && result->has_image)
        puts(digest_format(&result->manifest.digest).text);
    return 0;
}

static int build_command_run(struct cli_session *session,
                             const void *opaque,
                             const struct cli_texts *arguments,
                             struct error *err)
{
    const struct build_options *const o = opaque;
    CLEANUP(values_release) struct build_values values = {0};
    CLEANUP(build_result_release) struct build_result result = {0};
    struct build_request request = {0};
    struct cli_build_call call;
    enum cli_progress_mode mode;

    if (cli_progress_mode_parse(o->progress, &mode, err) < 0 ||
        cli_build_call_parse(o->call, &call, err) < 0 ||
        values_read(o, arguments->items[0], &values, err) < 0 ||
        request_fill(o, &values, &request, err) < 0 ||
        cli_session_trust(session, request.ca, err) < 0)
        return -1;
    if (o->check)
        call.method = CLI_BUILD_METHOD_CHECK;
    if (call.method != CLI_BUILD_METHOD_BUILD)
        return cli_build_call_run(&call, session, &request, &values.source, err);
    if (cli_build_report_clear(o->iidfile, err) < 0 ||
        cli_session_isolate(session, o->run.isolation, err) < 0 ||
        cli_session_enter_sandbox(session, false, err) < 0)
        return -1;
    if (o->quiet)
        mode = CLI_PROGRESS_QUIET;
    if (build_perform(session, &values, &request, mode, &result, err) < 0)
        return -1;
    if (build_finish(o, mode, &request, &result, err) < 0)
        return -1;
    return cli_caches_write(session, &request, &result, mode, err);
}

const struct cli_command cli_command_build = {
    .name = "build",
    .usage = "[OPTIONS] PATH | URL | -",
    .summary = "Build an image from a Dockerfile",
    .details =
        "PATH is the context: the directory that COPY and ADD take files from; or an "
        "archive,\n"
        "the URL of an archive, of a Dockerfile or of a git repository (URL#REF:DIR). With "
        "-\n"
        "an archive is read from standard input, or a Dockerfile that has no context.\n\n"
        "The image is kept in the store under each name of -t. Outputs of -o:\n"
        "  DIR                       the root file system as files in DIR (type=local)\n"
        "  -                         the root file system as a tar on standard output "
        "(type=tar)\n"
        "  type=image[,push=true]    the store, and the registry\n"
        "  type=registry[,name=N]    the registry\n"
        "  type=oci[,dest=FILE]      an OCI archive; tar=false: an OCI layout directory\n"
        "  type=docker[,dest=FILE]   an archive for 'docker load'; without dest as --load\n"
        "  type=local,dest=DIR       type=tar[,dest=FILE]      type=cacheonly\n"
        "Keys of one output: compression=gzip|zstd|uncompressed, compression-level=N,\n"
        "force-compression, oci-mediatypes, annotation.KEY=VALUE; cooper-build(1) has all.",
    .options = options,
    .option_count = ARRAY_COUNT(options) - 1,
    .options_size = sizeof(struct build_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = build_command_run,
};

static int explain_command_run(struct cli_session *session,
                               const void *opaque,
                               const struct cli_texts *arguments,
                               struct error *err)
{
    const struct build_options *const o = opaque;
    CLEANUP(values_release) struct build_values values = {0};
    CLEANUP(build_explanation_release) struct build_explanation explanation = {0};
    struct build_request request = {0};
    struct build_environment env;
    enum cli_output_format format;

    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        values_read(o, arguments->items[0], &values, err) < 0 ||
        request_fill(o, &values, &request, err) < 0 ||
        cli_session_trust(session, request.ca, err) < 0 ||
        cli_session_environment(session, (struct event_sink){0}, &env, err) < 0 ||
        build_explain(&env, &request, &explanation, err) < 0)
        return -1;
    cli_build_explain_print(&explanation, format);
    return 0;
}

const struct cli_command cli_command_explain = {
    .name = "explain",
    .usage = "[OPTIONS] PATH | -",
    .summary = "Tell which steps of a build would run, and why",
    .details =
        "Takes the options of 'build' and builds nothing: each step that the target needs "
        "is\nlooked up in the cache, and what is not there is told with its reason.",
    CLI_OPTIONS(options, struct build_options),
    .argument_min = 1,
    .argument_max = 1,
    .is_interruptible = true,
    .run = explain_command_run,
};
