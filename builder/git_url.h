/*
 * What a Dockerfile or a command line may write to mean a git repository, a commit of it
 * and a directory in that:
 *
 *     https://host/repo.git#REF:SUBDIR     git://host/repo#REF     ssh://git@host/repo
 *     git@host:repo.git#REF:SUBDIR         github.com/owner/repo (contexts only)
 *     https://host/repo.git?branch=B&tag=T&ref=R&subdir=D&commit=C&checksum=C
 *                          &keep-git-dir=1&submodules=0&mtime=checkout|commit
 *
 * Spec: BuildKit frontend/dockerfile/dfgitutil (Dockerfile reference 1.26, "ADD").
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stdbool.h>

struct build_git_url {
    char *remote;   /* as git takes it */
    char *shown;    /* the same without a password */
    char *scope;    /* of credentials: "https://host/repo.git", or NULL for ssh and git */
    char *host;     /* "host" or "host:port" */
    char *ref;      /* a branch, a tag, "refs/...", a commit; "" for the default branch */
    char *subdir;   /* clean, relative; "" for all */
    char *checksum; /* the commit's beginning in hex; "" without */
    bool has_keep_git_dir;
    bool keep_git_dir;
    bool skip_submodules;
    bool by_commit;         /* the checksum is the commit: the ref is not looked up */
    bool times_of_checkout; /* mtime=checkout */
};

enum build_git_url_flags {
    BUILD_GIT_URL_SOURCE = 0,
    BUILD_GIT_URL_CONTEXT = 1, /* github.com/owner/repo is one too */
};

void build_git_url_release(struct build_git_url *u); /* idempotent */

/* *is_git false: it means something else (a file, an http URL), and nothing is to be
 * released. ERROR_INVALID: git, but malformed. */
MUST_CHECK int build_git_url_parse(const char *text,
                                   enum build_git_url_flags flags,
                                   bool *is_git,
                                   struct build_git_url *out,
                                   struct error *err);

/* 40 or 64 hex digits. */
bool build_git_is_commit(const char *text);

/* Takes %XX back. malloc'ed; NULL if a NUL would stand inside. */
char *build_url_decode(struct view text);
