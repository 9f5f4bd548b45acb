/*
 * Whole builds inside a test: a store, a context and a Dockerfile in a directory of their
 * own. There is no sandbox, so no RUN; bases are scratch or images built before.
 */
#pragma once

#include "base/error.h"
#include "builder/build.h"
#include "cas/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct rig {
    char *dir;
    char *context;
    struct cas_store *store;
    struct build_request request; /* for the next build; context is filled in */
    struct build_result result;   /* of the last */
    char *events; /* of the last: "C" cached, "D" done, "F" failed, in order of title */
    bool *cancel_after_first; /* set when the first step is done */
    struct error err;
};

int rig_setup(void **state);
int rig_teardown(void **state);
#define rig_test(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

/* Writes a file of the context, making its parents. */
void rig_write(struct rig *r, const char *path, const char *text);
/* The path of a file in the context; malloc'ed. */
char *rig_path(struct rig *r, const char *path);
void rig_dockerfile(struct rig *r, const char *text);

/* Builds; the value is build_run's. */
int rig_build(struct rig *r);
#define rig_must_build(r)                                                                  \
    do {                                                                                   \
        if (rig_build(r) < 0)                                                              \
            fail_msg("%s", error_text(&(r)->err));                                         \
    } while (0)
/* The build failed with this code and a text that holds `text`; forgets the error. */
void rig_expect_failure(struct rig *r, enum error_code code, const char *text);

/* The content of a file of the last result, NULL if it is not there; malloc'ed. */
char *rig_read(struct rig *r, const char *path);
#define rig_assert_file(r, path, want)                                                     \
    do {                                                                                   \
        char *rig_got_ = rig_read(r, path);                                                \
        assert_non_null(rig_got_);                                                         \
        assert_string_equal(rig_got_, want);                                               \
        free(rig_got_);                                                                    \
    } while (0)
/* The diffID of layer `i` of the last result; counted from the end if negative. */
struct digest rig_layer(struct rig *r, int i);
size_t rig_layer_count(struct rig *r);
