/*
 * What the rules of one check share: the file, which rules are on here, the variables known
 * at this point of a stage. Private to parser/check/.
 */
#pragma once

#include "base/buf.h"
#include "parser/check/check.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <stdint.h>

/* Variables in scope; the last of a name counts. */
struct dockerfile_variable {
    char *name;
    char *value; /* NULL: declared by ARG without a value */
};

struct dockerfile_scope {
    struct dockerfile_variable *items;
    size_t count;
    size_t capacity;
    uint32_t *index; /* by hash of the name: 1 + position in items, or 0; open addressing */
    size_t index_size; /* a power of two, more than twice `count` */
    bool open;         /* a base image may define more */
    bool workdir_set;  /* by this file */
    bool shell_set;
    bool pipefail; /* by SHELL ["bash", "-o", "pipefail", ...] */
};

struct dockerfile_checker {
    const struct dockerfile *file;
    const struct dockerfile_check_options *options;
    struct dockerfile_check_config config; /* of the file */
    struct dockerfile_check_config here;   /* with the comment above this instruction */
    struct dockerfile_scope globals;       /* for FROM */
    struct dockerfile_scope defaults;      /* the same, had no --build-arg been given */
    struct dockerfile_scope *stages;       /* what each stage ends with */
    struct dockerfile_scope stage_names;   /* of the stages so far */
    size_t *named_stages;                  /* which stage item i of stage_names is now */
    struct dockerfile_scope listed;        /* directories of the context looked through */
    size_t count;                          /* findings */
    bool called[DOCKERFILE_RULE_COUNT];    /* rules with findings */
};

/* --- report.c --- */

/* Reports a finding unless its rule is off here. */
void dockerfile_check_report(struct dockerfile_checker *check,
                             enum dockerfile_rule rule,
                             struct source_pos pos,
                             const char *format,
                             ...) PRINTF_LIKE(4, 5);
/* Sets check->here from the comments above an instruction. */
void dockerfile_check_enter(struct dockerfile_checker *check,
                            const struct dockerfile_instruction *instruction);

/* --- scope.c --- */

void dockerfile_scope_release(struct dockerfile_scope *scope);
void dockerfile_scope_set(struct dockerfile_scope *scope,
                          struct view name,
                          const struct view *value);
/* The variable, or NULL. */
const struct dockerfile_variable *dockerfile_scope_find(
    const struct dockerfile_scope *scope, struct view name);
/* " (did you mean PREFIXname?)" for a name in scope that is near, or nothing. */
void dockerfile_scope_suggest(const struct dockerfile_scope *scope,
                              struct view name,
                              const char *prefix,
                              struct buf *out);

/* One expansion: which variables it used. */
struct dockerfile_expansion {
    struct buf text;
    struct dockerfile_scope matched; /* names only */
    struct dockerfile_scope unmatched;
};

void dockerfile_expansion_release(struct dockerfile_expansion *expansion);
/* False where the word does not expand: then the build fails there anyway. What was looked
 * up before is known in any case. */
bool dockerfile_check_expand(const struct dockerfile_checker *check,
                             const struct dockerfile_scope *scope,
                             struct view word,
                             unsigned flags,
                             struct dockerfile_expansion *out);

/* --- rules --- */

/* Rules that look at the whole file: stage names, casing. */
void dockerfile_check_file(struct dockerfile_checker *check);
/* FROM: its names and its variables. */
void dockerfile_check_from(struct dockerfile_checker *check,
                           const struct dockerfile_stage *stage);
/* Rules beyond BuildKit's about one instruction. */
void dockerfile_check_extra(struct dockerfile_checker *check,
                            const struct dockerfile_instruction *instruction,
                            const struct dockerfile_scope *scope);
/* The same for FROM, whose base is no stage of the file. */
void dockerfile_check_base(struct dockerfile_checker *check,
                           struct dockerfile_word written,
                           const struct dockerfile_base *base);
/* COPY and ADD of files of the context that look like secrets. `source` is expanded. */
void dockerfile_check_secret_files(struct dockerfile_checker *check,
                                   const struct dockerfile_instruction *instruction,
                                   struct dockerfile_word written,
                                   struct view source);
/* The order of a stage's instructions. */
void dockerfile_check_order(struct dockerfile_checker *check,
                            const struct dockerfile_stage *stage);
/* What follows a FROM; `scope` changes as the stage goes on. */
void dockerfile_check_stage(struct dockerfile_checker *check,
                            const struct dockerfile_stage *stage,
                            struct dockerfile_scope *scope);
/* Comments that describe an ARG or a stage. */
void dockerfile_check_description(struct dockerfile_checker *check,
                                  const struct dockerfile_instruction *instruction);
