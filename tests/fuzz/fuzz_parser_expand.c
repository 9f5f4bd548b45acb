/* First byte: escape, flags, words or text. The rest is expanded with a few variables. */
#include "tests/fuzz/fuzz.h"

#include "base/limits.h"
#include "parser/expand.h"

#include <assert.h>
#include <string.h>

/* $a $b $c are set, to what patterns and replacements stumble over. */
static bool look_up(void *context, struct view name, struct view *value)
{
    ++*(size_t *)context;
    if (view_eq_text(name, "a"))
        *value = VIEW_LIT("aab/ab.tar.gz\xff\n a$0b ");
    else if (view_eq_text(name, "b"))
        *value = VIEW_LIT("*?\\*$a\xd0\xba");
    else if (view_eq_text(name, "c"))
        *value = VIEW_LIT("");
    else
        return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_strings_release) struct dockerfile_strings words = {NULL, 0, 0};
    CLEANUP(buf_release) struct buf text = BUF_INIT((size_t)1 << 20);
    size_t lookups = 0;

    if (size == 0)
        return 0;
    const struct dockerfile_expand how = {.escape = data[0] & 16 ? '`' : '\\',
                                          .flags = data[0] & 15,
                                          .lookup = look_up,
                                          .context = &lookups};
    const struct view word = {(const char *)data + 1, size - 1};
    if (data[0] & 32) {
        if (dockerfile_expand_words(word, &how, &words, &err) < 0)
            assert(words.count == 0 && err.code != ERROR_NONE);
        for (size_t i = 0; i < words.count; i++)
            assert(words.items[i][0] != '\0' || word.size > 0);
    } else if (dockerfile_expand(word, &how, &text, &err) < 0) {
        assert(err.code == ERROR_INVALID || err.code == ERROR_LIMIT);
    }
    assert(lookups <= size);
    return 0;
}
