#include "builder/git_url.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/view.h"
#include "registry/fetch.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdefABCDEF"

void build_git_url_release(struct build_git_url *u)
{
    free(u->remote);
    free(u->shown);
    free(u->scope);
    free(u->host);
    free(u->ref);
    free(u->subdir);
    free(u->checksum);
    *u = (struct build_git_url){0};
}

bool build_git_is_commit(const char *text)
{
    const size_t size = strlen(text);

    return (size == 40 || size == 64) && strspn(text, HEX) == size;
}

/* --- Parts --- */

/* Decodes %XX, and "+" where it stands for a blank. malloc'ed; NULL for a NUL inside. */
static char *decode(struct view text, bool plus)
{
    char *out = base_alloc(text.size + 1);
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        const char *c = text.data + i;

        if (*c == '%' && i + 2 < text.size && isxdigit((unsigned char)c[1]) &&
            isxdigit((unsigned char)c[2])) {
            const char digits[] = {c[1], c[2], '\0'};

            out[size++] = (char)strtol(digits, NULL, 16);
            i += 2;
        } else {
            out[size++] = plus && *c == '+' ? ' ' : *c;
        }
    }
    if (!memchr(out, '\0', size))
        return out;
    free(out);
    return NULL;
}

static void replace(char **text, char *with)
{
    free(*text);
    *text = with;
}

/* "../x" cannot climb: as below a root. */
static char *clean_subdir(const char *typed)
{
    CLEANUP(base_freep) char *rooted = path_clean_rooted(view_of(typed));

    return base_strdup(rooted + 1);
}

/* "#REF:SUBDIR" */
static int read_fragment(struct view fragment, struct build_git_url *out, struct error *err)
{
    CLEANUP(base_freep) char *text = decode(fragment, false);
    struct view ref, subdir;

    if (!text)
        return error_set(err, ERROR_INVALID, "a NUL in the URL");
    view_cut(view_of(text), ':', &ref, &subdir);
    CLEANUP(base_freep) char *typed = view_dup(subdir);
    replace(&out->ref, view_dup(ref));
    replace(&out->subdir, clean_subdir(typed));
    return 0;
}

/* --- The query --- */

enum key {
    KEY_REF,
    KEY_TAG,
    KEY_BRANCH,
    KEY_SUBDIR,
    KEY_CHECKSUM,
    KEY_COMMIT,
    KEY_KEEP_GIT_DIR,
    KEY_SUBMODULES,
    KEY_MTIME,
    KEY_FETCH_BY_COMMIT,
    KEY_COUNT
};

static const char *const key_names[KEY_COUNT] = {
    "ref",    "tag",          "branch",     "subdir", "checksum",
    "commit", "keep-git-dir", "submodules", "mtime",  "fetch-by-commit",
};

struct query {
    char *values[KEY_COUNT]; /* NULL: not there */
};

static void query_release(struct query *q)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        free(q->values[i]);
}

static bool is_switch(size_t key)
{
    return key == KEY_KEEP_GIT_DIR || key == KEY_SUBMODULES || key == KEY_FETCH_BY_COMMIT;
}

static int read_pair(struct query *q, struct view pair, struct error *err)
{
    struct view name, value;
    size_t key = 0;

    view_cut(pair, '=', &name, &value);
    CLEANUP(base_freep) char *key_text = decode(name, true);
    while (key < KEY_COUNT && (!key_text || strcmp(key_names[key], key_text) != 0))
        key++;
    if (key == KEY_COUNT)
        return error_set(err, ERROR_INVALID, "unexpected query \"%.*s\"", VIEW_ARG(name));
    if (q->values[key])
        return error_set(err, ERROR_INVALID, "query \"%s\" has multiple values", key_text);
    q->values[key] = decode(value, true);
    if (!q->values[key] || (!*q->values[key] && !is_switch(key)))
        return error_set(err, ERROR_INVALID, "query \"%s\" has no value", key_text);
    return 0;
}

static int read_pairs(struct query *q, struct view text, struct error *err)
{
    bool more = text.size > 0;

    while (more) {
        struct view pair;

        more = view_cut(text, '&', &pair, &text);
        if (pair.size > 0 && read_pair(q, pair, err) < 0)
            return -1;
    }
    return 0;
}

/* Go's strconv.ParseBool; nothing at all means true. */
static int read_switch(const struct query *q, enum key key, bool *out, struct error *err)
{
    static const char *const yes[] = {"", "1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (strcmp(q->values[key], yes[i]) == 0) {
            *out = true;
            return 0;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(no); i++) {
        if (strcmp(q->values[key], no[i]) == 0) {
            *out = false;
            return 0;
        }
    }
    return error_set(err, ERROR_INVALID, "invalid %s value: \"%s\"", key_names[key],
                     q->values[key]);
}

/* Two places may say the same, but not different things. */
static int merge(char **text, char *value, const char *what, struct error *err)
{
    CLEANUP(base_freep) char *owned = value;

    if (**text && strcmp(*text, value) != 0)
        return error_set(err, ERROR_INVALID, "%s conflicts: \"%s\" vs \"%s\"", what, *text,
                         value);
    replace(text, owned);
    owned = NULL;
    return 0;
}

static char *with_prefix(const char *prefix, const char *name)
{
    return strncmp(name, prefix, strlen(prefix)) == 0 ? base_strdup(name)
                                                      : base_format("%s%s", prefix, name);
}

static int take_refs(const struct query *q, struct build_git_url *out, struct error *err)
{
    if (q->values[KEY_REF] &&
        merge(&out->ref, base_strdup(q->values[KEY_REF]), "ref", err) < 0)
        return -1;
    if (q->values[KEY_TAG] &&
        merge(&out->ref, with_prefix("refs/tags/", q->values[KEY_TAG]), "ref", err) < 0)
        return -1;
    if (q->values[KEY_BRANCH] && q->values[KEY_TAG])
        return error_set(err, ERROR_INVALID, "branch conflicts with tag");
    if (q->values[KEY_BRANCH] &&
        merge(&out->ref, with_prefix("refs/heads/", q->values[KEY_BRANCH]), "ref", err) < 0)
        return -1;
    if (q->values[KEY_SUBDIR] &&
        merge(&out->subdir, clean_subdir(q->values[KEY_SUBDIR]), "subdir", err) < 0)
        return -1;
    for (size_t key = KEY_CHECKSUM; key <= KEY_COMMIT; key++)
        if (q->values[key] &&
            merge(&out->checksum, base_strdup(q->values[key]), "checksum", err) < 0)
            return -1;
    return 0;
}

static int take_switches(const struct query *q,
                         struct build_git_url *out,
                         struct error *err)
{
    const char *mtime = q->values[KEY_MTIME];
    bool submodules = true;

    if (q->values[KEY_KEEP_GIT_DIR] &&
        read_switch(q, KEY_KEEP_GIT_DIR, &out->keep_git_dir, err) < 0)
        return -1;
    out->has_keep_git_dir = q->values[KEY_KEEP_GIT_DIR] != NULL;
    if (q->values[KEY_SUBMODULES] && read_switch(q, KEY_SUBMODULES, &submodules, err) < 0)
        return -1;
    out->skip_submodules = !submodules;
    if (q->values[KEY_FETCH_BY_COMMIT] &&
        read_switch(q, KEY_FETCH_BY_COMMIT, &out->by_commit, err) < 0)
        return -1;
    out->times_of_checkout = mtime && strcmp(mtime, "checkout") == 0;
    if (mtime && !out->times_of_checkout && strcmp(mtime, "commit") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid mtime value: \"%s\" (must be \"checkout\" or \"commit\")",
                         mtime);
    return 0;
}

static int read_query(struct view text, struct build_git_url *out, struct error *err)
{
    CLEANUP(query_release) struct query q = {0};

    if (read_pairs(&q, text, err) < 0 || take_refs(&q, out, err) < 0)
        return -1;
    return take_switches(&q, out, err);
}

/* --- The whole --- */

/* What git would take for an option, or what no ref may hold. */
static int check(const struct build_git_url *u, struct error *err)
{
    if (*u->remote == '-' || *u->host == '-' || *u->host == '\0')
        return error_set(err, ERROR_INVALID, "it names no host");
    if (*u->ref == '-' || strstr(u->ref, "..") || strpbrk(u->ref, " ~^:?*[\\\x7f"))
        return error_set(err, ERROR_INVALID, "\"%s\" is no name of a branch or tag",
                         u->ref);
    for (const char *c = u->remote; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return error_set(err, ERROR_INVALID, "a blank or control character in the URL");
    for (const char *c = u->ref; *c; c++)
        if ((unsigned char)*c < ' ')
            return error_set(err, ERROR_INVALID, "a control character in the ref");
    if (strspn(u->checksum, HEX) != strlen(u->checksum))
        return error_set(err, ERROR_INVALID,
                         "invalid checksum %s for Git URL, expected hex commit hash",
                         u->checksum);
    if (u->by_commit && !build_git_is_commit(u->checksum))
        return error_set(err, ERROR_INVALID,
                         "fetch-by-commit requires a full commit as checksum, got \"%s\"",
                         u->checksum);
    return 0;
}

/* The protocol's name if the text begins with "NAME://"; else size 0. */
static struct view scheme_of(const char *text)
{
    size_t size = 0;

    while (isalnum((unsigned char)text[size]))
        size++;
    return (struct view){text, strncmp(text + size, "://", 3) == 0 ? size : 0};
}

/* "user@host:path", which ssh has. *host gets the host. */
static bool is_scp(const char *text, struct view *host)
{
    static const char user[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789-_";
    const size_t at = strspn(text, user);
    const char *begin = text + at + 1;
    size_t size = 0;

    if (at == 0 || text[at] != '@')
        return false;
    while (isalnum((unsigned char)begin[size]) || begin[size] == '-' || begin[size] == '.')
        size++;
    *host = (struct view){begin, size};
    return size > 0 && begin[size] == ':';
}

/* Before "#..." and "?...": the repository itself. */
static struct view without_options(const char *text)
{
    return (struct view){text, strcspn(text, "?#")};
}

static void set_remote(struct build_git_url *out, struct view base, bool is_github)
{
    out->remote = base_format("%s%.*s", is_github ? "https://" : "", VIEW_ARG(base));
    out->shown = registry_fetch_shown(out->remote);
}

/* The authority of "scheme://[user@]host[:port]/...". */
static char *host_of(const char *shown)
{
    const char *begin = strstr(shown, "://") + 3;

    return base_strndup(begin, strcspn(begin, "/"));
}

/* Everything but the repository itself. */
static int read_options(const char *text, struct build_git_url *out, struct error *err)
{
    const char *hash = strchr(text, '#');
    const struct view all = {text, hash ? (size_t)(hash - text) : strlen(text)};
    const char *question = memchr(all.data, '?', all.size);

    if (hash && read_fragment(view_of(hash + 1), out, err) < 0)
        return -1;
    if (question &&
        read_query(view_sub(all, (size_t)(question + 1 - text), all.size), out, err) < 0)
        return -1;
    return check(out, err);
}

/* Does it name a repository? Then its remote and host are set. */
static bool recognize(const char *text,
                      enum build_git_url_flags flags,
                      struct build_git_url *out)
{
    const struct view base = without_options(text);
    const struct view scheme = scheme_of(text);
    const bool is_http = view_eq_nocase(scheme, "http") || view_eq_nocase(scheme, "https");
    const bool is_github =
        flags & BUILD_GIT_URL_CONTEXT && view_starts(base, "github.com/");
    struct view host;

    if (scheme.size == 0 && !is_github) {
        if (!is_scp(text, &host))
            return false;
        set_remote(out, base, false);
        out->host = view_dup(host);
        return true;
    }
    /* A file behind http is a repository only by its name. */
    if (is_http ? !view_ends(base, ".git")
                : !is_github && !view_eq_nocase(scheme, "git") &&
                      !view_eq_nocase(scheme, "ssh"))
        return false;
    set_remote(out, base, is_github);
    out->host = host_of(out->shown);
    if (is_http || is_github)
        out->scope = base_strdup(out->shown);
    return true;
}

int build_git_url_parse(const char *text,
                        enum build_git_url_flags flags,
                        bool *is_git,
                        struct build_git_url *out,
                        struct error *err)
{
    *out = (struct build_git_url){0};
    *is_git = recognize(text, flags, out);
    if (!*is_git)
        return 0;
    out->ref = base_strdup("");
    out->subdir = base_strdup("");
    out->checksum = base_strdup("");
    if (read_options(text, out, err) == 0)
        return 0;
    CLEANUP(base_freep) char *shown = base_strdup(out->shown);
    build_git_url_release(out);
    return error_wrap(err, "git repository %s", shown);
}

char *build_url_decode(struct view text)
{
    return decode(text, false);
}
