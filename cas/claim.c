#include "cas/claim.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/lease.h"
#include "cas/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Attempts at a file that no cleaner takes for a dead one's before we have locked it. */
#define TRY_RETRIES 100

struct claim_path {
    char text[sizeof "leases/" CAS_CLAIM_PREFIX + sizeof(struct digest_text)];
};

struct cas_claim {
    struct cas_store *store; /* borrowed */
    int fd;
    struct claim_path path;
};

static struct claim_path path_of(const struct digest *what)
{
    struct claim_path p;

    snprintf(p.text, sizeof p.text, "leases/" CAS_CLAIM_PREFIX "%s", digest_hex(what).text);
    return p;
}

/* Whoever cleans up, or gives a claim back, removes the file while it holds the lock. So a
 * lock on a file that has no name any more is worth nothing: *again. */
static int try_once(struct cas_store *s,
                    const struct claim_path *path,
                    int *fd,
                    bool *again,
                    struct error *err)
{
    CLEANUP(fd_closep)
    int file = openat(s->fd, path->text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;

    *again = false;
    *fd = -1;
    if (file < 0)
        return error_sys(err, "create %s in the store", path->text);
    while (flock(file, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return error_sys(err, "lock %s in the store", path->text);
    }
    if (fstat(file, &st) < 0)
        return error_sys(err, "stat %s in the store", path->text);
    *again = st.st_nlink == 0;
    if (!*again)
        *fd = fd_take(&file);
    return 0;
}

int cas_claim_try(struct cas_store *s,
                  const struct digest *what,
                  struct cas_claim **out,
                  struct error *err)
{
    const struct claim_path path = path_of(what);
    bool again = true;
    int fd = -1;

    *out = NULL;
    for (unsigned i = 0; i < TRY_RETRIES && again; i++) {
        if (try_once(s, &path, &fd, &again, err) < 0)
            return -1;
    }
    if (fd < 0)
        return 0;
    *out = base_alloc(sizeof **out);
    **out = (struct cas_claim){.store = s, .fd = fd, .path = path};
    return 0;
}

void cas_claim_release(struct cas_claim *c)
{
    if (!c)
        return;
    unlinkat(c->store->fd, c->path.text, 0);
    fd_closep(&c->fd);
    free(c);
}
