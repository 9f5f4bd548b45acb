/* OCI layouts, OCI archives, docker archives of both kinds. */
#include "fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "cas/tar_write.h"
#include "registry/archive.h"
#include "registry/layout.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "docker.io/library/demo:1"

static int open_file(struct fixture *f, const char *name, int flags)
{
    CLEANUP(base_freep) char *path = fixture_path(f, name);
    const int fd = open(path, flags | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static void write_archive(struct fixture *f,
                          const struct descriptor *root,
                          enum registry_archive_format format,
                          const char *name)
{
    static const char *const names[] = {NAME, "quay.io/x/y:z"};
    const struct registry_archive_image image = {
        .root = root, .names = names, .name_count = 2};
    CLEANUP(fd_closep) int fd = open_file(f, name, O_WRONLY | O_CREAT | O_TRUNC);

    OK(registry_archive_write(f->store, &image, 1, format, fd, NULL, &f->err), &f->err);
}

static void test_archives_come_back_with_names_and_digests(void **state)
{
    static const enum registry_archive_format formats[] = {REGISTRY_ARCHIVE_OCI,
                                                           REGISTRY_ARCHIVE_DOCKER};
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};

    make_image(f->store, 1, 3, 10000, &root);
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        CLEANUP(base_freep) char *name = base_format("other%zu", i);
        struct cas_store *other = fixture_store(f, name);
        CLEANUP(registry_archive_list_release) struct registry_archive_list list = {0};

        write_archive(f, &root, formats[i], "a.tar");
        CLEANUP(fd_closep) int fd = open_file(f, "a.tar", O_RDONLY);
        OK(registry_archive_read(other, fd, NULL, &list, &f->err), &f->err);
        assert_int_equal(list.count, 1);
        assert_true(digest_eq(&list.items[0].root.digest, &root.digest));
        assert_int_equal(list.items[0].name_count, 2);
        assert_string_equal(list.items[0].names[0], NAME);
        assert_string_equal(list.items[0].names[1], "quay.io/x/y:z");
        assert_int_equal(count_blobs(other), 5);
        cas_store_close(other);
    }
}

static void test_same_image_gives_the_same_archive(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(buf_release) struct buf first = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf second = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *one = fixture_path(f, "1.tar");
    CLEANUP(base_freep) char *two = fixture_path(f, "2.tar");

    make_index(f->store, 1, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_DOCKER, "1.tar");
    write_archive(f, &root, REGISTRY_ARCHIVE_DOCKER, "2.tar");
    OK(fs_read_file_at(AT_FDCWD, one, &first, &f->err), &f->err);
    OK(fs_read_file_at(AT_FDCWD, two, &second, &f->err), &f->err);
    assert_true(view_eq(buf_view(&first), buf_view(&second)));
}

static int run(struct fixture *f, const char *command)
{
    CLEANUP(base_freep) char *text = base_format("cd %s && %s", f->dir, command);

    return system(text); /* NOLINT(cert-env33-c): a fixed text of this test */
}

static void test_other_tools_read_the_archives(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};

    make_image(f->store, 1, 2, 2000, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_OCI, "oci.tar");
    write_archive(f, &root, REGISTRY_ARCHIVE_DOCKER, "docker.tar");
    assert_int_equal(
        run(f,
            "tar tvf oci.tar | grep -q -- '-r--r--r-- 0/0 .* 1970-01-01 00:00 oci-layout'"),
        0);
    assert_int_equal(run(f, "skopeo inspect oci-archive:oci.tar:1 > o.json"), 0);
    assert_int_equal(run(f, "skopeo inspect docker-archive:docker.tar:demo:1 > d.json"), 0);
}

static void test_archive_of_another_tool_is_read_from_a_pipe(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_archive_list_release) struct registry_archive_list list = {0};

    make_image(f->store, 1, 2, 200000, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_OCI, "oci.tar");
    assert_int_equal(run(f, "mkdir x && tar xf oci.tar -C x && tar czf y.tgz -C x ."), 0);
    CLEANUP(base_freep) char *command = base_format("cat %s/y.tgz", f->dir);
    FILE *pipe = popen(command, "re"); /* NOLINT(cert-env33-c): a fixed text of this test */
    OK(registry_archive_read(other, fileno(pipe), NULL, &list, &f->err), &f->err);
    assert_int_equal(pclose(pipe), 0);
    assert_true(digest_eq(&list.items[0].root.digest, &root.digest));
    cas_store_close(other);
}

static void test_docker_archive_of_skopeo_is_read(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(registry_archive_list_release) struct registry_archive_list list = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};

    make_image(f->store, 1, 3, 2000, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_OCI, "oci.tar");
    assert_int_equal(
        run(f,
            "skopeo copy -q oci-archive:oci.tar:1 docker-archive:d.tar:quay.io/x/demo:9"),
        0);
    CLEANUP(fd_closep) int fd = open_file(f, "d.tar", O_RDONLY);
    OK(registry_archive_read(other, fd, NULL, &list, &f->err), &f->err);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].names[0], "quay.io/x/demo:9");
    OK(registry_image_load(other, &list.items[0].root, NULL, &image, &f->err), &f->err);
    assert_int_equal(image.layer_count, 3);
    cas_store_close(other);
}

static void test_missing_blob_is_found_before_anything_is_written(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    static const char text[] =
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG
        "\",\"digest\":"
        "\"sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882\","
        "\"size\":10},"
        "\"layers\":[]}";
    CLEANUP(fd_closep) int fd = open_file(f, "a.tar", O_WRONLY | O_CREAT);

    put_blob(f->store, MEDIA_OCI_MANIFEST, VIEW_LIT(text), &root);
    const struct registry_archive_image image = {.root = &root};
    assert_int_equal(registry_archive_write(f->store, &image, 1, REGISTRY_ARCHIVE_OCI, fd,
                                            NULL, &f->err),
                     -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

/* ---- Hostile and old archives, made by hand ---- */

static void tar_add(struct buf *tar, const char *path, struct view content)
{
    const struct cas_entry e = {
        .path = view_of(path), .type = CAS_ENTRY_FILE, .mode = 0644, .size = content.size};
    static const char zeros[TAR_BLOCK] = {0};

    tar_headers_append(&e, tar);
    buf_append_view(tar, content);
    buf_append(tar, zeros, (size_t)(tar_padded_size(content.size) - content.size));
}

static void tar_link(struct buf *tar, const char *path, const char *target)
{
    const struct cas_entry e = {.path = view_of(path),
                                .type = CAS_ENTRY_SYMLINK,
                                .mode = 0777,
                                .target = view_of(target)};

    tar_headers_append(&e, tar);
}

static int read_tar(struct fixture *f, struct buf *tar, struct registry_archive_list *list)
{
    static const char zeros[TAR_END_SIZE] = {0};
    CLEANUP(fd_closep) int fd = open_file(f, "hand.tar", O_RDWR | O_CREAT | O_TRUNC);

    buf_append(tar, zeros, sizeof zeros);
    OK(fs_write_all(fd, tar->data, tar->size, &f->err), &f->err);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return registry_archive_read(f->store, fd, NULL, list, &f->err);
}

static char *config_with(const char *first, const char *second)
{
    return base_format(
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
        "\"diff_ids\":[\"%s\",\"%s\"]}}",
        first, second);
}

static void test_old_docker_archive_gets_a_manifest(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf tar = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(registry_archive_list_release) struct registry_archive_list list = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    const struct digest layer = digest_of(DIGEST_SHA256, VIEW_LIT("layer"));
    const struct digest_text text = digest_format(&layer);
    CLEANUP(base_freep) char *config = config_with(text.text, text.text);
    const struct digest id = digest_of(DIGEST_SHA256, view_of(config));
    CLEANUP(base_freep) char *config_name = base_format("%s.json", digest_hex(&id).text);
    CLEANUP(base_freep)
    char *manifest = base_format("[{\"Config\":\"%s\",\"RepoTags\":[\"demo:1\"],"
                                 "\"Layers\":[\"aa/layer.tar\",\"bb/layer.tar\"]}]",
                                 config_name);

    tar_add(&tar, "aa/layer.tar", VIEW_LIT("layer"));
    tar_add(&tar, "aa/VERSION", VIEW_LIT("1.0"));
    tar_link(&tar, "bb/layer.tar", "../aa/layer.tar");
    tar_add(&tar, config_name, view_of(config));
    tar_add(&tar, "manifest.json", view_of(manifest));
    OK(read_tar(f, &tar, &list), &f->err);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].names[0], NAME);
    OK(registry_image_load(f->store, &list.items[0].root, NULL, &image, &f->err), &f->err);
    assert_true(digest_eq(&image.config.digest, &id));
    assert_int_equal(image.layer_count, 2);
    assert_true(digest_eq(&image.layers[1].digest, &layer));
    assert_string_equal(image.layers[1].media_type, MEDIA_OCI_LAYER);
}

static void expect_refused(struct fixture *f,
                           struct buf *tar,
                           enum error_code code,
                           const char *word)
{
    struct registry_archive_list list = {0};

    assert_int_equal(read_tar(f, tar, &list), -1);
    if (f->err.code != code || !strstr(error_text(&f->err), word))
        fail_msg("%s: %s", error_code_name(f->err.code), error_text(&f->err));
    buf_clear(tar);
}

static void test_archives_that_lie_are_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf tar = BUF_INIT(LIMIT_TEXT_SIZE);
    const struct digest other = digest_of(DIGEST_SHA256, VIEW_LIT("other"));
    const struct digest_text text = digest_format(&other);
    CLEANUP(base_freep) char *config = config_with(text.text, text.text);
    CLEANUP(base_freep)
    char *blob = base_format("blobs/sha256/%s", digest_hex(&other).text);
    CLEANUP(base_freep) char *id = base_format("%s.json", digest_hex(&other).text);
    CLEANUP(base_freep)
    char *missing = base_format("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
                                "\"digest\":\"%s\",\"size\":5}]}",
                                MEDIA_OCI_MANIFEST, text.text);
    CLEANUP(base_freep)
    char *named = base_format("[{\"Config\":\"%s\",\"RepoTags\":null,\"Layers\":[]}]", id);

    tar_add(&tar, blob, VIEW_LIT("not the content"));
    expect_refused(f, &tar, ERROR_CORRUPT, "blobs/sha256/");
    tar_add(&tar, "hello.txt", VIEW_LIT("x"));
    expect_refused(f, &tar, ERROR_INVALID, "no archive of images");
    tar_add(&tar, "index.json", view_of(missing));
    expect_refused(f, &tar, ERROR_CORRUPT, "missing");
    tar_add(&tar, "aa/layer.tar", VIEW_LIT("layer"));
    tar_add(&tar, "c.json", view_of(config));
    tar_add(
        &tar, "manifest.json",
        VIEW_LIT(
            "[{\"Config\":\"c.json\",\"Layers\":[\"aa/layer.tar\",\"aa/layer.tar\"]}]"));
    expect_refused(f, &tar, ERROR_CORRUPT, "as the config says");
    tar_add(&tar, "c.json", view_of(config));
    tar_add(&tar, "manifest.json",
            VIEW_LIT("[{\"Config\":\"c.json\",\"Layers\":[\"aa/layer.tar\"]}]"));
    expect_refused(f, &tar, ERROR_CORRUPT, "config has 2");
    tar_add(&tar, id, VIEW_LIT("{}"));
    tar_add(&tar, "manifest.json", view_of(named));
    expect_refused(f, &tar, ERROR_CORRUPT, "name says");
    tar_link(&tar, "c.json", "c.json");
    tar_add(&tar, "manifest.json", VIEW_LIT("[{\"Config\":\"c.json\",\"Layers\":[]}]"));
    expect_refused(f, &tar, ERROR_CORRUPT, "missing");
    tar_add(&tar, "manifest.json",
            VIEW_LIT("[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]"));
    expect_refused(f, &tar, ERROR_CORRUPT, "missing");
    buf_append_text(&tar, "this is no tar at all");
    expect_refused(f, &tar, ERROR_CORRUPT, "");
}

/* Three levels of 500 entries each would be 125 million visits. */
static void test_index_bombs_are_refused(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(buf_release) struct buf tar = BUF_INIT(LIMIT_TEXT_SIZE);

    make_image(f->store, 1, 1, 10, &root);
    for (int level = 0; level < 3; level++) {
        CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

        buf_append_text(&text, "{\"schemaVersion\":2,\"manifests\":[");
        for (int i = 0; i < 500; i++)
            buf_printf(&text, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}",
                       i ? "," : "", root.media_type, digest_format(&root.digest).text,
                       (size_t)root.size);
        buf_append_text(&text, "]}");
        descriptor_release(&root);
        put_blob(f->store, MEDIA_OCI_INDEX, buf_view(&text), &root);
    }
    CLEANUP(base_freep)
    char *index =
        base_format("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\","
                    "\"digest\":\"%s\",\"size\":%zu}]}",
                    MEDIA_OCI_INDEX, digest_format(&root.digest).text, (size_t)root.size);
    tar_add(&tar, "index.json", view_of(index));
    expect_refused(f, &tar, ERROR_LIMIT, "more than 4096 manifests");
}

/* ---- Layouts ---- */

static struct registry_layout *open_layout(struct fixture *f, const char *name)
{
    CLEANUP(base_freep) char *path = fixture_path(f, name);
    struct registry_layout *l = registry_layout_open(path, &f->err);

    OK(l ? 0 : -1, &f->err);
    return l;
}

static void test_layout_directories_are_read_lazily(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};

    make_image(f->store, 1, 3, 10000, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_OCI, "oci.tar");
    assert_int_equal(run(f, "mkdir x && tar xf oci.tar -C x"), 0);
    struct registry_layout *l = open_layout(f, "x");
    OK(registry_layout_resolve(l, "z", NULL, &got, &f->err), &f->err);
    assert_true(digest_eq(&got.digest, &root.digest));
    OK(registry_layout_load(l, other, &got, NULL, true, &image, &f->err), &f->err);
    assert_int_equal(count_blobs(other), 2);
    OK(registry_layout_fetch_blob(l, other, &image.layers[0], &f->err), &f->err);
    OK(registry_layout_fetch_blob(l, other, &image.layers[0], &f->err), &f->err);
    assert_int_equal(count_blobs(other), 3);
    registry_layout_close(l);
    cas_store_close(other);
}

static void test_layout_names_are_resolved_as_buildx_does(void **state)
{
    struct fixture *f = *state;
    CLEANUP(descriptor_release) struct descriptor one = {0};
    CLEANUP(descriptor_release) struct descriptor two = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};
    CLEANUP(descriptor_release) struct descriptor by_digest = {0};
    struct descriptor none = {0};

    make_image(f->store, 1, 1, 100, &one);
    make_image(f->store, 2, 1, 100, &two);
    OK(cas_ref_set(f->store, "docker.io/library/a:latest", &one, "build", &f->err),
       &f->err);
    OK(cas_ref_set(f->store, "docker.io/library/b:2", &two, "build", &f->err), &f->err);
    struct registry_layout *l = open_layout(f, "store");
    OK(registry_layout_resolve(l, NULL, NULL, &got, &f->err), &f->err);
    assert_true(digest_eq(&got.digest, &one.digest));
    OK(registry_layout_resolve(l, NULL, &two.digest, &by_digest, &f->err), &f->err);
    assert_true(digest_eq(&by_digest.digest, &two.digest));
    assert_int_equal(registry_layout_resolve(l, "3", NULL, &none, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error_text(&f->err), "docker.io/library/b:2"));
    registry_layout_close(l);
}

static void test_damaged_layouts_leave_the_store_alone(void **state)
{
    struct fixture *f = *state;
    struct cas_store *other = fixture_store(f, "other");
    CLEANUP(descriptor_release) struct descriptor root = {0};
    CLEANUP(descriptor_release) struct descriptor got = {0};
    CLEANUP(registry_image_release) struct registry_image image = {0};
    CLEANUP(base_freep) char *command = NULL;

    make_image(f->store, 1, 1, 10000, &root);
    write_archive(f, &root, REGISTRY_ARCHIVE_OCI, "oci.tar");
    assert_int_equal(run(f, "mkdir x && tar xf oci.tar -C x && chmod -R u+w x"), 0);
    struct registry_layout *l = open_layout(f, "x");
    OK(registry_layout_resolve(l, "1", NULL, &got, &f->err), &f->err);
    assert_int_equal(registry_layout_resolve(l, "absent", NULL, &got, &f->err), -1);
    assert_int_equal(f->err.code, ERROR_NOT_FOUND);
    error_clear(&f->err);
    OK(registry_layout_load(l, other, &got, NULL, true, &image, &f->err), &f->err);
    command = base_format(
        "printf X | dd of=x/blobs/sha256/%s bs=1 seek=5000 conv=notrunc 2>/dev/null",
        digest_hex(&image.layers[0].digest).text);
    assert_int_equal(run(f, command), 0);
    assert_int_equal(registry_layout_fetch_blob(l, other, &image.layers[0], &f->err), -1);
    assert_int_equal(f->err.code, ERROR_CORRUPT);
    free(command);
    command = base_format("rm x/blobs/sha256/%s && ln -s /etc/passwd x/blobs/sha256/%s",
                          digest_hex(&image.layers[0].digest).text,
                          digest_hex(&image.layers[0].digest).text);
    assert_int_equal(run(f, command), 0);
    assert_int_equal(registry_layout_fetch_blob(l, other, &image.layers[0], &f->err), -1);
    assert_int_equal(count_blobs(other), 2);
    registry_layout_close(l);
    cas_store_close(other);
}

static void test_layout_names_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *path, *tag;
        bool digest;
    } good[] = {
        {"oci-layout:///a/b", "/a/b", NULL, false},
        {"oci-layout://a:t", "a", "t", false},
        {"oci-layout:a:t", "a", "t", false},
        {"oci-layout://"
         "a@sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
         "a", NULL, true},
        {"oci-layout://"
         "a:t@sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
         "a", "t", true},
    };
    static const char *const bad[] = {"a", "oci-layout://", "oci-layout://:t",
                                      "oci-layout://a:", "oci-layout://a@x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        CLEANUP(registry_layout_name_release) struct registry_layout_name n = {0};
        struct error err = ERROR_INIT;

        OK(registry_layout_name_parse(view_of(good[i].text), &n, &err), &err);
        assert_string_equal(n.path, good[i].path);
        assert_true(good[i].tag ? n.tag && strcmp(n.tag, good[i].tag) == 0 : !n.tag);
        assert_int_equal(digest_is_set(&n.digest), good[i].digest);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct registry_layout_name n = {0};
        struct error err = ERROR_INIT;

        assert_int_equal(registry_layout_name_parse(view_of(bad[i]), &n, &err), -1);
        error_clear(&err);
    }
}

#define WITH_STORE(test)                                                                   \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_archives_come_back_with_names_and_digests),
        WITH_STORE(test_same_image_gives_the_same_archive),
        WITH_STORE(test_other_tools_read_the_archives),
        WITH_STORE(test_archive_of_another_tool_is_read_from_a_pipe),
        WITH_STORE(test_docker_archive_of_skopeo_is_read),
        WITH_STORE(test_missing_blob_is_found_before_anything_is_written),
        WITH_STORE(test_old_docker_archive_gets_a_manifest),
        WITH_STORE(test_archives_that_lie_are_refused),
        WITH_STORE(test_index_bombs_are_refused),
        WITH_STORE(test_layout_directories_are_read_lazily),
        WITH_STORE(test_layout_names_are_resolved_as_buildx_does),
        WITH_STORE(test_damaged_layouts_leave_the_store_alone),
        cmocka_unit_test(test_layout_names_are_taken_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
