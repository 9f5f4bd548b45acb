/* The value of build's --platform. */
#include "cli/build_value.h"

#include "base/alloc.h"
#include "registry/platform.h"

#include <stdlib.h>
#include <string.h>

void cli_platforms_release(struct cli_platforms *p)
{
    for (size_t i = 0; i < p->count; i++)
        base_free_text(p->items[i]);
    free(p->items);
    *p = (struct cli_platforms){0};
}

static void add(struct cli_platforms *p, const char *text)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i], text) == 0)
            return;
    p->items = base_grow(p->items, p->count, &p->capacity, sizeof p->items[0]);
    p->items[p->count++] = base_strdup(text);
}

static int read_list(const char *text, struct cli_platforms *out, struct error *err)
{
    struct view rest = view_of(text), item;
    struct registry_platform platform;
    bool more = true;

    while (more) {
        more = view_cut(rest, ',', &item, &rest);
        if (registry_platform_parse(view_trim(item), &platform, err) < 0) {
            err->code = ERROR_USAGE;
            return error_wrap(err, "--platform");
        }
        add(out, registry_platform_format(&platform).text);
    }
    return 0;
}

int cli_build_platforms(const struct cli_texts *from,
                        struct cli_platforms *out,
                        struct error *err)
{
    for (size_t i = 0; i < from->count; i++)
        if (read_list(from->items[i], out, err) < 0)
            return -1;
    return 0;
}
