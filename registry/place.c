#include "registry/place.h"

#include "base/alloc.h"
#include "registry/copy_priv.h"

#include <stdlib.h>

struct registry_place {
    struct registry_client *client;           /* borrowed */
    const struct registry_location *location; /* borrowed */
    struct copy_source source;
};

struct registry_place *registry_place_open(struct registry_client *c,
                                           struct cas_store *store,
                                           const struct registry_location *l,
                                           struct error *err)
{
    struct registry_place *p = base_alloc(sizeof *p);

    p->client = c;
    p->location = l;
    if (copy_source_open(c, store, l, &p->source, err) == 0)
        return p;
    free(p);
    return NULL;
}

void registry_place_close(struct registry_place *p)
{
    if (!p)
        return;
    p->source.close(p->source.self);
    free(p);
}

void registry_place_closep(struct registry_place **p)
{
    registry_place_close(*p);
    *p = NULL;
}

int registry_place_root(struct registry_place *p,
                        struct buf *out,
                        struct descriptor *desc,
                        struct error *err)
{
    /* One request, not two. */
    if (p->location->kind == REGISTRY_LOCATION_REGISTRY)
        return registry_manifest_get(p->client, &p->location->reference, out, desc, err);
    if (p->source.resolve(p->source.self, desc, err) < 0)
        return -1;
    if (p->source.manifest(p->source.self, desc, out, err) == 0)
        return 0;
    descriptor_release(desc);
    return -1;
}

int registry_place_manifest(struct registry_place *p,
                            const struct descriptor *desc,
                            struct buf *out,
                            struct error *err)
{
    return p->source.manifest(p->source.self, desc, out, err);
}

int registry_place_blob(struct registry_place *p,
                        const struct descriptor *desc,
                        const struct registry_blob_sink *sink,
                        struct error *err)
{
    return p->source.blob(p->source.self, desc, sink, NULL, err);
}
