/* link: -lsqlite3 */
#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/foreign_db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A database at db in the test's directory. malloc'ed path. */
static char *database(struct fixture *f, const char *sql)
{
    char *const path = base_format("%s/d%%b?#", f->dir);
    sqlite3 *db = NULL;
    char *message = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return path;
}

struct rows {
    char text[64];
};

static int row(void *context, struct view value, struct error *err)
{
    struct rows *const r = context;
    const size_t at = strlen(r->text);

    (void)err;
    snprintf(r->text + at, sizeof r->text - at, "%.*s;", VIEW_ARG(value));
    return 0;
}

static int each(struct fixture *f, const char *path, const char *sql, struct rows *out)
{
    *out = (struct rows){""};
    return cas_foreign_db_each(path, CAS_FOREIGN_DB_WHOLE, sql, row, out, &f->err);
}

static void test_rows_are_given_from_a_name_that_needs_quoting(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep)
    char *path =
        database(f, "CREATE TABLE t(b); INSERT INTO t VALUES(x'6161'),('b'),(''),(7)");
    struct rows rows;

    assert_ok(f, each(f, path, "SELECT b FROM t", &rows));
    assert_string_equal(rows.text, "aa;b;;7;");
}

static void test_what_is_no_database_or_lacks_the_table_is_corrupt(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep) char *path = database(f, "CREATE TABLE t(b)");
    CLEANUP(base_freep) char *text = base_format("%s/text", f->dir);
    FILE *file = fopen(text, "w");
    struct rows rows;

    assert_non_null(file);
    for (size_t i = 0; i < 1000; i++)
        fputs("this is a text and no database\n", file);
    fclose(file);
    assert_int_equal(each(f, path, "SELECT b FROM other", &rows), -1);
    assert_code(f, ERROR_CORRUPT);
    assert_int_equal(each(f, text, "SELECT b FROM t", &rows), -1);
    assert_code(f, ERROR_CORRUPT);
}

static void test_views_of_the_database_do_not_run(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep)
    char *path = database(f, "CREATE VIEW t AS WITH RECURSIVE n(b) AS (SELECT 1 UNION ALL "
                             "SELECT b + 1 FROM n) SELECT b FROM n");
    struct rows rows;

    assert_int_equal(each(f, path, "SELECT b FROM t", &rows), -1);
    assert_code(f, ERROR_CORRUPT);
}

static int stop(void *context, struct view value, struct error *err)
{
    (void)context;
    (void)value;
    return error_set(err, ERROR_CANCELLED, "enough");
}

static void test_who_receives_may_end_it(void **state)
{
    struct fixture *f = *state;
    CLEANUP(base_freep)
    char *path = database(f, "CREATE TABLE t(b); INSERT INTO t VALUES(1),(2)");

    assert_int_equal(cas_foreign_db_each(path, CAS_FOREIGN_DB_WHOLE, "SELECT b FROM t",
                                         stop, NULL, &f->err),
                     -1);
    assert_code(f, ERROR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_dir_test(test_rows_are_given_from_a_name_that_needs_quoting),
        fixture_dir_test(test_what_is_no_database_or_lacks_the_table_is_corrupt),
        fixture_dir_test(test_views_of_the_database_do_not_run),
        fixture_dir_test(test_who_receives_may_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
