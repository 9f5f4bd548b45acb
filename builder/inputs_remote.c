/*
 * Files and repositories elsewhere that a build takes from.
 */
#include "builder/inputs_priv.h"

#include "base/alloc.h"
#include "registry/credential.h"

#include <stdlib.h>

/* Servers that are asked at once. */
#define ASKED_AT_ONCE 8

struct build_remote *build_inputs_remote(struct build_inputs *in,
                                         const struct build_remote_options *options,
                                         struct error *err)
{
    CLEANUP(registry_secret_freep)
    char *key = base_format("%s\n%s\n%d%d", options->source,
                            options->checksum ? options->checksum : "",
                            options->has_keep_git_dir, options->keep_git_dir);
    const struct digest id = digest_of(DIGEST_SHA256, view_of(key));
    struct build_remote *remote;

    for (size_t i = 0; i < in->remote_count; i++)
        if (digest_eq(&in->remotes[i].id, &id))
            return in->remotes[i].remote;
    remote = build_remote_new(options, err);
    if (!remote)
        return NULL;
    in->remotes =
        base_grow(in->remotes, in->remote_count, &in->remote_capacity, sizeof *in->remotes);
    in->remotes[in->remote_count++] = (struct named_remote){id, remote};
    return remote;
}

/* Whoever needs the answer waits for it, or asks again and tells what failed. */
static void ask(void *arg)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct digest key;

    if (build_remote_key(arg, &key, &ignored) < 0)
        return;
}

void build_inputs_ask_ahead(struct build_inputs *in)
{
    if (in->remote_count < 2 || in->asking)
        return;
    in->asking = pool_new(in->remote_count < ASKED_AT_ONCE ? (unsigned)in->remote_count
                                                           : ASKED_AT_ONCE);
    for (size_t i = 0; i < in->remote_count; i++)
        if (build_remote_is_quick(in->remotes[i].remote))
            pool_submit(in->asking, ask, in->remotes[i].remote);
}

void inputs_remotes_release(struct build_inputs *in)
{
    pool_free(in->asking);
    for (size_t i = 0; i < in->remote_count; i++)
        build_remote_free(in->remotes[i].remote);
    free(in->remotes);
}
