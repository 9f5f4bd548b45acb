/*
 * The live picture, as buildx --progress=tty:
 *
 *     [+] Building 1.2s (3/5)
 *      => [1/3] FROM docker.io/library/debian:12                       0.1s
 *      => CACHED [2/3] RUN apt-get update                              0.0s
 *      => [3/3] RUN make                                               1.0s
 *      => => # cc -c main.c
 *
 * It is drawn over the last one: the cursor goes up by the lines drawn before, each line is
 * cleared as it is written, and what is left below is cleared. It never grows past the
 * window: finished steps are left out first, oldest first; the last picture shows all of
 * them.
 */
#include "cli/format.h"
#include "cli/progress_priv.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <sys/ioctl.h>
#include <unistd.h>

/* Lines of output below a running step. */
#define OUTPUT_LINES 6u
/* Where a terminal does not tell its size. */
#define DEFAULT_WIDTH  80u
#define DEFAULT_HEIGHT 24u

#define COLOR_DONE   "\033[34m"
#define COLOR_FAILED "\033[31m"
#define COLOR_END    "\033[0m"

struct tty {
    struct buf out;
    size_t drawn; /* lines of the picture that stands on the screen */
    size_t width;
    size_t height;
    bool color;
};

static void window_measure(struct tty *d)
{
    struct winsize size = {0};

    d->width = DEFAULT_WIDTH;
    d->height = DEFAULT_HEIGHT;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
        size.ws_row > 0) {
        d->width = size.ws_col;
        d->height = size.ws_row;
    }
}

/* Appends at most `width` characters of `text` and returns how many. Control characters and
 * escape sequences are left out: output must not move our cursor. */
static size_t text_fit(struct buf *out, const char *text, size_t width)
{
    size_t used = 0;

    while (*text != '\0') {
        const unsigned char c = (unsigned char)*text;

        if (c == '\033' && text[1] == '[') {
            text += 2;
            text += strspn(text, "0123456789;:?");
            text += *text != '\0';
            continue;
        }
        if ((c & 0xc0) != 0x80) {
            if (used == width)
                break;
            used += c >= ' ' && c != 0x7f;
        }
        if (c == '\t')
            buf_append_char(out, ' ');
        else if (c >= ' ' && c != 0x7f)
            buf_append_char(out, (char)c);
        text++;
    }
    return used;
}

static void line_begin(struct tty *d)
{
    buf_append_text(&d->out, "\033[2K");
    d->drawn++;
}

/* " => NAME          1.0s": the name is cut so that the time stands at the right edge. */
static void row_draw(struct tty *d, const char *lead, const char *name, const char *right)
{
    const size_t fixed = strlen(lead) + strlen(right) + 2;
    const size_t room = d->width > fixed ? d->width - fixed : 0;

    line_begin(d);
    buf_append_text(&d->out, lead);
    const size_t used = text_fit(&d->out, name, room);
    buf_printf(&d->out, "%*s%s", (int)(room - used + 1), "", right);
}

static void step_draw(struct tty *d, const struct cli_step *step, uint64_t now)
{
    static const char *const leads[] = {
        [CLI_STEP_RUNNING] = " => ",
        [CLI_STEP_CACHED] = " => CACHED ",
        [CLI_STEP_DONE] = " => ",
        [CLI_STEP_FAILED] = " => ERROR ",
    };
    const uint64_t end = step->state == CLI_STEP_RUNNING ? now : step->end_ns;
    char time[32];

    snprintf(time, sizeof time, "%.1fs", cli_seconds(step->start_ns, end));
    if (d->color && step->state != CLI_STEP_RUNNING)
        buf_append_text(&d->out,
                        step->state == CLI_STEP_FAILED ? COLOR_FAILED : COLOR_DONE);
    row_draw(d, leads[step->state], step->name, time);
    if (d->color && step->state != CLI_STEP_RUNNING)
        buf_append_text(&d->out, COLOR_END);
    buf_append_char(&d->out, '\n');
}

static void transfers_draw(struct tty *d, const struct cli_step *step, size_t *room)
{
    for (size_t i = 0; i<step->transfer_count && * room> 0; i++) {
        const struct cli_transfer *const t = &step->transfers[i];
        char amount[80];

        if (t->complete)
            continue;
        snprintf(amount, sizeof amount, "%.30s / %.30s", cli_format_size(t->current).text,
                 t->total > 0 ? cli_format_size(t->total).text : "?");
        row_draw(d, " => => ", t->name, amount);
        buf_append_char(&d->out, '\n');
        --*room;
    }
}

static void reason_draw(struct tty *d, const struct cli_step *step, size_t *room)
{
    CLEANUP(base_freep) char *text = NULL;

    if (step->reason == NULL || *room == 0)
        return;
    text = base_format("not cached: %s", step->reason);
    row_draw(d, " => => ", text, "");
    buf_append_char(&d->out, '\n');
    --*room;
}

static void output_draw(struct tty *d, const struct cli_step *step, size_t *room)
{
    size_t count = step->line_count < OUTPUT_LINES ? step->line_count : OUTPUT_LINES;

    count = count < *room ? count : *room;
    for (size_t n = step->line_count - count; n < step->line_count; n++) {
        row_draw(d, " => => # ", step->tail[n % CLI_PROGRESS_TAIL].text, "");
        buf_append_char(&d->out, '\n');
    }
    *room -= count;
}

static size_t steps_done(const struct cli_steps *steps)
{
    size_t done = 0;

    for (size_t i = 0; i < steps->count; i++)
        done += steps->items[i]->number != 0 && steps->items[i]->state != CLI_STEP_RUNNING;
    return done;
}

/* The first finished step that there is room for. */
static size_t first_visible(const struct cli_steps *steps, size_t room)
{
    size_t first = steps->count;

    while (first > 0 && room > 0) {
        first--;
        room -= steps->items[first]->number != 0;
    }
    return first;
}

static void picture_draw(struct tty *d, const struct cli_steps *steps)
{
    const uint64_t now = cli_clock_ns();
    size_t room = steps->finished ? SIZE_MAX : d->height > 2 ? d->height - 2 : 1;
    const size_t first = first_visible(steps, room);
    const size_t total = steps->count - (steps->count > 0 && steps->items[0]->number == 0);

    line_begin(d);
    buf_printf(&d->out, "[+] %s %.1fs", steps->title, cli_seconds(steps->start_ns, now));
    if (total > 0)
        buf_printf(&d->out, " (%zu/%zu)", steps_done(steps), total);
    buf_append_text(&d->out, steps->finished ? " FINISHED\n" : "\n");
    room -= steps->count - first < room ? steps->count - first : room;
    for (size_t i = 0; i < steps->count; i++) {
        const struct cli_step *const step = steps->items[i];
        const bool running = step->state == CLI_STEP_RUNNING;

        if (step->number != 0 && (i >= first || (running && room > 0))) {
            room -= i < first;
            step_draw(d, step, now);
        }
        if (running && !steps->finished) {
            reason_draw(d, step, &room);
            transfers_draw(d, step, &room);
            output_draw(d, step, &room);
        }
    }
}

static void screen_write(struct tty *d)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* A terminal that went away takes the picture with it; the build goes on. */
    if (fs_write_all(STDERR_FILENO, d->out.data, d->out.size, &ignored) < 0)
        error_clear(&ignored);
    buf_clear(&d->out);
}

static void tty_tick(void *self, const struct cli_steps *steps)
{
    struct tty *const d = self;

    if (steps->count == 0 && !steps->finished)
        return;
    window_measure(d);
    if (d->drawn > 0)
        buf_printf(&d->out, "\033[%zuA", d->drawn);
    buf_append_char(&d->out, '\r');
    d->drawn = 0;
    picture_draw(d, steps);
    buf_append_text(&d->out, "\033[J");
    screen_write(d);
}

static void tty_finish(void *self, const struct cli_steps *steps)
{
    struct tty *const d = self;

    if (steps->count == 0)
        return;
    tty_tick(d, steps);
    cli_warnings_append(steps, &d->out);
    screen_write(d);
}

static void tty_free(void *self)
{
    struct tty *const d = self;

    buf_release(&d->out);
    free(d);
}

struct cli_display cli_display_tty(void)
{
    struct tty *const d = base_alloc(sizeof *d);

    buf_init(&d->out, LIMIT_TEXT_SIZE);
    d->color = getenv("NO_COLOR") == NULL;
    return (struct cli_display){
        .tick = tty_tick,
        .finish = tty_finish,
        .free = tty_free,
        .self = d,
    };
}
