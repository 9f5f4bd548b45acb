#include "cli/build_report.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "registry/reference.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int cli_build_report_clear(const char *path, struct error *err)
{
    if (path != NULL && unlink(path) < 0 && errno != ENOENT)
        return error_sys(err, "remove %s", path);
    return 0;
}

static int iidfile_write(const char *path,
                         const struct build_result *result,
                         struct error *err)
{
    const struct digest_text id = digest_format(&result->manifest.digest);

    if (fs_replace_file_at(AT_FDCWD, path, view_of(id.text), 0644, err) < 0)
        return error_wrap(err, "--iidfile %s", path);
    return 0;
}

/* "image.name": all names, separated by commas. */
static int names_set(const struct build_request *request,
                     struct doc *out,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf names = BUF_INIT(LIMIT_TEXT_SIZE);

    for (size_t i = 0; i < request->tag_count; i++) {
        CLEANUP(base_freep)
        char *name = registry_reference_normalize(view_of(request->tags[i]), err);

        if (name == NULL)
            return -1;
        if (i > 0)
            buf_append_char(&names, ',');
        buf_append_text(&names, name);
    }
    if (request->tag_count > 0)
        doc_set_text(out, "image.name", buf_text(&names));
    return 0;
}

static int metadata_write(const struct build_request *request,
                          const struct build_result *result,
                          const char *path,
                          struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(doc_unrefp) struct doc *root = doc_new_object();

    if (result->has_image) {
        if (digest_is_set(&result->config))
            doc_set_text(root, "containerimage.config.digest",
                         digest_format(&result->config).text);
        doc_set(root, "containerimage.descriptor", descriptor_doc(&result->manifest));
        doc_set_text(root, "containerimage.digest",
                     digest_format(&result->manifest.digest).text);
    }
    if (names_set(request, root, err) < 0)
        return -1;
    doc_write(root, DOC_WRITE_INDENT, &text);
    buf_append_char(&text, '\n');
    if (buf_ok(&text, "metadata", err) < 0 ||
        fs_replace_file_at(AT_FDCWD, path, buf_view(&text), 0644, err) < 0)
        return error_wrap(err, "--metadata-file %s", path);
    return 0;
}

int cli_build_report(const struct build_request *request,
                     const struct build_result *result,
                     const char *iidfile,
                     const char *metadata_file,
                     struct error *err)
{
    if (iidfile != NULL && result->has_image && iidfile_write(iidfile, result, err) < 0)
        return -1;
    if (metadata_file != NULL && metadata_write(request, result, metadata_file, err) < 0)
        return -1;
    return 0;
}
