/* Which files there are, and in which order they count. */
#include "registry/hosts_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* A file's text; *found false if there is none. */
static int read_file(const char *path, bool *found, struct buf *out, struct error *err)
{
    CLEANUP(error_clear) struct error failure = ERROR_INIT;

    *found = fs_read_file_at(AT_FDCWD, path, out, &failure) == 0;
    return *found || error_is(&failure, ERROR_NOT_FOUND) || failure.sys == ENOTDIR
               ? 0
               : error_move(err, &failure);
}

enum form { FORM_OWN, FORM_CONTAINERS, FORM_DOCKER };

static int read_own(const struct hosts_dirs *h,
                    struct hosts_rules *rules,
                    struct view text,
                    struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = NULL;

    if (view_trim(text).size == 0)
        return 0;
    d = h->parse_yaml(text, err);
    return d ? hosts_read_own(rules, d, err) : -1;
}

static int read_form(const struct hosts_dirs *h,
                     struct hosts_rules *rules,
                     enum form form,
                     const char *path,
                     bool *found,
                     struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    int rc = 0;

    if (read_file(path, found, &text, err) < 0)
        return -1;
    if (!*found)
        return 0;
    switch (form) {
    case FORM_OWN:
        rc = read_own(h, rules, buf_view(&text), err);
        break;
    case FORM_CONTAINERS:
        rc = hosts_read_containers(rules, buf_view(&text), err);
        break;
    case FORM_DOCKER:
        rc = hosts_read_docker(rules, buf_view(&text), err);
        break;
    }
    return rc < 0 ? error_wrap(err, "%s", path) : 0;
}

/* DIR/NAME of the user's configuration or (NULL) of the machine's; *found false too where
 * the user has no such directory. */
static int read_below(const struct hosts_dirs *h,
                      struct hosts_rules *rules,
                      enum form form,
                      const char *dir,
                      const char *name,
                      bool *found,
                      struct error *err)
{
    *found = false;
    if (!dir)
        return 0;
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);
    return read_form(h, rules, form, path, found, err);
}

static int is_conf(const struct dirent *entry)
{
    return view_ends(view_of(entry->d_name), ".conf");
}

/* Files beside registries.conf; the last by name counts most, and so comes first here. */
static int read_drop_ins(const struct hosts_dirs *h,
                         struct hosts_rules *rules,
                         const char *dir,
                         struct error *err)
{
    struct dirent **entries = NULL;
    int rc = 0;

    if (!dir)
        return 0;
    CLEANUP(base_freep) char *path = base_format("%s/containers/registries.conf.d", dir);
    const int count = scandir(path, &entries, is_conf, alphasort);
    for (int i = count; i-- > 0;) {
        CLEANUP(base_freep) char *file = base_format("%s/%s", path, entries[i]->d_name);
        bool found;

        if (rc == 0)
            rc = read_form(h, rules, FORM_CONTAINERS, file, &found, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int read_own_files(const struct hosts_dirs *h,
                          struct hosts_rules *rules,
                          struct error *err)
{
    const char *given = getenv("COOPER_REGISTRIES");
    bool found;

    if (!h->parse_yaml)
        return 0;
    if (given && *given) {
        if (read_form(h, rules, FORM_OWN, given, &found, err) < 0)
            return -1;
        if (!found)
            return error_set(err, ERROR_NOT_FOUND, "$COOPER_REGISTRIES: there is no %s",
                             given);
    } else if (read_below(h, rules, FORM_OWN, h->config, "cooper/registries.yaml", &found,
                          err) < 0) {
        return -1;
    }
    return read_below(h, rules, FORM_OWN, h->etc, "cooper/registries.yaml", &found, err);
}

static int read_containers_files(const struct hosts_dirs *h,
                                 struct hosts_rules *rules,
                                 struct error *err)
{
    static const char name[] = "containers/registries.conf";
    const char *given = getenv("CONTAINERS_REGISTRIES_CONF");
    bool found;

    if (read_drop_ins(h, rules, h->config, err) < 0 ||
        read_drop_ins(h, rules, h->etc, err) < 0)
        return -1;
    if (given && *given)
        return read_form(h, rules, FORM_CONTAINERS, given, &found, err);
    if (read_below(h, rules, FORM_CONTAINERS, h->config, name, &found, err) < 0)
        return -1;
    return found ? 0 : read_below(h, rules, FORM_CONTAINERS, h->etc, name, &found, err);
}

static int read_docker_files(const struct hosts_dirs *h,
                             struct hosts_rules *rules,
                             struct error *err)
{
    bool found;

    if (read_below(h, rules, FORM_DOCKER, h->config, "docker/daemon.json", &found, err) < 0)
        return -1;
    return found ? 0
                 : read_below(h, rules, FORM_DOCKER, h->etc, "docker/daemon.json", &found,
                              err);
}

int hosts_read_all(const struct hosts_dirs *h, struct hosts_rules *rules, struct error *err)
{
    if (read_own_files(h, rules, err) < 0 || read_containers_files(h, rules, err) < 0)
        return -1;
    return read_docker_files(h, rules, err);
}
