/*
 * Errors: a value on the caller's stack that carries a code to act on, errno, a position
 * in a source text and a chain of context, outermost first.
 *
 * Every fallible function takes `struct error *err` last, never NULL. Success (0, a handle,
 * a descriptor >= 0) leaves it untouched; failure (-1 or NULL) has set it. Each failing
 * function says *what* failed with error_set, error_sys or error_at; callers that know
 * *what for* add it with error_wrap. Setting an error that is already set replaces it.
 *
 * An error may be moved between threads as a value (the receiver then owns `chain`).
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID,     /* bad input: syntax, values, formats */
    ERROR_NOT_FOUND,   /* the thing asked for does not exist */
    ERROR_EXISTS,      /* would overwrite what must stay */
    ERROR_CORRUPT,     /* size or digest differ, malformed stored or received data */
    ERROR_LIMIT,       /* beyond a declared limit of base/limits.h */
    ERROR_DENIED,      /* credentials or permissions are missing */
    ERROR_UNSUPPORTED, /* valid, but this machine or version cannot do it */
    ERROR_SYSTEM,      /* a system call failed; see `sys` */
    ERROR_NETWORK,     /* a peer could not be reached or broke the connection */
    ERROR_FAILED,      /* a command of the user's failed (a RUN step) */
    ERROR_CANCELLED,   /* interrupted by the user or by another failure */
    ERROR_USAGE,       /* wrong command line: exit code 2 */
};

/* A position in a text: `source` is borrowed or interned by the text's owner and must
 * outlive the error's use; line and column count from one, columns in bytes; 0 = unknown.
 * `line_end` is the last line of the construct, or 0. */
struct source_pos {
    const char *source;
    unsigned line;
    unsigned column;
    unsigned line_end;
};

struct error {
    enum error_code code;
    int sys;               /* errno at the point of failure, or 0 */
    struct source_pos pos; /* line 0: none */
    char *chain;           /* "pull alpine: manifest: size 12, not 40"; owned */
};

#define ERROR_INIT                                                                         \
    {                                                                                      \
        0                                                                                  \
    }

/* Replaces what `err` held. Returns -1, so that one can `return error_set(...)`. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* As error_set with ERROR_SYSTEM and errno: ": No space left on device" is appended.
 * ENOENT becomes ERROR_NOT_FOUND, EEXIST ERROR_EXISTS, EACCES and EPERM ERROR_DENIED. */
int error_sys(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* As error_set, at a position. */
int error_at(struct error *err,
             struct source_pos pos,
             enum error_code code,
             const char *format,
             ...) PRINTF_LIKE(4, 5);

/* Puts "context: " before the chain of an error that is set; keeps code, sys and pos.
 * Returns -1. */
int error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* Gives a set error a position if it has none yet. Returns -1. */
int error_locate(struct error *err, struct source_pos pos);

/* Moves `from` into `to` (releasing what `to` held). Returns -1. */
int error_move(struct error *to, struct error *from);

/* The compiler and the analyzers cannot look into error.c; told here that these fail, they
 * know that outputs are not read afterwards. */
static inline int error_failure(int minus_one)
{
    (void)minus_one;
    return -1;
}

#define error_set(...)    error_failure(error_set(__VA_ARGS__))
#define error_sys(...)    error_failure(error_sys(__VA_ARGS__))
#define error_at(...)     error_failure(error_at(__VA_ARGS__))
#define error_wrap(...)   error_failure(error_wrap(__VA_ARGS__))
#define error_locate(...) error_failure(error_locate(__VA_ARGS__))
#define error_move(...)   error_failure(error_move(__VA_ARGS__))

bool error_is(const struct error *err, enum error_code code);

/* The message, never NULL; borrowed until the error changes. */
const char *error_text(const struct error *err);

/* "invalid", "not found", ... for logs and JSON. */
const char *error_code_name(enum error_code code);

/* Moves the error out, leaving `err` empty. */
struct error error_take(struct error *err);

/* Frees the chain and empties the error; idempotent. Usable with CLEANUP. */
void error_clear(struct error *err);
