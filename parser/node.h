/*
 * One instruction while it is parsed: what the readers of words, flags, JSON arrays and
 * heredocs work on. Private to parser/.
 *
 *     COPY --chown=a  x y /z          out->name, out->flags, args
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "parser/arena.h"
#include "parser/dockerfile.h"
#include "parser/line.h"

/* A list of words that is reused from one instruction to the next. */
struct dockerfile_word_list {
    struct dockerfile_word *items;
    size_t count;
    size_t capacity;
};

/* What stays the same from one instruction to the next. */
struct dockerfile_parser {
    struct dockerfile_arena *arena;
    const char *source_name;
    char escape;
    const struct source_pos
        *fixed_pos; /* trigger of a base image: position of everything */
    struct dockerfile_word_list args;
    struct dockerfile_word_list extra;
};

struct dockerfile_node {
    struct dockerfile_parser *parser;
    const struct dockerfile_line *line;
    struct dockerfile_instruction *out;
    struct view args; /* what follows the flags, trimmed; in line->text */
    struct dockerfile_heredocs heredocs;
    struct error *err;
};

/* --- Positions and lists (node.c) --- */

/* `at` points into the line's text (or at its end). */
struct source_pos dockerfile_node_pos(const struct dockerfile_node *node, const char *at);
/* A word that stands in the line's text. */
struct dockerfile_word dockerfile_node_word(const struct dockerfile_node *node,
                                            struct view text);
void dockerfile_word_list_add(struct dockerfile_word_list *list,
                              struct dockerfile_word word);
/* A copy in the arena. */
struct dockerfile_words dockerfile_word_list_seal(const struct dockerfile_word_list *list,
                                                  struct dockerfile_arena *arena);
/* error_at the instruction with ERROR_INVALID. Returns -1. */
int dockerfile_node_error(struct dockerfile_node *node, const char *format, ...)
    PRINTF_LIKE(2, 3);

/* --- Splitting (split.c) --- */

/* Sets name, flags, args of the node from `text`, a part of its line. */
void dockerfile_node_split(struct dockerfile_node *node, struct view text);
/* Words separated by blanks, as they are, appended to `list`. */
void dockerfile_split_blanks(const struct dockerfile_node *node,
                             struct view text,
                             struct dockerfile_word_list *list);
/* Words separated by white space outside quotes; quotes and escapes stay in them. */
void dockerfile_split_quoted(const struct dockerfile_node *node,
                             struct view text,
                             struct dockerfile_word_list *list);
/* The first word and what follows the blanks after it; false if there is no second word. */
bool dockerfile_split_first(struct view text, struct view *first, struct view *rest);

/* --- JSON arrays (json.c) --- */

enum dockerfile_json {
    DOCKERFILE_JSON_NONE,    /* no valid JSON array: read it as plain text */
    DOCKERFILE_JSON_STRINGS, /* the strings were appended */
    DOCKERFILE_JSON_OTHER,   /* an array that holds something else: an error */
};

enum dockerfile_json dockerfile_json_read(const struct dockerfile_node *node,
                                          struct view text,
                                          struct dockerfile_word_list *list);

/* --- Heredocs (heredoc.c) --- */

struct dockerfile_heredoc_name {
    struct view name; /* in the arena */
    unsigned descriptor;
    bool expand;
    bool strip_tabs;
};

/* Is `word` as a whole a heredoc's beginning, <<NAME? BuildKit ParseHeredoc. */
bool dockerfile_heredoc_word(struct dockerfile_arena *arena,
                             struct view word,
                             struct dockerfile_heredoc_name *out);
/* Reads the heredocs that the node's line announces, if its instruction may have them.
 * Errors: ERROR_INVALID, "unterminated heredoc". */
MUST_CHECK int dockerfile_heredocs_read(struct dockerfile_node *node,
                                        struct dockerfile_reader *reader);

/* --- Flags (flags.c) --- */

enum dockerfile_flag_type {
    DOCKERFILE_FLAG_BOOL,
    DOCKERFILE_FLAG_TEXT,
    DOCKERFILE_FLAG_TEXTS, /* may be repeated: see dockerfile_flags_collect */
};

struct dockerfile_flag_spec {
    const char *name;
    enum dockerfile_flag_type type;
};

struct dockerfile_flag {
    bool given;
    bool on;
    struct dockerfile_word value;
};

/* Reads the node's flags into `flags`, one for each of `specs`. BuildKit BFlags.Parse. */
MUST_CHECK int dockerfile_flags_parse(struct dockerfile_node *node,
                                      const struct dockerfile_flag_spec *specs,
                                      size_t count,
                                      struct dockerfile_flag *flags);
/* All values of a flag that may be repeated. */
struct dockerfile_words dockerfile_flags_collect(const struct dockerfile_node *node,
                                                 const char *name);

/* --- Instructions --- */

/* Parses the node, split and with its heredocs, into node->out. */
MUST_CHECK int dockerfile_instruction_parse(struct dockerfile_node *node);
/* The part of it that also holds for the trigger of an ONBUILD (parser.go, not
 * instructions): ENV and LABEL without '=', JSON arrays of other things than strings. */
MUST_CHECK int dockerfile_instruction_precheck(struct dockerfile_node *node);

MUST_CHECK int dockerfile_parse_copy(struct dockerfile_node *node); /* ADD, COPY */
MUST_CHECK int dockerfile_parse_run(struct dockerfile_node *node);
MUST_CHECK int dockerfile_parse_healthcheck(struct dockerfile_node *node);
MUST_CHECK int dockerfile_parse_pairs(struct dockerfile_node *node); /* ENV, LABEL */
MUST_CHECK int dockerfile_parse_arg(struct dockerfile_node *node);
MUST_CHECK int dockerfile_parse_onbuild(struct dockerfile_node *node);
/* CMD, ENTRYPOINT, RUN, SHELL, HEALTHCHECK: `text` as exec or shell form. */
MUST_CHECK int dockerfile_parse_command(struct dockerfile_node *node,
                                        struct view text,
                                        struct dockerfile_command *out);
/* The kind named, without regard to case, or false. */
bool dockerfile_kind_find(struct view name, enum dockerfile_kind *kind);
