#include "builder/run_spec.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>

/* docker's, for images that set none. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void run_texts_release(struct run_texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->items[i]);
    free(t->items);
    *t = (struct run_texts){0};
}

const char *const *run_texts_list(const struct run_texts *t)
{
    return (const char *const *)t->items;
}

/* Takes ownership of `text`; room for the NULL at the end is kept. */
static void texts_add(struct run_texts *t, char *text)
{
    t->items = base_grow(t->items, t->count + 1, &t->capacity, sizeof(char *));
    t->items[t->count++] = text;
    t->items[t->count] = NULL;
}

static void texts_add_list(struct run_texts *t, const struct doc *list)
{
    for (size_t i = 0; i < doc_count(list); i++) {
        const char *const text = doc_text(doc_at(list, i));

        if (text != NULL)
            texts_add(t, base_strdup(text));
    }
}

/* --- Arguments ---------------------------------------------------------------------- */

int run_spec_argv(const struct doc *config,
                  const struct build_run_options *options,
                  struct run_texts *out,
                  struct error *err)
{
    const struct doc *const inner = doc_get(config, "config");

    if (options->entrypoint == NULL)
        texts_add_list(out, doc_get(inner, "Entrypoint"));
    else if (options->entrypoint[0] != '\0')
        texts_add(out, base_strdup(options->entrypoint));
    for (size_t i = 0; i < options->argc; i++)
        texts_add(out, base_strdup(options->argv[i]));
    /* Another entrypoint makes the image's Cmd meaningless: those are its arguments. */
    if (options->argc == 0 && options->entrypoint == NULL)
        texts_add_list(out, doc_get(inner, "Cmd"));
    if (out->count == 0)
        return error_set(err, ERROR_INVALID,
                         "the image has neither Entrypoint nor Cmd: name a command");
    return 0;
}

/* --- Environment -------------------------------------------------------------------- */

static bool env_names(const char *entry, const char *name)
{
    const size_t size = strlen(name);

    return strncmp(entry, name, size) == 0 && (entry[size] == '=' || entry[size] == '\0');
}

/* Replaces the variable in its place, or appends it. */
static void env_set(struct run_texts *env, const char *name, const char *value)
{
    char *const entry = base_format("%s=%s", name, value);

    for (size_t i = 0; i < env->count; i++) {
        if (!env_names(env->items[i], name))
            continue;
        free(env->items[i]);
        env->items[i] = entry;
        return;
    }
    texts_add(env, entry);
}

static void env_default(struct run_texts *env, const char *name, const char *value)
{
    for (size_t i = 0; i < env->count; i++) {
        if (env_names(env->items[i], name))
            return;
    }
    env_set(env, name, value);
}

void run_spec_env(const struct doc *config,
                  const struct build_run_options *options,
                  const char *home,
                  const char *hostname,
                  struct run_texts *out)
{
    texts_add_list(out, doc_get(doc_get(config, "config"), "Env"));
    env_default(out, "PATH", DEFAULT_PATH);
    env_default(out, "HOSTNAME", hostname);
    env_default(out, "HOME", home);
    if (options->tty)
        env_default(out, "TERM", "xterm");
    for (size_t i = 0; i < options->env_count; i++) {
        if (options->env[i].value != NULL)
            env_set(out, options->env[i].name, options->env[i].value);
    }
}

/* --- Mounts ------------------------------------------------------------------------- */

void run_mounts_release(struct run_mounts *m)
{
    for (size_t i = 0; i < m->count; i++) {
        union {
            const char *in;
            char *out;
        } target = {m->items[i].target};

        free(target.out);
        fd_closep(&m->items[i].source_fd);
    }
    free(m->items);
    *m = (struct run_mounts){0};
}

/* "TARGET[:ro|:rw]" */
static int volume_add(const struct build_pair *volume,
                      struct sandbox_mount *out,
                      struct error *err)
{
    struct view target;
    struct view mode;
    const bool has_mode = view_cut(view_of(volume->value), ':', &target, &mode);

    *out = (struct sandbox_mount){.type = SANDBOX_MOUNT_BIND, .source_fd = -1};
    if (has_mode && !view_eq_text(mode, "ro") && !view_eq_text(mode, "rw"))
        return error_set(err, ERROR_INVALID, "volume %s: the mode is ro or rw, not '%.*s'",
                         volume->name, VIEW_ARG(mode));
    out->readonly = has_mode && view_eq_text(mode, "ro");
    out->source_fd = fs_open_at(AT_FDCWD, volume->name, O_PATH | O_CLOEXEC, 0, err);
    if (out->source_fd < 0)
        return error_wrap(err, "volume");
    out->target = view_dup(target);
    return 0;
}

static bool size_read(struct view text, uint64_t *out)
{
    static const char units[] = "kmg";
    unsigned shift = 0;

    if (text.size > 0) {
        const char last = text.data[text.size - 1];
        const char *const unit = last != '\0' ? strchr(units, last | 0x20) : NULL;

        if (unit != NULL) {
            shift = 10u * (unsigned)(unit - units + 1);
            text.size--;
        }
    }
    if (!view_to_u64(text, out) || *out > UINT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

static bool mode_read(struct view text, mode_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || *out > 0777)
            return false;
        *out = *out * 8 + (mode_t)(text.data[i] - '0');
    }
    return text.size > 0;
}

/* "size=64m,mode=1777" */
static int tmpfs_add(const struct build_pair *tmpfs,
                     struct sandbox_mount *out,
                     struct error *err)
{
    struct view rest = view_of(tmpfs->value);
    struct view field;
    struct view key;
    struct view value;

    *out = (struct sandbox_mount){.type = SANDBOX_MOUNT_TMPFS, .source_fd = -1};
    while (rest.size > 0) {
        view_cut(rest, ',', &field, &rest);
        view_cut(field, '=', &key, &value);
        if ((view_eq_text(key, "size") && size_read(value, &out->size)) ||
            (view_eq_text(key, "mode") && mode_read(value, &out->mode)))
            continue;
        return error_set(err, ERROR_INVALID,
                         "tmpfs %s: '%.*s' is neither size=SIZE nor mode=MODE", tmpfs->name,
                         VIEW_ARG(field));
    }
    out->target = base_strdup(tmpfs->name);
    return 0;
}

int run_spec_mounts(const struct build_run_options *options,
                    struct run_mounts *out,
                    struct error *err)
{
    out->items = base_alloc_array(options->tmpfs_count + options->volume_count + 1,
                                  sizeof out->items[0]);
    for (size_t i = 0; i < options->tmpfs_count; i++) {
        if (tmpfs_add(&options->tmpfs[i], &out->items[out->count++], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < options->volume_count; i++) {
        if (volume_add(&options->volumes[i], &out->items[out->count++], err) < 0)
            return -1;
    }
    return 0;
}
