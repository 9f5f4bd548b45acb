#include "cli/release_digest.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cli/output.h"

#include <string.h>

struct pinned {
    const char *repository;
    const char *tag;
    const char *digest;
};

static void write_plain(const struct pinned *p, struct buf *out)
{
    buf_printf(out, "%s\n", p->digest);
}

static void write_ref(const struct pinned *p, struct buf *out)
{
    buf_printf(out, "%s@%s\n", p->repository, p->digest);
}

static void write_kustomize(const struct pinned *p, struct buf *out)
{
    buf_printf(out,
               "apiVersion: kustomize.config.k8s.io/v1alpha1\n"
               "kind: Component\n"
               "images:\n"
               "  - name: \"%s\"\n"
               "    newName: \"%s\"\n"
               "    digest: \"%s\"\n",
               p->repository, p->repository, p->digest);
}

static void write_helm(const struct pinned *p, struct buf *out)
{
    buf_printf(out, "image:\n  repository: \"%s\"\n", p->repository);
    if (p->tag)
        buf_printf(out, "  tag: \"%s\"\n", p->tag);
    buf_printf(out, "  digest: \"%s\"\n", p->digest);
}

static const struct form {
    const char *name;
    void (*write)(const struct pinned *p, struct buf *out);
} forms[] = {{"", write_plain},
             {"plain=", write_plain},
             {"ref=", write_ref},
             {"kustomize=", write_kustomize},
             {"helm=", write_helm}};

/* Which form, and where to. */
static const struct form *form_of(const char *value, const char **path)
{
    for (size_t i = 1; i < ARRAY_COUNT(forms); i++) {
        if (view_starts(view_of(value), forms[i].name)) {
            *path = value + strlen(forms[i].name);
            return &forms[i];
        }
    }
    *path = value;
    return &forms[0];
}

int cli_release_digests_check(const struct cli_texts *values, struct error *err)
{
    for (size_t i = 0; i < values->count; i++) {
        const char *path;
        const struct form *const form = form_of(values->items[i], &path);

        if (*path == '\0' || (form == &forms[0] && strchr(path, '=')))
            return error_set(
                err, ERROR_USAGE,
                "--write-digest is FILE, ref=FILE, kustomize=FILE or helm=FILE, "
                "not '%s' (plain=FILE for names with '=')",
                values->items[i]);
    }
    return 0;
}

static int write_one(const struct form *form,
                     const char *path,
                     const struct pinned *p,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(cli_output_file_release) struct cli_output_file file = {.fd = -1};

    form->write(p, &text);
    if (cli_output_file_open(&file, path, err) < 0 ||
        fs_write_all(file.fd, text.data, text.size, err) < 0)
        return -1;
    return cli_output_file_commit(&file, err);
}

int cli_release_digests_write(const struct cli_texts *values,
                              const char *repository,
                              const char *tag,
                              const struct digest *digest,
                              struct error *err)
{
    const struct digest_text text = digest_format(digest);
    const struct pinned p = {.repository = repository, .tag = tag, .digest = text.text};

    for (size_t i = 0; i < values->count; i++) {
        const char *path;
        const struct form *const form = form_of(values->items[i], &path);

        if (write_one(form, path, &p, err) < 0)
            return error_wrap(err, "--write-digest %s", values->items[i]);
    }
    return 0;
}
