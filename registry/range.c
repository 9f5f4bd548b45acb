#include "registry/range.h"

bool registry_range_parse(struct view value, struct registry_range *out)
{
    struct view places, total, first, last;
    uint64_t last_at;

    *out = (struct registry_range){0};
    if (value.size < 6 || !view_eq_nocase(view_sub(value, 0, 6), "bytes ") ||
        !view_cut(view_sub(value, 6, value.size), '/', &places, &total) ||
        !view_cut(places, '-', &first, &last) || !view_to_u64(first, &out->first) ||
        !view_to_u64(last, &last_at) || last_at < out->first || last_at == UINT64_MAX)
        return false;
    out->end = last_at + 1;
    out->has_total = !view_eq_text(total, "*");
    return !out->has_total || (view_to_u64(total, &out->total) && out->end <= out->total);
}
