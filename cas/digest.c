#include "cas/digest.h"

#include "base/alloc.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

static const char hex_digits[] = "0123456789abcdef";

size_t digest_size(enum digest_alg alg)
{
    switch (alg) {
    case DIGEST_NONE:
        return 0;
    case DIGEST_SHA256:
        return 32;
    case DIGEST_SHA512:
        return 64;
    }
    return 0;
}

const char *digest_alg_name(enum digest_alg alg)
{
    switch (alg) {
    case DIGEST_NONE:
        return "none";
    case DIGEST_SHA256:
        return "sha256";
    case DIGEST_SHA512:
        return "sha512";
    }
    return "none";
}

/* --- Text --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool is_alnum_lower(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* descriptor.md: component [separator component]*, component [a-z0-9]+, separator [+._-].
 */
static bool is_algorithm(struct view alg)
{
    bool in_component = false;

    for (size_t i = 0; i < alg.size; i++) {
        if (is_alnum_lower(alg.data[i]))
            in_component = true;
        else if (in_component && memchr("+._-", alg.data[i], 4))
            in_component = false;
        else
            return false;
    }
    return in_component;
}

/* descriptor.md: encoded is [a-zA-Z0-9=_-]+. */
static bool is_encoded(struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        const char c = text.data[i];
        if (!is_alnum_lower(c) && !(c >= 'A' && c <= 'Z') && c != '=' && c != '_' &&
            c != '-')
            return false;
    }
    return text.size > 0;
}

static bool decode_hex(struct view hex, uint8_t *out)
{
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        const int high = hex_value(hex.data[i]);
        const int low = hex_value(hex.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int digest_parse(struct view text, struct digest *out, struct error *err)
{
    struct view alg;
    struct view hex;
    struct digest d = {.alg = DIGEST_NONE};
    /* What a message quotes is bounded: the text may come from outside. */
    const struct view shown = view_sub(text, 0, 160);

    if (!view_cut(text, ':', &alg, &hex) || !is_algorithm(alg) || !is_encoded(hex))
        return error_set(err, ERROR_INVALID, "'%.*s' is not a digest", VIEW_ARG(shown));
    if (view_eq_text(alg, "sha256"))
        d.alg = DIGEST_SHA256;
    else if (view_eq_text(alg, "sha512"))
        d.alg = DIGEST_SHA512;
    else
        return error_set(err, ERROR_UNSUPPORTED,
                         "digest algorithm of '%.*s' is not supported", VIEW_ARG(shown));
    if (hex.size != 2 * digest_size(d.alg) || !decode_hex(hex, d.bytes))
        return error_set(err, ERROR_INVALID, "'%.*s' is not %zu lower-case hex digits",
                         VIEW_ARG(shown), 2 * digest_size(d.alg));
    *out = d;
    return 0;
}

static size_t encode_hex(const struct digest *d, char *out)
{
    const size_t size = digest_size(d->alg);

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex_digits[d->bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[d->bytes[i] & 15];
    }
    out[2 * size] = '\0';
    return 2 * size;
}

struct digest_text digest_hex(const struct digest *d)
{
    struct digest_text t;

    encode_hex(d, t.text);
    return t;
}

struct digest_text digest_format(const struct digest *d)
{
    struct digest_text t;
    const char *name = digest_alg_name(d->alg);
    const size_t size = strlen(name);

    memcpy(t.text, name, size);
    t.text[size] = ':';
    encode_hex(d, t.text + size + 1);
    return t;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return digest_compare(a, b) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
    if (a->alg != b->alg)
        return a->alg < b->alg ? -1 : 1;
    return memcmp(a->bytes, b->bytes, digest_size(a->alg));
}

bool digest_is_set(const struct digest *d)
{
    return d->alg != DIGEST_NONE;
}

/* --- Hashing --- */

/* Fetched once and then constant: a fetch costs 0.4 ms, a digest of a small file 0.1 us. */
static struct {
    pthread_once_t once;
    EVP_MD *sha256;
    EVP_MD *sha512;
} methods = {.once = PTHREAD_ONCE_INIT};

/* A library context of our own, as the default one would read openssl.cnf (0.5 ms) and
 * thereby also decide what libcurl gets to see of it later. */
static void fetch_methods(void)
{
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();

    assert(context);
    methods.sha256 = EVP_MD_fetch(context, "SHA2-256", NULL);
    methods.sha512 = EVP_MD_fetch(context, "SHA2-512", NULL);
    assert(methods.sha256 && methods.sha512);
}

static const EVP_MD *method_of(enum digest_alg alg)
{
    pthread_once(&methods.once, fetch_methods);
    assert(alg == DIGEST_SHA256 || alg == DIGEST_SHA512);
    return alg == DIGEST_SHA256 ? methods.sha256 : methods.sha512;
}

struct hasher {
    enum digest_alg alg;
    EVP_MD_CTX *evp;
};

/* These fail only for want of memory or by misuse. */
static void begin(struct hasher *h)
{
    const int done = EVP_DigestInit_ex2(h->evp, method_of(h->alg), NULL);
    assert(done == 1);
    (void)done;
}

struct hasher *hasher_new(enum digest_alg alg)
{
    struct hasher *h = base_alloc(sizeof *h);

    h->alg = alg;
    h->evp = EVP_MD_CTX_new();
    assert(h->evp);
    begin(h);
    return h;
}

void hasher_free(struct hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->evp);
    free(h);
}

void hasher_freep(struct hasher **h)
{
    hasher_free(*h);
    *h = NULL;
}

void hasher_update(struct hasher *h, const void *data, size_t size)
{
    const int done = EVP_DigestUpdate(h->evp, data, size);
    assert(done == 1);
    (void)done;
}

static void finish(struct hasher *h, struct digest *out)
{
    unsigned size = 0;

    *out = (struct digest){.alg = h->alg};
    const int done = EVP_DigestFinal_ex(h->evp, out->bytes, &size);
    assert(done == 1 && size == digest_size(h->alg));
    (void)done;
}

void hasher_final(struct hasher *h, struct digest *out)
{
    finish(h, out);
    begin(h);
}

struct digest digest_of(enum digest_alg alg, struct view data)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(alg);
    struct digest d;

    hasher_update(h, data.data, data.size);
    finish(h, &d);
    return d;
}

int digest_check(const struct digest *want, struct view data, struct error *err)
{
    const struct digest got = digest_of(want->alg, data);

    if (digest_eq(want, &got))
        return 0;
    return error_set(err, ERROR_CORRUPT, "content has digest %s, not %s",
                     digest_format(&got).text, digest_format(want).text);
}
