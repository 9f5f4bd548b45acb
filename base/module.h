/*
 * Modules: shared objects of ours that hold a library which costs more to load than a
 * cached build takes. One is loaded when it is first needed, and stays. It brings its own
 * copy of base/, so errors cross as values; nothing else is shared.
 *
 * All that a module shows is one table of functions, whose first member is `unsigned
 * version`: who was built with another version of the table does not use it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

/*
 * The table that `symbol` names in the module `file` ("libcooper-x.so"). It is looked for
 * beside the program (a build directory), where it was installed relative to the program,
 * and where it was to be installed; never by the library search path. Loading it again
 * gives the same. NULL with ERROR_UNSUPPORTED.
 */
MUST_CHECK const void *base_module_load(const char *file,
                                        const char *symbol,
                                        unsigned version,
                                        struct error *err);
