/*
 * Within builder/remote*.c.
 */
#pragma once

#include "builder/context.h"
#include "builder/git.h"
#include "builder/remote.h"

#include <pthread.h>

struct build_remote {
    enum build_remote_kind kind;
    const struct build_environment *env;
    const struct build_request *request;
    char *source; /* as typed: may hold a password */
    char *shown;
    char *path;
    struct digest want; /* of a file: --checksum; alg NONE: none */

    pthread_mutex_t
        lock; /* guards what follows until has_key, then constant; and `context` */
    bool has_key;
    struct digest key;

    /* a file */
    struct build_tree tree;
    struct digest blob;
    uint64_t size;
    int64_t mtime_s;

    /* a repository */
    struct build_git_url url;
    struct build_git *git;
    struct build_context *context;
};

/* remote_file.c */
/* The file is in the store afterwards; sets key, blob, size, time and tree. */
MUST_CHECK int remote_file_resolve(struct build_remote *r, struct error *err);
/* Does the store have a copy of it? */
bool remote_file_is_known(const struct build_remote *r);
