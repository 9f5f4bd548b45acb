/* The three forms in which registries are configured, read into the same rules. */
#include "registry/hosts_priv.h"

#include "base/alloc.h"
#include "registry/toml.h"

#include <stdlib.h>
#include <string.h>

static void set_text(char **to, const char *value)
{
    free(*to);
    *to = value && *value ? base_strdup(value) : NULL;
}

static int parse_only(const char *text, enum hosts_only *out, struct error *err)
{
    static const char *const names[] = {"all", "digest-only", "tag-only"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum hosts_only)i;
            return 0;
        }
    }
    return error_set(err, ERROR_INVALID,
                     "pull-from-mirror is all, digest-only or tag-only, not '%.40s'", text);
}

/* ---- registries.conf ---- */

struct containers {
    struct hosts_rules *rules;
    struct hosts_rule *rule;    /* of the [[registry]] that is being read, or NULL */
    struct hosts_place *mirror; /* of its [[registry.mirror]], or NULL */
};

static int want(const struct toml_item *item, enum toml_type type, struct error *err)
{
    if (item->type == type)
        return 0;
    return error_set(err, ERROR_INVALID, "%s is not %s", item->key,
                     type == TOML_TEXT ? "a text" : "true or false");
}

static int containers_finish(struct containers *c, struct error *err)
{
    const int rc = c->rule ? hosts_rule_check(c->rule, err) : 0;

    c->rule = NULL;
    c->mirror = NULL;
    return rc;
}

static int containers_table(struct containers *c,
                            const struct toml_item *item,
                            struct error *err)
{
    const bool is_item = item->event == TOML_ITEM;

    if (strcmp(item->table, "registries") == 0 ||
        strncmp(item->table, "registries.", 11) == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "[%s] is version 1 of registries.conf; write [[registry]] tables",
                         item->table);
    if (strcmp(item->table, "registry.mirror") == 0 && is_item && c->rule) {
        c->mirror = hosts_rule_add_mirror(c->rule);
        return 0;
    }
    if (containers_finish(c, err) < 0)
        return -1;
    if (strcmp(item->table, "registry") == 0 && is_item)
        c->rule = hosts_rules_add(c->rules);
    return 0;
}

static int containers_place_key(struct hosts_place *place,
                                const struct toml_item *item,
                                struct error *err)
{
    const bool is_location = strcmp(item->key, "location") == 0;

    if (strcmp(item->key, "insecure") == 0) {
        place->is_insecure = item->flag;
        return want(item, TOML_BOOL, err);
    }
    if (strcmp(item->key, "pull-from-mirror") != 0 && !is_location)
        return 0;
    if (want(item, TOML_TEXT, err) < 0)
        return -1;
    if (!is_location)
        return parse_only(item->text, &place->only, err);
    set_text(&place->location, item->text);
    return 0;
}

static int containers_rule_key(struct hosts_rule *rule,
                               const struct toml_item *item,
                               struct error *err)
{
    if (strcmp(item->key, "blocked") == 0) {
        rule->is_blocked = item->flag;
        return want(item, TOML_BOOL, err);
    }
    if (strcmp(item->key, "mirror-by-digest-only") == 0) {
        rule->mirrors_by_digest_only = item->flag;
        return want(item, TOML_BOOL, err);
    }
    if (strcmp(item->key, "mirror") == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "mirrors are read as [[registry.mirror]] tables only");
    if (strcmp(item->key, "prefix") != 0)
        return containers_place_key(&rule->place, item, err);
    if (want(item, TOML_TEXT, err) < 0)
        return -1;
    set_text(&rule->prefix, item->text);
    return 0;
}

static int containers_item(void *context, const struct toml_item *item, struct error *err)
{
    struct containers *c = context;

    if (item->event != TOML_KEY)
        return containers_table(c, item, err);
    if (c->mirror)
        return containers_place_key(c->mirror, item, err);
    return c->rule ? containers_rule_key(c->rule, item, err) : 0;
}

int hosts_read_containers(struct hosts_rules *r, struct view text, struct error *err)
{
    struct containers c = {.rules = r};

    if (toml_parse(text, containers_item, &c, err) < 0)
        return -1;
    return containers_finish(&c, err);
}

/* ---- daemon.json ---- */

/* "https://HOST[:PORT][/PATH]/": docker's mirrors are those of Docker Hub. */
static int docker_mirror(struct hosts_rule *rule, const char *url, struct error *err)
{
    struct hosts_place *mirror = hosts_rule_add_mirror(rule);
    struct view v = view_of(url);

    mirror->is_insecure = view_starts(v, "http://");
    if (view_starts(v, "https://"))
        v = view_sub(v, 8, v.size);
    else if (mirror->is_insecure)
        v = view_sub(v, 7, v.size);
    else
        return error_set(err, ERROR_INVALID, "registry-mirrors: '%.200s' is no URL", url);
    while (v.size > 0 && v.data[v.size - 1] == '/')
        v.size--;
    mirror->location = view_dup(v);
    return 0;
}

static int docker_mirrors(struct hosts_rules *r, const struct doc *urls, struct error *err)
{
    if (doc_count(urls) == 0)
        return 0;
    struct hosts_rule *rule = hosts_rules_add(r);
    rule->prefix = base_strdup("docker.io");
    for (size_t i = 0; i < doc_count(urls); i++) {
        const char *url = doc_text(doc_at(urls, i));

        if (!url)
            return error_set(err, ERROR_INVALID, "registry-mirrors is no list of texts");
        if (docker_mirror(rule, url, err) < 0)
            return -1;
    }
    return hosts_rule_check(rule, err);
}

int hosts_read_docker(struct hosts_rules *r, struct view text, struct error *err)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_parse(text, err);
    const struct doc *insecure = doc_get(d, "insecure-registries");

    if (!d || docker_mirrors(r, doc_get(d, "registry-mirrors"), err) < 0)
        return -1;
    for (size_t i = 0; i < doc_count(insecure); i++) {
        const char *host = doc_text(doc_at(insecure, i));

        if (!host)
            return error_set(err, ERROR_INVALID, "insecure-registries is no list of texts");
        /* A network: loopback, which docker lists so, is trusted anyway. */
        if (strchr(host, '/'))
            continue;
        struct hosts_rule *rule = hosts_rules_add(r);
        rule->prefix = base_strdup(host);
        rule->place.is_insecure = true;
        if (hosts_rule_check(rule, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- registries.yaml ---- */

static int own_text(const struct doc *value, const char *key, char **out, struct error *err)
{
    const char *text = doc_text(value);

    if (!text)
        return error_set(err, ERROR_INVALID, "%s is not a text", key);
    set_text(out, text);
    return 0;
}

static int own_flag(const struct doc *value, const char *key, bool *out, struct error *err)
{
    if (doc_type(value) != DOC_BOOL)
        return error_set(err, ERROR_INVALID, "%s is not true or false", key);
    *out = doc_bool(value);
    return 0;
}

static int own_file(const struct doc *value, const char *key, char **out, struct error *err)
{
    if (own_text(value, key, out, err) < 0)
        return -1;
    if (*out && **out == '/')
        return 0;
    return error_set(err, ERROR_INVALID, "%s is not an absolute path", key);
}

/* *known: the key is one that places have. */
static int own_place_key(struct hosts_place *place,
                         const char *key,
                         const struct doc *value,
                         bool *known,
                         struct error *err)
{
    *known = true;
    if (strcmp(key, "location") == 0)
        return own_text(value, key, &place->location, err);
    if (strcmp(key, "insecure") == 0)
        return own_flag(value, key, &place->is_insecure, err);
    if (strcmp(key, "ca") == 0)
        return own_file(value, key, &place->ca_file, err);
    if (strcmp(key, "cert") == 0)
        return own_file(value, key, &place->cert_file, err);
    if (strcmp(key, "key") == 0)
        return own_file(value, key, &place->key_file, err);
    *known = false;
    return 0;
}

static int unknown_key(const char *key, struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "'%.100s' is unknown here: there are prefix, location, insecure, ca, "
                     "cert, key, blocked and mirrors; of mirrors also pull-from-mirror",
                     key);
}

static int own_mirror(struct hosts_place *mirror, const struct doc *map, struct error *err)
{
    const struct doc *value = NULL;
    bool known;

    /* A text alone is its location. */
    if (doc_text(map))
        return own_text(map, "mirrors", &mirror->location, err);
    for (const char *key = NULL; doc_next(map, &key, &value);) {
        if (own_place_key(mirror, key, value, &known, err) < 0)
            return -1;
        if (!known && strcmp(key, "pull-from-mirror") != 0)
            return unknown_key(key, err);
        if (!known &&
            (!doc_text(value) || parse_only(doc_text(value), &mirror->only, err) < 0))
            return doc_text(value) ? -1
                                   : error_set(err, ERROR_INVALID, "%s is not a text", key);
    }
    return 0;
}

static int own_mirrors(struct hosts_rule *rule, const struct doc *list, struct error *err)
{
    if (doc_type(list) != DOC_ARRAY)
        return error_set(err, ERROR_INVALID, "mirrors is not a list");
    for (size_t i = 0; i < doc_count(list); i++) {
        if (own_mirror(hosts_rule_add_mirror(rule), doc_at(list, i), err) < 0)
            return error_wrap(err, "mirror %zu", i + 1);
    }
    return 0;
}

static int own_rule(struct hosts_rule *rule, const struct doc *map, struct error *err)
{
    const struct doc *value = NULL;

    if (doc_type(map) != DOC_OBJECT)
        return error_set(err, ERROR_INVALID, "it is not a mapping");
    for (const char *key = NULL; doc_next(map, &key, &value);) {
        bool known = true;
        int rc;

        if (strcmp(key, "prefix") == 0)
            rc = own_text(value, key, &rule->prefix, err);
        else if (strcmp(key, "blocked") == 0)
            rc = own_flag(value, key, &rule->is_blocked, err);
        else if (strcmp(key, "mirrors") == 0)
            rc = own_mirrors(rule, value, err);
        else
            rc = own_place_key(&rule->place, key, value, &known, err);
        if (rc < 0)
            return -1;
        if (!known)
            return unknown_key(key, err);
    }
    return hosts_rule_check(rule, err);
}

int hosts_read_own(struct hosts_rules *r, const struct doc *config, struct error *err)
{
    const struct doc *list = doc_get(config, "registries"), *value = NULL;

    for (const char *key = NULL; doc_next(config, &key, &value);) {
        if (strcmp(key, "registries") != 0)
            return error_set(err, ERROR_INVALID, "'%.100s' is unknown: there is registries",
                             key);
    }
    if (list && doc_type(list) != DOC_ARRAY)
        return error_set(err, ERROR_INVALID, "registries is not a list");
    for (size_t i = 0; i < doc_count(list); i++) {
        if (own_rule(hosts_rules_add(r), doc_at(list, i), err) < 0)
            return error_wrap(err, "registry %zu", i + 1);
    }
    return 0;
}
