/*
 * An expansion as it goes on. For parser/expand.c, expand_close.c and expand_split.c only.
 */
#pragma once

#include "parser/expand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One pass over the source, one output text. What nests is a frame on a heap stack; while a
 * ${...} is open, its word grows at the end of the output:
 *
 *     output   a b ${x:-  c d  }          frame.start .. end of output = the word so far
 *                         ^start
 *
 * When it closes, either the word stays where it is, or the output is cut back to `start`
 * and the value takes its place. So nothing is copied from one level to the next, and
 * nesting costs linear work.
 */
enum frame_kind {
    FRAME_TOP,
    FRAME_QUOTE,       /* "..." */
    FRAME_WORD,        /* ${NAME-word}: up to '}' */
    FRAME_PATTERN,     /* ${NAME/pattern/: up to '/' */
    FRAME_REPLACEMENT, /* and then up to '}' */
};

struct frame {
    enum frame_kind kind;
    bool raw_escapes;
    bool set;           /* the variable is set, to `value` */
    bool keep;          /* unset and to be kept as written: "${NAME:-" is in the output */
    bool null_is_unset; /* the operator came after ':' */
    bool all;           /* ${NAME//...} */
    uint32_t operation; /* one of - + ? # %, or what else stood there */
    struct view name;
    struct view value;
    size_t start;       /* of the word in the output, or of the pattern */
    size_t replacement; /* start of the replacement */
};

struct expansion {
    struct view source;
    size_t at;
    const struct dockerfile_expand *how;
    char escape;
    struct buf *out;
    struct error *err;
    struct frame *frames;
    size_t depth; /* frames in use */
    size_t capacity;
    size_t work;               /* done so far, of LIMIT_DOCKERFILE_EXPANSION */
    struct splitter *splitter; /* NULL when one text is wanted */
};

struct splitter {
    struct dockerfile_strings *strings;
    struct buf word;
};

static inline struct frame *top(const struct expansion *x)
{
    return &x->frames[x->depth - 1];
}

static inline void cut_back(struct expansion *x, size_t size)
{
    if (size < x->out->size) {
        x->out->size = size;
        x->out->data[size] = '\0';
    }
}

/* expand_split.c */
/* At the top, what was just added to the output from `from` on also goes to the splitter:
 * `raw` text joins the word, other text is split at white space. */
void dockerfile_expand_split(struct expansion *x, size_t from, bool raw);
/* Ends the word. */
void dockerfile_expand_flush(struct splitter *splitter);

/* expand_close.c */
/* The stop character of the frame on top was read. */
int dockerfile_expand_close(struct expansion *x);
int dockerfile_expand_fail_modifier(struct expansion *x, bool colon, uint32_t rune);
