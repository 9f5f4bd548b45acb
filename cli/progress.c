#include "cli/progress.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/message.h"
#include "cli/progress_priv.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 100000000L

struct cli_progress {
    struct cli_display display;
    struct cli_steps steps; /* guarded by `lock`, as are calls of the display */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* ends the ticker */
    pthread_t ticker;
    bool has_ticker;
};

uint64_t cli_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double cli_seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0.0;
}

int cli_progress_mode_parse(const char *text,
                            enum cli_progress_mode *out,
                            struct error *err)
{
    static const char *const names[] = {"auto", "plain", "tty", "quiet", "rawjson"};

    if (text == NULL)
        text = getenv("BUILDKIT_PROGRESS");
    if (text == NULL || text[0] == '\0')
        text = "auto";
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum cli_progress_mode)i;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE,
                     "progress is auto, plain, tty, quiet or rawjson, not '%s'", text);
}

/* --- Steps -------------------------------------------------------------------------- */

static struct cli_step *step_find(const struct cli_steps *steps, uint32_t number)
{
    for (size_t i = steps->count; i > 0; i--) {
        if (steps->items[i - 1]->number == number)
            return steps->items[i - 1];
    }
    return NULL;
}

static struct cli_step *step_get(struct cli_steps *steps, const struct event *event)
{
    struct cli_step *step = step_find(steps, event->step);

    if (step != NULL)
        return step;
    step = base_alloc(sizeof *step);
    step->number = event->step;
    step->name = base_strdup(event->name != NULL && event->step != 0 ? event->name : "");
    step->start_ns = event->time_ns;
    buf_init(&step->partial[0], CLI_PROGRESS_LINE_MAX);
    buf_init(&step->partial[1], CLI_PROGRESS_LINE_MAX);
    steps->items =
        base_grow(steps->items, steps->count, &steps->capacity, sizeof(struct cli_step *));
    steps->items[steps->count++] = step;
    return step;
}

static void step_free(struct cli_step *step)
{
    for (size_t i = 0; i < CLI_PROGRESS_TAIL; i++)
        free(step->tail[i].text);
    for (size_t i = 0; i < step->transfer_count; i++)
        free(step->transfers[i].name);
    free(step->transfers);
    buf_release(&step->partial[0]);
    buf_release(&step->partial[1]);
    free(step->name);
    free(step->text);
    free(step->reason);
    free(step);
}

static void step_end(struct cli_step *step, enum cli_step_state state, uint64_t time_ns)
{
    step->state = state;
    step->end_ns = time_ns;
}

/* --- Output ------------------------------------------------------------------------- */

static void line_end(struct cli_progress *p,
                     struct cli_step *step,
                     int stream,
                     uint64_t time_ns)
{
    struct buf *const partial = &step->partial[stream == 2];
    struct cli_line *const line = &step->tail[step->line_count++ % CLI_PROGRESS_TAIL];

    free(line->text);
    *line = (struct cli_line){base_strdup(buf_text(partial)), time_ns};
    buf_clear(partial);
    if (p->display.line != NULL)
        p->display.line(p->display.self, step, stream, line);
}

/* Cuts output into lines. A carriage return starts the line anew, as on a terminal: of a
 * progress bar its last state stays. */
static void output_add(struct cli_progress *p,
                       struct cli_step *step,
                       const struct event *event)
{
    struct buf *const partial = &step->partial[event->stream == 2];

    for (size_t i = 0; i < event->data.size; i++) {
        const char c = event->data.data[i];

        if (c == '\n') {
            if (partial->size > 0 && partial->data[partial->size - 1] == '\r')
                partial->data[--partial->size] = '\0';
            line_end(p, step, event->stream, event->time_ns);
            continue;
        }
        if (partial->size > 0 && partial->data[partial->size - 1] == '\r')
            buf_clear(partial);
        if (partial->size >= CLI_PROGRESS_LINE_MAX - 1)
            line_end(p, step, event->stream, event->time_ns);
        if (c != '\0')
            buf_append_char(partial, c);
    }
}

static void output_flush(struct cli_progress *p, struct cli_step *step, uint64_t time_ns)
{
    for (int stream = 1; stream <= 2; stream++) {
        if (step->partial[stream - 1].size > 0)
            line_end(p, step, stream, time_ns);
    }
}

/* --- Transfers and warnings --------------------------------------------------------- */

static void transfer_update(struct cli_progress *p,
                            struct cli_step *step,
                            const struct event *event)
{
    const char *const name = event->name != NULL ? event->name : "";
    struct cli_transfer *transfer = NULL;

    for (size_t i = 0; i < step->transfer_count && transfer == NULL; i++) {
        if (strcmp(step->transfers[i].name, name) == 0)
            transfer = &step->transfers[i];
    }
    if (transfer == NULL) {
        step->transfers = base_grow(step->transfers, step->transfer_count,
                                    &step->transfer_capacity, sizeof step->transfers[0]);
        transfer = &step->transfers[step->transfer_count++];
        *transfer = (struct cli_transfer){.name = base_strdup(name)};
    }
    transfer->current = event->current;
    transfer->total = event->total;
    if (p->display.transfer != NULL)
        p->display.transfer(p->display.self, step, transfer, event->time_ns);
    transfer->complete = event->total > 0 && event->current >= event->total;
}

static void warning_add(struct cli_steps *steps, const struct event *event)
{
    steps->warnings = base_grow(steps->warnings, steps->warning_count,
                                &steps->warning_capacity, sizeof steps->warnings[0]);
    steps->warnings[steps->warning_count++] =
        (struct cli_warning){base_strdup(event->text != NULL ? event->text : ""),
                             base_strdup(event->name), event->pos.line};
}

void cli_warnings_append(const struct cli_steps *steps, struct buf *out)
{
    if (steps->warning_count == 0)
        return;
    buf_printf(out, "\n %zu warning%s found (use 'cooper check' to expand):\n",
               steps->warning_count, steps->warning_count == 1 ? "" : "s");
    for (size_t i = 0; i < steps->warning_count; i++) {
        const struct cli_warning *const w = &steps->warnings[i];

        buf_append_text(out, " - ");
        if (w->rule != NULL && w->rule[0] != '\0')
            buf_printf(out, "%s: ", w->rule);
        buf_append_text(out, w->text);
        if (w->line > 0)
            buf_printf(out, " (line %u)", w->line);
        buf_append_char(out, '\n');
    }
}

/* --- Events ------------------------------------------------------------------------- */

static struct cli_step *event_apply(struct cli_progress *p, const struct event *event)
{
    struct cli_step *const step =
        event->type == EVENT_WARNING ? NULL : step_get(&p->steps, event);

    switch (event->type) {
    case EVENT_STEP_START:
        free(step->reason);
        step->reason = base_strdup(event->text);
        break;
    case EVENT_STEP_CACHED:
        step_end(step, CLI_STEP_CACHED, event->time_ns);
        break;
    case EVENT_STEP_OUTPUT:
        output_add(p, step, event);
        break;
    case EVENT_STEP_DONE:
        output_flush(p, step, event->time_ns);
        if (step->state != CLI_STEP_CACHED)
            step_end(step, CLI_STEP_DONE, event->time_ns);
        break;
    case EVENT_STEP_FAILED:
        output_flush(p, step, event->time_ns);
        step_end(step, CLI_STEP_FAILED, event->time_ns);
        free(step->text);
        step->text = base_strdup(event->text);
        break;
    case EVENT_PROGRESS:
        transfer_update(p, step, event);
        break;
    case EVENT_NOTE:
        break;
    case EVENT_WARNING:
        warning_add(&p->steps, event);
        break;
    }
    return step;
}

static void progress_send(void *context, const struct event *event)
{
    struct cli_progress *const p = context;

    pthread_mutex_lock(&p->lock);
    if (!p->steps.finished) {
        struct cli_step *const step = event_apply(p, event);

        if (p->display.event != NULL)
            p->display.event(p->display.self, event, step);
    }
    pthread_mutex_unlock(&p->lock);
}

struct event_sink cli_progress_sink(struct cli_progress *p)
{
    return (struct event_sink){progress_send, p};
}

/* --- Life --------------------------------------------------------------------------- */

static void *ticker_main(void *arg)
{
    struct cli_progress *const p = arg;
    struct timespec next;

    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&p->lock);
    while (!p->steps.finished) {
        next.tv_nsec += TICK_NS;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_nsec -= 1000000000L;
            next.tv_sec++;
        }
        pthread_cond_timedwait(&p->wake, &p->lock, &next);
        if (!p->steps.finished)
            p->display.tick(p->display.self, &p->steps);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static struct cli_display display_choose(enum cli_progress_mode mode)
{
    const char *const term = getenv("TERM");
    const bool is_terminal =
        isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;

    switch (mode) {
    case CLI_PROGRESS_AUTO:
    case CLI_PROGRESS_TTY:
        return is_terminal ? cli_display_tty() : cli_display_plain();
    case CLI_PROGRESS_PLAIN:
        return cli_display_plain();
    case CLI_PROGRESS_RAWJSON:
        return cli_display_json();
    case CLI_PROGRESS_QUIET:
        break;
    }
    return (struct cli_display){0};
}

struct cli_progress *cli_progress_new(enum cli_progress_mode mode, const char *title)
{
    struct cli_progress *const p = base_alloc(sizeof *p);
    pthread_condattr_t attributes;

    p->display = display_choose(mode);
    p->steps.title = title;
    p->steps.start_ns = cli_clock_ns();
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (p->display.tick != NULL)
        p->has_ticker = pthread_create(&p->ticker, NULL, ticker_main, p) == 0;
    return p;
}

void cli_progress_finish(struct cli_progress *p)
{
    pthread_mutex_lock(&p->lock);
    const bool first = !p->steps.finished;
    p->steps.finished = true;
    pthread_cond_signal(&p->wake);
    if (first && p->display.finish != NULL)
        p->display.finish(p->display.self, &p->steps);
    pthread_mutex_unlock(&p->lock);
    if (first && p->has_ticker)
        pthread_join(p->ticker, NULL);
}

void cli_progress_failures(struct cli_progress *p, struct buf *out)
{
    for (size_t i = 0; i < p->steps.count; i++) {
        const struct cli_step *const step = p->steps.items[i];
        const size_t kept =
            step->line_count < CLI_PROGRESS_TAIL ? step->line_count : CLI_PROGRESS_TAIL;

        if (step->state != CLI_STEP_FAILED)
            continue;
        const size_t before = out->size;
        buf_printf(out, "------\n > %s:\n", step->name);
        cli_message_clean(out->data + before, out->size - before);
        for (size_t n = step->line_count - kept; n < step->line_count; n++) {
            const struct cli_line *const line = &step->tail[n % CLI_PROGRESS_TAIL];

            buf_printf(out, "%.3f %s\n", cli_seconds(step->start_ns, line->time_ns),
                       line->text);
        }
        buf_append_text(out, "------\n");
    }
}

void cli_progress_free(struct cli_progress *p)
{
    if (p == NULL)
        return;
    cli_progress_finish(p);
    if (p->display.free != NULL)
        p->display.free(p->display.self);
    for (size_t i = 0; i < p->steps.count; i++)
        step_free(p->steps.items[i]);
    free(p->steps.items);
    for (size_t i = 0; i < p->steps.warning_count; i++) {
        free(p->steps.warnings[i].text);
        free(p->steps.warnings[i].rule);
    }
    free(p->steps.warnings);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void cli_progress_freep(struct cli_progress **p)
{
    cli_progress_free(*p);
    *p = NULL;
}
