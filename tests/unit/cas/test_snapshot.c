#include "layer_fixture.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/pool.h"
#include "cas/index.h"
#include "cas/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct cas_layer_options plain_options = {.compression = CAS_COMPRESSION_NONE,
                                                       .epoch = -1};

/* A snapshot of layers, mounted; what a step would work in. */
struct step {
    struct fixture *f;
    struct cas_snapshot *snap;
    int root;
};

static struct step begin_with(struct fixture *f,
                              struct cas_layer **layers,
                              size_t count,
                              enum cas_snapshot_driver driver)
{
    struct step s = {.f = f,
                     .snap = cas_snapshot_new(f->store, layers, count, driver, &f->err)};

    if (!s.snap)
        fail_msg("snapshot: %s", error_text(&f->err));
    s.root = snapshot_mount(f, s.snap);
    return s;
}

static struct step begin(struct fixture *f, struct cas_layer **layers, size_t count)
{
    return begin_with(f, layers, count, CAS_SNAPSHOT_OVERLAY);
}

static struct cas_layer *end(struct step *s)
{
    bool changed = false;

    close(s->root);

    struct cas_layer *layer =
        cas_snapshot_commit(s->snap, &plain_options, &changed, &s->f->err);

    if (!layer && s->f->err.code != ERROR_NONE)
        fail_msg("commit: %s", error_text(&s->f->err));
    assert_int_equal(changed, layer != NULL);
    return layer;
}

static void write_file(const struct step *s, const char *path, const char *text)
{
    CLEANUP(fd_closep)
    int fd = openat(s->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail_msg("%s: %s", path, strerror(errno));
}

/* "d a", "f a/b 3", "- gone", "o opaque", "l x -> y", "h x = y": one entry a line. */
static char *layer_text(struct fixture *f, struct cas_layer *l)
{
    const struct cas_index *index = cas_layer_index(l, &f->err);
    struct buf text = BUF_INIT(TAR_MAX);

    if (!index)
        fail_msg("index: %s", error_text(&f->err));
    for (size_t i = 0; i < cas_index_count(index); i++) {
        static const char letters[] = "?fdlhcbp-";
        struct cas_entry e;

        cas_index_at(index, i, &e);
        buf_printf(&text, "%c %.*s", e.opaque ? 'o' : letters[e.type], VIEW_ARG(e.path));
        if (e.type == CAS_ENTRY_FILE)
            buf_printf(&text, " %ju", (uintmax_t)e.size);
        if (e.type == CAS_ENTRY_HARDLINK || e.type == CAS_ENTRY_SYMLINK)
            buf_printf(&text, " > %.*s", VIEW_ARG(e.target));
        buf_append_char(&text, '\n');
    }
    return text.data ? buf_take(&text) : base_strdup("");
}

static struct cas_layer *base_layer(struct fixture *f)
{
    return LAYER(f, {.name = "tmp/", .type = '5', .mode = 01777},
                 {.name = "etc/", .type = '5', .mtime = 1000},
                 {.name = "etc/passwd", .data = "root:x:0:0\n"},
                 {.name = "etc/hosts", .data = "hosts"}, {.name = "usr/", .type = '5'},
                 {.name = "usr/bin/", .type = '5'},
                 {.name = "usr/bin/tool", .data = "tool", .mode = 0755},
                 {.name = "usr/share/", .type = '5'},
                 {.name = "usr/share/doc", .data = "doc"},
                 {.name = "link", .type = '2', .link = "usr"});
}

static void change_things(const struct step *s)
{
    write_file(s, "tmp/new", "new");
    write_file(s, "etc/passwd", "changed");
    assert_int_equal(0, unlinkat(s->root, "usr/share/doc", 0));
    assert_int_equal(0, unlinkat(s->root, "link", 0));
    assert_int_equal(0, mkdirat(s->root, "link", 0700));
    write_file(s, "link/in", "in");
    assert_int_equal(0, symlinkat("nowhere", s->root, "sym"));
    assert_int_equal(0, linkat(s->root, "tmp/new", s->root, "tmp/twin", 0));
    assert_int_equal(0, mkfifoat(s->root, "fifo", 0600));
}

#define CHANGED_THINGS                                                                     \
    "d etc\nf etc/passwd 7\np fifo\nd link\nf link/in 2\nl sym > nowhere\nd tmp\n"         \
    "f tmp/new 3\nh tmp/twin > tmp/new\nd usr\nd usr/share\n- usr/share/doc\n"

static void check_changes(struct fixture *f, enum cas_snapshot_driver driver)
{
    struct cas_layer *layers[2] = {base_layer(f)};
    struct step s = begin_with(f, layers, 1, driver);
    struct stat st;

    assert_text(names_text(s.root, "."), "etc link tmp usr");
    change_things(&s);
    layers[1] = end(&s);
    assert_text(layer_text(f, layers[1]), CHANGED_THINGS);

    /* The next step sees it. */
    s = begin_with(f, layers, 2, driver);
    assert_text(file_text(s.root, "etc/passwd"), "changed");
    assert_text(file_text(s.root, "tmp/twin"), "new");
    assert_text(names_text(s.root, "usr/share"), "");
    assert_text(stat_text(s.root, "usr/bin"), "d 0755 0:0 1000000000");
    assert_int_equal(0, fstatat(s.root, "tmp", &st, 0));
    assert_int_equal(01777, st.st_mode & 07777);
    assert_null(end(&s));
    cas_layer_unref(layers[1]);
    cas_layer_unref(layers[0]);
}

static void test_commit_has_what_changed(void **state)
{
    check_changes(*state, CAS_SNAPSHOT_OVERLAY);
}

static void test_commit_of_copies_has_what_changed(void **state)
{
    check_changes(*state, CAS_SNAPSHOT_COPY);
}

#ifdef WITH_USER_NAMESPACES
static void check_overlay(struct fixture *f)
{
    check_changes(f, CAS_SNAPSHOT_OVERLAY);
}

static void test_commit_in_a_user_namespace(void **state)
{
    run_in_user_namespace(*state, check_overlay);
}
#endif

static void test_untouched_copy_ups_are_left_out(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = base_layer(f);
    struct step s = begin(f, &layer, 1);
    CLEANUP(fd_closep) int fd = openat(s.root, "usr/bin/tool", O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(0, fchmodat(s.root, "usr", 0755, 0));
    fd_closep(&fd);
    assert_null(end(&s));
    cas_layer_unref(layer);
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void test_equal_size_and_time_do_not_hide_a_change(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = base_layer(f);
    struct step s = begin(f, &layer, 1);
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

    write_file(&s, "usr/bin/tool", "lool");
    assert_int_equal(0, utimensat(s.root, "usr/bin/tool", times, 0));

    struct cas_layer *changes = end(&s);

    assert_text(layer_text(f, changes), "d usr\nd usr/bin\nf usr/bin/tool 4\n");
    cas_layer_unref(changes);
    cas_layer_unref(layer);
}

static void test_stubs_are_left_out_while_empty(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = base_layer(f);
    struct step s = begin(f, &layer, 1);

    cas_snapshot_add_stub(s.snap, "etc/resolv.conf");
    cas_snapshot_add_stub(s.snap, "run");
    cas_snapshot_add_stub(s.snap, "run/secrets");
    cas_snapshot_add_stub(s.snap, "usr/used");
    write_file(&s, "etc/resolv.conf", "");
    assert_int_equal(0, mkdirat(s.root, "run", 0755));
    assert_int_equal(0, mkdirat(s.root, "run/secrets", 0755));
    write_file(&s, "usr/used", "content");

    struct cas_layer *changes = end(&s);

    assert_text(layer_text(f, changes), "d usr\nf usr/used 7\n");
    cas_layer_unref(changes);
    cas_layer_unref(layer);
}

static void test_stub_leaves_no_time_behind(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = LAYER(f, {.name = "etc/", .type = '5', .mtime = 1000},
                                    {.name = "etc/apt/", .type = '5', .mtime = 1000});
    struct step s = begin(f, &layer, 1);
    struct cas_entry e;

    cas_snapshot_add_stub(s.snap, "etc/hosts");
    write_file(&s, "etc/hosts", "");
    write_file(&s, "etc/apt/list", "list");

    struct cas_layer *changes = end(&s);
    const struct cas_index *index = cas_layer_index(changes, &f->err);

    assert_non_null(index);
    cas_index_at(index, 0, &e);
    assert_true(view_eq_text(e.path, "etc"));
    assert_int_equal(1000, e.mtime_s);
    cas_layer_unref(changes);
    cas_layer_unref(layer);
}

static void test_sockets_and_vain_whiteouts_are_left_out(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = base_layer(f);
    struct step s = begin(f, &layer, 1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/tmp/sock",
             s.root);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
    write_file(&s, "tmp/short", "lived");
    assert_int_equal(0, unlinkat(s.root, "tmp/short", 0));
    write_file(&s, "usr/x", "x");

    struct cas_layer *changes = end(&s);

    assert_text(layer_text(f, changes), "d usr\nf usr/x 1\n");
    cas_layer_unref(changes);
    cas_layer_unref(layer);
}

static void test_directory_made_anew_is_opaque(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[2] = {base_layer(f)};
    struct step s = begin(f, layers, 1);

    assert_int_equal(0, unlinkat(s.root, "usr/share/doc", 0));
    assert_int_equal(0, unlinkat(s.root, "usr/share", AT_REMOVEDIR));
    assert_int_equal(0, mkdirat(s.root, "usr/share", 0755));
    write_file(&s, "usr/share/fresh", "fresh");
    layers[1] = end(&s);
    assert_text(layer_text(f, layers[1]), "d usr\no usr/share\nf usr/share/fresh 5\n");

    s = begin(f, layers, 2);
    assert_text(names_text(s.root, "usr/share"), "fresh");
    assert_null(end(&s));
    cas_layer_unref(layers[1]);
    cas_layer_unref(layers[0]);
}

static void test_extended_attributes_are_kept_but_overlays_own(void **state)
{
    struct fixture *f = *state;
    struct step s = begin(f, NULL, 0);
    struct cas_entry e;
    size_t at = 0;

    write_file(&s, "x", "x");

    CLEANUP(fd_closep) int fd = openat(s.root, "x", O_RDONLY | O_CLOEXEC);

    assert_int_equal(0, fsetxattr(fd, "user.b", "2", 1, 0));
    assert_int_equal(0, fsetxattr(fd, "user.a", "1", 1, 0));
    assert_int_equal(0, fsetxattr(fd, "user.overlay.x", "3", 1, 0));
    fd_closep(&fd);

    struct cas_layer *changes = end(&s);
    const struct cas_index *index = cas_layer_index(changes, &f->err);

    assert_true(cas_index_find(index, VIEW_LIT("x"), &at));
    cas_index_at(index, at, &e);
    assert_int_equal(2, e.xattr_count);
    assert_true(view_eq_text(e.xattrs[0].name, "user.a"));
    assert_true(view_eq_text(e.xattrs[1].value, "2"));
    cas_layer_unref(changes);
}

static void test_upper_directory_becomes_the_unpacked_layer(void **state)
{
    struct fixture *f = *state;
    struct step s = begin(f, NULL, 0);

    write_file(&s, "a", "a");

    struct cas_layer *changes = end(&s);

    assert_ok(f, cas_layer_wait(changes, &f->err));
    assert_int_equal(1, fixture_count(f, "layers"));
    assert_int_equal(0, fixture_count(f, "ingest"));
    cas_layer_unref(changes);
    assert_int_equal(1, fixture_count(f, "layers"));
}

static void test_same_layer_twice_leaves_one_directory(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *made[2];
    const struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 5}};

    for (size_t i = 0; i < 2; i++) {
        struct step s = begin(f, NULL, 0);

        write_file(&s, "a", "a");
        assert_int_equal(0, utimensat(s.root, "a", times, 0));
        made[i] = end(&s);
        assert_ok(f, cas_layer_wait(made[i], &f->err));
    }
    assert_true(digest_eq(cas_layer_diff_id(made[0]), cas_layer_diff_id(made[1])));
    assert_int_equal(1, fixture_count(f, "layers"));

    /* Both serve, the second one from the directory that is only its own; and twice the
     * same layer in one stack is what the kernel would refuse. */
    struct step s = begin(f, made, 2);

    assert_text(file_text(s.root, "a"), "a");
    assert_null(end(&s));
    struct cas_layer *twice[] = {made[0], made[0]};
    s = begin(f, twice, 2);
    assert_text(file_text(s.root, "a"), "a");
    assert_null(end(&s));
    cas_layer_unref(made[0]);
    cas_layer_unref(made[1]);
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void test_discard_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer = base_layer(f);
    struct step s = begin(f, &layer, 1);

    write_file(&s, "tmp/new", "new");
    close(s.root);
    cas_snapshot_discard(s.snap);
    cas_layer_unref(layer);
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void test_root_is_as_the_layers_say(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[] = {LAYER(f, {.name = "./", .type = '5', .mode = 0711}),
                                  LAYER(f, {.name = "x", .data = "x"})};
    struct step s = begin(f, layers, 2);
    struct stat st;

    assert_int_equal(0, fstat(s.root, &st));
    assert_int_equal(0711, st.st_mode & 07777);
    assert_null(end(&s));
    cas_layer_unref(layers[0]);
    cas_layer_unref(layers[1]);
}

static void test_epoch_bounds_times_in_layer_and_directory(void **state)
{
    struct fixture *f = *state;
    struct step s = begin(f, NULL, 0);
    struct cas_layer_options options = plain_options;
    bool changed = false;

    options.epoch = 1234;
    write_file(&s, "new", "new");
    assert_int_equal(0, mkdirat(s.root, "dir", 0755));
    close(s.root);

    struct cas_layer *layer = cas_snapshot_commit(s.snap, &options, &changed, &f->err);

    assert_non_null(layer);
    s = begin(f, &layer, 1);
    assert_text(stat_text(s.root, "new"), "f 0644 0:0 1234");
    assert_text(stat_text(s.root, "dir"), "d 0755 0:0 1234");
    assert_null(end(&s));
    cas_layer_unref(layer);
}

static void test_layer_can_be_stacked_before_it_is_written(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layers[8] = {NULL};

    for (size_t i = 0; i < ARRAY_COUNT(layers); i++) {
        struct step s = begin(f, layers, i);
        CLEANUP(base_freep) char *name = base_format("f%zu", i);

        write_file(&s, name, name);
        if (i > 0)
            assert_int_equal(0, faccessat(s.root, "f0", F_OK, 0));
        layers[i] = end(&s);
        assert_non_null(layers[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(layers); i++) {
        assert_ok(f, cas_layer_wait(layers[i], &f->err));
        cas_layer_unref(layers[i]);
    }
    assert_int_equal(ARRAY_COUNT(layers), fixture_count(f, "layers"));
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void test_dropping_an_unfinished_layer_is_safe(void **state)
{
    struct fixture *f = *state;
    struct step s = begin(f, NULL, 0);

    for (int i = 0; i < 200; i++) {
        CLEANUP(base_freep) char *name = base_format("f%d", i);
        write_file(&s, name, name);
    }
    cas_layer_unref(end(&s));
    assert_int_equal(0, fixture_count(f, "ingest"));
}

static void test_copies_keep_links_together(void **state)
{
    struct fixture *f = *state;
    struct cas_layer *layer =
        LAYER(f, {.name = "a", .data = "one file"}, {.name = "b", .type = '1', .link = "a"},
              {.name = "c", .data = "other"});
    struct step s = begin_with(f, &layer, 1, CAS_SNAPSHOT_COPY);

    assert_int_equal(0, linkat(s.root, "a", s.root, "z", 0));

    struct cas_layer *changes = end(&s);

    assert_text(layer_text(f, changes), "f a 8\nh b > a\nh z > a\n");
    cas_layer_unref(changes);
    cas_layer_unref(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_commit_has_what_changed),
        fixture_test(test_commit_of_copies_has_what_changed),
#ifdef WITH_USER_NAMESPACES
        fixture_test(test_commit_in_a_user_namespace),
#endif
        fixture_test(test_untouched_copy_ups_are_left_out),
        fixture_test(test_equal_size_and_time_do_not_hide_a_change),
        fixture_test(test_stubs_are_left_out_while_empty),
        fixture_test(test_stub_leaves_no_time_behind),
        fixture_test(test_sockets_and_vain_whiteouts_are_left_out),
        fixture_test(test_directory_made_anew_is_opaque),
        fixture_test(test_extended_attributes_are_kept_but_overlays_own),
        fixture_test(test_upper_directory_becomes_the_unpacked_layer),
        fixture_test(test_same_layer_twice_leaves_one_directory),
        fixture_test(test_discard_leaves_nothing),
        fixture_test(test_root_is_as_the_layers_say),
        fixture_test(test_epoch_bounds_times_in_layer_and_directory),
        fixture_test(test_layer_can_be_stacked_before_it_is_written),
        fixture_test(test_dropping_an_unfinished_layer_is_safe),
        fixture_test(test_copies_keep_links_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
