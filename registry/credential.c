#include "registry/credential.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void registry_secret_freep(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

bool registry_credential_is_set(const struct registry_credential *c)
{
    return c->identity_token || c->registry_token || (c->username && c->password);
}

void registry_credential_copy(struct registry_credential *to,
                              const struct registry_credential *from)
{
    *to = (struct registry_credential){
        .username = base_strdup(from->username),
        .password = base_strdup(from->password),
        .identity_token = base_strdup(from->identity_token),
        .registry_token = base_strdup(from->registry_token),
    };
}

void registry_credential_release(struct registry_credential *c)
{
    free(c->username);
    c->username = NULL;
    registry_secret_freep(&c->password);
    registry_secret_freep(&c->identity_token);
    registry_secret_freep(&c->registry_token);
}
