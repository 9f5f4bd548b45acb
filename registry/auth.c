#include "registry/auth.h"

#include "base/alloc.h"
#include "registry/token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A token this close to its end is not begun with: the request has to get there. */
#define EXPIRY_MARGIN_S 5

struct token {
    struct token *next;
    char *scopes;
    char *header;       /* "Bearer ..."; NULL before the first one came */
    uint64_t expires_s; /* CLOCK_MONOTONIC */
    bool fetching;      /* by one thread; others wait for `changed` */
};

struct host {
    struct host *next;
    char *name;
    char *basic; /* "Basic ..." once the host asked for it */
    struct registry_credential credential;
    bool has_credential; /* in place of the configuration's */
    char *identity;      /* what the token server gave for it, or NULL */
    struct token *tokens;
};

struct registry_auth {
    struct registry_http *http;
    struct registry_config *config;
    const struct registry_retry_policy *retry;
    pthread_mutex_t
        lock; /* guards everything below; never held while waiting for a server */
    pthread_cond_t changed;
    struct host *hosts;
};

struct registry_auth *registry_auth_new(struct registry_http *http,
                                        struct registry_config *config,
                                        const struct registry_retry_policy *retry)
{
    struct registry_auth *a = base_alloc(sizeof *a);

    a->http = http;
    a->config = config;
    a->retry = retry;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    return a;
}

static void token_free(struct token *t)
{
    free(t->scopes);
    registry_secret_freep(&t->header);
    free(t);
}

static void host_clear(struct host *h)
{
    for (struct token *t = h->tokens, *next; t; t = next) {
        next = t->next;
        token_free(t);
    }
    h->tokens = NULL;
    registry_secret_freep(&h->basic);
    registry_credential_release(&h->credential);
    registry_secret_freep(&h->identity);
    h->has_credential = false;
}

void registry_auth_free(struct registry_auth *a)
{
    if (!a)
        return;
    for (struct host *h = a->hosts, *next; h; h = next) {
        next = h->next;
        host_clear(h);
        free(h->name);
        free(h);
    }
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static uint64_t now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec;
}

static struct host *host_locked(struct registry_auth *a, const char *name)
{
    struct host *h = a->hosts;

    while (h && strcmp(h->name, name) != 0)
        h = h->next;
    if (h)
        return h;
    h = base_alloc(sizeof *h);
    h->name = base_strdup(name);
    h->next = a->hosts;
    a->hosts = h;
    return h;
}

static struct token *token_find(struct host *h, const char *scopes)
{
    struct token *t = h->tokens;

    while (t && strcmp(t->scopes, scopes) != 0)
        t = t->next;
    return t;
}

static struct token *token_locked(struct host *h, const char *scopes)
{
    struct token *t = token_find(h, scopes);

    if (t)
        return t;
    t = base_alloc(sizeof *t);
    t->scopes = base_strdup(scopes);
    t->next = h->tokens;
    h->tokens = t;
    return t;
}

void registry_auth_set_credential(struct registry_auth *a,
                                  const char *host,
                                  const struct registry_credential *credential)
{
    pthread_mutex_lock(&a->lock);
    struct host *h = host_locked(a, host);
    host_clear(h);
    registry_credential_copy(&h->credential, credential);
    h->has_credential = true;
    pthread_mutex_unlock(&a->lock);
}

char *registry_auth_take_identity(struct registry_auth *a, const char *host)
{
    pthread_mutex_lock(&a->lock);
    struct host *h = host_locked(a, host);
    char *identity = h->identity;
    h->identity = NULL;
    pthread_mutex_unlock(&a->lock);
    return identity;
}

/* A login in progress, whose password an identity token may take the place of. */
static bool is_login(struct registry_auth *a, const char *host)
{
    pthread_mutex_lock(&a->lock);
    const struct host *h = host_locked(a, host);
    const bool login = h->has_credential && h->credential.password;
    pthread_mutex_unlock(&a->lock);
    return login;
}

static void keep_identity(struct registry_auth *a, const char *host, char **identity)
{
    pthread_mutex_lock(&a->lock);
    struct host *h = host_locked(a, host);
    registry_secret_freep(&h->identity);
    h->identity = *identity;
    *identity = NULL;
    pthread_mutex_unlock(&a->lock);
}

/* Does the scope "repository:a:pull,push" hold all of "repository:a:pull"? */
static bool scope_covers(struct view has, struct view wants)
{
    size_t actions = wants.size;

    while (actions > 0 && wants.data[actions - 1] != ':')
        actions--;
    if (has.size < actions || memcmp(has.data, wants.data, actions) != 0)
        return false;
    const struct view granted = view_sub(has, actions, has.size);
    for (struct view rest = view_sub(wants, actions, wants.size), one; rest.size > 0;) {
        struct view g = granted, word = {"", 0};

        (void)view_cut(rest, ',', &one, &rest);
        while (g.size > 0 && !view_eq(word, one))
            (void)view_cut(g, ',', &word, &g);
        if (!view_eq(word, one))
            return false;
    }
    return true;
}

/* Do the scopes that a token was fetched for hold all that is wanted? */
static bool scopes_cover(const char *has, const char *wants)
{
    for (struct view rest = view_of(wants), one; rest.size > 0;) {
        struct view h = view_of(has), word;
        bool covered = false;

        (void)view_cut(rest, ' ', &one, &rest);
        while (h.size > 0 && !covered) {
            (void)view_cut(h, ' ', &word, &h);
            covered = scope_covers(word, one);
        }
        if (!covered)
            return false;
    }
    return true;
}

/* One that serves now; the one that was fetched for these very scopes before others. */
static const struct token *token_usable(struct host *h, const char *scopes)
{
    const struct token *found = NULL;

    for (const struct token *t = h->tokens; t; t = t->next) {
        if (!t->header || t->expires_s <= now_s() + EXPIRY_MARGIN_S)
            continue;
        if (strcmp(t->scopes, scopes) == 0)
            return t;
        if (!found && *scopes && scopes_cover(t->scopes, scopes))
            found = t;
    }
    return found;
}

char *registry_auth_header(struct registry_auth *a, const char *host, const char *scopes)
{
    char *header = NULL;

    pthread_mutex_lock(&a->lock);
    struct host *h = host_locked(a, host);
    const struct token *t = token_usable(h, scopes);
    if (t)
        header = base_strdup(t->header);
    else if (h->basic)
        header = base_strdup(h->basic);
    pthread_mutex_unlock(&a->lock);
    return header;
}

/* ---- Answering ---- */

static int find_credential(struct registry_auth *a,
                           const char *host,
                           const char *path,
                           struct registry_credential *out,
                           struct error *err)
{
    bool found;

    pthread_mutex_lock(&a->lock);
    const struct host *h = host_locked(a, host);
    found = h->has_credential;
    if (found)
        registry_credential_copy(out, &h->credential);
    pthread_mutex_unlock(&a->lock);
    return found ? 0 : registry_config_find(a->config, host, path, &found, out, err);
}

static const struct registry_challenge *choose(const struct registry_challenge_list *l)
{
    const struct registry_challenge *basic = NULL;

    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].scheme == REGISTRY_AUTH_BEARER && l->items[i].realm)
            return &l->items[i];
        if (l->items[i].scheme == REGISTRY_AUTH_BASIC && !basic)
            basic = &l->items[i];
    }
    return basic;
}

static int login_needed(const char *host, struct error *err)
{
    return error_set(err, ERROR_DENIED, "%s needs a login: run `cooper login %s`", host,
                     host);
}

static int answer_basic(struct registry_auth *a,
                        const char *host,
                        const char *path,
                        const char *sent,
                        char **out,
                        struct error *err)
{
    CLEANUP(registry_credential_release) struct registry_credential c = {0};
    CLEANUP(registry_secret_freep) char *header = NULL;

    if (find_credential(a, host, path, &c, err) < 0)
        return -1;
    if (!c.username || !c.password)
        return login_needed(host, err);
    header = registry_token_basic(&c);
    if (sent && strcmp(sent, header) == 0)
        return error_set(err, ERROR_DENIED, "%s refuses the credentials of user %s", host,
                         c.username);
    pthread_mutex_lock(&a->lock);
    struct host *h = host_locked(a, host);
    registry_secret_freep(&h->basic);
    h->basic = base_strdup(header);
    pthread_mutex_unlock(&a->lock);
    *out = header;
    header = NULL;
    return 0;
}

static bool has_word(const char *list, struct view word)
{
    struct view head, rest = view_of(list);
    bool more;

    do {
        more = view_cut(rest, ' ', &head, &rest);
        if (head.size == word.size && memcmp(head.data, word.data, word.size) == 0)
            return true;
    } while (more);
    return false;
}

/* What we want and what the registry says is needed. malloc'ed. */
static char *merge_scopes(const char *wanted, const char *demanded)
{
    struct view scope, rest = view_of(demanded ? demanded : "");
    char *all = base_strdup(wanted);
    bool more = rest.size > 0;

    while (more) {
        more = view_cut(rest, ' ', &scope, &rest);
        if (scope.size == 0 || has_word(all, scope))
            continue;
        char *longer = base_format("%s%s%.*s", all, *all ? " " : "", VIEW_ARG(scope));
        free(all);
        all = longer;
    }
    return all;
}

static int fetch_token(struct registry_auth *a,
                       const char *host,
                       const char *path,
                       const char *wanted,
                       const struct registry_challenge *challenge,
                       char **header,
                       uint64_t *lifetime_s,
                       struct error *err)
{
    CLEANUP(registry_credential_release) struct registry_credential c = {0};
    CLEANUP(registry_secret_freep) char *token = NULL;
    CLEANUP(registry_secret_freep) char *identity = NULL;
    CLEANUP(base_freep) char *scopes = merge_scopes(wanted, challenge->scope);

    if (find_credential(a, host, path, &c, err) < 0)
        return -1;
    if (c.registry_token) {
        *header = base_format("Bearer %s", c.registry_token);
        *lifetime_s = 60;
        return 0;
    }
    const struct registry_token_request request = {
        .realm = challenge->realm,
        .service = challenge->service,
        .scopes = scopes,
        .credential = &c,
        .is_login = is_login(a, host),
    };
    if (registry_token_fetch(a->http, a->retry, &request, &token, &identity, lifetime_s,
                             err) < 0) {
        if (error_is(err, ERROR_DENIED) && !registry_credential_is_set(&c))
            return error_wrap(err, "%s needs a login: run `cooper login %s`", host, host);
        return -1;
    }
    *header = base_format("Bearer %s", token);
    if (identity)
        keep_identity(a, host, &identity);
    return 0;
}

/* Waits while another thread fetches. True if a token newer than `sent` is there now. */
static bool wait_for_newer_locked(struct registry_auth *a,
                                  const struct token *t,
                                  const char *sent,
                                  char **out)
{
    while (t->fetching)
        pthread_cond_wait(&a->changed, &a->lock);
    if (!t->header || (sent && strcmp(t->header, sent) == 0) ||
        t->expires_s <= now_s() + EXPIRY_MARGIN_S)
        return false;
    *out = base_strdup(t->header);
    return true;
}

static int answer_bearer(struct registry_auth *a,
                         const char *host,
                         const char *path,
                         const char *scopes,
                         const struct registry_challenge *challenge,
                         const char *sent,
                         char **out,
                         struct error *err)
{
    CLEANUP(registry_secret_freep) char *header = NULL;
    uint64_t lifetime_s = 0;

    pthread_mutex_lock(&a->lock);
    struct token *t = token_locked(host_locked(a, host), scopes);
    if (wait_for_newer_locked(a, t, sent, out)) {
        pthread_mutex_unlock(&a->lock);
        return 0;
    }
    t->fetching = true;
    pthread_mutex_unlock(&a->lock);

    const int rc = fetch_token(a, host, path, scopes, challenge, &header, &lifetime_s, err);

    pthread_mutex_lock(&a->lock);
    t->fetching = false;
    registry_secret_freep(&t->header);
    if (rc == 0) {
        t->header = base_strdup(header);
        t->expires_s = now_s() + lifetime_s;
        *out = header;
        header = NULL;
    }
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

static int read_challenges(const struct registry_http_response *response,
                           struct registry_challenge_list *out,
                           struct error *err)
{
    struct view value;

    for (size_t i = 0; registry_http_header(response, "WWW-Authenticate", i, &value); i++) {
        if (registry_challenge_parse(value, out, err) < 0)
            return -1;
    }
    return 0;
}

int registry_auth_answer(struct registry_auth *a,
                         const char *host,
                         const char *path,
                         const char *scopes,
                         const struct registry_http_response *response,
                         const char *sent,
                         char **out,
                         struct error *err)
{
    CLEANUP(registry_challenge_list_release) struct registry_challenge_list list = {0};

    if (read_challenges(response, &list, err) < 0)
        return error_wrap(err, "%s", host);
    const struct registry_challenge *challenge = choose(&list);
    if (!challenge)
        return error_set(err, ERROR_DENIED,
                         "%s asks for a login in no way that is known here (Basic, Bearer)",
                         host);
    if (challenge->scheme == REGISTRY_AUTH_BASIC)
        return answer_basic(a, host, path, sent, out, err);
    return answer_bearer(a, host, path, scopes, challenge, sent, out, err);
}
