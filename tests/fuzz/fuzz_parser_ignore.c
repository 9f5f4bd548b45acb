/*
 * Up to the first NUL a .dockerignore, then a path. A walk that prunes never leaves out
 * what a walk of everything would find.
 */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/glob.h"
#include "parser/ignore.h"

#include <assert.h>
#include <string.h>

/* Goes down to `path`; each directory on the way that is left out for good must leave out
 * what is beneath it. */
static void walk(const struct dockerfile_ignore *set, struct view path)
{
    const size_t state_size = dockerfile_ignore_state_size(set);
    CLEANUP(base_freep) uint8_t *parent = base_alloc(state_size);
    CLEANUP(base_freep) uint8_t *own = base_alloc(state_size);
    bool pruned = false, top = true;

    for (size_t i = 1; i <= path.size; i++) {
        if (i < path.size && path.data[i] != '/')
            continue;
        const struct view part = view_sub(path, 0, i);
        const bool left_out = dockerfile_ignore_step(set, part, top ? NULL : parent, own);
        assert(!pruned || left_out);
        pruned = pruned || (left_out && !dockerfile_ignore_may_reinclude(set, part));
        memcpy(parent, own, state_size);
        top = false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf clean = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct view all = {(const char *)data, size};
    struct view text, path;

    if (!view_cut(all, '\0', &text, &path) || path.size == 0 ||
        memchr(path.data, 0, path.size))
        return 0;
    CLEANUP(dockerfile_ignore_freep)
    struct dockerfile_ignore *set = dockerfile_ignore_parse(text, ".dockerignore", &err);
    dockerfile_glob_match(text, path);
    if (!set) {
        assert(err.code == ERROR_INVALID || err.code == ERROR_LIMIT);
        return 0;
    }
    path_clean(path, &clean);
    const struct view relative = buf_view(&clean);
    if (relative.data[0] == '/')
        return 0;
    dockerfile_ignore_match(set, relative);
    walk(set, relative);
    return 0;
}
