#include "builder/inputs.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "cas/blob.h"
#include "cas/ref.h"
#include "parser/ignore.h"
#include "registry/pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct named {
    char *name;        /* familiar form, without ":latest" */
    const char *value; /* as typed */
    struct build_context *context;
};

struct build_inputs {
    const struct build_environment *env;
    const struct build_request *request;
    struct build_context *context;
    char *dockerfile; /* its path, NULL for standard input */
    struct named *named;
    size_t named_count;
};

/* Both what --build-context names and what a Dockerfile says are compared in docker's short
 * form without ":latest". NULL if it is no reference. */
static char *short_name(const char *name, struct error *err)
{
    struct registry_reference ref = {0};
    char *text;
    size_t size;

    if (registry_reference_parse(view_of(name), &ref, err) < 0)
        return NULL;
    text = registry_reference_familiar(&ref);
    registry_reference_release(&ref);
    size = strlen(text);
    if (size > 7 && strcmp(text + size - 7, ":latest") == 0)
        text[size - 7] = '\0';
    return text;
}

struct build_inputs *build_inputs_new(const struct build_environment *env,
                                      const struct build_request *request,
                                      struct error *err)
{
    struct build_inputs *in = base_alloc(sizeof *in);

    in->env = env;
    in->request = request;
    in->named = base_alloc_array(request->context_count + 1, sizeof *in->named);
    for (size_t i = 0; i < request->context_count; i++) {
        const struct build_pair *pair = &request->contexts[i];

        in->named[i].value = pair->value;
        in->named[i].name = short_name(pair->name, err);
        in->named_count = i + 1;
        if (!in->named[i].name || !pair->value || !*pair->value) {
            if (in->named[i].name)
                error_set(err, ERROR_INVALID,
                          "it names no place: write NAME=PATH, NAME=docker-image://REF or "
                          "NAME=oci-layout://PATH");
            error_wrap(err, "build context %s", pair->name);
            build_inputs_free(in);
            return NULL;
        }
    }
    return in;
}

void build_inputs_free(struct build_inputs *in)
{
    if (!in)
        return;
    for (size_t i = 0; i < in->named_count; i++) {
        build_context_close(in->named[i].context);
        free(in->named[i].name);
    }
    free(in->named);
    build_context_close(in->context);
    free(in->dockerfile);
    free(in);
}

/* --- Dockerfile and contexts --- */

int build_inputs_dockerfile(struct build_inputs *in,
                            struct buf *text,
                            const char **name,
                            struct error *err)
{
    const struct build_request *r = in->request;
    CLEANUP(fd_closep) int fd = -1;

    if (r->dockerfile && strcmp(r->dockerfile, "-") == 0) {
        *name = "Dockerfile";
        return fs_read_all(STDIN_FILENO, text, err) < 0
                   ? error_wrap(err, "Dockerfile on standard input")
                   : 0;
    }
    if (r->dockerfile)
        in->dockerfile = base_strdup(r->dockerfile);
    else
        in->dockerfile = r->context ? base_format("%s/Dockerfile", r->context)
                                    : base_strdup("Dockerfile");
    *name = path_base(view_of(in->dockerfile)).data;
    fd = fs_open_at(AT_FDCWD, in->dockerfile, O_RDONLY, 0, err);
    if (fd < 0 || fs_read_all(fd, text, err) < 0)
        return error_wrap(err, "failed to read dockerfile %s", in->dockerfile);
    return 0;
}

/* Reads a .dockerignore if it exists: *out NULL without an error if not. */
static int read_ignore(int dir_fd,
                       const char *path,
                       struct dockerfile_ignore **out,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_DOCKERIGNORE_SIZE);

    *out = NULL;
    if (faccessat(dir_fd, path, F_OK, 0) < 0)
        return 0;
    if (fs_read_file_at(dir_fd, path, &text, err) < 0)
        return -1;
    *out = dockerfile_ignore_parse(buf_view(&text), path_base(view_of(path)).data, err);
    return *out ? 0 : -1;
}

static int find_ignore(const char *path,
                       const char *dockerfile,
                       struct dockerfile_ignore **out,
                       struct error *err)
{
    CLEANUP(base_freep)
    char *beside = dockerfile ? base_format("%s.dockerignore", dockerfile) : NULL;
    CLEANUP(base_freep) char *plain = base_format("%s/.dockerignore", path);

    *out = NULL;
    if (beside && read_ignore(AT_FDCWD, beside, out, err) < 0)
        return -1;
    return *out ? 0 : read_ignore(AT_FDCWD, plain, out, err);
}

int build_inputs_ignore(struct build_inputs *in,
                        struct dockerfile_ignore **out,
                        struct error *err)
{
    *out = NULL;
    return in->request->context
               ? find_ignore(in->request->context, in->dockerfile, out, err)
               : 0;
}

static struct build_context *open_context(struct build_inputs *in,
                                          const char *path,
                                          const char *dockerfile,
                                          struct error *err)
{
    struct dockerfile_ignore *ignore;

    if (find_ignore(path, dockerfile, &ignore, err) < 0)
        return NULL;
    return build_context_open(in->env->store, path, ignore, err);
}

struct build_context *build_inputs_context(struct build_inputs *in, struct error *err)
{
    if (!in->context) {
        if (!in->request->context) {
            error_set(err, ERROR_INVALID, "this build has no context to take files from");
            return NULL;
        }
        in->context = open_context(in, in->request->context, in->dockerfile, err);
    }
    return in->context;
}

/* --- Images --- */

static int load_config(struct build_inputs *in,
                       struct build_image *image,
                       struct error *err)
{
    image->config =
        cas_blob_read_doc(in->env->store, &image->image.config, LIMIT_CONFIG_SIZE, err);
    if (!image->config)
        return error_wrap(err, "image config");
    if (doc_count(doc_get(doc_get(image->config, "rootfs"), "diff_ids")) !=
        image->image.layer_count)
        return error_set(err, ERROR_CORRUPT,
                         "image config names %zu layers, the manifest %zu",
                         doc_count(doc_get(doc_get(image->config, "rootfs"), "diff_ids")),
                         image->image.layer_count);
    return 0;
}

static void image_free(struct build_image *image)
{
    free(image->name);
    registry_image_release(&image->image);
    doc_unref(image->config);
    registry_reference_release(&image->ref);
    registry_layout_close(image->layout);
    free(image);
}

/* Is it in the store under that name, for that platform? Anything amiss there (another
 * platform only, a blob that is gone) means: ask the registry. */
static int find_in_store(struct build_inputs *in,
                         const struct build_image *image,
                         const struct registry_platform *platform,
                         bool *found,
                         struct registry_image *out,
                         struct error *err)
{
    CLEANUP(error_clear) struct error local = ERROR_INIT;
    CLEANUP(base_freep) char *name = registry_reference_text(&image->ref);
    struct cas_ref ref = {0};
    bool has_config = false;

    *found = false;
    if (cas_ref_find(in->env->store, name, found, &ref, err) < 0)
        return -1;
    if (!*found)
        return 0;
    *found = registry_image_load(in->env->store, &ref.target, platform, out, &local) == 0;
    cas_ref_release(&ref);
    if (*found && (cas_blob_find(in->env->store, &out->config.digest, &has_config, NULL,
                                 &local) < 0 ||
                   !has_config)) {
        registry_image_release(out);
        *found = false;
    }
    return 0;
}

static int load_image(struct build_inputs *in,
                      struct build_image *image,
                      const struct registry_platform *platform,
                      struct error *err)
{
    const struct registry_pull_options lazy = {.lazy = true,
                                               .progress = {.sink = &in->env->sink}};
    bool found = false;

    if (!in->request->pull &&
        find_in_store(in, image, platform, &found, &image->image, err) < 0)
        return -1;
    if (!found && registry_pull(in->env->registry, in->env->store, &image->ref, platform,
                                &lazy, &image->image, err) < 0)
        return -1;
    return load_config(in, image, err);
}

struct build_image *build_inputs_image(struct build_inputs *in,
                                       const char *reference,
                                       const struct registry_platform *platform,
                                       struct error *err)
{
    struct build_image *image = base_alloc(sizeof *image);

    image->env = in->env;
    if (registry_reference_parse(view_of(reference), &image->ref, err) == 0) {
        registry_reference_add_default_tag(&image->ref);
        image->name = registry_reference_text(&image->ref);
        if (load_image(in, image, platform, err) == 0)
            return image;
    }
    error_wrap(err, "%s", reference);
    image_free(image);
    return NULL;
}

static struct build_image *layout_image(struct build_inputs *in,
                                        const char *where,
                                        const struct registry_platform *platform,
                                        struct error *err)
{
    struct build_image *image = base_alloc(sizeof *image);
    struct registry_layout_name name = {0};
    struct descriptor root = {0};
    int status = registry_layout_name_parse(view_of(where), &name, err);

    image->env = in->env;
    image->name = base_strdup(where);
    if (status == 0) {
        image->layout = registry_layout_open(name.path, err);
        status = image->layout ? registry_layout_resolve(image->layout, name.tag,
                                                         &name.digest, &root, err)
                               : -1;
    }
    if (status == 0)
        status = registry_layout_load(image->layout, in->env->store, &root, platform, true,
                                      &image->image, err);
    if (status == 0)
        status = load_config(in, image, err);
    descriptor_release(&root);
    registry_layout_name_release(&name);
    if (status == 0)
        return image;
    image_free(image);
    return NULL;
}

static const char *after(const char *text, const char *prefix)
{
    const size_t size = strlen(prefix);

    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

static struct named *find_named(struct build_inputs *in, const char *name)
{
    struct error ignored = ERROR_INIT;
    char *key = short_name(name, &ignored);
    struct named *found = NULL;

    /* A stage's name need not be a reference: then no context can be named so. */
    error_clear(&ignored);
    for (size_t i = 0; key && i < in->named_count; i++)
        if (strcmp(in->named[i].name, key) == 0)
            found = &in->named[i];
    free(key);
    return found;
}

int build_inputs_named(struct build_inputs *in,
                       const char *name,
                       const struct registry_platform *platform,
                       enum build_named *kind,
                       struct build_context **context,
                       struct build_image **image,
                       struct error *err)
{
    struct named *n = find_named(in, name);
    const char *reference;

    *kind = BUILD_NAMED_NONE;
    if (!n)
        return 0;
    *kind = BUILD_NAMED_IMAGE;
    reference = after(n->value, "docker-image://");
    if (reference) {
        *image = build_inputs_image(in, reference, platform, err);
        return *image ? 0 : error_wrap(err, "build context %s", n->name);
    }
    if (after(n->value, "oci-layout:")) {
        *image = layout_image(in, n->value, platform, err);
        return *image ? 0 : error_wrap(err, "build context %s", n->name);
    }
    if (strstr(n->value, "://"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "build context %s: %s: only directories, docker-image:// and "
                         "oci-layout:// can be named contexts",
                         n->name, n->value);
    *kind = BUILD_NAMED_DIRECTORY;
    if (!n->context)
        n->context = open_context(in, n->value, NULL, err);
    *context = n->context;
    return *context ? 0 : error_wrap(err, "build context %s", n->name);
}

static int find_stored(struct build_inputs *in,
                       const char *reference,
                       const struct registry_platform *platform,
                       struct build_image **out,
                       struct error *err)
{
    struct build_image *image = base_alloc(sizeof *image);
    bool found = false;
    int status = registry_reference_parse(view_of(reference), &image->ref, err);

    if (status == 0) {
        image->env = in->env;
        registry_reference_add_default_tag(&image->ref);
        image->name = registry_reference_text(&image->ref);
        status = find_in_store(in, image, platform, &found, &image->image, err);
    }
    if (status == 0 && found)
        status = load_config(in, image, err);
    if (status == 0 && found)
        *out = image;
    else
        image_free(image);
    return status;
}

int build_inputs_find_image(struct build_inputs *in,
                            const char *reference,
                            const struct registry_platform *platform,
                            struct build_image **out,
                            struct error *err)
{
    const struct named *n = find_named(in, reference);

    *out = NULL;
    if (n && after(n->value, "docker-image://"))
        reference = after(n->value, "docker-image://");
    else if (n && after(n->value, "oci-layout:"))
        return (*out = layout_image(in, n->value, platform, err)) ? 0 : -1;
    else if (n)
        return 0;
    return find_stored(in, reference, platform, out, err);
}

void build_image_free(struct build_image *image)
{
    if (image)
        image_free(image);
}
