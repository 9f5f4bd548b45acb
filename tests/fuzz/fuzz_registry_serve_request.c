/* What the embedded registry reads of a request: the first line of the input is a target,
 * the second one each of the headers in turn. */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "registry/serve/header.h"
#include "registry/serve/target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that leaves a directory, speaks to a terminal or ends a line. */
static void check_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        assert((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void check_target(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_target_release) struct serve_target t = {0};
    static const char *const params[] = {"digest", "n", "last", "mount", "tag", ""};

    if (serve_target_parse(text, &t, &err) < 0) {
        assert(error_is(&err, ERROR_INVALID));
        return;
    }
    check_plain(t.path);
    if (t.repository) {
        assert(t.route != SERVE_ROUTE_UNKNOWN);
        assert(serve_is_repository(view_of(t.repository)));
        assert(!strstr(t.repository, "..") && t.repository[0] != '/' &&
               !strpbrk(t.repository, "?#%\\ @:"));
    }
    if (t.reference) {
        check_plain(t.reference);
        assert(!strchr(t.reference, '/'));
        if (serve_is_tag(view_of(t.reference)))
            assert(!strpbrk(t.reference, "/:@% ") && t.reference[0] != '.');
    }
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        char *value;
        for (size_t n = 0; (value = serve_target_param(&t, params[i], n)); n++) {
            check_plain(value);
            free(value);
        }
    }
}

static void check_headers(const char *text)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX};
    const struct digest d = digest_of(DIGEST_SHA256, view_of(text));
    struct digest read;
    uint64_t first;
    uint64_t last;
    char *user = NULL;
    char *password = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        if (serve_range_parse(text, sizes[i], &first, &last) == SERVE_RANGE_PART)
            assert(first <= last && last < sizes[i]);
    }
    if (serve_content_range_parse(text, &first, &last))
        assert(first <= last && last < UINT64_MAX);
    assert(!serve_etags_match(text, &d)); /* it would hold its own digest */
    if (serve_etags_single(text, &read))
        assert(digest_is_set(&read));
    (void)serve_etags_any(text);
    assert(serve_media_type(text).size <= strlen(text));
    if (serve_basic_parse(text, &user, &password)) {
        assert(!strchr(user, ':'));
        free(user);
        free(password);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view target;
    struct view header;

    view_cut((struct view){(const char *)data, size}, '\n', &target, &header);
    CLEANUP(base_freep) char *text = view_dup(header);
    check_target(target);
    check_headers(text);
    return 0;
}
