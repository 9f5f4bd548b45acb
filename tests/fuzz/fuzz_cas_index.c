/* An index whose check sum is right is either refused or answers every question in bounds.
 */
#include "tests/fuzz/fuzz.h"

#include "cas/gzip_isal.h"
#include "cas/index.h"
#include "cas/index_priv.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

/* Reads every byte, so that a sanitizer sees it. */
static unsigned touch(struct view v)
{
    unsigned sum = 0;

    for (size_t i = 0; i < v.size; i++)
        sum += (unsigned char)v.data[i];
    return sum;
}

/* So that no reading is left out. */
static volatile unsigned sink;

static void ask(const struct cas_index *x)
{
    const struct cas_index_restarts r = cas_index_restarts(x);
    unsigned sum = 0;

    for (size_t i = 0; i < cas_index_count(x); i++) {
        struct cas_entry e;
        struct view bytes;
        size_t found;
        cas_index_at(x, i, &e);
        sum += touch(e.path) + touch(e.target);
        /* What refers to the same attributes a million times need not be read as often. */
        for (size_t k = 0; k < e.xattr_count && k < 16; k++)
            sum += touch(e.xattrs[k].name) + touch(e.xattrs[k].value);
        if (cas_index_inline(x, i, &bytes))
            sum += touch(bytes);
        assert(cas_index_find(x, e.path, &found) && found == i);
    }
    for (uint64_t i = 0; i < r.count; i++)
        sum += (unsigned)cas_index_restart(x, i);
    sink = sum;
}

/* A right check sum, size and identity:
 * otherwise nothing else would ever be looked at. */
static void mend(char *file, size_t size, const struct digest *diff_id)
{
    const size_t from = INDEX_HEADER_SUM + 4;

    memcpy(file + INDEX_HEADER_MAGIC, INDEX_MAGIC, sizeof INDEX_MAGIC - 1);
    index_put(file + INDEX_HEADER_VERSION, 4, INDEX_VERSION);
    index_put(file + INDEX_HEADER_FILE_SIZE, 8, size);
    memcpy(file + INDEX_HEADER_DIFF_ID, diff_id->bytes, 32);
    index_put(file + INDEX_HEADER_SUM, 4, gzip_crc32(0, file + from, size - from));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct digest diff_id = {.alg = DIGEST_SHA256};

    if (size < INDEX_HEADER_SIZE || size > (size_t)1 << 20)
        return 0;
    char *file =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(file != MAP_FAILED);
    memcpy(file, data, size);
    mend(file, size, &diff_id);
    struct cas_index *x = index_from_map(file, size, &diff_id, &err);
    if (!x) {
        assert(error_is(&err, ERROR_CORRUPT));
        return 0;
    }
    ask(x);
    cas_index_close(x);
    return 0;
}
