/*
 * Language helpers that every room uses: attributes, scope-bound clean-up, array length.
 */
#pragma once

#include <stddef.h>

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Arguments are checked like printf's: `fmt` and `first` count from one. */
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Runs `fn(&variable)` when the variable leaves its scope. Such functions are named
 * x_freep, x_releasep or x_closep; they are idempotent, keep errno, and leave the
 * variable empty. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
