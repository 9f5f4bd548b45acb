/* Formatting keeps the meaning of a file, and is done after one go. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/limits.h"
#include "parser/dockerfile.h"
#include "parser/format.h"
#include "parser/print.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf once = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf twice = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf before = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf after = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct view text = {(const char *)data, size};
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "F", NULL, &err);

    if (!file)
        return 0;
    dockerfile_format(file, &once);
    CLEANUP(dockerfile_freep)
    struct dockerfile *again = dockerfile_parse(buf_view(&once), "F", NULL, &err);
    assert(again);
    dockerfile_print_meaning(file, &before);
    dockerfile_print_meaning(again, &after);
    assert(view_eq(buf_view(&before), buf_view(&after)));
    dockerfile_format(again, &twice);
    assert(view_eq(buf_view(&once), buf_view(&twice)));
    return 0;
}
