/*
 * Command lines, read by table as docker's are: one table a command tells the names, the
 * kind of each value, its help, and where in the command's own struct the value goes.
 *
 *     -q  --quiet  --quiet=false       switches; short ones bundle: -it
 *     -f X  -fX  -f=X  --file X  --file=X
 *     --                               what follows is positional
 *
 * Options and positional arguments may be mixed, except for commands that pass the rest on
 * to another program: they stop at the first positional argument. The same table prints the
 * help. Values are borrowed from argv.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

/* A growing list of borrowed texts. */
struct cli_texts {
    const char **items;
    size_t count;
    size_t capacity;
};

void cli_texts_add(struct cli_texts *list, const char *text);
void cli_texts_release(struct cli_texts *list); /* idempotent; usable with CLEANUP */

enum cli_option_kind {
    CLI_OPTION_SWITCH, /* bool */
    CLI_OPTION_TEXT,   /* const char *; the last one counts */
    CLI_OPTION_TEXTS,  /* struct cli_texts; repeated */
    CLI_OPTION_COUNT,  /* unsigned */
    CLI_OPTION_BYTES,  /* uint64_t; 64m, 1g */
    CLI_OPTION_TIME,   /* struct cli_time; seconds since the epoch */
    CLI_OPTION_MAYBE,  /* const char *; "true" if no value is attached with "=" */
};

/* Zero is a time, so whether there is one is said beside it. */
struct cli_time {
    bool given;
    long long seconds;
};

struct cli_option {
    char letter;      /* 0: none */
    const char *name; /* without "--" */
    enum cli_option_kind kind;
    const char *value; /* what the help calls the value: "NAME=VALUE"; NULL for switches */
    const char *help;  /* one line */
    size_t offset;     /* of the field in the command's struct */
};

enum cli_args_parse_flags {
    CLI_ARGS_PARSE_MIXED = 0,
    CLI_ARGS_PARSE_STOP =
        1, /* everything from the first positional argument on is positional */
};

/*
 * Reads argv[0 .. argc) into the struct at `out` and appends the rest to `positionals`.
 * "--help" (and "-h" where no option has that letter) sets *help and ends the reading.
 * Errors: ERROR_USAGE names the flag, and a near one that exists.
 */
MUST_CHECK int cli_args_parse(const struct cli_option *options,
                              size_t count,
                              enum cli_args_parse_flags flags,
                              int argc,
                              char **argv,
                              void *out,
                              struct cli_texts *positionals,
                              bool *help,
                              struct error *err);

/* Frees the lists that cli_args_parse filled. */
void cli_args_release(const struct cli_option *options, size_t count, void *out);

/* Appends the help of each option, aligned, one after the other. */
void cli_args_describe(const struct cli_option *options, size_t count, struct buf *out);

/* What switches take: 1, t, T, true, TRUE, True, and the same of false. */
MUST_CHECK int cli_switch_parse(const char *text, bool *out, struct error *err);
/* "64m", "1.5g", "1024", "2gb": binary units, as docker reads sizes. */
MUST_CHECK int cli_bytes_parse(const char *text,
                               unsigned long long *out,
                               struct error *err);
