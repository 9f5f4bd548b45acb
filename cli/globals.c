#include "cli/globals.h"

#include "base/macros.h"

const struct cli_option cli_global_options[] = {
    {0, "root", CLI_OPTION_TEXT, "DIR",
     "The store (default $COOPER_ROOT, else below $XDG_DATA_HOME)",
     offsetof(struct cli_globals, root)},
    {0, "insecure-registry", CLI_OPTION_TEXTS, "HOST[:PORT]",
     "Speak plain HTTP or unverified TLS to this registry",
     offsetof(struct cli_globals, insecure_registries)},
    {0, "storage-budget", CLI_OPTION_TEXT, "SIZE|PERCENT%|none",
     "What is used least recently is removed beyond this (default 10% of the disk)",
     offsetof(struct cli_globals, storage_budget)},
    {0, "storage-limit", CLI_OPTION_TEXT, "SIZE|PERCENT%",
     "A build that would make the store larger than this is ended",
     offsetof(struct cli_globals, storage_limit)},
    {0, "isolation", CLI_OPTION_TEXT, "auto|root|subids|single|none",
     "How steps are shut in, and whose ids they have (default auto)",
     offsetof(struct cli_globals, isolation)},
    {'D', "debug", CLI_OPTION_SWITCH, NULL, "Log to standard error",
     offsetof(struct cli_globals, debug)},
    {'v', "version", CLI_OPTION_SWITCH, NULL, "Print the version",
     offsetof(struct cli_globals, version)},
};
const size_t cli_global_option_count = ARRAY_COUNT(cli_global_options);
