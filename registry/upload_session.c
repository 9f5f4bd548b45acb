#include "registry/upload_session.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cas/claim.h"
#include "cas/note.h"

#include <stdlib.h>
#include <unistd.h>

/* A smaller one is sent again in about the time that asking takes. */
#define SESSION_MIN ((uint64_t)4 << 20)
/* Notes that are kept. Registries forget sessions within days. */
#define SESSIONS_MAX 64u

struct upload_session {
    struct cas_store *store; /* borrowed */
    struct cas_claim *claim;
    char *path;
    struct registry_upload_memory memory;
};

static char *find(void *context)
{
    const struct upload_session *s = context;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* as if there were none */
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_HTTP_HEADER);
    bool found = false;

    if (cas_note_read(s->store, s->path, &text, &found, &ignored) < 0 || !found)
        return NULL;
    return view_dup(buf_view(&text));
}

static void keep(void *context, const char *location)
{
    const struct upload_session *s = context;
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it begins anew then */

    if (!location)
        (void)!unlinkat(cas_store_fd(s->store), s->path, 0);
    else if (cas_note_write(s->store, s->path, view_of(location), &ignored) == 0)
        (void)!cas_note_prune(s->store, "uploads", SESSIONS_MAX, &ignored);
}

struct upload_session *upload_session_new(struct cas_store *store,
                                          const struct registry_reference *repository,
                                          const struct descriptor *blob)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it begins anew then */
    CLEANUP(base_freep)
    char *name = base_format("upload %s/%s %s", repository->host, repository->path,
                             digest_format(&blob->digest).text);
    const struct digest id = digest_of(DIGEST_SHA256, view_of(name));
    struct cas_claim *claim = NULL;

    if (blob->size < SESSION_MIN || cas_claim_try(store, &id, &claim, &ignored) < 0 ||
        !claim)
        return NULL;

    struct upload_session *s = base_alloc(sizeof *s);

    s->store = store;
    s->claim = claim;
    s->path = base_format("uploads/%s", digest_hex(&id).text);
    s->memory = (struct registry_upload_memory){find, keep, s};
    return s;
}

const struct registry_upload_memory *upload_session_memory(const struct upload_session *s)
{
    return s ? &s->memory : NULL;
}

void upload_session_freep(struct upload_session **s)
{
    if (*s) {
        cas_claim_release((*s)->claim);
        free((*s)->path);
        free(*s);
    }
    *s = NULL;
}
