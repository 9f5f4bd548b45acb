/*
 * A store in a directory of its own for each test, removed afterwards; and small images to
 * put into it. Use with cmocka_unit_test_setup_teardown.
 */
#pragma once

#include "base/error.h"
#include "cas/blob.h"
#include "cas/descriptor.h"
#include "cas/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char *dir;  /* the test's directory */
    char *path; /* of the store, within it */
    struct cas_store *store;
    struct error err;
};

int fixture_setup(void **state);     /* with an open store */
int fixture_setup_dir(void **state); /* without */
int fixture_teardown(void **state);
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
#define fixture_dir_test(f)                                                                \
    cmocka_unit_test_setup_teardown(f, fixture_setup_dir, fixture_teardown)

/* Fails the test with the error's text if `e` is not as it should be. */
#define assert_ok(f, e) fixture_assert_ok((f), (e) >= 0, #e, __FILE__, __LINE__)
void fixture_assert_ok(
    struct fixture *f, int ok, const char *what, const char *file, int line);
/* The last call failed with this code; forgets the error. */
void assert_code(struct fixture *f, enum error_code code);

/* Is the path below the store there? */
bool fixture_exists(struct fixture *f, const char *path);
/* Entries in a directory below the store, hidden ones left out. */
size_t fixture_count(struct fixture *f, const char *path);
void fixture_write(struct fixture *f, const char *path, const char *text);
/* malloc'ed. */
char *fixture_read(struct fixture *f, const char *path);

struct descriptor fixture_blob(struct fixture *f, const char *media_type, const char *text);
/* A manifest with a config and two layers whose content depends on `seed`. */
struct descriptor fixture_image(struct fixture *f, const char *seed);
