#include "builder/journal.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "builder/builds.h"
#include "builder/solve_priv.h"
#include "cas/note.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal_step {
    uint32_t number;
    char *title;
    unsigned line;
    const char *state; /* static */
    char *reason;
    char *error;
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t size; /* of what it printed */
    int fd;        /* its log while it runs, or -1 */
};

struct build_journal {
    struct cas_store *store;
    const struct build_request *request;
    const struct event_sink *next;
    char id[BUILD_ID_SIZE + 1];
    char *path;           /* "builds/ID" */
    pthread_mutex_t lock; /* guards what follows */
    int dir_fd;           /* locked by flock; -1: not made yet */
    struct journal_step *steps;
    size_t count;
    size_t capacity;
    struct doc *warnings;
    int64_t started_ns; /* since the epoch */
    uint64_t clock_ns;  /* the same moment, as events count */
    bool is_incomplete; /* something that was printed could not be written */
    bool has_state;
};

/* --- Life --- */

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct build_journal *build_journal_new(struct cas_store *store,
                                        const struct build_request *request,
                                        const struct event_sink *next)
{
    struct build_journal *j = base_alloc(sizeof *j);

    j->store = store;
    j->request = request;
    j->next = next;
    j->dir_fd = -1;
    j->started_ns = solve_now_ns();
    j->clock_ns = clock_ns();
    build_id_make(j->started_ns, j->id);
    j->path = base_format(BUILD_JOURNAL_DIR "/%s", j->id);
    j->warnings = doc_new_array();
    pthread_mutex_init(&j->lock, NULL);
    return j;
}

void build_journal_free(struct build_journal *j)
{
    if (!j)
        return;
    for (size_t i = 0; i < j->count; i++) {
        fd_closep(&j->steps[i].fd);
        free(j->steps[i].title);
        free(j->steps[i].reason);
        free(j->steps[i].error);
    }
    free(j->steps);
    doc_unref(j->warnings);
    fd_closep(&j->dir_fd);
    pthread_mutex_destroy(&j->lock);
    free(j->path);
    free(j);
}

const char *build_journal_id(const struct build_journal *j)
{
    return j->id;
}

static int dir_make(struct build_journal *j, struct error *err)
{
    const int store = cas_store_fd(j->store);

    if (j->dir_fd >= 0)
        return 0;
    if (fs_mkdir_all_at(store, j->path, 0700, err) < 0 ||
        (j->dir_fd = fs_open_at(store, j->path, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
        return -1;
    /* Whoever lists builds holds a lock for a moment at most. */
    if (flock(j->dir_fd, LOCK_EX) < 0)
        return error_sys(err, "lock %s", j->path);
    return 0;
}

int build_journal_dir(struct build_journal *j, const char **path, struct error *err)
{
    pthread_mutex_lock(&j->lock);
    const int status = dir_make(j, err);
    pthread_mutex_unlock(&j->lock);
    *path = j->path;
    return status;
}

/* --- The entry --- */

static struct doc *step_doc(const struct build_journal *j, const struct journal_step *s)
{
    struct doc *d = doc_new_object();

    doc_set_int(d, "number", s->number);
    doc_set(d, "name", doc_new_text(view_of(s->title)));
    doc_set_int(d, "line", s->line);
    doc_set_text(d, "status", s->state);
    doc_set_int(d, "started", (int64_t)(s->start_ns - j->clock_ns));
    if (s->end_ns >= s->start_ns)
        doc_set_int(d, "duration", (int64_t)(s->end_ns - s->start_ns));
    if (s->reason)
        doc_set(d, "notCached", doc_new_text(view_of(s->reason)));
    if (s->error)
        doc_set(d, "error", doc_new_text(view_of(s->error)));
    if (s->size > 0)
        doc_set_int(d, "log", (int64_t)s->size);
    return d;
}

static void set_given(struct doc *d, const char *key, const char *text)
{
    if (text && *text)
        doc_set(d, key, doc_new_text(view_of(text)));
}

static void add_request(const struct build_journal *j, struct doc *d)
{
    CLEANUP(base_freep)
    char *context = j->request->context ? realpath(j->request->context, NULL) : NULL;
    struct doc *tags = doc_new_array();

    set_given(d, "context", context ? context : j->request->context);
    set_given(d, "dockerfile", j->request->dockerfile);
    set_given(d, "target", j->request->target);
    for (size_t i = 0; i < j->request->tag_count; i++)
        doc_append(tags, doc_new_text(view_of(j->request->tags[i])));
    doc_set(d, "tags", tags);
}

static struct doc *entry_doc(const struct build_journal *j, const char *status)
{
    struct doc *d = doc_new_object();
    struct doc *steps = doc_new_array();

    doc_set_int(d, "version", BUILD_JOURNAL_VERSION);
    doc_set_text(d, "id", j->id);
    doc_set_text(d, "status", status);
    doc_set_int(d, "started", j->started_ns);
    add_request(j, d);
    for (size_t i = 0; i < j->count; i++)
        doc_append(steps, step_doc(j, &j->steps[i]));
    doc_set(d, "steps", steps);
    if (doc_count(j->warnings) > 0)
        doc_set(d, "warnings", doc_ref(j->warnings));
    if (j->is_incomplete)
        doc_set_bool(d, "incomplete", true);
    if (j->has_state)
        doc_set_bool(d, "kept", true);
    return d;
}

/* Consumes `d`. */
static void entry_write(struct build_journal *j, struct doc *d)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *path = base_format("%s/" BUILD_JOURNAL_ENTRY, j->path);
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    doc_write(d, DOC_WRITE_COMPACT, &text);
    doc_unref(d);
    if (buf_ok(&text, "a build's entry", &err) < 0 ||
        cas_note_write(j->store, path, buf_view(&text), &err) < 0)
        log_debug("%s: %s", path, error_text(&err));
}

/* Steps will run: the entry is made now, so that others see the build. */
static void entry_begin(struct build_journal *j)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (dir_make(j, &err) == 0)
        entry_write(j, entry_doc(j, "running"));
    else
        log_debug("%s: %s", j->path, error_text(&err));
}

void build_journal_keep(struct build_journal *j)
{
    pthread_mutex_lock(&j->lock);
    j->has_state = true;
    pthread_mutex_unlock(&j->lock);
}

bool build_journal_has_state(const struct build_journal *j)
{
    return j->has_state;
}

/* --- Events --- */

static struct journal_step *step_find(struct build_journal *j, const struct event *e)
{
    struct journal_step *s;

    if (e->step == 0)
        return NULL;
    for (size_t i = j->count; i > 0; i--)
        if (j->steps[i - 1].number == e->step)
            return &j->steps[i - 1];
    j->steps = base_grow(j->steps, j->count, &j->capacity, sizeof *j->steps);
    s = &j->steps[j->count++];
    *s = (struct journal_step){.number = e->step,
                               .title = base_strdup(e->name ? e->name : ""),
                               .line = e->pos.line,
                               .state = "running",
                               .start_ns = e->time_ns,
                               .fd = -1};
    return s;
}

static int log_open(struct build_journal *j, struct journal_step *s, struct error *err)
{
    char name[32];

    if (s->fd >= 0)
        return 0;
    snprintf(name, sizeof name, "%u.log", s->number);
    if (dir_make(j, err) < 0)
        return -1;
    s->fd = fs_open_at(j->dir_fd, name, O_WRONLY | O_CREAT | O_APPEND, 0600, err);
    if (s->fd < 0)
        return -1;
    /* Whoever follows the build learns of the step; those that print nothing cost nothing.
     */
    entry_write(j, entry_doc(j, "running"));
    return 0;
}

/* A full disk ends the log, not the build. */
static void log_write(struct build_journal *j, struct journal_step *s, struct view data)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (j->is_incomplete)
        return;
    if (log_open(j, s, &err) == 0 && fs_write_all(s->fd, data.data, data.size, &err) == 0) {
        s->size += data.size;
        return;
    }
    log_debug("%s: %s", j->path, error_text(&err));
    j->is_incomplete = true;
}

static void step_end(struct journal_step *s, const char *state, const struct event *e)
{
    s->state = state;
    s->end_ns = e->time_ns;
    fd_closep(&s->fd);
}

static void warning_add(struct build_journal *j, const struct event *e)
{
    struct doc *d = doc_new_object();

    set_given(d, "rule", e->name);
    set_given(d, "text", e->text);
    doc_set_int(d, "line", e->pos.line);
    doc_append(j->warnings, d);
}

static void apply(struct build_journal *j, const struct event *e)
{
    struct journal_step *s = e->type == EVENT_WARNING ? NULL : step_find(j, e);

    switch (e->type) {
    case EVENT_STEP_START:
        if (!s || !e->text)
            break;
        s->reason = base_strdup(e->text);
        if (j->dir_fd < 0)
            entry_begin(j);
        break;
    case EVENT_STEP_CACHED:
        if (s)
            step_end(s, "cached", e);
        break;
    case EVENT_STEP_OUTPUT:
        if (s)
            log_write(j, s, e->data);
        break;
    case EVENT_STEP_DONE:
        if (s)
            step_end(s, "done", e);
        break;
    case EVENT_STEP_FAILED:
        if (!s)
            break;
        step_end(s, "failed", e);
        free(s->error);
        s->error = base_strdup(e->text);
        break;
    case EVENT_WARNING:
        warning_add(j, e);
        break;
    case EVENT_PROGRESS:
    case EVENT_NOTE:
        break;
    }
}

static void receive(void *context, const struct event *e)
{
    struct build_journal *j = context;

    pthread_mutex_lock(&j->lock);
    apply(j, e);
    pthread_mutex_unlock(&j->lock);
    if (j->next->send)
        j->next->send(j->next->context, e);
}

struct event_sink build_journal_sink(struct build_journal *j)
{
    return (struct event_sink){receive, j};
}

/* --- The end --- */

void build_journal_finish(struct build_journal *j,
                          const struct build_result *result,
                          const struct error *failure)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const char *status = !failure                           ? "done"
                         : failure->code == ERROR_CANCELLED ? "cancelled"
                                                            : "failed";
    struct doc *d;

    pthread_mutex_lock(&j->lock);
    /* A build that ran nothing has no directory yet. What is wrong shows in the writing. */
    if (j->dir_fd < 0)
        (void)mkdirat(cas_store_fd(j->store), j->path, 0700);
    d = entry_doc(j, status);
    doc_set_int(d, "duration", (int64_t)(clock_ns() - j->clock_ns));
    if (!failure) {
        doc_set_int(d, "stepCount", result->steps);
        doc_set_int(d, "cachedCount", result->steps_cached);
        if (result->has_image)
            doc_set_text(d, "image", digest_format(&result->manifest.digest).text);
    } else {
        doc_set(d, "error", doc_new_text(view_of(error_text(failure))));
    }
    entry_write(j, d);
    pthread_mutex_unlock(&j->lock);
    if (build_builds_prune(j->store, BUILD_JOURNAL_COUNT, BUILD_JOURNAL_DAYS, &err) < 0)
        log_debug("%s: %s", BUILD_JOURNAL_DIR, error_text(&err));
}
