/* Challenges of a stranger: parsed or refused, and a refusal leaves nothing behind. */
#include "tests/fuzz/fuzz.h"

#include "registry/auth.h"
#include "registry/retry.h"
#include "registry/url.h"

#include <assert.h>
#include <stdlib.h>

static void check_url(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct registry_url u;
    char *resolved = registry_url_resolve("https://registry.example/v2/a", text, &err);

    if (!resolved) {
        assert(error_is(&err, ERROR_INVALID));
        return;
    }
    const int rc = registry_url_parse(view_of(resolved), &u, &err);
    assert(rc == 0 && registry_url_same_origin(&u, &u));
    free(resolved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list l = {0};
    const struct view text = {(const char *)data, size};
    uint64_t seconds;

    if (registry_challenge_parse(text, &l, &err) < 0) {
        assert(error_is(&err, ERROR_INVALID));
        assert(l.count == 0);
    }
    check_url(text);
    (void)registry_retry_after_parse(text, 0, &seconds);
    return 0;
}
