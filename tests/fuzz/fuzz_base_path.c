/* A clean path is clean, no longer than its source, and a rooted one cannot climb. */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <assert.h>
#include <stdlib.h>

static void check_components(struct view path, bool rooted)
{
    bool climbing = !rooted;
    struct view part;

    if (rooted)
        path = view_sub(path, 1, path.size);
    while (path.size > 0) {
        view_cut(path, '/', &part, &path);
        assert(part.size > 0 && !view_eq_text(part, "."));
        /* ".." stands only before anything else, and never in a rooted path. */
        if (!view_eq_text(part, ".."))
            climbing = false;
        else
            assert(climbing);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view path = {(const char *)data, size};
    CLEANUP(buf_release) struct buf once = BUF_INIT(size + 1);
    CLEANUP(buf_release) struct buf twice = BUF_INIT(size + 1);
    CLEANUP(base_freep) char *rooted = path_clean_rooted(path);

    path_clean(path, &once);
    assert(!once.failed && once.size > 0 && (once.size <= size || size == 0));
    path_clean(buf_view(&once), &twice);
    assert(view_eq(buf_view(&once), buf_view(&twice)));
    if (!view_eq_text(buf_view(&once), "."))
        check_components(buf_view(&once), once.data[0] == '/');

    assert(rooted[0] == '/' && (rooted[1] != '/'));
    check_components(view_of(rooted), true);
    assert(path_has_prefix(view_of(rooted), VIEW_LIT("/")));
    return 0;
}
