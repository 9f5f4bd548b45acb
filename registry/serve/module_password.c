#include "registry/serve/module_priv.h"

#include "base/alloc.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

/* The time does not tell how much of it is equal. */
static bool equal(const char *a, const char *b)
{
    const size_t size = strlen(a);
    unsigned char different = 0;

    if (strlen(b) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        different |= (unsigned char)(a[i] ^ b[i]);
    return different == 0;
}

bool serve_password_check(const char *password, const char *hash)
{
    struct crypt_data *work = base_alloc(sizeof *work); /* 32 KiB: not for a stack */
    const char *got = crypt_rn(password, hash, work, (int)sizeof *work);
    const bool is_right = got && equal(got, hash);

    explicit_bzero(work, sizeof *work);
    free(work);
    return is_right;
}
