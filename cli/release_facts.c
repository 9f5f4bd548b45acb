#include "cli/release_facts.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "builder/git_run.h"
#include "cas/digest.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY(name) "org.opencontainers.image." name

/* What git prints is a line. */
#define GIT_LINE_MAX ((size_t)65536)

static const char *environment(const char *const *names)
{
    for (; *names; names++) {
        const char *const value = getenv(*names);

        if (value && *value)
            return value;
    }
    return NULL;
}

char *cli_release_who(uid_t real_uid)
{
    static const char *const names[] = {"COOPER_USER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN",
                                        "BUILD_USER_ID", NULL};
    const char *const named = environment(names);
    char host[256] = "";

    if (named)
        return base_strdup(named);
    const struct passwd *const user = getpwuid(real_uid);
    if (gethostname(host, sizeof host - 1) < 0)
        host[0] = '\0';
    if (user)
        return base_format("%s@%s", user->pw_name, host);
    return base_format("%u@%s", (unsigned)real_uid, host);
}

/* --- Asking git --- */

/* The line that git prints; malloc'ed, NULL if it prints none. */
static char *git_line(const char *const *args)
{
    static const struct build_git_env env = {.shown = "the current directory",
                                             .local = true};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* not everything is in git */
    CLEANUP(buf_release) struct buf out = BUF_INIT(GIT_LINE_MAX);

    if (build_git_run(&env, args, &out, &ignored) < 0)
        return NULL;
    const struct view line = view_trim(buf_view(&out));
    return line.size > 0 ? view_dup(line) : NULL;
}

/* A URL without the password that may stand in it. */
static char *without_secret(char *url)
{
    char *const host = url ? strstr(url, "://") : NULL;
    char *const at = host ? strchr(host + 3, '@') : NULL;
    const char *const slash = host ? strchr(host + 3, '/') : NULL;

    if (at && (!slash || at < slash))
        memmove(host + 3, at + 1, strlen(at + 1) + 1);
    return url;
}

static char *revision(void)
{
    static const char *const names[] = {"GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", NULL};
    static const char *const args[] = {"rev-parse", "--verify", "HEAD", NULL};
    const char *const named = environment(names);

    return named ? base_strdup(named) : git_line(args);
}

static char *source(void)
{
    static const char *const names[] = {"CI_PROJECT_URL", "GIT_URL", NULL};
    static const char *const args[] = {"remote", "get-url", "origin", NULL};
    const char *const server = getenv("GITHUB_SERVER_URL");
    const char *const repository = getenv("GITHUB_REPOSITORY");
    const char *const named = environment(names);

    if (server && repository)
        return base_format("%s/%s", server, repository);
    return without_secret(named ? base_strdup(named) : git_line(args));
}

/* --- The annotations --- */

static int add_given(struct doc *out, const char *text, struct error *err)
{
    struct view key, value;

    if (!view_cut(view_of(text), '=', &key, &value) || key.size == 0)
        return error_set(err, ERROR_USAGE, "an annotation is KEY=VALUE, not '%s'", text);
    CLEANUP(base_freep) char *name = view_dup(key);
    doc_set_view(out, name, value);
    return 0;
}

/* What the image says of itself. */
static const char *told(const struct cli_release_source *s, const char *key)
{
    const char *const annotation = doc_text(doc_get(s->known, key));

    if (annotation)
        return annotation;
    return doc_text(doc_get(doc_get(doc_get(s->config, "config"), "Labels"), key));
}

static void fill(struct doc *out,
                 const struct cli_release_source *s,
                 const char *key,
                 char *(*find)(void))
{
    const char *const known = told(s, key);

    if (doc_get(out, key))
        return;
    CLEANUP(base_freep)
    char *found = known ? base_strdup(known) : s->is_from_here ? find() : NULL;
    if (found)
        doc_set_view(out, key, view_of(found));
}

static void fill_created(struct doc *out, const struct cli_release_source *s)
{
    const char *const known = told(s, KEY("created"));
    const char *const created = doc_text(doc_get(s->config, "created"));

    if (!doc_get(out, KEY("created")) && (known || created))
        doc_set_text(out, KEY("created"), known ? known : created);
}

static bool is_given(const struct cli_release_source *s, const char *key)
{
    const size_t size = strlen(key);
    bool found = false;

    for (size_t i = 0; s->given && i < s->given->count && !found; i++)
        found =
            strncmp(s->given->items[i], key, size) == 0 && s->given->items[i][size] == '=';
    return found;
}

struct doc *cli_release_facts(const struct cli_release_source *s, struct error *err)
{
    struct doc *const out = s->known ? doc_copy(s->known) : doc_new_object();

    for (size_t i = 0; s->given && i < s->given->count; i++) {
        if (add_given(out, s->given->items[i], err) < 0) {
            doc_unref(out);
            return NULL;
        }
    }
    if (!is_given(s, KEY("version")))
        doc_set_text(out, KEY("version"), s->version);
    fill(out, s, KEY("revision"), revision);
    fill(out, s, KEY("source"), source);
    fill_created(out, s);
    return out;
}
