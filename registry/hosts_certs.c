/* certs.d directories: certificates by host. */
#include "registry/hosts_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int is_wanted(const struct dirent *entry)
{
    const struct view name = view_of(entry->d_name);

    return view_ends(name, ".crt") || view_ends(name, ".cert");
}

/* libcurl takes one file of authorities: several become one in memory. */
static void add_authority(struct hosts_certs *out, const char *path)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (!out->ca_file) {
        out->ca_file = base_strdup(path);
        return;
    }
    if (out->ca_fd < 0) {
        out->ca_fd = memfd_create("cooper-ca", MFD_CLOEXEC);
        if (out->ca_fd < 0 ||
            fs_read_file_at(AT_FDCWD, out->ca_file, &text, &failure) < 0) {
            log_debug("certs.d: %s", error_text(&failure));
            return;
        }
        buf_append_char(&text, '\n');
        free(out->ca_file);
        out->ca_file = base_format("/proc/self/fd/%d", out->ca_fd);
    }
    if (fs_read_file_at(AT_FDCWD, path, &text, &failure) == 0)
        buf_append_char(&text, '\n');
    if (fs_write_all(out->ca_fd, buf_text(&text), text.size, &failure) < 0)
        log_debug("certs.d: %s", error_text(&failure));
}

static void add_pair(struct hosts_certs *out, const char *cert)
{
    CLEANUP(base_freep)
    char *key = base_format("%.*s.key", (int)(strlen(cert) - strlen(".cert")), cert);

    if (out->cert_file || access(key, R_OK) < 0)
        return;
    out->cert_file = base_strdup(cert);
    out->key_file = base_strdup(key);
}

bool hosts_certs_find(const char *dir, struct view host, struct hosts_certs *out)
{
    CLEANUP(base_freep) char *path = base_format("%s/%.*s", dir, VIEW_ARG(host));
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, is_wanted, alphasort);

    *out = (struct hosts_certs){.ca_fd = -1};
    for (int i = 0; i < count; i++) {
        CLEANUP(base_freep) char *file = base_format("%s/%s", path, entries[i]->d_name);

        if (view_ends(view_of(file), ".crt"))
            add_authority(out, file);
        else
            add_pair(out, file);
        free(entries[i]);
    }
    free(entries);
    return out->ca_file || out->cert_file;
}
