/* One line after the other, each with its step's number, as buildx --progress=plain. */
#include "cli/format.h"
#include "cli/message.h"
#include "cli/progress_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <unistd.h>

/* A transfer that goes on is told of at most this often. */
#define TRANSFER_INTERVAL_NS 1000000000u

struct plain {
    struct buf out; /* lines are written whole: others print to standard error too */
};

static void flush(struct plain *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* Nothing is left to tell it to if standard error is closed. */
    if (fs_write_all(STDERR_FILENO, d->out.data, d->out.size, &ignored) < 0)
        error_clear(&ignored);
    buf_clear(&d->out);
}

static void prefix(struct plain *d, const struct cli_step *step)
{
    if (step->number != 0)
        buf_printf(&d->out, "#%u ", step->number);
}

static void plain_event(void *self, const struct event *event, struct cli_step *step)
{
    struct plain *const d = self;

    switch (event->type) {
    case EVENT_STEP_START:
        buf_printf(&d->out, "#%u %s\n", step->number, step->name);
        if (step->reason != NULL)
            buf_printf(&d->out, "#%u not cached: %s\n", step->number, step->reason);
        break;
    case EVENT_STEP_CACHED:
        buf_printf(&d->out, "#%u %s\n#%u CACHED\n\n", step->number, step->name,
                   step->number);
        break;
    case EVENT_STEP_DONE:
        if (step->state == CLI_STEP_DONE)
            buf_printf(&d->out, "#%u DONE %.1fs\n\n", step->number,
                       cli_seconds(step->start_ns, step->end_ns));
        break;
    case EVENT_STEP_FAILED:
        buf_printf(&d->out, "#%u ERROR: %s\n\n", step->number,
                   event->text != NULL ? event->text : "failed");
        break;
    case EVENT_NOTE:
        prefix(d, step);
        buf_printf(&d->out, "%s\n", event->text != NULL ? event->text : "");
        break;
    case EVENT_STEP_OUTPUT:
    case EVENT_PROGRESS:
    case EVENT_WARNING:
        break;
    }
    if (d->out.size > 0)
        cli_message_clean(d->out.data, d->out.size);
    flush(d);
}

static void plain_line(void *self,
                       const struct cli_step *step,
                       int stream,
                       const struct cli_line *line)
{
    struct plain *const d = self;

    (void)stream; /* told apart in rawjson only */
    buf_printf(&d->out, "#%u %.3f %s\n", step->number,
               cli_seconds(step->start_ns, line->time_ns), line->text);
}

static void plain_transfer(void *self,
                           const struct cli_step *step,
                           struct cli_transfer *transfer,
                           uint64_t time_ns)
{
    struct plain *const d = self;
    const bool complete = transfer->total > 0 && transfer->current >= transfer->total;

    /* What has only begun is no news: a small transfer is told of when it is over. */
    if (transfer->shown_ns == 0 && !complete)
        transfer->shown_ns = time_ns;
    if (transfer->complete ||
        (!complete && time_ns - transfer->shown_ns < TRANSFER_INTERVAL_NS))
        return;
    transfer->shown_ns = time_ns;
    prefix(d, step);
    buf_printf(&d->out, "%s %s", transfer->name, cli_format_size(transfer->current).text);
    if (transfer->total > 0)
        buf_printf(&d->out, " / %s", cli_format_size(transfer->total).text);
    buf_append_text(&d->out, complete ? " done\n" : "\n");
}

static void plain_finish(void *self, const struct cli_steps *steps)
{
    struct plain *const d = self;

    cli_warnings_append(steps, &d->out);
    flush(d);
}

static void plain_free(void *self)
{
    struct plain *const d = self;

    buf_release(&d->out);
    free(d);
}

struct cli_display cli_display_plain(void)
{
    struct plain *const d = base_alloc(sizeof *d);

    buf_init(&d->out, LIMIT_TEXT_SIZE);
    return (struct cli_display){
        .event = plain_event,
        .line = plain_line,
        .transfer = plain_transfer,
        .finish = plain_finish,
        .free = plain_free,
        .self = d,
    };
}
