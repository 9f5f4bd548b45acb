/*
 * The Dockerfile language: text -> syntax tree. No I/O, no global state.
 *
 * A `struct dockerfile` is a tree of plain values, read-only for everyone but the parser.
 * It owns a copy of the text and everything that hangs off it: views and positions in the
 * tree live as long as the tree. What a word says is kept as written (quotes, escapes and
 * variables unexpanded; see parser/expand.h); only flags have been unquoted, as BuildKit
 * does it while splitting a line.
 *
 *     dockerfile
 *      ├── directives   # syntax=..., # escape=..., # check=...
 *      ├── globals      ARG instructions before the first FROM   = instructions[0 ..
 * global_count) └── stages       FROM + what follows it, each a slice of `instructions`
 *
 * Life cycle: dockerfile_parse -> read -> dockerfile_free. A tree may be shared between
 * threads once parsed.
 *
 * Language: Dockerfile 1.26 as BuildKit 0.32 reads it (frontend/dockerfile/parser and
 * instructions), labs flags included. Which words a build expands is said at each field:
 *   [expand]  one word to one text          dockerfile_expand
 *   [words]   one word to several           dockerfile_expand_words
 *   [raw]     content without quoting       dockerfile_expand with
 * DOCKERFILE_EXPAND_CONTENT [literal] never expanded
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct dockerfile_arena;
struct dockerfile_expand;

enum dockerfile_kind {
    DOCKERFILE_ADD,
    DOCKERFILE_ARG,
    DOCKERFILE_CMD,
    DOCKERFILE_COPY,
    DOCKERFILE_ENTRYPOINT,
    DOCKERFILE_ENV,
    DOCKERFILE_EXPOSE,
    DOCKERFILE_FROM,
    DOCKERFILE_HEALTHCHECK,
    DOCKERFILE_LABEL,
    DOCKERFILE_MAINTAINER,
    DOCKERFILE_ONBUILD,
    DOCKERFILE_RUN,
    DOCKERFILE_SHELL,
    DOCKERFILE_STOPSIGNAL,
    DOCKERFILE_USER,
    DOCKERFILE_VOLUME,
    DOCKERFILE_WORKDIR,
};
#define DOCKERFILE_KIND_COUNT 18

/* A word and where it stands. A word that was not given has text.data NULL and line 0; a
 * word that was given but is empty (`--chown=`) has text.data set and size 0. */
struct dockerfile_word {
    struct view text;
    struct source_pos pos;
};

struct dockerfile_words {
    const struct dockerfile_word *items;
    size_t count;
};

static inline bool dockerfile_word_given(struct dockerfile_word word)
{
    return word.text.data != NULL;
}

/* NAME=VALUE of ENV, LABEL and ARG. */
struct dockerfile_pair {
    struct dockerfile_word name;  /* ENV, LABEL: [expand]; ARG: [literal] */
    struct dockerfile_word value; /* [expand]; not given: `ARG NAME` */
    bool legacy;                  /* `ENV NAME VALUE`, `LABEL NAME VALUE` */
};

/* <<NAME ... NAME */
struct dockerfile_heredoc {
    struct dockerfile_word name; /* unquoted */
    struct view content;         /* the lines as written, without the terminator */
    struct view body;            /* `content`, leading tabs removed if <<- */
    struct source_pos pos;       /* first line of the content */
    unsigned descriptor;         /* 3<<NAME: 3; else 0 */
    bool expand;     /* no part of NAME was quoted: content is [raw], else [literal] */
    bool strip_tabs; /* <<-NAME */
};

struct dockerfile_heredocs {
    const struct dockerfile_heredoc *items;
    size_t count;
};

/* What CMD, ENTRYPOINT, RUN, SHELL and HEALTHCHECK CMD run. */
struct dockerfile_command {
    bool exec; /* JSON array; else one word for the shell to read */
    struct dockerfile_words
        args; /* [literal]; exec: unescaped strings. May be empty: CMD [] */
};

/* A flag that may be left to its default. */
enum dockerfile_switch {
    DOCKERFILE_SWITCH_UNSET,
    DOCKERFILE_SWITCH_OFF,
    DOCKERFILE_SWITCH_ON,
};

/* ADD and COPY. */
struct dockerfile_copy {
    struct dockerfile_words sources; /* paths, globs and (ADD) URLs, in order; [expand] */
    struct dockerfile_heredocs
        inlines;                  /* heredoc sources, in order; file name = name.text */
    struct dockerfile_word dest;  /* [expand] */
    struct dockerfile_word from;  /* COPY; a variable in it is an error of the planner's */
    struct dockerfile_word chown; /* [expand] */
    struct dockerfile_word chmod; /* [expand] */
    struct dockerfile_word checksum;  /* ADD; [expand] */
    struct dockerfile_words excludes; /* [literal] patterns of parser/ignore.h */
    bool link;
    bool parents;                        /* COPY */
    enum dockerfile_switch keep_git_dir; /* ADD */
    enum dockerfile_switch unpack;       /* ADD */
};

struct dockerfile_arg {
    const struct dockerfile_pair *pairs; /* in order; each may use those before it */
    size_t count;
};

/* ENV and LABEL. The values of one instruction are all expanded with the environment that
 * stood before it. */
struct dockerfile_env {
    const struct dockerfile_pair *pairs;
    size_t count;
};

struct dockerfile_from {
    struct dockerfile_word image;    /* [expand], with global ARGs only */
    struct dockerfile_word platform; /* [expand], with global ARGs only */
    struct dockerfile_word as;       /* the keyword as written, or not given */
    struct dockerfile_word name;     /* as written, or not given */
    struct view stage_name;          /* `name` in lower case; empty without */
};

struct dockerfile_healthcheck {
    bool none; /* HEALTHCHECK NONE */
    struct dockerfile_command
        command;         /* exec: "CMD", else "CMD-SHELL" in the image config */
    int64_t interval_ns; /* 0: inherited, here and below */
    int64_t timeout_ns;
    int64_t start_period_ns;
    int64_t start_interval_ns;
    int32_t retries;
};

/* One --mount. Only `from` is known before expansion; for the rest see
 * dockerfile_mount_parse. */
struct dockerfile_mount_flag {
    struct dockerfile_word value; /* the whole CSV text */
    struct view from;             /* empty if there is none; holds no variable */
};

struct dockerfile_device {
    struct dockerfile_word name; /* [literal] CDI name */
    bool required;
};

enum dockerfile_network {
    DOCKERFILE_NETWORK_DEFAULT,
    DOCKERFILE_NETWORK_NONE,
    DOCKERFILE_NETWORK_HOST,
};

/* How the command of a RUN reaches its shell. */
enum dockerfile_run_form {
    DOCKERFILE_RUN_EXEC,   /* command.args as they are; no shell */
    DOCKERFILE_RUN_SHELL,  /* SHELL + `script` as one argument */
    DOCKERFILE_RUN_SCRIPT, /* RUN <<EOF with a `#!` line: `script` is put into a file
                              /dev/pipes/NAME (0755) and run without a shell */
};

struct dockerfile_run {
    struct dockerfile_command command;
    enum dockerfile_run_form form;
    struct view script;      /* what the shell reads, heredocs put back in; [literal] */
    struct view script_name; /* DOCKERFILE_RUN_SCRIPT: the file's name */
    bool only_heredoc;       /* `RUN <<EOF` alone: `script` is the heredoc's body */
    struct dockerfile_heredocs heredocs;
    const struct dockerfile_mount_flag *mounts;
    size_t mount_count;
    const struct dockerfile_device *devices;
    size_t device_count;
    enum dockerfile_network network;
    bool insecure; /* --security=insecure */
};

struct dockerfile_onbuild {
    /* What is stored in the image and parsed by dockerfile_parse_trigger when a child is
     * built: the text after ONBUILD, heredocs included. */
    struct view expression;
    struct dockerfile_word trigger; /* the instruction's name, as written */
};

struct dockerfile_instruction {
    enum dockerfile_kind kind;
    struct dockerfile_word name; /* as written: "run" */
    struct source_pos pos;       /* of its first byte; line_end includes continuation
                                    lines and heredocs */
    struct view original;        /* continuation lines joined, trimmed, without heredocs */
    struct view source;          /* its bytes in the file, all lines, heredocs included */
    struct view head;            /* of them, those before the first heredoc's content */
    struct dockerfile_words flags; /* unquoted, "--mount=type=cache,target=/x", in order */
    struct dockerfile_words comments; /* the block of comment lines right above, trimmed */
    unsigned empty_continuation;      /* line of the last empty continuation line, or 0 */
    union {
        const struct dockerfile_copy *copy; /* ADD, COPY */
        const struct dockerfile_arg *arg;
        const struct dockerfile_env *env;         /* ENV, LABEL */
        const struct dockerfile_command *command; /* CMD, ENTRYPOINT, SHELL */
        const struct dockerfile_words
            *words; /* EXPOSE: [words], sorted; VOLUME: [expand] */
        const struct dockerfile_from *from;
        const struct dockerfile_healthcheck *healthcheck;
        const struct dockerfile_onbuild *onbuild;
        const struct dockerfile_run *run;
        const struct dockerfile_word *word; /* MAINTAINER [literal]; STOPSIGNAL, USER,
                                               WORKDIR [expand] */
    };
};

struct dockerfile_stage {
    const struct dockerfile_instruction *from;
    const struct dockerfile_instruction *instructions; /* after FROM */
    size_t count;
};

enum dockerfile_directive_kind {
    DOCKERFILE_DIRECTIVE_SYNTAX,
    DOCKERFILE_DIRECTIVE_ESCAPE,
    DOCKERFILE_DIRECTIVE_CHECK,
};

struct dockerfile_directive {
    enum dockerfile_directive_kind kind;
    struct dockerfile_word name;
    struct dockerfile_word value;
};

struct dockerfile {
    const char *source_name;
    struct view text; /* as given, byte order mark and all */
    char escape;      /* '\\' or '`' */
    const struct dockerfile_directive *directives;
    size_t directive_count;
    const struct dockerfile_instruction *instructions; /* all, in order */
    size_t instruction_count;
    size_t global_count;
    const struct dockerfile_stage *stages;
    size_t stage_count;
    struct dockerfile_arena *arena; /* private */
};

struct dockerfile_parse_options {
    /* Called for every error in the order of lines, also those past the first, as far as
     * the rest can be parsed soundly; `error` is borrowed. May be NULL. */
    void (*on_error)(void *context, const struct error *error);
    void *context;
    /* Replaces the file's `# syntax=`, as --build-arg BUILDKIT_SYNTAX does. */
    struct view syntax;
};

/*
 * Parse a Dockerfile. `text` need not outlive the call; `source_name` ("Dockerfile") is
 * copied and stands in every position. `options` may be NULL. A file without FROM is fine
 * here (an included fragment); the planner asks for a stage.
 *
 * Ownership: the tree is the caller's: dockerfile_free.
 * Errors:    the first one found: ERROR_INVALID with a position (syntax);
 *            ERROR_UNSUPPORTED (`# syntax=` names another front end);
 *            ERROR_LIMIT (longer than LIMIT_DOCKERFILE_SIZE, too many heredocs or
 *            instructions).
 * Spec:      docs.docker.com/reference/dockerfile; BuildKit parser.Parse,
 * instructions.Parse.
 */
MUST_CHECK struct dockerfile *dockerfile_parse(
    struct view text,
    const char *source_name,
    const struct dockerfile_parse_options *options,
    struct error *err);

/*
 * Parse one ONBUILD trigger of a base image into a tree of exactly one instruction
 * (instructions[0]), whose positions are all `pos` (the FROM that brought it). FROM,
 * MAINTAINER and ONBUILD are not refused here; only FROM cannot be a trigger.
 *
 * Errors: ERROR_INVALID, at `pos`.
 * Spec:   BuildKit dockerfile2llb initOnBuildTriggers: the escape is always a backslash.
 */
MUST_CHECK struct dockerfile *dockerfile_parse_trigger(struct view trigger,
                                                       struct source_pos pos,
                                                       struct error *err);

void dockerfile_free(struct dockerfile *file);   /* NULL is fine */
void dockerfile_freep(struct dockerfile **file); /* for CLEANUP */

/* "RUN"; static. */
const char *dockerfile_kind_name(enum dockerfile_kind kind);

/* The line (1-based) without its line end; empty past the end. For messages. */
struct view dockerfile_line(const struct dockerfile *file, unsigned line);

/* Is `reference` (the value of `# syntax=`) docker/dockerfile of any version, which cooper
 * itself is? */
bool dockerfile_syntax_is_ours(struct view reference);

/* --- RUN --mount ---------------------------------------------------------------------- */

enum dockerfile_mount_type {
    DOCKERFILE_MOUNT_BIND,
    DOCKERFILE_MOUNT_CACHE,
    DOCKERFILE_MOUNT_TMPFS,
    DOCKERFILE_MOUNT_SECRET,
    DOCKERFILE_MOUNT_SSH,
};

enum dockerfile_sharing {
    DOCKERFILE_SHARING_UNSET, /* shared, for a cache */
    DOCKERFILE_SHARING_SHARED,
    DOCKERFILE_SHARING_PRIVATE,
    DOCKERFILE_SHARING_LOCKED,
};

/* One --mount with everything expanded. Texts are owned, NULL where not given. */
struct dockerfile_mount {
    enum dockerfile_mount_type type;
    enum dockerfile_sharing sharing;
    char *from;
    char *source;
    char *target;
    char *id;
    char *env; /* "" takes the secret's id */
    bool read_only;
    bool required;
    bool has_mode;
    bool has_uid;
    bool has_gid;
    uint32_t mode; /* permission bits, as written: may exceed 07777 */
    uint32_t uid;
    uint32_t gid;
    int64_t size; /* bytes; 0: no limit */
};

/*
 * Read a --mount: split its fields, expand the value of each with `expand`, check them for
 * its type. Fields are split before expansion, so a comma in a variable separates nothing.
 *
 * Ownership: `mount` is set in any case; dockerfile_mount_release.
 * Errors:    ERROR_INVALID at the flag's position.
 * Spec:      BuildKit instructions/commands_runmount.go.
 */
MUST_CHECK int dockerfile_mount_parse(struct dockerfile_word value,
                                      const struct dockerfile_expand *expand,
                                      struct dockerfile_mount *mount,
                                      struct error *err);
void dockerfile_mount_release(struct dockerfile_mount *mount);           /* idempotent */
const char *dockerfile_mount_type_name(enum dockerfile_mount_type type); /* "bind" */
