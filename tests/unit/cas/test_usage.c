#include "store_fixture.h"

#include "base/alloc.h"
#include "cas/disk_size.h"
#include "cas/prune.h"
#include "cas/record.h"
#include "cas/ref.h"
#include "cas/store_priv.h"
#include "cas/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static struct digest image(struct fixture *f, const char *name, const char *seed)
{
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, seed);

    assert_ok(f, cas_ref_set(f->store, name, &d, "build", &f->err));
    return d.digest;
}

/* What a step gave, as the builder notes it: one document under two keys that it names. */
static struct digest record(struct fixture *f, const char *text)
{
    const struct digest diff = digest_of(DIGEST_SHA256, view_of(text));
    CLEANUP(base_freep) char *other = base_format("%s: result", text);
    const struct digest result = digest_of(DIGEST_SHA256, view_of(other));
    CLEANUP(descriptor_release)
    struct descriptor d = fixture_blob(f, MEDIA_OCI_LAYER_GZIP, text);
    CLEANUP(doc_unrefp) struct doc *value = doc_new_object();

    assert_ok(f, cas_layer_record_put(f->store, &diff, &d, NULL, &f->err));
    doc_set_text(value, "definition", digest_format(&diff).text);
    doc_set_text(value, "result", digest_format(&result).text);
    doc_set_text(value, "diff_id", digest_format(&diff).text);
    assert_ok(f, cas_cache_put(f->store, &diff, &diff, value, &f->err));
    assert_ok(f, cas_cache_put(f->store, &result, &diff, value, &f->err));
    return diff;
}

static bool has_record(struct fixture *f, const struct digest *key)
{
    CLEANUP(doc_unrefp) struct doc *value = NULL;
    bool found;

    assert_ok(f, cas_cache_find(f->store, key, &found, &value, &f->err));
    return found;
}

static void make_dir(struct fixture *f, const char *path, const char *file)
{
    CLEANUP(base_freep) char *name = base_format("%s/%s", path, file);

    assert_int_equal(mkdirat(f->store->fd, path, 0755), 0);
    fixture_write(f, name, "content");
}

/* Times are what was last used: these set them. */
static void set_age(struct fixture *f, const char *path, int64_t seconds)
{
    const struct timespec t[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

    assert_int_equal(utimensat(f->store->fd, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static uint64_t du(struct fixture *f)
{
    CLEANUP(base_freep) char *command = base_format("du -s -B 1 '%s'", f->path);
    FILE *out = popen(command, "re");
    char line[64];
    uint64_t size = 0;
    struct view digits, rest;

    assert_non_null(out);
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(pclose(out), 0);
    assert_true(view_cut(view_of(line), '\t', &digits, &rest));
    assert_true(view_to_u64(digits, &size));
    return size;
}

static struct cas_usage usage(struct fixture *f)
{
    struct cas_usage u;

    assert_ok(f, cas_usage_read(f->store, &u, &f->err));
    return u;
}

/* A copy that borrows. */
static struct cas_usage_item find(const struct cas_usage *u,
                                  enum cas_usage_kind kind,
                                  const char *name)
{
    const struct cas_usage_item none = {0};

    for (size_t i = 0; i < u->count; i++) {
        if (u->items[i].kind == kind && (!name || strcmp(u->items[i].names[0], name) == 0))
            return u->items[i];
    }
    fail_msg("nothing is called %s", name ? name : "anything");
    return none;
}

static void test_the_sum_is_what_du_says(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_usage_release) struct cas_usage u = {0};

    image(f, "a", "one");
    record(f, "cached");
    make_dir(f, "mounts/x", "file");
    fixture_write(f, "stat/x", "a stat cache");
    fixture_write(f, "foreign", "not ours");
    make_dir(f, "builds/0123456789ab", "1.log");
    /* One file with two names counts once. */
    assert_int_equal(
        linkat(f->store->fd, "mounts/x/file", f->store->fd, "builds/0123456789ab/2.log", 0),
        0);
    u = usage(f);
    assert_int_equal(u.size, du(f));
    assert_int_equal(u.kinds[CAS_USAGE_OTHER].count, 1);
    assert_int_equal(u.kinds[CAS_USAGE_MOUNT].count, 1);
    assert_int_equal(u.kinds[CAS_USAGE_BUILD].count, 1);
}

static void test_a_path_longer_than_the_kernel_takes_is_measured(void **state)
{
    struct fixture *f = *state;
    char name[201];
    int fd = dup(f->store->fd);
    CLEANUP(cas_usage_release) struct cas_usage u = {0};

    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(mkdirat(f->store->fd, "mounts/deep", 0755), 0);
    close(fd);
    fd = openat(f->store->fd, "mounts/deep", O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < 50; i++) { /* 10 kB */
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        const int next = openat(fd, name, O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    assert_true(fd >= 0);
    close(fd);
    u = usage(f);
    assert_int_equal(u.size, du(f));
}

static void test_images_share_and_names_of_one_image_are_one_item(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_usage_release) struct cas_usage u = {0};
    const struct digest id = image(f, "b", "one");

    image(f, "a", "one");
    image(f, "c", "two");
    u = usage(f);
    assert_int_equal(u.kinds[CAS_USAGE_IMAGE].count, 2);
    const struct cas_usage_item item = find(&u, CAS_USAGE_IMAGE, "a");
    assert_true(digest_eq(&item.id, &id));
    assert_int_equal(item.name_count, 2);
    assert_string_equal(item.names[1], "b");
    assert_true(item.size > 0);
    assert_int_equal(item.unique, item.size);
    assert_int_equal(u.kinds[CAS_USAGE_IMAGE].reclaimable, 0);
}

static void test_rows_that_name_each_other_are_one_record(void **state)
{
    struct fixture *f = *state;
    CLEANUP(cas_usage_release) struct cas_usage u = {0};

    record(f, "one");
    record(f, "two");
    u = usage(f);
    assert_int_equal(u.kinds[CAS_USAGE_CACHE].count, 2);
    const struct cas_usage_item item = find(&u, CAS_USAGE_CACHE, NULL);
    assert_int_equal(item.key_count, 2);
    assert_false(item.shared);
    assert_true(item.size > 0 && item.unique == item.size);
    assert_int_equal(u.kinds[CAS_USAGE_CACHE].reclaimable, u.kinds[CAS_USAGE_CACHE].size);
}

static void test_looking_is_no_use(void **state)
{
    struct fixture *f = *state;
    struct stat before, after;
    CLEANUP(cas_usage_release) struct cas_usage u = {0};
    CLEANUP(descriptor_release) struct descriptor d = fixture_image(f, "one");
    const struct cas_blob_path path = cas_blob_path(&d.digest);

    assert_ok(f, cas_ref_set(f->store, "a", &d, "build", &f->err));
    set_age(f, path.text, 1000);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(fstatat(f->store->fd, path.text, &before, 0), 0);
    u = usage(f);
    assert_int_equal(fstatat(f->store->fd, path.text, &after, 0), 0);
    assert_int_equal(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
    assert_int_equal(after.st_atim.tv_sec, before.st_atim.tv_sec);
}

/* --- Pruning --- */

struct removed {
    size_t count;
    char last[80];
};

static void on_removed(void *context, const struct cas_usage_item *item)
{
    struct removed *r = context;

    r->count++;
    snprintf(r->last, sizeof r->last, "%s", item->names ? item->names[0] : "");
}

static struct cas_prune_result prune(struct fixture *f,
                                     const struct cas_prune_options *options,
                                     struct removed *removed)
{
    CLEANUP(cas_usage_release) struct cas_usage u = usage(f);
    CLEANUP(cas_prune_plan_release) struct cas_prune_plan plan = {0};
    struct cas_prune_result result;

    *removed = (struct removed){0};
    cas_prune_choose(&u, options, &plan);
    assert_ok(f, cas_prune_run(f->store, &u, &plan, options, on_removed, removed, &result,
                               &f->err));
    assert_int_equal(removed->count + result.kept, plan.count);
    return result;
}

static void test_pruning_everything_leaves_images_whole(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options all = {
        .kinds = CAS_PRUNE_CACHES, .with_shared = true, .keep = UINT64_MAX};
    CLEANUP(descriptor_release) struct descriptor stray = {0};
    struct removed removed;

    image(f, "a", "one");
    const struct digest key = record(f, "cached");
    stray = fixture_image(f, "stray");
    make_dir(f, "mounts/x", "file");
    fixture_write(f, "stat/x", "a stat cache");
    const uint64_t before = du(f);
    const struct cas_prune_result r = prune(f, &all, &removed);
    assert_int_equal(removed.count, 3);
    assert_true(r.size > 0 && before - r.size <= du(f) + 65536);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 4);
    assert_int_equal(fixture_count(f, "mounts"), 0);
    assert_int_equal(fixture_count(f, "stat"), 0);
    assert_int_equal(fixture_count(f, "ingest"), 0);
    assert_false(has_record(f, &key));
    image(f, "a", "one");
}

static void test_the_least_recently_used_goes_first_until_it_is_enough(void **state)
{
    struct fixture *f = *state;
    struct cas_prune_options o = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_MOUNT),
                                  .counted = CAS_PRUNE_KIND(CAS_USAGE_MOUNT)};
    struct removed removed;

    make_dir(f, "mounts/a", "file");
    usleep(20000);
    make_dir(f, "mounts/b", "file");
    usleep(20000);
    make_dir(f, "mounts/c", "file");
    {
        CLEANUP(cas_usage_release) struct cas_usage u = usage(f);
        o.keep = u.kinds[CAS_USAGE_MOUNT].size - 1;
    }
    prune(f, &o, &removed);
    assert_int_equal(removed.count, 1);
    assert_string_equal(removed.last, "mounts/a");
    o.keep = UINT64_MAX;
    o.before = 1; /* nothing is that old */
    prune(f, &o, &removed);
    assert_int_equal(removed.count, 0);
    assert_int_equal(fixture_count(f, "mounts"), 2);
}

static void test_what_others_hold_stays(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options all = {
        .kinds = CAS_PRUNE_CACHES, .with_shared = true, .keep = UINT64_MAX};
    struct cas_store *other = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    struct removed removed;

    assert_non_null(other);
    const struct digest key = record(f, "made while the other runs");
    make_dir(f, "mounts/x", "file");
    prune(f, &all, &removed);
    assert_int_equal(removed.count, 0);
    assert_true(has_record(f, &key));
    cas_store_close(other);
    prune(f, &all, &removed);
    assert_int_equal(removed.count, 2);
}

static void test_a_locked_mount_stays_however_old(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options mounts = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_MOUNT),
                                             .keep = UINT64_MAX};
    struct removed removed;

    make_dir(f, "mounts/x", "file");
    fixture_write(f, "mounts/x.lock", "");
    const int lock = openat(f->store->fd, "mounts/x.lock", O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    prune(f, &mounts, &removed);
    assert_int_equal(removed.count, 0);
    close(lock);
    prune(f, &mounts, &removed);
    assert_int_equal(removed.count, 1);
    assert_true(fixture_exists(f, "mounts/x.lock"));
}

/* git/ID as builder/git.h lays it out. */
static void make_repository(struct fixture *f)
{
    (void)mkdirat(f->store->fd, "git", 0700);
    make_dir(f, "git/0123456789abcdef0123456789abcdef", "lock");
    make_dir(f, "git/0123456789abcdef0123456789abcdef/repo", "HEAD");
    make_dir(f, "git/0123456789abcdef0123456789abcdef/tree.1", "file");
    make_dir(f, "git/0123456789abcdef0123456789abcdef/tree.2", "file");
}

static int lock_of(struct fixture *f, const char *path)
{
    const int fd = openat(f->store->fd, path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    return fd;
}

static void test_repositories_go_but_for_what_is_locked(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options sources = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_SOURCE),
                                              .keep = UINT64_MAX};
    const char *dir = "git/0123456789abcdef0123456789abcdef";
    struct removed removed;
    int lock;

    make_repository(f);
    lock = lock_of(f, "git/0123456789abcdef0123456789abcdef/lock");
    prune(f, &sources, &removed);
    assert_int_equal(fixture_count(f, dir), 4);
    close(lock);
    lock = lock_of(f, "git/0123456789abcdef0123456789abcdef/tree.1");
    prune(f, &sources, &removed);
    assert_int_equal(removed.count, 1);
    assert_int_equal(fixture_count(f, dir), 2); /* lock, tree.1 */
    close(lock);
    prune(f, &sources, &removed);
    assert_int_equal(fixture_count(f, dir), 1);
}

static void test_a_build_that_runs_keeps_its_log(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options logs = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_BUILD),
                                           .keep = UINT64_MAX};
    struct removed removed;
    int lock;

    make_dir(f, "builds/0123456789ab", "1.log");
    lock = lock_of(f, "builds/0123456789ab");
    prune(f, &logs, &removed);
    assert_int_equal(removed.count, 0);
    close(lock);
    prune(f, &logs, &removed);
    assert_int_equal(removed.count, 1);
    assert_int_equal(fixture_count(f, "builds"), 0);
}

static void test_shared_records_stay_unless_they_are_asked_for(void **state)
{
    struct fixture *f = *state;
    struct cas_prune_options o = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_CACHE),
                                  .keep = UINT64_MAX};
    struct removed removed;

    image(f, "a", "one");
    /* A layer of the image, found again in the cache. */
    const struct digest key = record(f, "one: one");
    prune(f, &o, &removed);
    assert_int_equal(removed.count, 0);
    assert_true(has_record(f, &key));
    o.with_shared = true;
    prune(f, &o, &removed);
    assert_int_equal(removed.count, 1);
    assert_false(has_record(f, &key));
    assert_int_equal(fixture_count(f, "blobs/sha256"), 4);
}

static void test_what_this_handle_made_can_be_spared(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options o = {.kinds = CAS_PRUNE_CACHES,
                                        .with_shared = true,
                                        .keep = UINT64_MAX,
                                        .spare_own = true};
    struct removed removed;

    make_dir(f, "mounts/old", "file");
    record(f, "old");
    fixture_close(f);
    usleep(20000);
    fixture_open(f);
    const struct digest key = record(f, "new");
    prune(f, &o, &removed);
    assert_true(has_record(f, &key));
    assert_int_equal(fixture_count(f, "mounts"), 0);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 1);
}

static void test_images_go_when_they_are_asked_for(void **state)
{
    struct fixture *f = *state;
    const struct cas_prune_options o = {.kinds = CAS_PRUNE_KIND(CAS_USAGE_IMAGE),
                                        .keep = UINT64_MAX};
    struct removed removed;

    image(f, "a", "one");
    image(f, "b", "one");
    const struct cas_prune_result r = prune(f, &o, &removed);
    assert_int_equal(removed.count, 1);
    assert_int_equal(r.blobs, 4);
    assert_int_equal(fixture_count(f, "blobs/sha256"), 0);
}

static void test_what_may_be_kept_is_reckoned_as_buildkit_does(void **state)
{
    (void)state;
    assert_int_equal(cas_prune_keep(100, 50, 0, 0, 0), 0);
    assert_int_equal(cas_prune_keep(100, 50, 30, 0, 0), 30);
    assert_int_equal(cas_prune_keep(100, 50, 0, 60, 0), 60);
    assert_int_equal(cas_prune_keep(100, 50, 70, 60, 0), 70);
    assert_int_equal(cas_prune_keep(100, 50, 0, 0, 80), 70);
    assert_int_equal(cas_prune_keep(100, 50, 0, 60, 80), 60);
    assert_int_equal(cas_prune_keep(100, 50, 0, 90, 80), 70);
    assert_int_equal(cas_prune_keep(100, 50, 0, 0, 1000), 0);
    assert_int_equal(cas_prune_keep(100, 500, 0, 0, 80), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_the_sum_is_what_du_says),
        fixture_test(test_a_path_longer_than_the_kernel_takes_is_measured),
        fixture_test(test_images_share_and_names_of_one_image_are_one_item),
        fixture_test(test_rows_that_name_each_other_are_one_record),
        fixture_test(test_looking_is_no_use),
        fixture_test(test_pruning_everything_leaves_images_whole),
        fixture_test(test_the_least_recently_used_goes_first_until_it_is_enough),
        fixture_test(test_what_others_hold_stays),
        fixture_test(test_a_locked_mount_stays_however_old),
        fixture_test(test_repositories_go_but_for_what_is_locked),
        fixture_test(test_a_build_that_runs_keeps_its_log),
        fixture_test(test_shared_records_stay_unless_they_are_asked_for),
        fixture_test(test_what_this_handle_made_can_be_spared),
        fixture_test(test_images_go_when_they_are_asked_for),
        fixture_test(test_what_may_be_kept_is_reckoned_as_buildkit_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
