#include "builder/slot.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "cas/note.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOT_DIR "steps"
/* Descriptions of some hundred steps with long environments. */
#define SLOT_SIZE_MAX ((size_t)32 << 20)
/* Contexts that are built again; those of CI in directories of their own are never seen
 * again. Some 10 KiB each. */
#define SLOTS_KEPT ((size_t)500)

static void add(struct hasher *h, const char *text)
{
    if (text)
        hasher_update(h, text, strlen(text) + 1);
    else
        hasher_update(h, "\xff", 1);
}

struct build_slot_path build_slot_path(const struct build_request *request)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    CLEANUP(base_freep)
    char *context = request->context ? realpath(request->context, NULL) : NULL;
    struct build_slot_path path;
    struct digest digest;

    add(h, "cooper steps 1");
    add(h, context ? context : request->context);
    add(h, request->dockerfile);
    add(h, request->target);
    for (size_t i = 0; i < request->platform_count; i++)
        add(h, request->platforms[i]);
    hasher_final(h, &digest);
    snprintf(path.text, sizeof path.text, SLOT_DIR "/%s", digest_hex(&digest).text);
    return path;
}

static struct digest_text first_line(const struct digest *fingerprint)
{
    return digest_hex(fingerprint);
}

bool build_slot_is(struct cas_store *store,
                   const struct build_slot_path *path,
                   const struct digest *fingerprint)
{
    const struct digest_text want = first_line(fingerprint);
    const size_t size = strlen(want.text);
    struct digest_text found;

    CLEANUP(fd_closep)
    int fd = openat(cas_store_fd(store), path->text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && read(fd, found.text, size) == (ssize_t)size &&
           memcmp(found.text, want.text, size) == 0;
}

struct doc *build_slot_read(struct cas_store *store, const struct build_slot_path *path)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(SLOT_SIZE_MAX);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    struct view line, rest;
    int64_t version = 0;
    bool found = false;

    if (cas_note_read(store, path->text, &text, &found, &err) < 0 || !found ||
        !view_cut(buf_view(&text), '\n', &line, &rest) || !(d = doc_parse(rest, &err))) {
        if (found)
            log_debug("%s: %s", path->text, error_text(&err));
        return NULL;
    }
    if (!doc_int(doc_get(d, "version"), &version) || version != BUILD_SLOT_VERSION)
        return NULL;
    return doc_ref(d);
}

void build_slot_write(struct cas_store *store,
                      const struct build_slot_path *path,
                      const struct digest *fingerprint,
                      const struct doc *d)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(SLOT_SIZE_MAX);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const bool is_new =
        faccessat(cas_store_fd(store), path->text, F_OK, AT_SYMLINK_NOFOLLOW) < 0;

    buf_printf(&text, "%s\n", first_line(fingerprint).text);
    doc_write(d, DOC_WRITE_COMPACT, &text);
    if (buf_ok(&text, "the description of the steps", &err) < 0 ||
        cas_note_write(store, path->text, buf_view(&text), &err) < 0 ||
        (is_new && cas_note_prune(store, SLOT_DIR, SLOTS_KEPT, &err) < 0))
        log_debug("%s: %s", path->text, error_text(&err));
}
