/* A version goes through a tag and back; the order of versions is one. Versions are divided
 * by line ends; the first character chooses the scheme. */
#include "tests/fuzz/fuzz.h"

#include "release/tags.h"
#include "release/version.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int sign(int order)
{
    return order < 0 ? -1 : order > 0;
}

static void check_round(const struct release_version *v)
{
    CLEANUP(release_version_release) struct release_version again = {0};
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    char *text = release_version_text(v);
    const int rc = release_version_parse(v->scheme, view_of(text), &again, &err);

    assert(rc == 0);
    assert(strcmp(v->tag, again.tag) == 0);
    assert(release_version_compare(v, &again) == 0);
    free(text);
    free(release_move_render(RELEASE_TAG_ANCHOR, v));
    char *moved = release_move_render("{major}.{minor}", v);
    assert(!moved || strcmp(moved, v->tag) != 0);
    free(moved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view rest = {(const char *)data, size};
    struct release_version v[3] = {0};
    size_t count = 0;

    if (size == 0)
        return 0;
    const enum release_scheme scheme = data[0] == 'c'   ? RELEASE_CALVER
                                       : data[0] == 'a' ? RELEASE_ANY
                                                        : RELEASE_SEMVER;
    rest = view_sub(rest, 1, rest.size);
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct view line;

        (void)view_cut(rest, '\n', &line, &rest);
        if (release_version_parse(scheme, line, &v[count], &err) == 0)
            check_round(&v[count++]);
        else
            assert(error_is(&err, ERROR_INVALID));
    }
    if (count == 3) {
        const int ab = sign(release_version_compare(&v[0], &v[1]));
        const int bc = sign(release_version_compare(&v[1], &v[2]));
        const int ac = sign(release_version_compare(&v[0], &v[2]));

        assert(sign(release_version_compare(&v[1], &v[0])) == -ab);
        /* Versions of different shapes have no order. */
        if (v[0].part_count == v[1].part_count && v[1].part_count == v[2].part_count &&
            ab == bc)
            assert(ac == ab);
    }
    for (size_t i = 0; i < count; i++)
        release_version_release(&v[i]);
    return 0;
}
