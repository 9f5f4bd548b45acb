/* What is read as a descriptor is written and read again as the same; digests likewise. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "cas/descriptor.h"

#include <assert.h>
#include <string.h>

static void check_digest(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest d;

    if (digest_parse(text, &d, &err) < 0)
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_UNSUPPORTED));
    else
        assert(view_eq_text(text, digest_format(&d).text));
}

static void check_descriptor(const struct doc *doc)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor once = {0};
    CLEANUP(descriptor_release) struct descriptor twice = {0};

    if (descriptor_parse(doc, &once, &err) < 0) {
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_UNSUPPORTED));
        return;
    }
    CLEANUP(doc_unrefp) struct doc *written = descriptor_doc(&once);
    const int result = descriptor_parse(written, &twice, &err);
    assert(result == 0);
    CLEANUP(doc_unrefp) struct doc *again = descriptor_doc(&twice);
    assert(doc_equal(written, again));
    assert(digest_eq(&once.digest, &twice.digest) && once.size == twice.size);
    assert(once.size <= INT64_MAX && *once.media_type != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct view text = {(const char *)data, size};
    CLEANUP(doc_unrefp) struct doc *doc = doc_parse(text, &err);

    check_digest(text);
    if (doc)
        check_descriptor(doc);
    return 0;
}
