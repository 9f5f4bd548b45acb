#include "store_fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fixture_setup_dir(void **state)
{
    struct fixture *f = base_alloc(sizeof *f);
    const char *tmp = getenv("TMPDIR");

    f->dir = base_format("%s/cas-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(f->dir))
        return -1;
    f->path = base_format("%s/store", f->dir);
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    if (fixture_setup_dir(state) < 0)
        return -1;
    fixture_open(*state);
    return 0;
}

void fixture_open(struct fixture *f)
{
    f->store = cas_store_open(f->path, CAS_STORE_OPEN_DEFAULT, &f->err);
    if (!f->store)
        fail_msg("open: %s", error_text(&f->err));
}

void fixture_close(struct fixture *f)
{
    cas_store_closep(&f->store);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    fixture_close(f);
    const int result = fs_remove_tree_at(AT_FDCWD, f->dir, &err);
    error_clear(&err);
    error_clear(&f->err);
    free(f->dir);
    free(f->path);
    free(f);
    return result;
}

void fixture_assert_ok(
    struct fixture *f, int ok, const char *what, const char *file, int line)
{
    if (!ok)
        print_error("%s: %s\n", what, error_text(&f->err));
    _assert_true((LargestIntegralType)ok, what, file, line);
}

void assert_code(struct fixture *f, enum error_code code)
{
    if (f->err.code != code)
        print_error("unexpected: %s\n", error_text(&f->err));
    assert_string_equal(error_code_name(f->err.code), error_code_name(code));
    error_clear(&f->err);
}

static char *below(struct fixture *f, const char *path)
{
    return base_format("%s/%s", f->path, path);
}

bool fixture_exists(struct fixture *f, const char *path)
{
    CLEANUP(base_freep) char *full = below(f, path);

    return access(full, F_OK) == 0;
}

size_t fixture_count(struct fixture *f, const char *path)
{
    CLEANUP(base_freep) char *full = below(f, path);
    DIR *dir = opendir(full);
    const struct dirent *e;
    size_t count = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

void fixture_write(struct fixture *f, const char *path, const char *text)
{
    CLEANUP(base_freep) char *full = below(f, path);

    unlink(full);
    CLEANUP(fd_closep) int fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

char *fixture_read(struct fixture *f, const char *path)
{
    CLEANUP(base_freep) char *full = below(f, path);
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    assert_ok(f, fs_read_file_at(AT_FDCWD, full, &text, &f->err));
    return base_strdup(buf_text(&text));
}

struct descriptor fixture_blob(struct fixture *f, const char *media_type, const char *text)
{
    struct descriptor d;
    struct digest digest;

    assert_ok(f, cas_blob_put(f->store, view_of(text), &digest, &f->err));
    descriptor_init(&d, media_type, &digest, strlen(text));
    return d;
}

static struct doc *entry(struct fixture *f, const char *media_type, char *text)
{
    CLEANUP(base_freep) char *owned = text;
    CLEANUP(descriptor_release) struct descriptor d = fixture_blob(f, media_type, owned);

    return descriptor_doc(&d);
}

struct descriptor fixture_image(struct fixture *f, const char *seed)
{
    CLEANUP(doc_unrefp) struct doc *manifest = doc_new_object();
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);
    struct doc *layers = doc_new_array();

    doc_set_int(manifest, "schemaVersion", 2);
    doc_set_text(manifest, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(
        manifest, "config",
        entry(f, MEDIA_OCI_CONFIG,
              base_format("{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"%s\","
                          "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
                          seed)));
    doc_append(layers, entry(f, MEDIA_OCI_LAYER_GZIP, base_format("%s: one", seed)));
    doc_append(layers, entry(f, MEDIA_OCI_LAYER_GZIP, base_format("%s: two", seed)));
    doc_set(manifest, "layers", layers);
    doc_write(manifest, DOC_WRITE_COMPACT, &text);
    return fixture_blob(f, MEDIA_OCI_MANIFEST, buf_text(&text));
}
