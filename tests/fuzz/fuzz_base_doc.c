/* What can be read as JSON is written and read again as the same document. */
#include "tests/fuzz/fuzz.h"

#include "base/doc.h"
#include "base/limits.h"

#include <assert.h>

static void check_round_trip(const struct doc *d, enum doc_write_flags flags)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf once = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf twice = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(d, flags, &once);

    CLEANUP(doc_unrefp) struct doc *again = doc_parse(buf_view(&once), &err);

    assert(again && doc_equal(d, again));
    doc_write(again, flags, &twice);
    assert(view_eq(buf_view(&once), buf_view(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp)
    struct doc *d = doc_parse((struct view){(const char *)data, size}, &err);

    if (!d) {
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_LIMIT));
        return 0;
    }
    check_round_trip(d, DOC_WRITE_COMPACT);
    check_round_trip(d, DOC_WRITE_SORTED);
    check_round_trip(d, DOC_WRITE_INDENT);
    return 0;
}
