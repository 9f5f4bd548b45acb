/* cooper logs [-f] [BUILD [STEP]] */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "builder/builds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct logs_options {
    bool follow;
};

static const struct cli_option options[] = {
    {'f', "follow", CLI_OPTION_SWITCH, NULL,
     "Of a build that still runs: print what comes, until it ends",
     offsetof(struct logs_options, follow)},
};

/* How often a running build is looked at. */
#define LOOK_NS 100000000

/* What the step printed, byte for byte, from *from on, which is moved behind it. */
static int log_copy(struct cas_store *store,
                    const char *id,
                    unsigned number,
                    uint64_t *from,
                    char *last,
                    struct error *err)
{
    CLEANUP(base_freep) char *data = base_alloc(65536);
    bool found = false;
    CLEANUP(fd_closep) int fd = build_builds_log(store, id, number, &found, err);

    if (!found)
        return fd < 0 && err->code != ERROR_NONE ? -1 : 0;
    for (;;) {
        const ssize_t size = pread(fd, data, 65536, (off_t)*from);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return error_sys(err, "read the log of step %u", number);
        if (size == 0)
            return 0;
        if (fwrite(data, 1, (size_t)size, stdout) != (size_t)size)
            return error_sys(err, "write to standard output");
        *last = data[size - 1];
        *from += (uint64_t)size;
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

static void step_begin(const struct doc *step)
{
    const unsigned number = number_of(step);

    printf("#%u %s\n", number, text_of(step, "name"));
    if (doc_get(step, "notCached") != NULL)
        printf("#%u not cached: %s\n", number, text_of(step, "notCached"));
}

static void step_end(const struct doc *step)
{
    const unsigned number = number_of(step);
    const char *const status = text_of(step, "status");
    int64_t duration = 0;

    doc_int(doc_get(step, "duration"), &duration);
    if (strcmp(status, "failed") == 0)
        printf("#%u ERROR: %s\n\n", number, text_of(step, "error"));
    else if (strcmp(status, "cached") == 0)
        printf("#%u CACHED\n\n", number);
    else if (strcmp(status, "done") == 0)
        printf("#%u DONE %.1fs\n\n", number, (double)duration / 1e9);
    else
        printf("#%u %s\n\n", number, status);
}

/* "#3 [2/3] RUN make", why it ran, what it printed, how it ended. */
static int step_print(struct cas_store *store,
                      const char *id,
                      const struct doc *step,
                      struct error *err)
{
    uint64_t from = 0;
    char last = '\n';

    step_begin(step);
    if (log_copy(store, id, number_of(step), &from, &last, err) < 0)
        return -1;
    if (last != '\n')
        putchar('\n');
    step_end(step);
    return 0;
}

/* --- Following ---------------------------------------------------------------------- */

struct followed {
    unsigned number;
    uint64_t size; /* printed so far */
};

struct follower {
    struct cas_store *store;
    const char *id;
    struct followed *steps;
    size_t count;
    size_t capacity;
    unsigned current; /* whose output was printed last; 0: none */
    char last;        /* the last byte of it */
};

static struct followed *followed_of(struct follower *f, unsigned number)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->steps[i].number == number)
            return &f->steps[i];
    f->steps = base_grow(f->steps, f->count, &f->capacity, sizeof f->steps[0]);
    f->steps[f->count] = (struct followed){.number = number};
    return &f->steps[f->count++];
}

static bool has_more(const struct follower *f, const struct followed *s)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* tells itself when read */
    struct stat st;
    bool found = false;
    CLEANUP(fd_closep)
    int fd = build_builds_log(f->store, f->id, s->number, &found, &ignored);

    return found && fstat(fd, &st) == 0 && (uint64_t)st.st_size > s->size;
}

/* A step whose turn it is to print says which it is, as steps that run at once alternate.
 */
static int follow_step(struct follower *f, const struct doc *step, struct error *err)
{
    struct followed *const s = followed_of(f, number_of(step));

    if (!has_more(f, s))
        return 0;
    if (f->current != s->number) {
        if (f->last != '\n')
            putchar('\n');
        step_begin(step);
    }
    f->current = s->number;
    return log_copy(f->store, f->id, s->number, &s->size, &f->last, err);
}

static void follow_end(struct follower *f, const struct doc *steps)
{
    if (f->last != '\n')
        putchar('\n');
    for (size_t i = 0; i < doc_count(steps); i++) {
        if (followed_of(f, number_of(doc_at(steps, i)))->size == 0)
            step_begin(doc_at(steps, i));
        step_end(doc_at(steps, i));
    }
}

static int flush(struct error *err)
{
    return fflush(stdout) == 0 ? 0 : error_sys(err, "write to standard output");
}

static bool is_running(const struct doc *entry)
{
    return strcmp(text_of(entry, "status"), "running") == 0;
}

/* The entry is read before the logs: what is printed after a build has ended is all.
 * `only`: of this step what it prints, and nothing else; 0: of all. *entry is replaced by
 * newer ones. */
static int follow_until_end(struct follower *f,
                            unsigned only,
                            struct doc **entry,
                            struct error *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_NS};

    for (;;) {
        const struct doc *const steps = doc_get(*entry, "steps");
        int status = 0;

        if (only != 0)
            status =
                log_copy(f->store, f->id, only, &followed_of(f, only)->size, &f->last, err);
        for (size_t i = 0; only == 0 && status == 0 && i < doc_count(steps); i++)
            status = follow_step(f, doc_at(steps, i), err);
        if (status < 0 || flush(err) < 0)
            return -1;
        if (!is_running(*entry))
            break;
        nanosleep(&pause, NULL);
        doc_unref(*entry);
        *entry = build_builds_read(f->store, f->id, err);
        if (*entry == NULL)
            return -1;
    }
    if (only == 0)
        follow_end(f, doc_get(*entry, "steps"));
    return 0;
}

static int follow(struct cas_store *store,
                  const char *id,
                  unsigned only,
                  struct doc **entry,
                  struct error *err)
{
    struct follower f = {.store = store, .id = id, .last = '\n'};
    const int status = follow_until_end(&f, only, entry, err);

    free(f.steps);
    return status;
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

/* A step that is not there may still come, where one waits for it. */
static int step_logs(struct cas_store *store,
                     const char *id,
                     const char *typed,
                     bool follows,
                     struct doc **entry,
                     struct error *err)
{
    unsigned number = 0;
    uint64_t from = 0;
    uint64_t given = 0;
    char last;

    if (step_find(*entry, typed, &number, err) < 0) {
        if (!follows || !is_running(*entry) || !error_is(err, ERROR_NOT_FOUND) ||
            !view_to_u64(view_of(typed + (typed[0] == '#')), &given) ||
            given > UINT32_MAX || given == 0)
            return -1;
        error_clear(err);
        number = (unsigned)given;
    }
    return follows ? follow(store, id, number, entry, err)
                   : log_copy(store, id, number, &from, &last, err);
}

static int all_logs(struct cas_store *store,
                    const char *id,
                    bool follows,
                    struct doc **entry,
                    struct error *err)
{
    const struct doc *steps;

    if (follows && is_running(*entry)) {
        if (follow(store, id, 0, entry, err) < 0)
            return -1;
    } else {
        steps = doc_get(*entry, "steps");
        for (size_t i = 0; i < doc_count(steps); i++)
            if (step_print(store, id, doc_at(steps, i), err) < 0)
                return -1;
    }
    if (doc_get(*entry, "error") != NULL)
        printf("ERROR: %s\n", text_of(*entry, "error"));
    return 0;
}

static int logs_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct logs_options *const o = opaque;
    struct cas_store *const store = cli_session_store(session, err);
    CLEANUP(base_freep) char *id = NULL;
    CLEANUP(doc_unrefp) struct doc *entry = NULL;

    if (store == NULL ||
        !(id = build_builds_find(store, arguments->count > 0 ? arguments->items[0] : NULL,
                                 err)) ||
        !(entry = build_builds_read(store, id, err)))
        return -1;
    return arguments->count > 1
               ? step_logs(store, id, arguments->items[1], o->follow, &entry, err)
               : all_logs(store, id, o->follow, &entry, err);
}

const struct cli_command cli_command_logs = {
    .name = "logs",
    .usage = "[OPTIONS] [BUILD [STEP]]",
    .summary = "Print what the steps of a build printed",
    .details =
        "BUILD is an ID of 'cooper builds' or its beginning, 'latest' (the default), or "
        "^N:\n"
        "the N'th before the latest. Nothing is clipped. With STEP, the number of a step,\n"
        "its output alone is printed, byte for byte.",
    CLI_OPTIONS(options, struct logs_options),
    .argument_max = 2,
    .run = logs_run,
};
