/* The options before the command: of all commands. */
#pragma once

#include "cli/args.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_globals {
    const char *root;
    const char *storage_budget;
    const char *storage_limit;
    struct cli_texts insecure_registries;
    const char *isolation;
    bool debug;
    bool version;
};

extern const struct cli_option cli_global_options[];
extern const size_t cli_global_option_count;
