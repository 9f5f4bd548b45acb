#include "builder/mask.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "***"

struct build_mask {
    struct view *values; /* owned bytes */
    size_t count;
    size_t capacity;
    bool begins[256]; /* some value begins with this byte */
};

struct build_mask_stream {
    const struct build_mask *mask;
    build_mask_emit_fn *emit;
    void *context;
    struct buf held; /* the beginning of what may be a secret */
};

/* --- Values --- */

struct build_mask *build_mask_new(void)
{
    return base_alloc(sizeof(struct build_mask));
}

static void add_value(struct build_mask *m, struct view value, size_t least)
{
    if (value.size < least)
        return;
    m->values = base_grow(m->values, m->count, &m->capacity, sizeof *m->values);
    m->values[m->count++] = (struct view){view_dup(value), value.size};
    m->begins[(unsigned char)value.data[0]] = true;
}

void build_mask_add(struct build_mask *m, struct view secret)
{
    struct view rest = view_trim(secret);
    struct view line;

    add_value(m, rest, BUILD_MASK_VALUE_MIN);
    if (memchr(rest.data ? rest.data : "", '\n', rest.size) == NULL)
        return;
    while (rest.size > 0) {
        view_cut(rest, '\n', &line, &rest);
        add_value(m, view_trim(line), BUILD_MASK_LINE_MIN);
    }
}

void build_mask_free(struct build_mask *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++) {
        char *bytes = (char *)(uintptr_t)m->values[i].data;

        explicit_bzero(bytes, m->values[i].size);
        free(bytes);
    }
    free(m->values);
    free(m);
}

void build_mask_freep(struct build_mask **m)
{
    build_mask_free(*m);
    *m = NULL;
}

/* --- Streams --- */

struct build_mask_stream *build_mask_stream_new(const struct build_mask *m,
                                                build_mask_emit_fn *emit,
                                                void *context)
{
    struct build_mask_stream *s = base_alloc(sizeof *s);

    *s = (struct build_mask_stream){.mask = m && m->count > 0 ? m : NULL,
                                    .emit = emit,
                                    .context = context,
                                    .held = BUF_INIT(2 * LIMIT_TEXT_SIZE)};
    return s;
}

/* The longest value that `text` begins with; 0: none. *partial: it may be the beginning of
 * one. */
static size_t match(const struct build_mask *m, struct view text, bool *partial)
{
    size_t longest = 0;

    *partial = false;
    for (size_t i = 0; i < m->count; i++) {
        const struct view v = m->values[i];
        const size_t size = v.size < text.size ? v.size : text.size;

        if (memcmp(v.data, text.data, size) != 0)
            continue;
        if (size < v.size)
            *partial = true;
        else if (v.size > longest)
            longest = v.size;
    }
    return longest;
}

static void emit(const struct build_mask_stream *s, struct view text)
{
    if (text.size > 0)
        s->emit(s->context, text.data, text.size);
}

/* Passes on what is certain; the value is how much of `text` that is. */
static size_t pass(const struct build_mask_stream *s, struct view text, bool at_end)
{
    size_t done = 0;
    size_t i = 0;

    while (i < text.size) {
        bool partial = false;

        if (!s->mask->begins[(unsigned char)text.data[i]]) {
            i++;
            continue;
        }
        const size_t size = match(s->mask, view_sub(text, i, text.size), &partial);
        /* A longer secret may still come of it. */
        if (partial && !at_end)
            break;
        if (size == 0) {
            i++;
            continue;
        }
        emit(s, view_sub(text, done, i - done));
        emit(s, VIEW_LIT(REPLACEMENT));
        i += size;
        done = i;
    }
    emit(s, view_sub(text, done, i - done));
    return i;
}

void build_mask_stream_write(struct build_mask_stream *s, const char *data, size_t size)
{
    const struct view text = {data, size};

    if (!s->mask) {
        emit(s, text);
        return;
    }
    if (s->held.size == 0) {
        buf_append_view(&s->held, view_sub(text, pass(s, text, false), size));
        return;
    }
    buf_append_view(&s->held, text);
    const size_t passed = pass(s, buf_view(&s->held), false);
    CLEANUP(base_freep)
    char *rest = view_dup(view_sub(buf_view(&s->held), passed, s->held.size));
    const size_t left = s->held.size - passed;

    explicit_bzero(s->held.data, s->held.size);
    buf_clear(&s->held);
    buf_append(&s->held, rest, left);
    explicit_bzero(rest, left);
}

void build_mask_stream_end(struct build_mask_stream *s)
{
    if (!s)
        return;
    if (s->held.size > 0) {
        pass(s, buf_view(&s->held), true);
        explicit_bzero(s->held.data, s->held.size);
    }
    buf_release(&s->held);
    free(s);
}
