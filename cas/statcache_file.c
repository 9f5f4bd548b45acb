#include "cas/statcache_priv.h"

#include <string.h>

/* Against damage, not against malice: who can write the store can write any digest. */
static uint64_t mix(uint64_t state, const void *data, size_t size)
{
    const char *p = data;
    uint64_t word;

    for (; size >= sizeof word; size -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        state = (state ^ word) * 0x9E3779B97F4A7C15ULL;
        state ^= state >> 29;
    }
    word = size;
    memcpy((char *)&word + 1, p, size);
    state = (state ^ word) * 0x9E3779B97F4A7C15ULL;
    return state ^ state >> 32;
}

uint64_t statcache_header_check(const struct statcache_header *h)
{
    return mix(STATCACHE_MAGIC, h, offsetof(struct statcache_header, check));
}

/* Without the place of the path and the age, which change from save to save. */
uint64_t statcache_record_check(const struct statcache_record *r, struct view path)
{
    const size_t begin = offsetof(struct statcache_record, stamp);
    const size_t end = offsetof(struct statcache_record, path_offset);
    uint64_t state = mix(STATCACHE_MAGIC, (const char *)r + begin, end - begin);

    state = mix(state, r->sha256, sizeof r->sha256);
    return mix(state, path.data, path.size);
}

bool statcache_record_is_whole(const struct statcache_record *r, struct view path)
{
    return r->path_size == path.size && r->check == statcache_record_check(r, path);
}

struct view statcache_record_path(const struct cas_statcache *c, size_t i)
{
    const struct statcache_record *r = &c->records[i];
    const size_t size = c->map_size - (size_t)(c->paths - c->map);

    if (r->path_offset > size || r->path_size > size - r->path_offset)
        return (struct view){"", 0};
    return (struct view){c->paths + r->path_offset, r->path_size};
}
