/* Configuration of strangers: read or refused, within bounds. */
#include "tests/fuzz/fuzz.h"

#include "registry/hosts_priv.h"
#include "registry/toml.h"

#include <assert.h>
#include <string.h>

static int take(void *context, const struct toml_item *item, struct error *err)
{
    size_t *const items = context;

    (void)err;
    assert(item->table != NULL);
    if (item->event == TOML_KEY)
        assert(item->key != NULL && (item->type != TOML_TEXT || item->text != NULL));
    ++*items;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(hosts_rules_release) struct hosts_rules rules = {0};
    const struct view text = {(const char *)data, size};
    size_t items = 0;

    if (toml_parse(text, take, &items, &err) < 0)
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_LIMIT));
    assert(items <= size);
    error_clear(&err);
    if (hosts_read_containers(&rules, text, &err) == 0) {
        for (size_t i = 0; i < rules.count; i++)
            assert(rules.items[i].prefix != NULL);
    }
    return 0;
}
