/* Texts in pages: whatever they are, what comes of them is valid and does nothing. */
#include "tests/fuzz/fuzz.h"

#include "base/doc.h"
#include "base/limits.h"
#include "registry/serve/html.h"

#include <assert.h>
#include <string.h>

/* The markup's own characters come only as escapes. */
static void check_text(struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        const struct view rest = view_sub(text, i, text.size);
        const unsigned char c = (unsigned char)text.data[i];
        assert(!strchr("<>\"'", c));
        assert(c >= ' ' || c == '\n' || c == '\t');
        if (c == '&')
            assert(view_starts(rest, "&amp;") || view_starts(rest, "&lt;") ||
                   view_starts(rest, "&gt;") || view_starts(rest, "&quot;") ||
                   view_starts(rest, "&#39;"));
    }
}

/* UTF-8 by somebody else's judgement: what is not would have been replaced. */
static void check_encoding(struct view text)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_text(text);

    assert(view_eq(doc_view(d), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    html_text(&out, (struct view){(const char *)data, size});
    assert(!out.failed && out.size <= 16 * (SERVE_HTML_TEXT_MAX + 8));
    check_text(buf_view(&out));
    check_encoding(buf_view(&out));
    return 0;
}
