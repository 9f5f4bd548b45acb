#include "base/error.h"

#include "base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The functions themselves are defined here, not what their callers see. */
#undef error_set
#undef error_sys
#undef error_at
#undef error_wrap
#undef error_locate
#undef error_move

static char *format_text(const char *format, va_list args)
    __attribute__((format(printf, 1, 0)));

/* Where memory is gone there is nobody left to tell: aborts, as base_alloc does. */
static char *format_text(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        abort();
    return text;
}

/* Takes `chain`. The old chain is freed last, as the new one may have been made from it. */
static int replace(struct error *err, struct error next)
{
    char *old = err->chain;

    *err = next;
    free(old);
    return -1;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    return replace(err, (struct error){.code = code, .chain = text});
}

static enum error_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    case EACCES:
    case EPERM:
        return ERROR_DENIED;
    default:
        return ERROR_SYSTEM;
    }
}

int error_sys(struct error *err, const char *format, ...)
{
    const int sys = errno;
    va_list args;

    va_start(args, format);
    CLEANUP(base_freep) char *what = format_text(format, args);
    va_end(args);

    char reason[128];
    char *text = base_format("%s: %s", what, strerror_r(sys, reason, sizeof reason));

    replace(err, (struct error){.code = code_of_errno(sys), .sys = sys, .chain = text});
    errno = sys;
    return -1;
}

int error_at(
    struct error *err, struct source_pos pos, enum error_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    return replace(err, (struct error){.code = code, .pos = pos, .chain = text});
}

int error_wrap(struct error *err, const char *format, ...)
{
    va_list args;

    assert(err->code != ERROR_NONE);
    va_start(args, format);
    CLEANUP(base_freep) char *context = format_text(format, args);
    va_end(args);

    struct error next = *err;

    next.chain = base_format("%s: %s", context, error_text(err));
    return replace(err, next);
}

int error_locate(struct error *err, struct source_pos pos)
{
    assert(err->code != ERROR_NONE);
    if (err->pos.line == 0)
        err->pos = pos;
    return -1;
}

bool error_is(const struct error *err, enum error_code code)
{
    return err->code == code;
}

const char *error_text(const struct error *err)
{
    return err->chain ? err->chain : error_code_name(err->code);
}

const char *error_code_name(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return "no error";
    case ERROR_INVALID:
        return "invalid";
    case ERROR_NOT_FOUND:
        return "not found";
    case ERROR_EXISTS:
        return "exists";
    case ERROR_CORRUPT:
        return "corrupt";
    case ERROR_LIMIT:
        return "limit exceeded";
    case ERROR_DENIED:
        return "denied";
    case ERROR_UNSUPPORTED:
        return "unsupported";
    case ERROR_SYSTEM:
        return "system error";
    case ERROR_NETWORK:
        return "network error";
    case ERROR_FAILED:
        return "failed";
    case ERROR_CANCELLED:
        return "cancelled";
    case ERROR_USAGE:
        return "usage";
    }
    return "unknown";
}

struct error error_take(struct error *err)
{
    const struct error taken = *err;

    *err = (struct error)ERROR_INIT;
    return taken;
}

int error_move(struct error *to, struct error *from)
{
    if (to == from)
        return -1;
    return replace(to, error_take(from));
}

void error_clear(struct error *err)
{
    const int saved = errno;

    free(err->chain);
    *err = (struct error)ERROR_INIT;
    errno = saved;
}
