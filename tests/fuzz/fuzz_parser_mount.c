/* The value of a --mount, with a few variables. What was read keeps its promises. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <assert.h>

static bool look_up(void *context, struct view name, struct view *value)
{
    (void)context;
    if (view_eq_text(name, "a"))
        *value = VIEW_LIT("type=cache,target=/x");
    else if (view_eq_text(name, "b"))
        *value = VIEW_LIT("0777");
    else
        return false;
    return true;
}

static void check(const struct dockerfile_mount *m)
{
    const bool has_owner = m->has_mode || m->has_uid || m->has_gid;

    assert(dockerfile_mount_type_name(m->type));
    assert(!m->required || m->type == DOCKERFILE_MOUNT_SECRET ||
           m->type == DOCKERFILE_MOUNT_SSH);
    assert(m->size == 0 || m->type == DOCKERFILE_MOUNT_TMPFS);
    assert(m->sharing == DOCKERFILE_SHARING_UNSET || m->type == DOCKERFILE_MOUNT_CACHE);
    assert(!has_owner ||
           (m->type != DOCKERFILE_MOUNT_BIND && m->type != DOCKERFILE_MOUNT_TMPFS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount = {0};
    const struct dockerfile_expand how = {.escape = '\\', .lookup = look_up};
    const struct dockerfile_word word = {.text = {(const char *)data, size}};

    if (dockerfile_mount_parse(word, &how, &mount, &err) == 0)
        check(&mount);
    else
        assert(err.code == ERROR_INVALID || err.code == ERROR_LIMIT);
    return 0;
}
