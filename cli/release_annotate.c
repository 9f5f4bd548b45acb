#include "cli/release_annotate.h"

#include "base/limits.h"
#include "cas/blob.h"

#include <string.h>

/* True if one was missing. */
static bool add_missing(struct doc *to, const struct doc *from)
{
    const struct doc *value;
    bool added = false;

    for (const char *key = NULL; doc_next(from, &key, &value);) {
        if (doc_get(to, key))
            continue;
        doc_set(to, key, doc_copy(value));
        added = true;
    }
    return added;
}

int cli_release_annotate(struct cas_store *store,
                         const struct doc *annotations,
                         struct descriptor *root,
                         struct error *err)
{
    CLEANUP(doc_unrefp)
    struct doc *manifest = cas_blob_read_doc(store, root, LIMIT_MANIFEST_SIZE, err);
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    const struct doc *const own = doc_get(manifest, "annotations");
    struct digest digest;

    if (!manifest)
        return -1;
    if (strcmp(root->media_type, MEDIA_OCI_MANIFEST) != 0 &&
        strcmp(root->media_type, MEDIA_OCI_INDEX) != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a manifest of the type %s has no annotations: build or copy the "
                         "image in OCI's form, or leave --annotate out",
                         root->media_type);
    struct doc *const all = own ? doc_copy(own) : doc_new_object();
    const bool added = add_missing(all, annotations);
    doc_set(manifest, "annotations", all);
    if (!added)
        return 0;
    doc_write(manifest, DOC_WRITE_COMPACT, &bytes);
    if (buf_ok(&bytes, "the annotated manifest", err) < 0 ||
        cas_blob_put(store, buf_view(&bytes), &digest, err) < 0)
        return -1;
    root->digest = digest;
    root->size = bytes.size;
    return 0;
}
