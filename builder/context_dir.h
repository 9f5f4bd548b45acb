/*
 * The directories of a build context as nodes, each read once, when it is first asked for.
 * For builder/context*.c only.
 *
 * A walk over a large context is bound by one stat a file. Once it is seen to be large, a
 * second thread reads the directories from the other end; the two meet in the middle.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/pool.h"
#include "base/view.h"
#include "cas/arena.h"
#include "cas/statcache.h"
#include "parser/ignore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum context_phase {
    CONTEXT_UNREAD,
    CONTEXT_READING, /* some thread has it */
    CONTEXT_READ,    /* children and count are there, and constant */
};

/* A path of the context. Never moved or freed before the context is. */
struct context_node {
    struct view path;
    struct cas_file_stamp stamp;
    dev_t rdev;
    mode_t mode;
    bool has_links;                 /* it has other names */
    char *link;                     /* a symlink's text */
    struct context_node **children; /* sorted by path */
    size_t count;
    _Atomic(enum context_phase) phase;
    bool is_ignored; /* a directory that is there only for what is beneath it */
    uint8_t *state;  /* of the patterns, for directories */
};

struct context_dir {
    int fd;                                 /* of the context's directory; owned */
    const struct dockerfile_ignore *ignore; /* borrowed; may be NULL */
    struct context_node root;
    pthread_mutex_t demand; /* held by who reads a directory that is asked for */
    struct cas_arena nodes; /* guarded by `demand` */
    struct cas_arena ahead; /* of the thread that reads ahead */
    pthread_mutex_t lock;   /* guards changes of phase and `reader` */
    pthread_cond_t was_read;
    struct pool *reader; /* a pool of one, or NULL */
    atomic_bool stop;    /* the reader is to end */
};

void context_node_know(struct context_node *n, const struct stat *st);

/* `fd` is consumed. The caller must let the root know its stat. */
void context_dir_init(struct context_dir *d,
                      int fd,
                      const struct dockerfile_ignore *ignore);
void context_dir_release(struct context_dir *d);

/* Reads the directory's children unless that was done. Thread-safe. */
MUST_CHECK int context_dir_read(struct context_dir *d,
                                struct context_node *dir,
                                struct error *err);
/* Starts to read what is beneath `dir` from its end, unless a reader is at work already. */
void context_dir_read_ahead(struct context_dir *d, struct context_node *dir);
/* The node at `path` (relative, clean, "" for the root), or NULL. Thread-safe. */
MUST_CHECK int context_dir_find(struct context_dir *d,
                                struct view path,
                                struct context_node **out,
                                struct error *err);
