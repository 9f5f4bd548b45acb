/* What is read as an entry of the history is written and read as the same. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "release/record.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(release_record_release) struct release_record r = {0};
    CLEANUP(release_record_release) struct release_record again = {0};
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (release_record_parse((struct view){(const char *)data, size}, &r, &err) < 0)
        return 0;
    CLEANUP(doc_unrefp) struct doc *d = release_record_doc(&r);
    doc_write(d, DOC_WRITE_COMPACT, &text);
    const int rc = release_record_parse(buf_view(&text), &again, &err);
    assert(rc == 0);
    assert(release_record_compare(&r, &again) == 0);
    assert(r.move_count == again.move_count);
    for (size_t i = 0; i < r.move_count; i++)
        assert(digest_eq(&r.moves[i].to, &again.moves[i].to));
    return 0;
}
