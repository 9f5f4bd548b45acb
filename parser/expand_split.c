/* Splitting what was expanded at white space. */
#include "parser/expand_priv.h"

#include "base/alloc.h"
#include "parser/unicode.h"

#include <stdlib.h>

void dockerfile_strings_release(struct dockerfile_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct dockerfile_strings){NULL, 0, 0};
}

void dockerfile_expand_flush(struct splitter *splitter)
{
    struct dockerfile_strings *strings = splitter->strings;

    if (splitter->word.size == 0)
        return;
    strings->items =
        base_grow(strings->items, strings->count, &strings->capacity, sizeof(char *));
    strings->items[strings->count++] =
        base_strndup(splitter->word.data, splitter->word.size);
    buf_clear(&splitter->word);
}

static void splitter_add(struct splitter *splitter, struct view text)
{
    for (size_t at = 0; at < text.size;) {
        size_t length;
        const uint32_t rune =
            dockerfile_rune_decode(text.data + at, text.size - at, &length);
        if (dockerfile_rune_is_space(rune))
            dockerfile_expand_flush(splitter);
        else
            dockerfile_rune_append(&splitter->word, rune);
        at += length;
    }
}

void dockerfile_expand_split(struct expansion *x, size_t from, bool raw)
{
    if (!x->splitter || top(x)->kind != FRAME_TOP || x->out->size < from)
        return;
    const struct view added = {buf_text(x->out) + from, x->out->size - from};
    if (added.size == 0)
        return;
    if (raw)
        buf_append_view(&x->splitter->word, added);
    else
        splitter_add(x->splitter, added);
}
