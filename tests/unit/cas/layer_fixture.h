/*
 * Layers from tars written by hand, the way others write them; and mounts of snapshots.
 */
#pragma once

#include "base/buf.h"
#include "cas/layer.h"
#include "cas/snapshot.h"
#include "store_fixture.h"

/* One entry; what is zero is left out or has a usual value. */
struct tar_spec {
    const char *name;
    char type; /* 0: '0' */
    const char *link;
    const char *data;
    size_t size;   /* of data; 0: strlen */
    unsigned mode; /* 0: 0644, directories 0755 */
    unsigned uid;
    unsigned gid;
    unsigned major;
    unsigned minor;
    long mtime;      /* 0: 1000000000 */
    const char *pax; /* "KEY=VALUE" records, each ending in a newline */
};

#define TAR_MAX ((size_t)64 << 20)

void tar_add(struct buf *tar, const struct tar_spec *spec);
void tar_end(struct buf *tar);
/* A header block with everything given; for what tar_add does not write. */
void tar_header(struct buf *tar, const struct tar_spec *spec, uint64_t size);
void tar_pad(struct buf *tar);
/* Corrects the check sum of the header that begins at `offset`. */
void tar_fix_sum(struct buf *tar, size_t offset);

/* Stores the tar as an uncompressed blob; the diffID is right. */
struct cas_layer *layer_of_tar(struct fixture *f, struct buf *tar);
struct cas_layer *layer_of(struct fixture *f, const struct tar_spec *specs, size_t count);
#define LAYER(f, ...)                                                                      \
    layer_of((f), (const struct tar_spec[]){__VA_ARGS__},                                  \
             sizeof((const struct tar_spec[]){__VA_ARGS__}) / sizeof(struct tar_spec))

/* A detached mount of what the snapshot says: a descriptor of its root. */
int snapshot_mount(struct fixture *f, const struct cas_snapshot *snap);

/* Under ThreadSanitizer every process has a second thread, and the kernel lets no process
 * with threads enter a user namespace: that build does not have the tests that do. */
#ifndef __SANITIZE_THREAD__
#define WITH_USER_NAMESPACES
#endif

/* Runs a test in a child, inside a new user namespace with the ids as they are. */
void run_in_user_namespace(struct fixture *f, void (*test)(struct fixture *f));

/* An owner that can be set here: 1000 for root, else our own as we see it. */
unsigned some_owner(void);

/* "TYPE MODE UID:GID MTIME" of a path beneath a directory: "f 0644 0:0 1000000000". NULL:
 * absent. */
char *stat_text(int dir_fd, const char *path);
char *file_text(int dir_fd, const char *path);
/* The names in a directory, sorted, with blanks between. */
char *names_text(int dir_fd, const char *path);
#define assert_text(text, want)                                                            \
    do {                                                                                   \
        char *assert_text_got = (text);                                                    \
        assert_non_null(assert_text_got);                                                  \
        assert_string_equal(assert_text_got, want);                                        \
        free(assert_text_got);                                                             \
    } while (0)
