/*
 * A root file system of busybox and a helper, for tests that run real steps. The programs
 * that use it run their tests as whoever started them and, if that is root, again as an
 * ordinary user: with subordinate ids, and without.
 */
#pragma once

#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/userns.h"

#include "base/buf.h"
#include "base/limits.h"

#include <cmocka.h>

struct sandbox_fixture {
    char *path; /* a directory of its own, removed by fixture_close */
    int dir;
    int lower; /* the layer: /bin/busybox and its applets, /etc/passwd, /tmp */
    int upper; /* of the last run */
    int work;
    unsigned runs;
    int grade;
    const char *why;
    struct sandbox_helper *helper;
};

struct fixture_result {
    struct buf output; /* stdout and stderr */
    struct sandbox_status status;
    int result; /* of sandbox_wait */
    bool exec_failed;
    struct error err;
    struct buf stubs; /* "a,b,c" */
};

struct sandbox_fixture *fixture_open(void);
void fixture_close(struct sandbox_fixture *f);
/* A fresh writable part; fills in the root of `spec`. */
void fixture_root(struct sandbox_fixture *f, struct sandbox_spec *spec);
/* Runs `sh -c script` with what `spec` says, on a fresh root, and collects what it says. */
void fixture_sh(struct sandbox_fixture *f,
                struct sandbox_spec spec,
                const char *script,
                struct fixture_result *out);
/* The same for spec.argv, on the root that spec has. */
void fixture_run(struct sandbox_fixture *f,
                 struct sandbox_spec spec,
                 struct fixture_result *out);
void fixture_result_release(struct fixture_result *r);

/* Asserts that `script` exits with 0 and prints `expected`. */
#define fixture_expect(f, spec, script, expected)                                          \
    do {                                                                                   \
        CLEANUP(fixture_result_release) struct fixture_result r_ = {0};                    \
        fixture_sh(f, spec, script, &r_);                                                  \
        assert_string_equal(error_text(&r_.err), "no error");                              \
        assert_string_equal(buf_text(&r_.output), expected);                               \
        assert_int_equal(r_.status.exit_code, 0);                                          \
    } while (0)

/* Writes a file beneath the layer; parents must exist. */
void fixture_file(int dir, const char *path, const char *content, mode_t mode);

/* Both ways of mounting, one after the other: for (each_api(api)). */
#define each_api(api)                                                                      \
    enum sandbox_mount_api api = SANDBOX_MOUNT_API_NEW;                                    \
    api <= SANDBOX_MOUNT_API_CLASSIC;                                                      \
    api = (enum sandbox_mount_api)(api + 1)

/* main: runs `group` as told above; 0 if all passed. */
int fixture_main(int argc, char **argv, int (*group)(void));
