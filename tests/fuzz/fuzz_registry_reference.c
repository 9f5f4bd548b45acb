/* What parses as a reference is the same reference when its full or short form is parsed.
 */
#include "tests/fuzz/fuzz.h"

#include "registry/reference.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void check_same(const struct registry_reference *want, char *text)
{
    struct error err = ERROR_INIT;
    CLEANUP(registry_reference_release) struct registry_reference got = {0};
    const int rc = registry_reference_parse(view_of(text), &got, &err);

    assert(rc == 0);
    assert(registry_reference_same_repository(want, &got));
    assert(digest_eq(&want->digest, &got.digest));
    assert((want->tag != NULL) == (got.tag != NULL));
    assert(!want->tag || strcmp(want->tag, got.tag) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(registry_reference_release) struct registry_reference r = {0};

    if (registry_reference_parse((struct view){(const char *)data, size}, &r, &err) < 0) {
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_UNSUPPORTED));
        return 0;
    }
    /* Nothing that could change the meaning of a URL's path. */
    assert(!strstr(r.path, "..") && !strpbrk(r.path, "?#%\\ @:") &&
           !strpbrk(r.host, "/?#@\\ "));
    check_same(&r, registry_reference_text(&r));
    check_same(&r, registry_reference_familiar(&r));
    return 0;
}
