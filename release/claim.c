#include "release/claim.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What follows the version in a claim's tag. */
#define TAIL_SIZE (1 + 16 + 1 + 8 + 1 + 1)

void release_claims_release(struct release_claims *c)
{
    free(c->items);
    *c = (struct release_claims){0};
}

char *release_claim_tag(const struct release_version *version,
                        const struct release_claim *claim,
                        enum release_claim_level level)
{
    return base_format(RELEASE_TAG_CLAIM "%s.%s.%s.%d", version->tag, claim->digest,
                       claim->run, (int)level);
}

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") >= size;
}

/* Reads ".DIGEST.RUN.LEVEL". */
static bool tail_parse(const char *tail, struct release_claim *out)
{
    if (strlen(tail) != TAIL_SIZE || tail[0] != '.' || tail[17] != '.' || tail[26] != '.' ||
        !is_hex(tail + 1, 16) || !is_hex(tail + 18, 8) || tail[27] < '0' || tail[27] > '2')
        return false;
    memcpy(out->digest, tail + 1, 16);
    memcpy(out->run, tail + 18, 8);
    out->digest[16] = '\0';
    out->run[8] = '\0';
    out->level = (enum release_claim_level)(tail[27] - '0');
    return true;
}

static int claim_compare(const void *a, const void *b)
{
    const struct release_claim *const x = a;
    const struct release_claim *const y = b;
    const int order = strcmp(x->digest, y->digest);

    return order != 0 ? order : strcmp(x->run, y->run);
}

/* Of the levels that one run's tags tell: upheld, else withdrawn, else raised. */
static enum release_claim_level level_join(enum release_claim_level a,
                                           enum release_claim_level b)
{
    if (a == RELEASE_CLAIM_UPHELD || b == RELEASE_CLAIM_UPHELD)
        return RELEASE_CLAIM_UPHELD;
    return a < b ? a : b;
}

static void claims_add(struct release_claims *c, const struct release_claim *one)
{
    for (size_t i = 0; i < c->count; i++) {
        if (claim_compare(&c->items[i], one) == 0) {
            c->items[i].level = level_join(c->items[i].level, one->level);
            return;
        }
    }
    c->items = base_grow(c->items, c->count, &c->capacity, sizeof *c->items);
    c->items[c->count++] = *one;
}

void release_claims_read(const struct release_version *version,
                         const struct release_names *tags,
                         struct release_claims *out)
{
    CLEANUP(base_freep) char *prefix = base_format(RELEASE_TAG_CLAIM "%s", version->tag);
    const size_t size = strlen(prefix);

    for (size_t i = 0; i < tags->count; i++) {
        struct release_claim one;

        if (strncmp(tags->items[i], prefix, size) == 0 &&
            tail_parse(tags->items[i] + size, &one))
            claims_add(out, &one);
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof *out->items, claim_compare);
}

const struct release_claim *release_claims_winner(const struct release_claims *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].level == RELEASE_CLAIM_UPHELD)
            return &c->items[i];
    }
    return NULL;
}

/* Claims to the winner's own digest change nothing, whatever becomes of them. */
const struct release_claim *release_claims_undecided(const struct release_claims *c)
{
    const struct release_claim *const winner = release_claims_winner(c);

    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].level == RELEASE_CLAIM_RAISED &&
            (!winner || strcmp(c->items[i].digest, winner->digest) < 0))
            return &c->items[i];
    }
    return NULL;
}
