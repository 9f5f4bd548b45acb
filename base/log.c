#include "base/log.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Written once at start; atomic all the same, so that nobody has to prove it. */
static atomic_bool enabled_flag;

void log_init(bool enabled)
{
    atomic_store_explicit(&enabled_flag, enabled, memory_order_relaxed);
}

bool log_enabled(void)
{
    return atomic_load_explicit(&enabled_flag, memory_order_relaxed);
}

void log_debug(const char *format, ...)
{
    if (!log_enabled())
        return;

    CLEANUP(base_freep) char *text = NULL;
    struct timespec now;
    va_list args;

    va_start(args, format);
    const int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    /* stdio locks the stream for the whole call: lines of several threads do not mix. */
    fprintf(stderr, "cooper[%d] %lld.%06ld %s\n", (int)getpid(), (long long)now.tv_sec,
            now.tv_nsec / 1000, text);
}
