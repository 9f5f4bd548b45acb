/* Package databases of an image: whatever is in them, packages are words. The first byte
 * chooses the manager. */
#include "tests/fuzz/fuzz.h"

#include "builder/compare/package.h"

#include <assert.h>

static void check(const struct build_packages *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const char *const texts[] = {l->items[i].name, l->items[i].version,
                                     l->items[i].architecture};

        assert(l->items[i].name[0] != '\0' && l->items[i].version[0] != '\0');
        for (size_t t = 0; t < ARRAY_COUNT(texts); t++) {
            for (const char *c = texts[t]; c != NULL && *c != '\0'; c++)
                assert((unsigned char)*c > ' ' && *c != 0x7f);
        }
    }
}

static int read_one(struct build_packages *l,
                    uint8_t which,
                    struct view text,
                    struct error *err)
{
    switch (which % 5) {
    case 0:
        return build_packages_dpkg(l, text, err);
    case 1:
        return build_packages_apk(l, text, err);
    case 2:
        return build_packages_rpm_header(l, text, err);
    case 3:
        return build_packages_pip(l, text, err);
    default:
        return build_packages_npm(l, VIEW_LIT("node_modules/x/package.json"), text, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct cas_arena arena = {0};
    struct build_packages l = {.arena = &arena};

    if (size == 0)
        return 0;
    if (read_one(&l, data[0], (struct view){(const char *)data + 1, size - 1}, &err) < 0)
        assert(err.code == ERROR_CORRUPT || err.code == ERROR_INVALID);
    else
        check(&l);
    build_packages_release(&l);
    cas_arena_release(&arena);
    return 0;
}
