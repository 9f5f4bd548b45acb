#include "builder/secret.h"

#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const struct build_secret *find(const struct build_request *request, const char *id)
{
    for (size_t i = 0; i < request->secret_count; i++)
        if (strcmp(request->secrets[i].id, id) == 0)
            return &request->secrets[i];
    return NULL;
}

static int read_secret(const struct build_secret *secret,
                       struct buf *out,
                       struct error *err)
{
    const char *value = secret->env ? getenv(secret->env) : NULL;

    if (secret->env && !value)
        return error_set(err, ERROR_NOT_FOUND, "environment variable %s is not set",
                         secret->env);
    if (!secret->env)
        return fs_read_file_at(AT_FDCWD, secret->file, out, err);
    buf_append_text(out, value);
    return buf_ok(out, "secret", err);
}

int build_secret_find(const struct build_request *request,
                      const char *id,
                      bool *found,
                      struct buf *out,
                      struct error *err)
{
    const struct build_secret *secret = find(request, id);

    *found = secret != NULL;
    if (secret && read_secret(secret, out, err) < 0)
        return error_wrap(err, "secret %s", id);
    return 0;
}
