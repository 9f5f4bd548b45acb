#include "registry/hosts.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "registry/hosts_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What was found out about a host; kept, as its texts are lent out. */
struct host_trust {
    struct host_trust *next;
    char *host;
    struct hosts_certs certs;
    struct registry_host_trust trust;
    bool is_lost; /* a mirror that does not answer */
};

struct registry_hosts {
    bool reads_files;
    struct hosts_dirs dirs; /* its texts are ours */
    pthread_mutex_t lock; /* guards all below; the rules do not change once they are read */
    bool is_read;
    struct error failure; /* of the reading: told each time */
    struct hosts_rules rules;
    struct host_trust *trusts;
};

/* ---- Rules ---- */

static void place_release(struct hosts_place *p)
{
    free(p->location);
    free(p->ca_file);
    free(p->cert_file);
    free(p->key_file);
}

void hosts_rules_release(struct hosts_rules *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct hosts_rule *rule = &r->items[i];

        free(rule->prefix);
        place_release(&rule->place);
        for (size_t n = 0; n < rule->mirror_count; n++)
            place_release(&rule->mirrors[n]);
        free(rule->mirrors);
    }
    free(r->items);
    *r = (struct hosts_rules){0};
}

struct hosts_rule *hosts_rules_add(struct hosts_rules *r)
{
    r->items = base_grow(r->items, r->count, &r->capacity, sizeof *r->items);
    r->items[r->count] = (struct hosts_rule){0};
    return &r->items[r->count++];
}

struct hosts_place *hosts_rule_add_mirror(struct hosts_rule *rule)
{
    rule->mirrors =
        base_realloc_array(rule->mirrors, rule->mirror_count + 1, sizeof *rule->mirrors);
    rule->mirrors[rule->mirror_count] = (struct hosts_place){0};
    return &rule->mirrors[rule->mirror_count++];
}

/* HOST[:PORT][/PATH]: what with a name behind it is a reference (of two parts, as Docker
 * Hub puts something before a single one). */
static bool is_location(const char *text)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* the caller says what is wrong */
    CLEANUP(registry_reference_release) struct registry_reference r = {0};
    CLEANUP(base_freep) char *name = base_format("%s/x/x", text);
    CLEANUP(base_freep) char *full = NULL;

    if (registry_reference_parse(view_of(name), &r, &ignored) < 0)
        return false;
    full = registry_reference_name(&r);
    return strcmp(full, name) == 0 && !r.tag && !digest_is_set(&r.digest);
}

static int check_location(const char *text, const char *what, struct error *err)
{
    if (is_location(text))
        return 0;
    return error_set(err, ERROR_INVALID, "%s '%.200s' is not HOST[:PORT][/PATH]", what,
                     text);
}

int hosts_rule_check(struct hosts_rule *rule, struct error *err)
{
    if (!rule->prefix)
        rule->prefix = base_strdup(rule->place.location);
    if (!rule->prefix)
        return error_set(err, ERROR_INVALID, "a registry has neither prefix nor location");
    /* "*.example.org": any host below it. */
    const char *prefix = rule->prefix + (strncmp(rule->prefix, "*.", 2) == 0 ? 2 : 0);
    if (check_location(prefix, "prefix", err) < 0 ||
        (rule->place.location && check_location(rule->place.location, "location", err) < 0))
        return -1;
    for (size_t i = 0; i < rule->mirror_count; i++) {
        if (!rule->mirrors[i].location)
            return error_set(err, ERROR_INVALID, "a mirror of %s has no location",
                             rule->prefix);
        if (check_location(rule->mirrors[i].location, "mirror", err) < 0)
            return -1;
    }
    if (!rule->place.cert_file != !rule->place.key_file)
        return error_set(err, ERROR_INVALID, "%s: cert and key go together", rule->prefix);
    return 0;
}

/* ---- Reading ---- */

/* The caller holds the lock. 0, or -1 with what was wrong the first time. */
static int read_locked(struct registry_hosts *h, struct error *err)
{
    if (!h->is_read) {
        h->is_read = true;
        if (h->reads_files && hosts_read_all(&h->dirs, &h->rules, &h->failure) < 0)
            hosts_rules_release(&h->rules);
    }
    if (h->failure.code == ERROR_NONE)
        return 0;
    return error_set(err, h->failure.code, "%s", error_text(&h->failure));
}

static int require_rules(struct registry_hosts *h, struct error *err)
{
    pthread_mutex_lock(&h->lock);
    const int rc = read_locked(h, err);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* ---- Life ---- */

static char *config_dir(const struct registry_hosts_options *o)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (o->home)
        return base_strdup(o->home);
    if (xdg && *xdg == '/')
        return base_strdup(xdg);
    return home && *home ? base_format("%s/.config", home) : NULL;
}

struct registry_hosts *registry_hosts_new(const struct registry_hosts_options *options)
{
    static const struct registry_hosts_options none = {0};
    const struct registry_hosts_options *o = options ? options : &none;
    struct registry_hosts *h = base_alloc(sizeof *h);

    h->reads_files = o->reads_files;
    h->dirs = (struct hosts_dirs){
        .etc = base_strdup(o->etc ? o->etc : "/etc"),
        .config = config_dir(o),
        .parse_yaml = o->parse_yaml,
    };
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void registry_hosts_free(struct registry_hosts *h)
{
    if (!h)
        return;
    for (struct host_trust *t = h->trusts, *next; t; t = next) {
        next = t->next;
        free(t->host);
        free(t->certs.ca_file);
        free(t->certs.cert_file);
        free(t->certs.key_file);
        fd_closep(&t->certs.ca_fd);
        free(t);
    }
    hosts_rules_release(&h->rules);
    error_clear(&h->failure);
    pthread_mutex_destroy(&h->lock);
    free(h->dirs.etc);
    free(h->dirs.config);
    free(h);
}

/* ---- Where a name is ---- */

/* How much of `name` the prefix takes; 0: it does not fit. */
static size_t prefix_fit(const char *prefix, const char *name)
{
    const size_t size = strlen(prefix);

    if (strncmp(prefix, "*.", 2) == 0) {
        struct view host, rest;

        (void)view_cut(view_of(name), '/', &host, &rest);
        return host.size > size - 1 && view_ends(host, prefix + 1) ? host.size : 0;
    }
    if (strncmp(prefix, name, size) != 0)
        return 0;
    return name[size] == '\0' || name[size] == '/' ? size : 0;
}

/* How much a rule says of a name that it fits: one that names the host says more than a
 * "*." that covers it. */
static size_t prefix_weight(const char *prefix)
{
    return strlen(prefix) - (prefix[0] == '*');
}

static const struct hosts_rule *find_rule(const struct hosts_rules *r,
                                          const char *name,
                                          size_t *fit)
{
    const struct hosts_rule *best = NULL;
    size_t best_weight = 0;

    for (size_t i = 0; i < r->count; i++) {
        const size_t size = prefix_fit(r->items[i].prefix, name);

        if (size > 0 && (!best || prefix_weight(r->items[i].prefix) > best_weight)) {
            best = &r->items[i];
            best_weight = prefix_weight(best->prefix);
            *fit = size;
        }
    }
    return best;
}

void registry_endpoints_release(struct registry_endpoints *e)
{
    for (size_t i = 0; i < e->count; i++)
        registry_reference_release(&e->items[i].repository);
    free(e->items);
    *e = (struct registry_endpoints){0};
}

/* The name with its first `fit` bytes replaced by the location, split into host and path.
 */
static void add_endpoint(struct registry_endpoints *out,
                         const char *location,
                         const char *name,
                         size_t fit,
                         bool is_mirror)
{
    CLEANUP(base_freep)
    char *full = location ? base_format("%s%s", location, name + fit) : base_strdup(name);
    struct view host, path;

    (void)view_cut(view_of(full), '/', &host, &path);
    out->items = base_realloc_array(out->items, out->count + 1, sizeof *out->items);
    out->items[out->count++] = (struct registry_endpoint){
        .repository = {.host = view_dup(host), .path = view_dup(path)},
        .is_mirror = is_mirror,
    };
}

static bool serves(const struct hosts_rule *rule,
                   const struct hosts_place *mirror,
                   enum registry_hosts_use use)
{
    switch (use) {
    case REGISTRY_HOSTS_PUSH:
        return false;
    case REGISTRY_HOSTS_PULL_TAG:
        return mirror->only != HOSTS_ONLY_DIGEST && !rule->mirrors_by_digest_only;
    case REGISTRY_HOSTS_PULL_IMMUTABLE:
        return mirror->only != HOSTS_ONLY_TAG;
    }
    abort();
}

int registry_hosts_find(struct registry_hosts *h,
                        const struct registry_reference *ref,
                        enum registry_hosts_use use,
                        struct registry_endpoints *out,
                        struct error *err)
{
    CLEANUP(base_freep)
    char *name = base_format("%s%s%s", ref->host, *ref->path ? "/" : "", ref->path);
    size_t fit = 0;

    if (require_rules(h, err) < 0)
        return -1;
    const struct hosts_rule *rule = find_rule(&h->rules, name, &fit);
    if (rule && rule->is_blocked)
        return error_set(err, ERROR_DENIED,
                         "%s is blocked by the configuration of registries", rule->prefix);
    for (size_t i = 0; rule && i < rule->mirror_count; i++) {
        if (serves(rule, &rule->mirrors[i], use))
            add_endpoint(out, rule->mirrors[i].location, name, fit, true);
    }
    add_endpoint(out, rule ? rule->place.location : NULL, name, fit, false);
    return 0;
}

/* ---- How far a host is trusted ---- */

static bool is_at(const char *location, struct view host)
{
    struct view there, path;

    (void)view_cut(view_of(location), '/', &there, &path);
    return view_eq(there, host);
}

static void take_place(struct registry_host_trust *t, const struct hosts_place *p)
{
    t->is_insecure = t->is_insecure || p->is_insecure;
    if (!t->ca_file)
        t->ca_file = p->ca_file;
    if (!t->cert_file) {
        t->cert_file = p->cert_file;
        t->key_file = p->key_file;
    }
}

static void find_in_rules(const struct hosts_rules *rules, struct host_trust *t)
{
    const struct view host = view_of(t->host);

    for (size_t i = 0; i < rules->count; i++) {
        const struct hosts_rule *r = &rules->items[i];

        if (r->place.location ? is_at(r->place.location, host)
                              : is_at(r->prefix, host) ||
                                    (r->prefix[0] == '*' && prefix_fit(r->prefix, t->host)))
            take_place(&t->trust, &r->place);
        for (size_t n = 0; n < r->mirror_count; n++) {
            if (is_at(r->mirrors[n].location, host))
                take_place(&t->trust, &r->mirrors[n]);
        }
    }
}

/* The first directory that has something of a kind. */
static void find_in_certs(const struct registry_hosts *h, struct host_trust *t)
{
    static const char *const names[] = {"containers/certs.d", "docker/certs.d"};

    for (size_t i = 0; i < 2 * ARRAY_COUNT(names); i++) {
        const char *above = i % 2 == 0 ? h->dirs.config : h->dirs.etc;

        if (!above || strcmp(t->host, "..") == 0 || strcmp(t->host, ".") == 0)
            continue;
        CLEANUP(base_freep) char *dir = base_format("%s/%s", above, names[i / 2]);
        if (hosts_certs_find(dir, view_of(t->host), &t->certs))
            break;
    }
    if (!t->trust.ca_file)
        t->trust.ca_file = t->certs.ca_file;
    if (!t->trust.cert_file) {
        t->trust.cert_file = t->certs.cert_file;
        t->trust.key_file = t->certs.key_file;
    }
}

static struct host_trust *trust_locked(struct registry_hosts *h, struct view host)
{
    CLEANUP(error_clear)
    struct error ignored = ERROR_INIT; /* registry_hosts_find tells it */
    struct host_trust *t = h->trusts;

    while (t && !view_eq_text(host, t->host))
        t = t->next;
    if (t)
        return t;
    (void)!read_locked(h, &ignored);
    t = base_alloc(sizeof *t);
    t->host = view_dup(host);
    t->certs.ca_fd = -1;
    find_in_rules(&h->rules, t);
    if (h->reads_files)
        find_in_certs(h, t);
    t->next = h->trusts;
    h->trusts = t;
    return t;
}

void registry_hosts_trust(struct registry_hosts *h,
                          struct view host,
                          struct registry_host_trust *out)
{
    /* Docker Hub's machine has another name than the registry. */
    if (view_eq_text(host, "registry-1.docker.io"))
        host = VIEW_LIT("docker.io");
    pthread_mutex_lock(&h->lock);
    *out = trust_locked(h, host)->trust;
    pthread_mutex_unlock(&h->lock);
}

void registry_hosts_lose(struct registry_hosts *h, const char *host)
{
    pthread_mutex_lock(&h->lock);
    trust_locked(h, view_of(host))->is_lost = true;
    pthread_mutex_unlock(&h->lock);
}

bool registry_hosts_is_lost(struct registry_hosts *h, const char *host)
{
    pthread_mutex_lock(&h->lock);
    const bool lost = trust_locked(h, view_of(host))->is_lost;
    pthread_mutex_unlock(&h->lock);
    return lost;
}
