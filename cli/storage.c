#include "cli/storage.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/view.h"
#include "cli/args.h"
#include "cli/format.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of the disk, where nothing is said. */
#define BUDGET_PERCENT 10u
/* How often a step's writing is looked at; a disk takes some 100 MB in that time. */
#define WATCH_MS 50

/* --- Sizes --- */

int cli_storage_size_parse(const char *text,
                           struct cli_storage_size *out,
                           struct error *err)
{
    const struct view all = view_of(text);
    unsigned long long bytes = 0;
    uint64_t percent = 0;

    *out = (struct cli_storage_size){.given = true};
    if (view_eq_text(all, "none") || view_eq_text(all, "0"))
        return 0;
    if (view_ends(all, "%")) {
        if (!view_to_u64(view_sub(all, 0, all.size - 1), &percent) || percent < 1 ||
            percent > 100)
            return error_set(err, ERROR_USAGE, "'%s' is not between 1%% and 100%%", text);
        out->percent = (unsigned)percent;
        return 0;
    }
    if (cli_bytes_parse(text, &bytes, err) < 0)
        return -1;
    out->bytes = bytes;
    return 0;
}

int cli_storage_size_read(const char *option,
                          const char *variable,
                          const char *what,
                          struct cli_storage_size *out,
                          struct error *err)
{
    const char *text = option ? option : getenv(variable);

    *out = (struct cli_storage_size){0};
    if (!text || !*text)
        return 0;
    if (cli_storage_size_parse(text, out, err) == 0)
        return 0;
    return option ? error_wrap(err, "%s", what) : error_wrap(err, "$%s", variable);
}

static int bytes_of(struct cas_store *store,
                    const struct cli_storage_size *size,
                    uint64_t *out,
                    struct error *err)
{
    uint64_t disk;
    uint64_t free;

    *out = size->bytes;
    if (size->percent == 0)
        return 0;
    if (cas_budget_disk(store, &disk, &free, err) < 0)
        return -1;
    *out = disk / 100 * size->percent;
    return 0;
}

/* --- The budget --- */

void cli_storage_tidy(struct cas_store *store, const struct cli_storage_size *budget)
{
    const struct cli_storage_size usual = {.percent = BUDGET_PERCENT};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct cas_budget_result result = {0};
    uint64_t bytes = 0;

    if (bytes_of(store, budget->given ? budget : &usual, &bytes, &err) < 0 ||
        cas_budget_keep(store, bytes, &result, &err) < 0) {
        log_debug("%s", error_text(&err));
        return;
    }
    if (result.freed > 0)
        fprintf(stderr,
                "cooper: storage budget of %s: %s that was used least recently removed\n",
                cli_format_size(bytes).text, cli_format_size(result.freed).text);
}

/* --- The limit --- */

int cli_storage_hold_limit(struct cas_store *store,
                           const struct cli_storage_size *limit,
                           struct cas_limit *l,
                           struct error *err)
{
    uint64_t bytes = 0;

    if (bytes_of(store, limit, &bytes, err) < 0)
        return -1;
    if (bytes > 0 && !cas_store_is_read_only(store))
        cas_limit_arm(l, store, bytes);
    return 0;
}

struct cli_storage_guard {
    struct cas_limit limit;
    const bool *interrupt;
    bool cancel; /* written by the thread alone; read as the signal's flag is */
    bool over;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool ending;
};

static void look(struct cli_storage_guard *g)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    bool over = false;

    if (*(const volatile bool *)g->interrupt)
        *(volatile bool *)&g->cancel = true;
    if (g->cancel)
        return;
    if (cas_limit_check(&g->limit, &over, &err) < 0)
        log_debug("%s", error_text(&err));
    if (!over)
        return;
    g->over = true;
    *(volatile bool *)&g->cancel = true;
}

/* Sleeps, and says whether to go on. */
static bool rest(struct cli_storage_guard *g)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WATCH_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&g->lock);
    if (!g->ending)
        pthread_cond_timedwait(&g->wake, &g->lock, &until);
    const bool ending = g->ending;
    pthread_mutex_unlock(&g->lock);
    return !ending;
}

static void *watch(void *arg)
{
    struct cli_storage_guard *g = arg;

    do
        look(g);
    while (rest(g));
    return NULL;
}

int cli_storage_guard_start(struct cas_store *store,
                            const struct cli_storage_size *limit,
                            const bool *interrupt,
                            struct cli_storage_guard **out,
                            struct error *err)
{
    uint64_t bytes = 0;

    *out = NULL;
    if (bytes_of(store, limit, &bytes, err) < 0)
        return -1;
    if (bytes == 0)
        return 0;
    struct cli_storage_guard *g = base_alloc(sizeof *g);
    g->interrupt = interrupt;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->wake, NULL);
    if (cas_limit_begin(&g->limit, store, bytes, err) == 0) {
        const int code = pthread_create(&g->thread, NULL, watch, g);
        if (code == 0) {
            *out = g;
            return 0;
        }
        cas_limit_end(&g->limit);
        errno = code;
        error_sys(err, "start a thread");
    }
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g);
    return -1;
}

const bool *cli_storage_guard_cancel(const struct cli_storage_guard *g)
{
    return &g->cancel;
}

void cli_storage_guard_stop(struct cli_storage_guard *g, struct error *failure)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->ending = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    if (g->over && failure->code != ERROR_NONE)
        error_set(failure, ERROR_LIMIT,
                  "the store reached its limit of %s (--storage-limit) and the build was "
                  "ended: 'cooper df' tells what is in it, 'cooper prune' removes what can "
                  "be made again",
                  cli_format_size(g->limit.limit).text);
    cas_limit_end(&g->limit);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
