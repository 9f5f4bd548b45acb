/*
 * Within builder/git*.c: a repository and what is known of it.
 */
#pragma once

#include "builder/git.h"
#include "builder/git_run.h"

struct build_git {
    const struct build_environment *env;
    const struct build_request *request;
    const struct build_git_url *url;
    bool keep_git_dir;
    struct build_git_env run;
    char *credentials; /* wiped */
    char *known_hosts;
    int ca_fd; /* memory with the certificates of --ca; -1 */
    char *ca_file;
    char *dir;    /* absolute: STORE/git/ID */
    char *repo;   /* absolute: STORE/git/ID/repo */
    char *commit; /* what is checked out; NULL before it is resolved */
    char *object; /* the commit, or the annotated tag that leads to it */
    char *ref;    /* "refs/heads/main", or the commit itself */
    int tree_fd;  /* holds the tree that is used; -1 */
    char *tree;   /* absolute */
    char *place;  /* the subdirectory in it */
};

/* git_fetch.c */
/* Asks the server what the URL means: sets commit, object and ref. */
MUST_CHECK int git_ask(struct build_git *g, struct error *err);
/* The commit is in the bare repository afterwards. The caller holds the lock. */
MUST_CHECK int git_fetch(struct build_git *g, struct error *err);
/* Appends the name under which the bare repository keeps what was fetched. */
char *git_local_ref(const struct build_git *g); /* malloc'ed */

/* git_tree.c */
/* Makes the commit's files in `dir` (absolute, empty). */
MUST_CHECK int git_make_tree(struct build_git *g, const char *dir, struct error *err);
/* The commit's time, of the bare repository. */
MUST_CHECK int git_commit_time(struct build_git *g,
                               struct timespec *out,
                               struct error *err);
