/*
 * Log lines for the people who work on cooper: off by default, on with COOPER_DEBUG=1,
 * written to standard error. No behaviour and no test depends on their text.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* Called once at start, before any thread. */
void log_init(bool enabled);
bool log_enabled(void);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
