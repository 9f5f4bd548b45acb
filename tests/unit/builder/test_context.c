#include "builder/context.h"

#include "build_rig.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct build_context *open_context(struct rig *r, const char *ignore)
{
    struct dockerfile_ignore *set = NULL;
    struct build_context *c;

    if (ignore) {
        set = dockerfile_ignore_parse(view_of(ignore), ".dockerignore", &r->err);
        assert_non_null(set);
    }
    c = build_context_open(r->store, r->context, set, &r->err);
    if (!c)
        fail_msg("%s", error_text(&r->err));
    return c;
}

static int add_path(void *context, const struct build_tree_entry *e, struct error *err)
{
    (void)err;
    buf_printf(context, "%s%.*s", ((struct buf *)context)->size ? " " : "",
               VIEW_ARG(e->entry.path));
    assert_int_equal(e->entry.uid, 0);
    assert_int_equal(e->entry.gid, 0);
    return 1;
}

static void walk_is(struct rig *r,
                    struct build_context *c,
                    const char *path,
                    const char *want)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct build_tree *t = build_context_tree(c);

    if (t->walk(t->self, view_of(path), add_path, &text, &r->err) < 0)
        fail_msg("%s", error_text(&r->err));
    assert_string_equal(buf_text(&text), want);
}

static bool find(struct rig *r,
                 struct build_context *c,
                 const char *path,
                 struct build_tree_entry *e)
{
    struct build_tree *t = build_context_tree(c);
    bool found;

    if (t->find(t->self, view_of(path), &found, e, &r->err) < 0)
        fail_msg("%s", error_text(&r->err));
    return found;
}

static void test_ignored_files_are_not_there(void **state)
{
    struct rig *r = *state;
    struct build_context *c;
    struct dockerfile_ignore_rule rule;
    struct build_tree_entry e;

    rig_write(r, "a.o", "");
    rig_write(r, "keep/b.o", "");
    rig_write(r, "keep/c", "");
    rig_write(r, "gone/d", "");
    rig_write(r, "gone/but/this", "");
    c = open_context(r, "*.o\ngone\n!gone/but/this\n");
    walk_is(r, c, "", "gone gone/but gone/but/this keep keep/b.o keep/c");
    assert_false(find(r, c, "a.o", &e));
    assert_false(find(r, c, "gone/d", &e));
    assert_true(find(r, c, "gone/but/this", &e));
    assert_true(build_context_is_left_out(c, VIEW_LIT("a.o"), &rule));
    assert_int_equal(rule.line, 1);
    assert_false(build_context_is_left_out(c, VIEW_LIT("keep/c"), &rule));
    build_context_close(c);
}

static void test_links_are_entries_and_lead_nowhere(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *link = rig_path(r, "link");
    struct build_tree_entry e;
    struct build_context *c;

    assert_int_equal(symlink("/etc", link), 0);
    c = open_context(r, NULL);
    assert_true(find(r, c, "link", &e));
    assert_int_equal(e.entry.type, CAS_ENTRY_SYMLINK);
    assert_true(view_eq_text(e.entry.target, "/etc"));
    assert_false(find(r, c, "link/passwd", &e));
    build_context_close(c);
}

/* A directory was replaced by a link between the scan and the reading. */
static void test_a_directory_that_became_a_link_is_not_followed(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *dir = rig_path(r, "d");
    CLEANUP(base_freep) char *moved = rig_path(r, "moved");
    struct cas_content content;
    struct build_tree_entry e;
    struct build_context *c;

    rig_write(r, "d/passwd", "mine");
    c = open_context(r, NULL);
    assert_true(find(r, c, "d/passwd", &e));
    assert_int_equal(rename(dir, moved), 0);
    assert_int_equal(symlink("/etc", dir), 0);
    assert_int_equal(build_context_tree(c)->open(build_context_tree(c)->self, &e.place,
                                                 &content, &r->err),
                     -1);
    error_clear(&r->err);
    build_context_close(c);
}

static void test_a_file_that_became_a_pipe_does_not_hang(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *path = rig_path(r, "f");
    struct cas_content content;
    struct build_tree_entry e;
    struct digest d;
    struct build_context *c;

    rig_write(r, "f", "text");
    c = open_context(r, NULL);
    assert_true(find(r, c, "f", &e));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0);
    if (build_context_tree(c)->open(build_context_tree(c)->self, &e.place, &content,
                                    &r->err) == 0)
        close(content.fd);
    if (build_context_tree(c)->digest(build_context_tree(c)->self, &e.place, &d, &r->err) <
        0)
        error_clear(&r->err);
    error_clear(&r->err);
    build_context_close(c);
}

static void test_sockets_are_left_out_and_pipes_kept(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *pipe_path = rig_path(r, "pipe");
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct build_context *c;

    assert_int_equal(mkfifo(pipe_path, 0644), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", r->context);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    c = open_context(r, NULL);
    walk_is(r, c, "", "pipe");
    build_context_close(c);
}

static void test_names_of_one_file_share_a_key(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *a = rig_path(r, "a");
    CLEANUP(base_freep) char *b = rig_path(r, "b");
    struct build_tree_entry x, y, z;
    struct build_context *c;

    rig_write(r, "a", "x");
    rig_write(r, "c", "x");
    assert_int_equal(link(a, b), 0);
    c = open_context(r, NULL);
    assert_true(find(r, c, "a", &x) && find(r, c, "b", &y) && find(r, c, "c", &z));
    assert_true(x.link_key[0] != 0 && x.link_key[0] == y.link_key[0] &&
                x.link_key[1] == y.link_key[1]);
    assert_true(z.link_key[0] == 0 && z.link_key[1] == 0);
    build_context_close(c);
}

static void test_digests_are_those_of_the_bytes_now(void **state)
{
    struct rig *r = *state;
    struct build_tree_entry e;
    struct build_context *c;
    struct digest got, want;

    for (int round = 0; round < 3; round++) {
        const char *text = round < 2 ? "one" : "two";

        if (round != 1)
            rig_write(r, "f", text);
        c = open_context(r, NULL);
        assert_true(find(r, c, "f", &e));
        assert_int_equal(build_context_tree(c)->digest(build_context_tree(c)->self,
                                                       &e.place, &got, &r->err),
                         0);
        want = digest_of(DIGEST_SHA256, view_of(text));
        assert_true(digest_eq(&got, &want));
        build_context_close(c);
    }
}

static void test_a_context_that_is_none_is_an_error(void **state)
{
    struct rig *r = *state;
    CLEANUP(base_freep) char *file = rig_path(r, "f");

    rig_write(r, "f", "");
    assert_null(build_context_open(r->store, file, NULL, &r->err));
    rig_expect_failure(r, ERROR_SYSTEM, "build context");
    assert_null(build_context_open(r->store, "/nonexistent/place", NULL, &r->err));
    rig_expect_failure(r, ERROR_NOT_FOUND, "build context");
}

/* The fingerprint of "many" as a build that starts now sees it, once its files' times are
 * old enough to be believed. */
static struct digest fingerprint(struct rig *r)
{
    struct digest out = {0};
    bool is_known = false;

    for (int tries = 0; !is_known && tries < 1000; tries++) {
        struct build_context *c = open_context(r, NULL);

        if (build_context_fingerprint(c, VIEW_LIT("many"), &out, &is_known, &r->err) < 0)
            fail_msg("%s", error_text(&r->err));
        build_context_close(c);
        if (!is_known)
            usleep(10000);
    }
    assert_true(is_known);
    return out;
}

static void write_many(struct rig *r, int count)
{
    char path[64];

    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, "many/d%02d/f%d", i % 50, i);
        rig_write(r, path, "content");
    }
}

static bool prints_differ(struct rig *r, const struct digest *before)
{
    const struct digest now = fingerprint(r);

    return !digest_eq(before, &now);
}

static void test_every_change_beneath_a_directory_changes_its_fingerprint(void **state)
{
    struct rig *r = *state;
    struct digest before;
    char path[4096];

    write_many(r, 700);
    before = fingerprint(r);
    assert_false(prints_differ(r, &before));
    rig_write(r, "many/d07/f7", "CONTENT");
    assert_true(prints_differ(r, &before));
    before = fingerprint(r);
    rig_write(r, "many/d07/new", "");
    assert_true(prints_differ(r, &before));
    before = fingerprint(r);
    (void)snprintf(path, sizeof path, "%s/many/d07/new", r->context);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(prints_differ(r, &before));
    before = fingerprint(r);
    assert_int_equal(unlink(path), 0);
    assert_true(prints_differ(r, &before));
    before = fingerprint(r);
    rig_write(r, "elsewhere", "");
    assert_false(prints_differ(r, &before));
}

static void test_what_was_just_written_has_no_fingerprint(void **state)
{
    struct rig *r = *state;
    struct build_context *c;
    struct digest out;
    bool is_known = true;

    write_many(r, 700);
    c = open_context(r, NULL);
    rig_write(r, "many/d07/f7", "after the build began");
    assert_int_equal(
        build_context_fingerprint(c, VIEW_LIT("many"), &out, &is_known, &r->err), 0);
    assert_false(is_known);
    assert_int_equal(
        build_context_fingerprint(c, VIEW_LIT("nowhere"), &out, &is_known, &r->err), 0);
    assert_false(is_known);
    build_context_close(c);
}

static void test_a_large_context_is_walked_in_order_though_two_threads_read_it(void **state)
{
    struct rig *r = *state;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    char path[64];

    for (int i = 0; i < 300; i++) {
        (void)snprintf(path, sizeof path, "many/d%03d/f", i);
        rig_write(r, path, "");
    }
    buf_printf(&text, "many");
    for (int i = 0; i < 300; i++)
        buf_printf(&text, " many/d%03d many/d%03d/f", i, i);
    for (int round = 0; round < 20; round++) {
        struct build_context *c = open_context(r, round % 2 ? "**/nothing" : NULL);

        walk_is(r, c, "many", buf_text(&text));
        build_context_close(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_ignored_files_are_not_there),
        rig_test(test_links_are_entries_and_lead_nowhere),
        rig_test(test_a_directory_that_became_a_link_is_not_followed),
        rig_test(test_a_file_that_became_a_pipe_does_not_hang),
        rig_test(test_sockets_are_left_out_and_pipes_kept),
        rig_test(test_names_of_one_file_share_a_key),
        rig_test(test_digests_are_those_of_the_bytes_now),
        rig_test(test_a_context_that_is_none_is_an_error),
        rig_test(test_every_change_beneath_a_directory_changes_its_fingerprint),
        rig_test(test_what_was_just_written_has_no_fingerprint),
        rig_test(test_a_large_context_is_walked_in_order_though_two_threads_read_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
