/*
 * One JSON document a line, in the form of BuildKit's SolveStatus that buildx writes with
 * --progress=rawjson: "vertexes", "statuses", "logs", "warnings". A step's digest is made
 * of its number and name: it ties the documents of one build together and means nothing
 * else.
 */
#include "cli/format.h"
#include "cli/progress_priv.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <time.h>
#include <unistd.h>

struct json {
    struct buf out;
    uint64_t offset_ns; /* of CLOCK_REALTIME from CLOCK_MONOTONIC */
};

static void set_time(struct json *d, struct doc *object, const char *key, uint64_t time_ns)
{
    const uint64_t real = time_ns + d->offset_ns;
    const struct cli_text text =
        cli_format_time((int64_t)(real / 1000000000u), (uint32_t)(real % 1000000000u));

    doc_set_text(object, key, text.text);
}

static struct digest_text step_digest(const struct cli_step *step)
{
    CLEANUP(base_freep) char *text = base_format("%u %s", step->number, step->name);
    const struct digest digest = digest_of(DIGEST_SHA256, view_of(text));

    return digest_format(&digest);
}

static struct doc *vertex_doc(struct json *d, const struct cli_step *step)
{
    struct doc *const vertex = doc_new_object();

    doc_set_text(vertex, "digest", step_digest(step).text);
    doc_set_text(vertex, "name", step->name);
    set_time(d, vertex, "started", step->start_ns);
    if (step->state != CLI_STEP_RUNNING)
        set_time(d, vertex, "completed", step->end_ns);
    if (step->state == CLI_STEP_CACHED)
        doc_set_bool(vertex, "cached", true);
    if (step->reason != NULL)
        doc_set_text(vertex, "notCached", step->reason);
    if (step->state == CLI_STEP_FAILED)
        doc_set_text(vertex, "error", step->text != NULL ? step->text : "failed");
    return vertex;
}

static void write_line(struct json *d, const char *list, struct doc *item)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();
    struct doc *const array = doc_new_array();

    doc_append(array, item);
    doc_set(root, list, array);
    doc_write(root, DOC_WRITE_COMPACT, &d->out);
    buf_append_char(&d->out, '\n');
    /* As for the other displays: the build goes on without its listener. */
    if (fs_write_all(STDERR_FILENO, d->out.data, d->out.size, &ignored) < 0)
        error_clear(&ignored);
    buf_clear(&d->out);
}

static void base64_append(struct buf *out, const unsigned char *data, size_t size)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const unsigned group = (unsigned)data[i] << 16 |
                               (left > 1 ? (unsigned)data[i + 1] << 8 : 0u) |
                               (left > 2 ? (unsigned)data[i + 2] : 0u);

        buf_append_char(out, digits[group >> 18]);
        buf_append_char(out, digits[group >> 12 & 63]);
        buf_append_char(out, left > 1 ? digits[group >> 6 & 63] : '=');
        buf_append_char(out, left > 2 ? digits[group & 63] : '=');
    }
}

static void log_write(struct json *d,
                      const struct event *event,
                      const struct cli_step *step)
{
    CLEANUP(buf_release) struct buf data = BUF_INIT(LIMIT_TEXT_SIZE);
    struct doc *const entry = doc_new_object();

    base64_append(&data, (const unsigned char *)event->data.data, event->data.size);
    doc_set_text(entry, "vertex", step_digest(step).text);
    doc_set_int(entry, "stream", event->stream);
    doc_set_text(entry, "data", buf_text(&data));
    set_time(d, entry, "timestamp", event->time_ns);
    write_line(d, "logs", entry);
}

static void status_write(struct json *d,
                         const struct event *event,
                         const struct cli_step *step)
{
    struct doc *const status = doc_new_object();

    doc_set_text(status, "id", event->type == EVENT_NOTE ? event->text : event->name);
    doc_set_text(status, "vertex", step_digest(step).text);
    if (event->type == EVENT_PROGRESS) {
        doc_set_int(status, "current", (int64_t)event->current);
        doc_set_int(status, "total", (int64_t)event->total);
    }
    set_time(d, status, "timestamp", event->time_ns);
    set_time(d, status, "started", step->start_ns);
    if (event->type == EVENT_NOTE || (event->total > 0 && event->current >= event->total))
        set_time(d, status, "completed", event->time_ns);
    write_line(d, "statuses", status);
}

static void warning_write(struct json *d, const struct event *event)
{
    struct doc *const warning = doc_new_object();

    doc_set_text(warning, "rule", event->name != NULL ? event->name : "");
    doc_set_text(warning, "text", event->text != NULL ? event->text : "");
    doc_set_int(warning, "line", event->pos.line);
    write_line(d, "warnings", warning);
}

static void json_event(void *self, const struct event *event, struct cli_step *step)
{
    struct json *const d = self;

    switch (event->type) {
    case EVENT_STEP_START:
    case EVENT_STEP_CACHED:
    case EVENT_STEP_DONE:
    case EVENT_STEP_FAILED:
        write_line(d, "vertexes", vertex_doc(d, step));
        break;
    case EVENT_STEP_OUTPUT:
        log_write(d, event, step);
        break;
    case EVENT_PROGRESS:
    case EVENT_NOTE:
        status_write(d, event, step);
        break;
    case EVENT_WARNING:
        warning_write(d, event);
        break;
    }
}

static void json_free(void *self)
{
    struct json *const d = self;

    buf_release(&d->out);
    free(d);
}

struct cli_display cli_display_json(void)
{
    struct json *const d = base_alloc(sizeof *d);
    struct timespec real;

    clock_gettime(CLOCK_REALTIME, &real);
    d->offset_ns =
        (uint64_t)real.tv_sec * 1000000000u + (uint64_t)real.tv_nsec - cli_clock_ns();
    buf_init(&d->out, LIMIT_TEXT_SIZE);
    return (struct cli_display){.event = json_event, .free = json_free, .self = d};
}
