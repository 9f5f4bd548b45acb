#include "cli/diff.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <stdint.h>
#include <stdlib.h>

#define CONTEXT 3

/* Past this many cells the middle is shown as replaced whole: still right, less pretty. */
#define TABLE_MAX ((size_t)4 << 20)

struct lines {
    struct view *items; /* with their line ends */
    size_t count;
};

/* One line of the result: ' ', '-' or '+'. */
struct change {
    char sign;
    struct view line;
};

struct diff {
    struct lines before;
    struct lines after;
    struct change *changes;
    size_t count;
    size_t capacity;
};

static struct lines lines_cut(struct view text)
{
    struct lines lines = {0};
    size_t capacity = 0;

    while (text.size > 0) {
        size_t end;
        const size_t size = view_find(text, '\n', &end) ? end + 1 : text.size;

        lines.items = base_grow(lines.items, lines.count, &capacity, sizeof *lines.items);
        lines.items[lines.count++] = view_sub(text, 0, size);
        text = view_sub(text, size, text.size);
    }
    return lines;
}

static void diff_release(struct diff *d)
{
    free(d->before.items);
    free(d->after.items);
    free(d->changes);
}

static void put(struct diff *d, char sign, struct view line)
{
    d->changes = base_grow(d->changes, d->count, &d->capacity, sizeof *d->changes);
    d->changes[d->count++] = (struct change){sign, line};
}

/*
 * Longest common subsequence of before[i0..i1) and after[k0..k1): table[i][k] is its length
 * for what begins at i and k.
 */
static void middle_put(struct diff *d, size_t i0, size_t i1, size_t k0, size_t k1)
{
    const size_t height = i1 - i0, width = k1 - k0;
    CLEANUP(base_freep) uint32_t *table = NULL;

    if (height > 0 && width > 0 && height <= TABLE_MAX / (width + 1) - 1) {
        table = base_alloc_array((height + 1) * (width + 1), sizeof *table);
        for (size_t i = height; i-- > 0;) {
            for (size_t k = width; k-- > 0;) {
                const uint32_t *const row = &table[i * (width + 1) + k];
                const uint32_t *const next = row + width + 1;
                const uint32_t longest = next[0] > row[1] ? next[0] : row[1];

                table[i * (width + 1) + k] =
                    view_eq(d->before.items[i0 + i], d->after.items[k0 + k]) ? next[1] + 1
                                                                             : longest;
            }
        }
    }
    size_t i = 0, k = 0;
    while (i < height || k < width) {
        const bool both = table != NULL && i < height && k < width;
        const uint32_t *const row = both ? &table[i * (width + 1) + k] : NULL;

        if (both && view_eq(d->before.items[i0 + i], d->after.items[k0 + k])) {
            put(d, ' ', d->before.items[i0 + i++]);
            k++;
        } else if (i < height && (!both || row[width + 1] >= row[1])) {
            put(d, '-', d->before.items[i0 + i++]);
        } else {
            put(d, '+', d->after.items[k0 + k++]);
        }
    }
}

static void compare(struct diff *d)
{
    const struct lines a = d->before, b = d->after;
    size_t head = 0, tail = 0;

    while (head < a.count && head < b.count && view_eq(a.items[head], b.items[head]))
        head++;
    while (tail < a.count - head && tail < b.count - head &&
           view_eq(a.items[a.count - 1 - tail], b.items[b.count - 1 - tail]))
        tail++;
    for (size_t i = 0; i < head; i++)
        put(d, ' ', a.items[i]);
    middle_put(d, head, a.count - tail, head, b.count - tail);
    for (size_t i = a.count - tail; i < a.count; i++)
        put(d, ' ', a.items[i]);
}

static void change_print(const struct change *change, struct buf *out)
{
    buf_append_char(out, change->sign);
    buf_append_view(out, change->line);
    if (!view_ends(change->line, "\n"))
        buf_append_text(out, "\n\\ No newline at end of file\n");
}

/* The changes from..to, which begin at these lines (from one). */
static void hunk_print(const struct diff *d,
                       size_t from,
                       size_t to,
                       size_t before_line,
                       size_t after_line,
                       struct buf *out)
{
    size_t removed = 0, added = 0;

    for (size_t i = from; i < to; i++) {
        removed += d->changes[i].sign != '+';
        added += d->changes[i].sign != '-';
    }
    buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", removed ? before_line : before_line - 1,
               removed, added ? after_line : after_line - 1, added);
    for (size_t i = from; i < to; i++)
        change_print(&d->changes[i], out);
}

/* Where the hunk that has a change at `at` ends: after its last change and the context. */
static size_t hunk_end(const struct diff *d, size_t at)
{
    size_t last = at;

    for (size_t i = at; i < d->count && i <= last + 2 * CONTEXT; i++)
        if (d->changes[i].sign != ' ')
            last = i;
    return last + 1 + CONTEXT < d->count ? last + 1 + CONTEXT : d->count;
}

void cli_diff_print(struct view before,
                    struct view after,
                    const char *name,
                    struct buf *out)
{
    CLEANUP(diff_release) struct diff d = {lines_cut(before), lines_cut(after), NULL, 0, 0};
    size_t before_line = 1, after_line = 1, done = 0;

    if (view_eq(before, after))
        return;
    compare(&d);
    buf_printf(out, "--- %s\n+++ %s\n", name, name);
    for (size_t i = 0; i < d.count; i++) {
        if (d.changes[i].sign == ' ')
            continue;
        const size_t from = i > done + CONTEXT ? i - CONTEXT : done;
        const size_t to = hunk_end(&d, i);

        for (; done < from; done++) {
            before_line++;
            after_line++;
        }
        hunk_print(&d, from, to, before_line, after_line, out);
        for (; done < to; done++) {
            before_line += d.changes[done].sign != '+';
            after_line += d.changes[done].sign != '-';
        }
        i = to - 1;
    }
}
