#include "registry/http_module.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/macros.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of the running program; malloc'ed, NULL where /proc is missing. */
static char *program_directory(void)
{
    char path[LIMIT_PATH_SIZE];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return base_strdup(path);
}

/* Beside the program (a build directory), where it was installed relative to the program (a
 * tree that was moved), where it was to be installed. Never by the library search path. */
static void *open_module(char **reason)
{
    CLEANUP(base_freep) char *dir = program_directory();
    char *const paths[] = {
        base_format("%s/" REGISTRY_HTTP_MODULE_FILE, dir ? dir : "/nonexistent"),
        base_format("%s/../lib/cooper/" REGISTRY_HTTP_MODULE_FILE,
                    dir ? dir : "/nonexistent"),
        base_strdup(COOPER_MODULE_DIR "/" REGISTRY_HTTP_MODULE_FILE),
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

const struct registry_http_module *registry_http_module_load(struct error *err)
{
    CLEANUP(base_freep) char *reason = NULL;
    void *handle = open_module(&reason);
    const struct registry_http_module *module =
        handle ? dlsym(handle, REGISTRY_HTTP_MODULE_SYMBOL) : NULL;

    if (module && module->version == REGISTRY_HTTP_MODULE_VERSION)
        return module;
    (void)error_set(err, ERROR_UNSUPPORTED,
                    "the network module " REGISTRY_HTTP_MODULE_FILE " cannot be loaded: %s",
                    reason ? reason
                    : handle
                        ? "it belongs to another version of cooper"
                        : "it is neither beside the program nor in " COOPER_MODULE_DIR);
    return NULL;
}
