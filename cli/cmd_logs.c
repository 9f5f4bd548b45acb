/* cooper logs [BUILD [STEP]] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/builds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct logs_options {
    bool unused; /* there are no options */
};

/* What the step printed, byte for byte. */
static int log_copy(
    struct cas_store *store, const char *id, unsigned number, char *last, struct error *err)
{
    CLEANUP(base_freep) char *data = base_alloc(65536);
    bool found = false;
    CLEANUP(fd_closep) int fd = build_builds_log(store, id, number, &found, err);

    if (!found)
        return fd < 0 && err->code != ERROR_NONE ? -1 : 0;
    for (;;) {
        const ssize_t size = read(fd, data, 65536);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return error_sys(err, "read the log of step %u", number);
        if (size == 0)
            return 0;
        if (fwrite(data, 1, (size_t)size, stdout) != (size_t)size)
            return error_sys(err, "write to standard output");
        *last = data[size - 1];
    }
}

static unsigned number_of(const struct doc *step)
{
    int64_t number = 0;

    return doc_int(doc_get(step, "number"), &number) && number > 0 ? (unsigned)number : 0;
}

static const char *text_of(const struct doc *d, const char *key)
{
    const char *text = doc_text(doc_get(d, key));

    return text != NULL ? text : "";
}

/* "#3 [2/3] RUN make", why it ran, what it printed, how it ended. */
static int step_print(struct cas_store *store,
                      const char *id,
                      const struct doc *step,
                      struct error *err)
{
    const unsigned number = number_of(step);
    const char *const status = text_of(step, "status");
    int64_t duration = 0;
    char last = '\n';

    printf("#%u %s\n", number, text_of(step, "name"));
    if (doc_get(step, "notCached") != NULL)
        printf("#%u not cached: %s\n", number, text_of(step, "notCached"));
    if (log_copy(store, id, number, &last, err) < 0)
        return -1;
    if (last != '\n')
        putchar('\n');
    doc_int(doc_get(step, "duration"), &duration);
    if (strcmp(status, "failed") == 0)
        printf("#%u ERROR: %s\n\n", number, text_of(step, "error"));
    else if (strcmp(status, "cached") == 0)
        printf("#%u CACHED\n\n", number);
    else if (strcmp(status, "done") == 0)
        printf("#%u DONE %.1fs\n\n", number, (double)duration / 1e9);
    else
        printf("#%u %s\n\n", number, status);
    return 0;
}

/* By its number, with or without "#". */
static int step_find(const struct doc *entry,
                     const char *typed,
                     unsigned *out,
                     struct error *err)
{
    const struct doc *const steps = doc_get(entry, "steps");
    uint64_t number = 0;

    if (!view_to_u64(view_of(typed + (typed[0] == '#')), &number))
        return error_set(err, ERROR_USAGE, "STEP is the number of a step, not '%s'", typed);
    for (size_t i = 0; i < doc_count(steps); i++) {
        *out = number_of(doc_at(steps, i));
        if (*out == number)
            return 0;
    }
    return error_set(err, ERROR_NOT_FOUND, "the build has no step %s", typed);
}

static int logs_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    struct cas_store *const store = cli_session_store(session, err);
    CLEANUP(base_freep) char *id = NULL;
    CLEANUP(doc_unrefp) struct doc *entry = NULL;
    unsigned number = 0;
    char last;

    (void)opaque;
    if (store == NULL ||
        !(id = build_builds_find(store, arguments->count > 0 ? arguments->items[0] : NULL,
                                 err)) ||
        !(entry = build_builds_read(store, id, err)))
        return -1;
    if (arguments->count > 1)
        return step_find(entry, arguments->items[1], &number, err) < 0
                   ? -1
                   : log_copy(store, id, number, &last, err);
    const struct doc *const steps = doc_get(entry, "steps");
    for (size_t i = 0; i < doc_count(steps); i++)
        if (step_print(store, id, doc_at(steps, i), err) < 0)
            return -1;
    if (doc_get(entry, "error") != NULL)
        printf("ERROR: %s\n", text_of(entry, "error"));
    return 0;
}

const struct cli_command cli_command_logs = {
    .name = "logs",
    .usage = "[BUILD [STEP]]",
    .summary = "Print what the steps of a build printed",
    .details =
        "BUILD is an ID of 'cooper builds' or its beginning, 'latest' (the default), or "
        "^N:\n"
        "the N'th before the latest. Nothing is clipped. With STEP, the number of a step,\n"
        "its output alone is printed, byte for byte.",
    .options = NULL,
    .option_count = 0,
    .options_size = sizeof(struct logs_options),
    .argument_max = 2,
    .run = logs_run,
};
