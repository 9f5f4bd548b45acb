/* Claims over the wire; the rules are in claim.c. */
#include "release/claim.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/limits.h"
#include "registry/referrers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define CLAIM_TYPE "application/vnd.cooper.release.claim.v1+json"
#define POLL_MS    200

#define CLAIM_DIGEST_KEY "vnd.cooper.claim.digest"

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void claim_init(struct release_claim *claim, const struct digest *digest)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char chance[4] = {0};

    *claim = (struct release_claim){.level = RELEASE_CLAIM_RAISED};
    memcpy(claim->digest, digest_hex(digest).text, sizeof claim->digest - 1);
    if (getrandom(chance, sizeof chance, 0) != (ssize_t)sizeof chance) {
        const int64_t time = now_ms();
        memcpy(chance, &time, sizeof chance);
    }
    for (size_t i = 0; i < sizeof chance; i++) {
        claim->run[2 * i] = digits[chance[i] >> 4];
        claim->run[2 * i + 1] = digits[chance[i] & 15];
    }
}

/* The claim's manifest is its run's alone, so that it can be removed by its digest. */
static void claim_write(const struct release_claiming *c,
                        const struct release_claim *claim,
                        struct buf *out)
{
    CLEANUP(doc_unrefp) struct doc *annotations = doc_new_object();
    const struct registry_artifact artifact = {.artifact_type = CLAIM_TYPE,
                                               .annotations = annotations};

    doc_set_text(annotations, "org.opencontainers.image.version", c->version->tag);
    doc_set_text(annotations, CLAIM_DIGEST_KEY, digest_format(c->digest).text);
    doc_set_text(annotations, "vnd.cooper.claim.run", claim->run);
    doc_set_view(annotations, "vnd.cooper.claim.who", view_of(c->who ? c->who : ""));
    registry_artifact_manifest(&artifact, out);
}

static int claim_put(const struct release_claiming *c,
                     const struct release_claim *claim,
                     enum release_claim_level level,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    CLEANUP(base_freep) char *tag = release_claim_tag(c->version, claim, level);
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};
    struct digest confirmed;

    claim_write(c, claim, &bytes);
    registry_reference_copy(&ref, &c->place->repository);
    ref.tag = base_strdup(tag);
    return registry_manifest_put(c->place->client, &ref, MEDIA_OCI_MANIFEST,
                                 buf_view(&bytes), &confirmed, err);
}

static int claims_look(const struct release_claiming *c,
                       struct release_claims *out,
                       struct error *err)
{
    CLEANUP(release_names_release) struct release_names tags = {0};

    release_claims_release(out);
    if (release_place_tags(c->place, &tags, err) < 0)
        return -1;
    release_claims_read(c->version, &tags, out);
    return 0;
}

static bool claims_equal(const struct release_claims *a, const struct release_claims *b)
{
    bool equal = a->count == b->count;

    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i].digest, b->items[i].digest) == 0 &&
                strcmp(a->items[i].run, b->items[i].run) == 0 &&
                a->items[i].level == b->items[i].level;
    return equal;
}

/* A list is made while others write; two equal ones are what was there at a moment. */
static int claims_snapshot(const struct release_claiming *c,
                           struct release_claims *out,
                           struct error *err)
{
    CLEANUP(release_claims_release) struct release_claims before = {0};

    if (claims_look(c, out, err) < 0)
        return -1;
    do {
        release_claims_release(&before);
        before = *out;
        *out = (struct release_claims){0};
        if (claims_look(c, out, err) < 0)
            return -1;
    } while (!claims_equal(&before, out));
    return 0;
}

/* Raised, and then upheld or withdrawn. */
static int claim_enter(const struct release_claiming *c,
                       const struct release_claim *claim,
                       struct error *err)
{
    CLEANUP(release_claims_release) struct release_claims claims = {0};
    const int64_t start = now_ms();

    if (claim_put(c, claim, RELEASE_CLAIM_RAISED, err) < 0 ||
        claims_look(c, &claims, err) < 0)
        return -1;
    if (release_claims_winner(&claims))
        return claim_put(c, claim, RELEASE_CLAIM_WITHDRAWN, err);
    if (now_ms() - start < RELEASE_CLAIM_HASTE_MS)
        return claim_put(c, claim, RELEASE_CLAIM_UPHELD, err);
    if (claim_put(c, claim, RELEASE_CLAIM_WITHDRAWN, err) < 0)
        return -1;
    return error_set(err, ERROR_NETWORK, "the registry is too slow for %s to be claimed",
                     c->version->tag);
}

static int claim_wait(const struct release_claiming *c,
                      struct release_claims *out,
                      struct error *err)
{
    const int64_t start = now_ms();

    for (;;) {
        if (claims_snapshot(c, out, err) < 0)
            return -1;
        if (!release_claims_undecided(out) || now_ms() - start > RELEASE_CLAIM_PATIENCE_MS)
            return 0;
        if (c->cancelled && atomic_load(c->cancelled))
            return error_set(err, ERROR_CANCELLED, "interrupted");
        pause_ms(POLL_MS);
    }
}

/* A claim that lost is of no use any more. The winner's stays until its version is there.
 */
static void claim_remove(struct release_place *p, const struct digest *manifest)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* many registries delete nothing */
    CLEANUP(registry_reference_release) struct registry_reference ref = {0};

    registry_reference_copy(&ref, &p->repository);
    ref.digest = *manifest;
    if (registry_manifest_delete(p->client, &ref, &ignored) < 0)
        error_clear(&ignored);
}

/* The digest that a claim is for, whole; its tag has the first digits. */
static int claim_digest(const struct release_claiming *c,
                        const struct release_claim *claim,
                        struct digest *out,
                        struct error *err)
{
    CLEANUP(base_freep)
    char *tag = release_claim_tag(c->version, claim, RELEASE_CLAIM_UPHELD);
    CLEANUP(release_manifest_release) struct release_manifest m = {0};
    CLEANUP(doc_unrefp) struct doc *d = NULL;
    struct digest id;

    *out = (struct digest){0};
    if (release_place_digest(c->place, tag, &id, err) < 0)
        return -1;
    if (!digest_is_set(&id)) /* removed just now: the version is there */
        return 0;
    if (release_place_get(c->place, &id, &m, err) < 0) {
        if (!error_is(err, ERROR_NOT_FOUND))
            return -1;
        error_clear(err);
        return 0;
    }
    d = doc_parse(buf_view(&m.bytes), err);
    const struct doc *const text = doc_get(doc_get(d, "annotations"), CLAIM_DIGEST_KEY);
    return d ? digest_parse(doc_view(text), out, err) : -1;
}

int release_claim(const struct release_claiming *c,
                  bool *won,
                  struct digest *winner,
                  struct error *err)
{
    CLEANUP(release_claims_release) struct release_claims claims = {0};
    CLEANUP(buf_release) struct buf bytes = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct release_claim claim;

    claim_init(&claim, c->digest);
    if (claim_enter(c, &claim, err) < 0 || claim_wait(c, &claims, err) < 0)
        return error_wrap(err, "claim %s", c->version->tag);
    const struct release_claim *const first = release_claims_winner(&claims);
    *won = first && strcmp(first->digest, claim.digest) == 0;
    *winner = (struct digest){0};
    if (*won) {
        *winner = *c->digest;
        return 0;
    }
    claim_write(c, &claim, &bytes);
    const struct digest manifest = digest_of(DIGEST_SHA256, buf_view(&bytes));
    claim_remove(c->place, &manifest);
    return first ? claim_digest(c, first, winner, err) : 0;
}

static void remove_tagged(struct release_place *p, const char *tag)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it may be gone already */
    struct digest manifest;

    if (release_place_digest(p, tag, &manifest, &ignored) == 0 && digest_is_set(&manifest))
        claim_remove(p, &manifest);
}

/* Of a claim that was removed while its run went on there may be any of the tags. */
void release_claims_clear(struct release_place *p, const struct release_version *version)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* they are only in the way */
    CLEANUP(release_names_release) struct release_names tags = {0};
    CLEANUP(release_claims_release) struct release_claims claims = {0};

    if (release_place_tags(p, &tags, &ignored) < 0)
        return;
    release_claims_read(version, &tags, &claims);
    for (size_t i = 0; i < claims.count; i++) {
        for (int level = RELEASE_CLAIM_WITHDRAWN; level <= RELEASE_CLAIM_UPHELD; level++) {
            CLEANUP(base_freep)
            char *tag = release_claim_tag(version, &claims.items[i],
                                          (enum release_claim_level)level);
            if (release_names_has(&tags, tag))
                remove_tagged(p, tag);
        }
    }
}
