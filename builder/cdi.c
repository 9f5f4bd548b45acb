#include "builder/cdi.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/number.h"
#include "parser/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ANNOTATION_CLASS "org.mobyproject.buildkit.device.class"
#define ANNOTATION_ALLOW "org.mobyproject.buildkit.device.autoallow"

static const char default_directories[] = "/etc/cdi:/var/run/cdi:/etc/buildkit/cdi";

struct build_cdi {
    pthread_mutex_t lock; /* guards the reading; read-only afterwards */
    bool read;
    struct build_cdi_device *devices;
    size_t count;
    size_t room;
    struct doc **specs;
    size_t spec_count;
    size_t spec_room;
};

struct build_cdi *build_cdi_new(void)
{
    struct build_cdi *c = base_alloc(sizeof *c);

    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void build_cdi_free(struct build_cdi *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->devices[i].name);
        free(c->devices[i].kind);
        free(c->devices[i].file);
    }
    for (size_t i = 0; i < c->spec_count; i++)
        doc_unref(c->specs[i]);
    free(c->devices);
    free(c->specs);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *build_cdi_directories(void)
{
    const char *given = getenv("COOPER_CDI_DIRS");

    return given && *given ? given : default_directories;
}

/* --- Reading --- */

/* "vendor.com/class": one slash, and neither side empty. */
static bool is_kind(const char *kind)
{
    const char *slash = kind ? strchr(kind, '/') : NULL;

    return slash && slash != kind && slash[1] != '\0' && !strchr(slash + 1, '/') &&
           !strchr(kind, '=');
}

static void device_add(struct build_cdi *c,
                       const char *kind,
                       const char *name,
                       const struct doc *spec,
                       const struct doc *device,
                       const char *file)
{
    CLEANUP(base_freep) char *full = base_format("%s=%s", kind, name);
    struct build_cdi_device *d = NULL;

    for (size_t i = 0; i < c->count && !d; i++)
        if (strcmp(c->devices[i].name, full) == 0)
            d = &c->devices[i];
    if (d) {
        d->spec = spec;
        d->device = device;
        free(d->file);
        d->file = base_strdup(file);
        return;
    }
    c->devices = base_grow(c->devices, c->count, &c->room, sizeof *c->devices);
    c->devices[c->count++] = (struct build_cdi_device){base_strdup(full), base_strdup(kind),
                                                       spec, device, base_strdup(file)};
}

static int spec_add(struct build_cdi *c,
                    struct doc *spec,
                    const char *file,
                    struct error *err)
{
    const char *kind = doc_text(doc_get(spec, "kind"));
    const struct doc *devices = doc_get(spec, "devices");

    c->specs = base_grow(c->specs, c->spec_count, &c->spec_room, sizeof(struct doc *));
    c->specs[c->spec_count++] = spec;
    if (!doc_text(doc_get(spec, "cdiVersion")) || !is_kind(kind))
        return error_set(err, ERROR_INVALID,
                         "no CDI specification: cdiVersion and kind (vendor/class) are "
                         "needed");
    for (size_t i = 0; i < doc_count(devices); i++) {
        const struct doc *device = doc_at(devices, i);
        const char *name = doc_text(doc_get(device, "name"));

        if (!name || !*name)
            return error_set(err, ERROR_INVALID, "device %zu has no name", i + 1);
        device_add(c, kind, name, spec, device, file);
    }
    return 0;
}

static int file_read(struct build_cdi *c, const char *path, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    struct doc *spec;

    if (fs_read_file_at(AT_FDCWD, path, &text, err) < 0)
        return -1;
    spec = view_ends(view_of(path), ".json") ? doc_parse(buf_view(&text), err)
                                             : yaml_doc_parse(buf_view(&text), err);
    if (!spec || spec_add(c, spec, path, err) < 0)
        return error_wrap(err, "%s", path);
    return 0;
}

static int is_spec(const struct dirent *e)
{
    const struct view name = view_of(e->d_name);

    return e->d_name[0] != '.' && (view_ends(name, ".json") || view_ends(name, ".yaml") ||
                                   view_ends(name, ".yml"));
}

static int directory_read(struct build_cdi *c, const char *directory, struct error *err)
{
    struct dirent **names;
    const int count = scandir(directory, &names, is_spec, alphasort);
    int status = 0;

    if (count < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "%s", directory);
    for (int i = 0; i < count; i++) {
        CLEANUP(base_freep) char *path = base_format("%s/%s", directory, names[i]->d_name);

        if (status == 0)
            status = file_read(c, path, err);
        free(names[i]);
    }
    free(names);
    return status;
}

static int read_all(struct build_cdi *c, struct error *err)
{
    struct view rest = view_of(build_cdi_directories());

    while (rest.size > 0) {
        struct view one;

        view_cut(rest, ':', &one, &rest);
        CLEANUP(base_freep) char *directory = view_dup(one);
        if (one.size > 0 && directory_read(c, directory, err) < 0)
            return error_wrap(err, "CDI");
    }
    return 0;
}

/* --- Finding --- */

/* The device's own annotation, else its specification's. */
static const char *annotation(const struct build_cdi_device *d, const char *key)
{
    const char *own = doc_text(doc_get(doc_get(d->device, "annotations"), key));

    return own ? own : doc_text(doc_get(doc_get(d->spec, "annotations"), key));
}

static bool has_class(const struct build_cdi_device *d, const char *name)
{
    const char *class = annotation(d, ANNOTATION_CLASS);

    return class && strcmp(class, name) == 0;
}

static bool matches(const struct build_cdi_device *d, struct view kind, struct view name)
{
    return view_eq_text(kind, d->kind) &&
           (name.size == 0 || view_eq_text(name, "*") ||
            view_eq_text(name, d->name + strlen(d->kind) + 1));
}

static size_t find(const struct build_cdi *c,
                   const char *wanted,
                   const struct build_cdi_device **out)
{
    struct view kind, name;
    size_t count = 0;

    view_cut(view_of(wanted), '=', &kind, &name);
    for (size_t i = 0; i < c->count; i++) {
        if (!matches(&c->devices[i], kind, name))
            continue;
        out[count++] = &c->devices[i];
        if (!view_eq_text(name, "*"))
            return count;
    }
    const bool none = count == 0;
    for (size_t i = 0; none && i < c->count; i++)
        if (has_class(&c->devices[i], wanted))
            out[count++] = &c->devices[i];
    return count;
}

int build_cdi_find(struct build_cdi *c,
                   const char *name,
                   const struct build_cdi_device ***out,
                   size_t *count,
                   struct error *err)
{
    int status = 0;

    pthread_mutex_lock(&c->lock);
    if (!c->read)
        status = read_all(c, err);
    c->read |= status == 0;
    pthread_mutex_unlock(&c->lock);
    if (status < 0)
        return -1;
    *out = base_alloc_array(c->count + 1, sizeof **out);
    *count = find(c, name, *out);
    return 0;
}

bool build_cdi_is_allowed(const struct build_cdi_device *d)
{
    const char *text = annotation(d, ANNOTATION_ALLOW);
    bool value = false;

    return text && dockerfile_bool_parse(view_of(text), &value) && value;
}
