#include "builder/rewrite.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/describe.h"
#include "builder/miss.h"
#include "cas/index.h"

#include <stdlib.h>

#define STEP_WIDTH ((size_t)60)

/* The entry of `path` in the topmost layer that has one. */
static bool find_below(const struct cas_index *const *below,
                       size_t count,
                       struct view path,
                       struct cas_entry *out)
{
    size_t at;

    for (size_t i = count; i-- > 0;) {
        if (!cas_index_find(below[i], path, &at))
            continue;
        cas_index_at(below[i], at, out);
        return true;
    }
    return false;
}

static void compare(const struct cas_entry *was,
                    const struct cas_entry *is,
                    struct build_rewrite *out)
{
    if (was->type != CAS_ENTRY_FILE || was->size != is->size ||
        !digest_is_set(&was->content) || !digest_eq(&was->content, &is->content))
        return;
    out->count++;
    out->size += is->size;
    out->mode += was->mode != is->mode;
    out->owner += was->uid != is->uid || was->gid != is->gid;
}

static bool is_cheap(const struct cas_index *x)
{
    return cas_index_tar_size(x) < BUILD_REWRITE_SIZE_MIN &&
           cas_index_count(x) < BUILD_REWRITE_COUNT_MIN;
}

int build_rewrite_find(struct cas_layer *const *layers,
                       size_t count,
                       struct build_rewrite *out,
                       struct error *err)
{
    const struct cas_index *top = NULL;

    *out = (struct build_rewrite){0};
    if (count < 2)
        return 0;
    if (cas_layer_wait(layers[count - 1], err) < 0 ||
        !(top = cas_layer_index(layers[count - 1], err)))
        return -1;
    if (is_cheap(top))
        return 0;
    CLEANUP(base_freep)
    const struct cas_index **below = base_alloc_array(count, sizeof *below);
    for (size_t i = 0; i + 1 < count; i++)
        if (!(below[i] = cas_layer_index(layers[i], err)))
            return -1;
    for (size_t i = 0; i < cas_index_count(top); i++) {
        struct cas_entry is, was;

        cas_index_at(top, i, &is);
        if (is.type == CAS_ENTRY_FILE && is.size > 0 &&
            find_below(below, count - 1, is.path, &was))
            compare(&was, &is, out);
    }
    return 0;
}

/* What of the files differs, and which option of COPY sets it. */
static const char *what_of(const struct build_rewrite *r)
{
    return r->mode > 0 && r->owner > 0 ? "mode and owner"
           : r->owner > 0              ? "owner"
           : r->mode > 0               ? "mode"
                                       : "times";
}

static const char *cure_of(const struct build_rewrite *r)
{
    if (r->mode > 0 && r->owner > 0)
        return "give COPY --chmod and --chown";
    if (r->owner > 0)
        return "give COPY --chown";
    return r->mode > 0 ? "give COPY --chmod" : "do not touch them";
}

char *build_rewrite_tell(const struct build_rewrite *r, const char *step)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    if (r->size < BUILD_REWRITE_SIZE_MIN && r->count < BUILD_REWRITE_COUNT_MIN)
        return NULL;
    build_miss_clip(&out, build_title_text(step), STEP_WIDTH);
    buf_printf(
        &out,
        " stored %zu file%s (%.1f MB) again without changing a byte, only %s: %s, or "
        "do it in the step that makes them",
        r->count, r->count == 1 ? "" : "s", (double)r->size / 1e6, what_of(r), cure_of(r));
    return buf_take(&out);
}
