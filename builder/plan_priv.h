/*
 * The planner's own structures: stages as they are worked off. For builder/plan_*.c only.
 */
#pragma once

#include "builder/plan.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <stdbool.h>
#include <stddef.h>

/* An ordered list of variables; setting one again moves it to the end. */
struct plan_env {
    struct plan_variable {
        char *name;
        char *value;
    } * items;
    size_t count;
    size_t capacity;
};
void plan_env_set(struct plan_env *e, struct view name, struct view value);
/* The same, but a variable that is there keeps its place: the order of a RUN's arguments.
 */
void plan_env_put(struct plan_env *e, struct view name, struct view value);
/* ERROR_LIMIT if there are too many. */
int plan_env_check(const struct plan_env *e, struct error *err);
bool plan_env_get(const struct plan_env *e, struct view name, struct view *value);
void plan_env_copy(struct plan_env *to, const struct plan_env *from);
void plan_env_release(struct plan_env *e);

struct plan_stage;

struct plan_command {
    const struct dockerfile_instruction *instruction;
    struct plan_stage *
        *sources; /* COPY --from: one; RUN: one a mount; NULL entries: none */
    size_t source_count;
    bool is_trigger;
};

struct plan_stage {
    const struct dockerfile_stage *ast; /* NULL: an image that is only named by --from */
    struct source_pos pos;
    char *name;  /* in lower case, "" without */
    char *shown; /* in titles: name or "stage-0"; "" if there is one stage only */
    const struct registry_platform *shown_platform; /* in titles; NULL: there is only one */
    char *base_name;                                /* expanded */
    bool has_platform;
    struct registry_platform platform;
    struct plan_stage *base;
    enum build_named override; /* its name is a --build-context: it is taken instead */
    struct build_context *override_context;
    struct plan_command *commands;
    size_t command_count;
    bool is_resolved;
    bool is_dispatched;
    bool triggers_done;
    bool is_reachable;
    bool no_cache;
    unsigned mark; /* of the search for circles */
    unsigned step;
    unsigned step_count;
    struct build_image *image; /* its base image, if it has one */
    /* What the instructions work on: */
    struct build_node *node;
    struct build_config config;
    struct plan_env env;  /* ENV and ARG together */
    struct plan_env args; /* ARG alone, for RUN's history */
    bool cmd_set;         /* CMD was given in this stage */
};

struct planner {
    const struct build_environment *environment;
    const struct build_request *request;
    struct build_inputs *inputs;
    const struct dockerfile *file;
    const char *platform;      /* as typed; NULL: this machine's */
    struct build_graph *graph; /* of all platforms */
    struct build_plan *plan;
    struct plan_stage **stages;
    size_t stage_count;
    size_t stage_capacity;
    struct plan_env build_args; /* --build-arg */
    struct plan_env globals;    /* predefined and ARG before the first FROM */
    struct registry_platform build_platform;
};

/* plan_stage.c */
int plan_stages_add(struct planner *p, struct error *err);
int plan_stages_link(struct planner *p, struct error *err);
int plan_stages_resolve(struct planner *p, struct plan_stage *target, struct error *err);
struct plan_stage *plan_stage_find(const struct planner *p, struct view name);
/* What the stage's files are for: its own platform, or that of what it begins with. */
const struct registry_platform *plan_stage_platform(const struct planner *p,
                                                    const struct plan_stage *s);
void plan_stage_free(struct plan_stage *s);

/* plan_args.c */
int plan_globals(struct planner *p, const char *target, struct error *err);
/* Expands a word with the variables of `env`; NULL with err set. malloc'ed. */
char *plan_expand_in(const struct planner *p,
                     struct view word,
                     const struct plan_env *env,
                     unsigned flags,
                     struct error *err);
char *plan_expand(const struct planner *p,
                  struct plan_stage *s,
                  struct view word,
                  struct error *err);
/* Expands a word to several, split at white space. */
int plan_expand_words(const struct planner *p,
                      const struct plan_stage *s,
                      struct view word,
                      struct dockerfile_strings *out,
                      struct error *err);
int plan_expand_mount(const struct planner *p,
                      const struct plan_stage *s,
                      struct dockerfile_word value,
                      struct dockerfile_mount *out,
                      struct error *err);

/* plan_dispatch.c */
int plan_stage_dispatch(struct planner *p, struct plan_stage *s, struct error *err);

/* plan_node.c */
/* The title of the stage's next step: "[web 2/5] RUN make". malloc'ed. */
char *plan_title(struct plan_stage *s, const struct plan_command *c, const char *text);
struct build_node *plan_add_node(struct planner *p,
                                 struct plan_stage *s,
                                 const struct plan_command *c,
                                 enum build_op op);
/* A path relative to the stage's working directory; a trailing "/" or "/." is kept.
 * malloc'ed. */
char *plan_path(const struct plan_stage *s, const char *path);

/* plan_copy.c, plan_run.c, plan_meta.c */
int plan_copy(struct planner *p,
              struct plan_stage *s,
              const struct plan_command *c,
              struct error *err);
int plan_run(struct planner *p,
             struct plan_stage *s,
             const struct plan_command *c,
             struct error *err);
/* Tells the node of a COPY or WORKDIR what a RUN in its place would have. */
void plan_run_beside(const struct planner *p,
                     const struct plan_stage *s,
                     const char *workdir,
                     struct build_node *n);
int plan_meta(struct planner *p,
              struct plan_stage *s,
              const struct plan_command *c,
              struct error *err);
/* A node that holds a part of a context as a tree of its own. */
struct build_node *plan_context_node(struct planner *p,
                                     struct build_context *context,
                                     const char *path,
                                     struct source_pos pos,
                                     const char *title);
/* plan_healthcheck.c */
void plan_healthcheck(struct plan_stage *s, const struct dockerfile_healthcheck *h);
/* plan_expose.c */
int plan_expose(struct build_config *config,
                const char *port,
                struct buf *history,
                struct error *err);
