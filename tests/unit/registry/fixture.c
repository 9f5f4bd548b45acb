#include "fixture.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void ok_(int rc, const struct error *err, const char *file, int line)
{
    if (rc < 0) {
        print_error("%s:%d: %s\n", file, line, error_text(err));
        fail();
    }
}

char *fixture_path(const struct fixture *f, const char *name)
{
    return base_format("%s/%s", f->dir, name);
}

struct cas_store *fixture_store(struct fixture *f, const char *name)
{
    CLEANUP(base_freep) char *path = fixture_path(f, name);
    struct cas_store *s = cas_store_open(path, CAS_STORE_OPEN_DEFAULT, &f->err);

    OK(s ? 0 : -1, &f->err);
    return s;
}

int fixture_setup(void **state)
{
    struct fixture *f = base_alloc(sizeof *f);
    const char *tmp = getenv("TMPDIR");

    f->dir = base_format("%s/registry-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(f->dir))
        return -1;
    /* Nobody's own credentials or proxies take part. */
    (void)unsetenv("REGISTRY_AUTH_FILE");
    (void)unsetenv("XDG_RUNTIME_DIR");
    (void)setenv("DOCKER_CONFIG", f->dir, 1);
    f->store = fixture_store(f, "store");
    const struct registry_client_options options = {
        .backoff_ms = 5,
        .http = {.stall_timeout_ms = 5000, .connect_timeout_ms = 5000},
    };
    f->client = registry_client_new(&options);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    registry_client_free(f->client);
    cas_store_closep(&f->store);
    if (f->registry) {
        (void)kill(f->registry, SIGTERM);
        (void)waitpid(f->registry, NULL, 0);
    }
    error_clear(&f->err);
    const int rc = fs_remove_tree_at(AT_FDCWD, f->dir, &f->err);
    error_clear(&f->err);
    free(f->dir);
    free(f);
    return rc;
}

void fixture_write(const struct fixture *f, const char *name, const char *text)
{
    CLEANUP(base_freep) char *path = fixture_path(f, name);
    struct error err = ERROR_INIT;

    OK(fs_replace_file_at(AT_FDCWD, path, view_of(text), 0600, &err), &err);
}

/* ---- docker-registry ---- */

int fixture_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool is_listening(int port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)port),
    };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool yes = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;

    close(fd);
    return yes;
}

/* Starts it at f->port; false if it ends at once, as it does when the port has been taken.
 */
static bool start_registry(struct fixture *f, const char *extra)
{
    CLEANUP(base_freep)
    char *config = base_format("version: 0.1\n"
                               "log: {level: error, accesslog: {disabled: true}}\n"
                               "storage: {filesystem: {rootdirectory: %s/registry}, "
                               "delete: {enabled: true}}\n"
                               "http:\n  addr: 127.0.0.1:%d\n%s",
                               f->dir, f->port, extra);
    CLEANUP(base_freep) char *path = fixture_path(f, "registry.yml");
    char *const argv[] = {base_strdup("docker-registry"), base_strdup("serve"), path, NULL};
    posix_spawn_file_actions_t actions;

    fixture_write(f, "registry.yml", config);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(
        posix_spawnp(&f->registry, "docker-registry", &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    free(argv[0]);
    free(argv[1]);
    for (int i = 0; i < 6000; i++) {
        if (waitpid(f->registry, NULL, WNOHANG) != 0) {
            f->registry = 0;
            return false;
        }
        if (is_listening(f->port))
            return true;
        usleep(10000);
    }
    fail_msg("docker-registry does not answer");
    return false;
}

void fixture_start_registry(struct fixture *f, const char *extra)
{
    bool started = false;

    /* Between choosing a port and listening on it, another process may get it. */
    for (int i = 0; i < 5 && !started; i++) {
        f->port = fixture_free_port();
        started = start_registry(f, extra);
    }
    assert_true(started);
}

struct registry_reference parse_reference(const char *text)
{
    struct registry_reference r = {0};
    struct error err = ERROR_INIT;

    OK(registry_reference_parse(view_of(text), &r, &err), &err);
    return r;
}

struct registry_reference fixture_reference(const struct fixture *f, const char *name)
{
    CLEANUP(base_freep) char *text = base_format("127.0.0.1:%d/%s", f->port, name);

    return parse_reference(text);
}

/* ---- Images ---- */

void put_blob(struct cas_store *s,
              const char *media_type,
              struct view bytes,
              struct descriptor *out)
{
    struct error err = ERROR_INIT;
    struct digest digest;

    OK(cas_blob_put(s, bytes, &digest, &err), &err);
    descriptor_init(out, media_type, &digest, bytes.size);
}

static void put_doc(struct cas_store *s,
                    const char *media_type,
                    const struct doc *d,
                    struct descriptor *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_MANIFEST_SIZE);

    doc_write(d, DOC_WRITE_COMPACT, &text);
    put_blob(s, media_type, buf_view(&text), out);
}

static void fill(char *bytes, size_t size, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (char)x;
    }
}

static struct doc *make_config(unsigned seed,
                               const char *architecture,
                               struct doc *diff_ids)
{
    struct doc *config = doc_new_object(), *rootfs = doc_new_object();

    doc_set_text(config, "architecture", architecture);
    doc_set_text(config, "os", "linux");
    doc_set_int(config, "seed", seed);
    doc_set_text(rootfs, "type", "layers");
    doc_set(rootfs, "diff_ids", diff_ids);
    doc_set(config, "rootfs", rootfs);
    return config;
}

static void make_image_for(struct cas_store *s,
                           unsigned seed,
                           const char *architecture,
                           size_t layers,
                           size_t layer_size,
                           struct descriptor *out)
{
    CLEANUP(doc_unrefp) struct doc *manifest = doc_new_object();
    CLEANUP(descriptor_release) struct descriptor config = {0};
    struct doc *list = doc_new_array(), *diff_ids = doc_new_array();
    CLEANUP(base_freep) char *bytes = base_alloc(layer_size + 1);

    for (size_t i = 0; i < layers; i++) {
        CLEANUP(descriptor_release) struct descriptor layer = {0};

        fill(bytes, layer_size, seed * 1000 + (unsigned)i);
        put_blob(s, MEDIA_OCI_LAYER, (struct view){bytes, layer_size}, &layer);
        doc_append(list, descriptor_doc(&layer));
        doc_append_text(diff_ids, digest_format(&layer.digest).text);
    }
    CLEANUP(doc_unrefp) struct doc *config_doc = make_config(seed, architecture, diff_ids);
    put_doc(s, MEDIA_OCI_CONFIG, config_doc, &config);
    doc_set_int(manifest, "schemaVersion", 2);
    doc_set_text(manifest, "mediaType", MEDIA_OCI_MANIFEST);
    doc_set(manifest, "config", descriptor_doc(&config));
    doc_set(manifest, "layers", list);
    put_doc(s, MEDIA_OCI_MANIFEST, manifest, out);
}

void make_image(struct cas_store *s,
                unsigned seed,
                size_t layers,
                size_t layer_size,
                struct descriptor *out)
{
    make_image_for(s, seed, "amd64", layers, layer_size, out);
}

void make_index(struct cas_store *s, unsigned seed, struct descriptor *out)
{
    static const char *const architectures[] = {"amd64", "arm64"};
    CLEANUP(doc_unrefp) struct doc *index = doc_new_object();
    struct doc *manifests = doc_new_array();

    for (unsigned i = 0; i < 2; i++) {
        CLEANUP(descriptor_release) struct descriptor d = {0};
        struct doc *entry, *platform = doc_new_object();

        make_image_for(s, seed + i, architectures[i], 2, 1000, &d);
        entry = descriptor_doc(&d);
        doc_set_text(platform, "architecture", architectures[i]);
        doc_set_text(platform, "os", "linux");
        doc_set(entry, "platform", platform);
        doc_append(manifests, entry);
    }
    doc_set_int(index, "schemaVersion", 2);
    doc_set_text(index, "mediaType", MEDIA_OCI_INDEX);
    doc_set(index, "manifests", manifests);
    put_doc(s, MEDIA_OCI_INDEX, index, out);
}

size_t count_blobs(const struct cas_store *s)
{
    CLEANUP(base_freep) char *path = base_format("%s/blobs/sha256", cas_store_path(s));
    DIR *dir = opendir(path);
    size_t count = 0;

    if (!dir)
        return 0;
    for (const struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

size_t count_text(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}
