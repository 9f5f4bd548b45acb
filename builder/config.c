#include "builder/config.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

void build_config_init_empty(struct build_config *c, const struct registry_platform *p)
{
    struct doc *inner = doc_new_object();
    struct doc *env = doc_new_array();

    *c = (struct build_config){.root = registry_platform_doc(p)};
    doc_append_text(env, "PATH=" DEFAULT_PATH);
    doc_set(inner, "Env", env);
    doc_set_text(inner, "WorkingDir", "/");
    doc_set(c->root, "config", inner);
}

void build_config_init_base(struct build_config *c, const struct doc *base)
{
    *c = (struct build_config){.root = doc_copy(base)};
    doc_remove(c->root, "created");
    doc_remove(c->root, "rootfs");
    c->base_history_count = doc_count(doc_get(base, "history"));
    if (doc_type(doc_get(c->root, "config")) != DOC_OBJECT)
        doc_set(c->root, "config", doc_new_object());
    if (!build_config_env_get(c, VIEW_LIT("PATH"), NULL))
        build_config_env_set(c, VIEW_LIT("PATH"), VIEW_LIT(DEFAULT_PATH));
}

void build_config_copy(struct build_config *to, const struct build_config *from)
{
    to->root = doc_copy(from->root);
    to->base_history_count = from->base_history_count;
}

void build_config_release(struct build_config *c)
{
    doc_unref(c->root);
    *c = (struct build_config){0};
}

/* The tree below `root` is ours alone, so that its members may be changed in place. */
static struct doc *member(struct doc *object, const char *key, enum doc_type type)
{
    const struct doc *found = doc_get(object, key);

    if (doc_type(found) != type) {
        doc_set(object, key, type == DOC_ARRAY ? doc_new_array() : doc_new_object());
        found = doc_get(object, key);
    }
    union {
        const struct doc *in;
        struct doc *out;
    } owned = {found};
    return owned.out;
}

struct doc *build_config_inner(struct build_config *c)
{
    return member(c->root, "config", DOC_OBJECT);
}

const char *build_config_text(const struct build_config *c, const char *key)
{
    const char *text = doc_text(doc_get(doc_get(c->root, "config"), key));

    return text ? text : "";
}

void build_config_set_text(struct build_config *c, const char *key, const char *text)
{
    if (*text)
        doc_set_text(build_config_inner(c), key, text);
    else
        doc_remove(build_config_inner(c), key);
}

void build_config_set_list(struct build_config *c,
                           const char *key,
                           char *const *items,
                           size_t count)
{
    struct doc *list;

    if (!items) {
        doc_remove(build_config_inner(c), key);
        return;
    }
    list = doc_new_array();
    for (size_t i = 0; i < count; i++)
        doc_append(list, doc_new_text(view_of(items[i])));
    doc_set(build_config_inner(c), key, list);
}

void build_config_set_key(struct build_config *c,
                          const char *key,
                          const char *name,
                          const char *value)
{
    struct doc *object = member(build_config_inner(c), key, DOC_OBJECT);

    if (value)
        doc_set(object, name, doc_new_text(view_of(value)));
    else
        doc_set(object, name, doc_new_object());
}

static bool env_is(const char *entry, struct view name)
{
    return entry && strncmp(entry, name.data, name.size) == 0 &&
           (entry[name.size] == '=' || entry[name.size] == '\0');
}

void build_config_env_set(struct build_config *c, struct view name, struct view value)
{
    struct doc *old = member(build_config_inner(c), "Env", DOC_ARRAY);
    struct doc *env = doc_new_array();
    char *entry = base_format("%.*s=%.*s", VIEW_ARG(name), VIEW_ARG(value));
    bool done = false;

    for (size_t i = 0; i < doc_count(old); i++) {
        const char *text = doc_text(doc_at(old, i));

        if (!done && env_is(text, name)) {
            doc_append(env, doc_new_text(view_of(entry)));
            done = true;
        } else {
            doc_append(env, doc_copy(doc_at(old, i)));
        }
    }
    if (!done)
        doc_append(env, doc_new_text(view_of(entry)));
    doc_set(build_config_inner(c), "Env", env);
    free(entry);
}

bool build_config_env_get(const struct build_config *c,
                          struct view name,
                          struct view *value)
{
    const struct doc *env = doc_get(doc_get(c->root, "config"), "Env");

    for (size_t i = 0; i < doc_count(env); i++) {
        const char *text = doc_text(doc_at(env, i));

        if (!env_is(text, name))
            continue;
        if (value)
            *value = view_of(text[name.size] ? text + name.size + 1 : text + name.size);
        return true;
    }
    return false;
}

void build_config_history(struct build_config *c, const char *created_by, bool empty_layer)
{
    struct doc *entry = doc_new_object();

    doc_set(entry, "created_by", doc_new_text(view_of(created_by)));
    doc_set_text(entry, "comment", "cooper");
    if (empty_layer)
        doc_set_bool(entry, "empty_layer", true);
    doc_append(member(c->root, "history", DOC_ARRAY), entry);
}
