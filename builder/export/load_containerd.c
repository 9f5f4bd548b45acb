/*
 * containerd, by its own client: ctr asks for $CONTAINERD_ADDRESS and $CONTAINERD_NAMESPACE
 * itself. What the content store has need not be in an archive: import reads the archive
 * into that store and then the image out of it.
 */
#include "builder/export/load.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/export/program.h"
#include "builder/export/stream.h"

#include <stdlib.h>
#include <string.h>

/* Which of the image's layers are there; *out is malloc'ed. */
static int find_present(const struct build_load *l,
                        struct digest **out,
                        size_t *count,
                        struct error *err)
{
    static const char *const list[] = {"ctr", "content", "ls", "-q", NULL};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (build_program_run(list, -1, l->x->cancel, &text, err) < 0)
        return -1;
    *out = base_alloc_array(l->image->layer_count + 1, sizeof **out);
    *count = 0;
    for (size_t i = 0; i < l->image->layer_count; i++) {
        const struct digest *digest = &l->image->layers[i].digest;

        if (strstr(buf_text(&text), digest_format(digest).text))
            (*out)[(*count)++] = *digest;
    }
    return 0;
}

static int import(const struct build_load *l,
                  const struct digest *absent,
                  size_t absent_count,
                  struct error *err)
{
    static const char *const argv[] = {"ctr", "images", "import", "-", NULL};
    const struct registry_archive_image image = {
        .root = l->x->root,
        .names = (const char *const *)l->names->items,
        .name_count = l->names->count,
        .absent = absent,
        .absent_count = absent_count,
    };
    struct build_stream *s =
        build_stream_open(l->x->env->store, &image, REGISTRY_ARCHIVE_OCI, err);

    if (!s)
        return -1;
    const int status = build_program_run(argv, build_stream_fd(s), l->x->cancel, NULL, err);
    return build_stream_close(s, status < 0, err);
}

int build_load_containerd(const struct build_load *l, struct error *err)
{
    CLEANUP(base_freep) struct digest *present = NULL;
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    size_t count = 0;

    if (l->names->count == 0)
        return error_set(err, ERROR_USAGE, BUILD_LOAD_NEEDS_NAME);
    if (find_present(l, &present, &count, err) < 0)
        return -1;
    build_load_note(l, "containerd", count);
    if (import(l, present, count, &failure) == 0)
        return 0;
    /* A blob may have been collected since it was asked for. */
    if (count == 0 || !error_is(&failure, ERROR_FAILED))
        return error_move(err, &failure);
    return import(l, NULL, 0, err);
}
