/*
 * Packages that an image has installed, as the databases of package managers tell them.
 * What is read is foreign: sizes are held against limits, and a text that is no database
 * is an error, never more.
 *
 * Spec: deb-control(5) and dpkg(1) "status"; apk-tools' installed database ("P:", "V:");
 *       rpm's header format (lib/header.c, rpmtag.h); PyPA "Recording installed projects";
 *       npm package.json.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/arena.h"

#include <stdbool.h>
#include <stddef.h>

struct build_package {
    const char *kind;
    const char *name;
    const char *architecture; /* NULL: none */
    const char *version;
};

struct build_packages {
    struct build_package *items;
    size_t count;
    size_t capacity;
    struct cas_arena *arena; /* borrowed: where the texts are */
};

void build_packages_release(struct build_packages *l); /* idempotent; leaves the arena */
/* Copies; `architecture` may be empty. Names and versions that are empty or hold control
 * characters are no package: nothing is added. ERROR_LIMIT past a million. */
MUST_CHECK int build_packages_add(struct build_packages *l,
                                  const char *kind,
                                  struct view name,
                                  struct view architecture,
                                  struct view version,
                                  struct error *err);

/* var/lib/dpkg/status or a file of status.d: installed packages only. */
MUST_CHECK int build_packages_dpkg(struct build_packages *l,
                                   struct view text,
                                   struct error *err);
/* lib/apk/db/installed. */
MUST_CHECK int build_packages_apk(struct build_packages *l,
                                  struct view text,
                                  struct error *err);
/* The header of one package, as rpmdb.sqlite keeps it. ERROR_CORRUPT. */
MUST_CHECK int build_packages_rpm_header(struct build_packages *l,
                                         struct view header,
                                         struct error *err);
/* A whole rpmdb.sqlite, a file of ours; `has_log` if its -wal lies beside it. */
MUST_CHECK int build_packages_rpm(struct build_packages *l,
                                  const char *path,
                                  bool has_log,
                                  struct error *err);
/* Does the path name a project's dist-info? "site-packages/NAME-VERSION.dist-info/METADATA"
 * in any directory; names as PyPI compares them. */
MUST_CHECK int build_packages_pip(struct build_packages *l,
                                  struct view path,
                                  struct error *err);
/* A package.json. The name is that of its directory: NAME or @SCOPE/NAME below
 * node_modules. ERROR_INVALID. */
MUST_CHECK int build_packages_npm(struct build_packages *l,
                                  struct view path,
                                  struct view text,
                                  struct error *err);

/* Which kind of database a path is. */
enum build_package_file {
    BUILD_PACKAGE_FILE_NONE = 0,
    BUILD_PACKAGE_FILE_DPKG,
    BUILD_PACKAGE_FILE_APK,
    BUILD_PACKAGE_FILE_RPM,       /* rpmdb.sqlite */
    BUILD_PACKAGE_FILE_RPM_LOG,   /* rpmdb.sqlite-wal */
    BUILD_PACKAGE_FILE_RPM_OTHER, /* Packages (Berkeley DB), Packages.db (ndb) */
    BUILD_PACKAGE_FILE_PIP,
    BUILD_PACKAGE_FILE_NPM,
};
enum build_package_file build_package_file_of(struct view path);
