#include "base/module.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of the running program; malloc'ed. Where /proc is missing, one in which
 * there is nothing. */
static char *program_directory(void)
{
    char path[LIMIT_PATH_SIZE];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash = NULL;

    if (n > 0) {
        path[n] = '\0';
        slash = strrchr(path, '/');
    }
    if (!slash)
        return base_strdup("/nonexistent");
    *slash = '\0';
    return base_strdup(path);
}

static void *open_module(const char *file, char **reason)
{
    CLEANUP(base_freep) char *dir = program_directory();
    char *const paths[] = {
        base_format("%s/%s", dir, file),
        base_format("%s/../lib/cooper/%s", dir, file),
        base_format(COOPER_MODULE_DIR "/%s", file),
    };
    void *handle = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        if (!handle && access(paths[i], F_OK) == 0) {
            handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
            if (!handle && !*reason)
                *reason = base_strdup(dlerror());
        }
        free(paths[i]);
    }
    return handle;
}

const void *base_module_load(const char *file,
                             const char *symbol,
                             unsigned version,
                             struct error *err)
{
    CLEANUP(base_freep) char *reason = NULL;
    void *handle = open_module(file, &reason);
    const void *table = handle ? dlsym(handle, symbol) : NULL;

    if (table && *(const unsigned *)table == version)
        return table;
    error_set(err, ERROR_UNSUPPORTED, "the module %s cannot be loaded: %s", file,
              reason   ? reason
              : handle ? "it belongs to another version of cooper"
                       : "it is neither beside the program nor in " COOPER_MODULE_DIR);
    return NULL;
}
