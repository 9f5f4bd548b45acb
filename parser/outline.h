/*
 * What a build of some stage can be given: its arguments, secrets and SSH keys, with the
 * comments that describe them; and which stages there are.
 *
 *     # VERSION of the compiler
 *     ARG VERSION=12                     -> VERSION  12  "of the compiler"
 *     # build compiles everything
 *     FROM gcc:$VERSION AS build         -> build        "compiles everything"
 *
 * Spec: BuildKit frontend/subrequests/outline, .../targets.
 */
#pragma once

#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

struct dockerfile;
struct dockerfile_instruction;

/*
 * Which stages does the stage `target` need? needed[0 .. stage_count) is set. Names are
 * taken as they are written, without variables. ONBUILD triggers are unknown.
 */
void dockerfile_stages_needed(const struct dockerfile *file, size_t target, bool *needed);

/* The stage of that name (in any case), the last one of several, or number; stage_count if
 * there is none. */
size_t dockerfile_stage_find(const struct dockerfile *file, struct view name);

/* What the comments right above an instruction say about `name`: the first line that begins
 * with that word, after it; empty without. */
struct view dockerfile_description(const struct dockerfile_instruction *instruction,
                                   struct view name);

/* One thing a build can be given. Borrowed from the tree. */
struct dockerfile_outline_item {
    struct view name;
    struct view value; /* arguments: as written, before expansion; data NULL without */
    struct view description; /* arguments */
    bool required;           /* secrets, SSH keys */
    struct source_pos pos;
};

struct dockerfile_outline_list {
    struct dockerfile_outline_item *items;
    size_t count;
    size_t capacity;
};

struct dockerfile_outline {
    struct dockerfile_outline_list args;    /* by line; a name once */
    struct dockerfile_outline_list secrets; /* by id */
    struct dockerfile_outline_list ssh;
    char **texts; /* names that are not in the tree as such */
    size_t text_count;
    size_t text_capacity;
};

/* The outline of a stage; release it in any case. */
void dockerfile_outline_make(const struct dockerfile *file,
                             size_t target,
                             struct dockerfile_outline *out);
void dockerfile_outline_release(struct dockerfile_outline *outline); /* idempotent */
