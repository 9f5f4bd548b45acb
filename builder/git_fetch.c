/*
 * The server's side: what a name means there, and getting a commit from it.
 */
#include "builder/git_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A server may have any number of refs; these are those of a few names. */
#define ANSWER_MAX ((size_t)1 << 20)

static void replace(char **text, char *with)
{
    free(*text);
    *text = with;
}

/* --- What does the name mean? --- */

struct answer {
    struct view exact, head, tag, peeled; /* the commits of "refs/NAME" and so on */
    struct view default_branch;           /* what HEAD points to */
    struct view default_commit;
};

static const char *after(const char *text, const char *prefix)
{
    const size_t size = strlen(prefix);

    return strncmp(text, prefix, size) == 0 ? text + size : text;
}

/* "SHA\tREF" or "ref: REF\tHEAD" */
static void read_line(struct answer *a, const char *ref, struct view line)
{
    CLEANUP(base_freep) char *exact = base_format("refs/%s", after(ref, "refs/"));
    CLEANUP(base_freep)
    char *head = base_format("refs/heads/%s", after(ref, "refs/heads/"));
    CLEANUP(base_freep) char *tag = base_format("refs/tags/%s", after(ref, "refs/tags/"));
    CLEANUP(base_freep) char *peeled = base_format("%s^{}", tag);
    struct view value, name;

    if (!view_cut(line, '\t', &value, &name))
        return;
    if (view_eq_text(name, "HEAD")) {
        if (view_starts(value, "ref: "))
            a->default_branch = view_sub(value, 5, value.size);
        else
            a->default_commit = value;
    }
    if (view_eq_text(name, exact))
        a->exact = value;
    if (view_eq_text(name, head))
        a->head = value;
    if (view_eq_text(name, tag))
        a->tag = value;
    if (view_eq_text(name, peeled))
        a->peeled = value;
}

static int check_object(struct view object, struct error *err)
{
    CLEANUP(base_freep) char *text = view_dup(object);

    return build_git_is_commit(text)
               ? 0
               : error_set(err, ERROR_CORRUPT, "the server names a commit '%.*s'",
                           VIEW_ARG(view_sub(object, 0, 80)));
}

/* git prefers branches where a name is both. */
static int choose(struct build_git *g, const struct answer *a, struct error *err)
{
    const char *ref = g->url->ref;
    struct view object = a->exact, commit;

    if (*ref == '\0') {
        object = a->default_commit;
        replace(&g->ref,
                a->default_branch.size ? view_dup(a->default_branch) : base_strdup("HEAD"));
    } else if (object.size > 0) {
        replace(&g->ref, base_format("refs/%s", after(ref, "refs/")));
    } else if (a->head.size > 0) {
        object = a->head;
        replace(&g->ref, base_format("refs/heads/%s", after(ref, "refs/heads/")));
    } else {
        object = a->tag;
        replace(&g->ref, base_format("refs/tags/%s", after(ref, "refs/tags/")));
    }
    if (object.size == 0)
        return *ref ? error_set(err, ERROR_NOT_FOUND,
                                "the repository has no branch or tag %s", ref)
                    : error_set(err, ERROR_NOT_FOUND,
                                "the repository has no default branch: it may be empty");
    commit =
        a->peeled.size > 0 && strncmp(g->ref, "refs/tags/", 10) == 0 ? a->peeled : object;
    if (check_object(object, err) < 0 || check_object(commit, err) < 0)
        return -1;
    replace(&g->object, view_dup(object));
    replace(&g->commit, view_dup(commit));
    return 0;
}

static int look_up(struct build_git *g, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(ANSWER_MAX);
    const char *ref = g->url->ref;
    CLEANUP(base_freep) char *peeled = base_format("%s^{}", ref);
    const char *const args[] = {
        "ls-remote",         "--symref",           "--", g->url->remote,
        *ref ? ref : "HEAD", *ref ? peeled : NULL, NULL};
    struct view rest, line;
    struct answer a = {0};

    if (build_git_run(&g->run, args, &text, err) < 0)
        return -1;
    for (rest = buf_view(&text); rest.size > 0;) {
        (void)view_cut(rest, '\n', &line, &rest);
        read_line(&a, ref, line);
    }
    return choose(g, &a, err);
}

/* The URL itself names the commit. */
static void take_commit(struct build_git *g, const char *commit, const char *ref)
{
    replace(&g->commit, base_strdup(commit));
    replace(&g->object, base_strdup(commit));
    replace(&g->ref, base_strdup(ref));
}

static bool starts_nocase(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static int check_sum(const struct build_git *g, struct error *err)
{
    const char *want = g->url->checksum;

    if (starts_nocase(g->object, want) || starts_nocase(g->commit, want))
        return 0;
    return error_set(err, ERROR_CORRUPT, "expected checksum to match %s, got %s%s%s", want,
                     g->object, strcmp(g->object, g->commit) != 0 ? " or " : "",
                     strcmp(g->object, g->commit) != 0 ? g->commit : "");
}

int git_ask(struct build_git *g, struct error *err)
{
    const struct build_git_url *u = g->url;

    if (build_git_is_commit(u->ref))
        take_commit(g, u->ref, u->ref);
    else if (u->by_commit)
        take_commit(g, u->checksum, *u->ref ? u->ref : u->checksum);
    else if (look_up(g, err) < 0)
        return -1;
    return check_sum(g, err);
}

/* --- Getting it --- */

char *git_local_ref(const struct build_git *g)
{
    const struct digest id = digest_of(DIGEST_SHA256, view_of(g->ref));

    /* Flat, so that the server's "a" and "a/b" of different days can be there together. */
    return base_format("refs/cooper/%.32s", digest_hex(&id).text);
}

static int make_repository(struct build_git *g, struct error *err)
{
    const char *args[8] = {"init", "-q", "--bare", "--template="};
    size_t count = 4;

    if (access(g->repo, F_OK) == 0)
        return 0;
    if (strlen(g->commit) == 64)
        args[count++] = "--object-format=sha256";
    args[count++] = "--";
    args[count++] = g->repo;
    return build_git_run(&g->run, args, NULL, err);
}

static bool has_commit(struct build_git *g)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it says that it is absent */
    CLEANUP(base_freep) char *dir = base_format("--git-dir=%s", g->repo);
    CLEANUP(base_freep) char *object = base_format("%s^{commit}", g->object);
    const char *const args[] = {dir, "cat-file", "-e", object, NULL};

    return build_git_run(&g->run, args, NULL, &ignored) == 0;
}

enum depth { DEPTH_ONE, DEPTH_ALL };

/* `more` is a second refspec or NULL. */
static int fetch(struct build_git *g,
                 enum depth depth,
                 const char *spec,
                 const char *more,
                 struct error *err)
{
    CLEANUP(base_freep) char *dir = base_format("--git-dir=%s", g->repo);
    CLEANUP(base_freep) char *shallow = base_format("%s/shallow", g->repo);
    const char *args[16] = {dir,
                            "fetch",
                            "-q",
                            "--no-tags",
                            "--force",
                            "--no-write-fetch-head",
                            "--recurse-submodules=no"};
    size_t count = 7;

    if (depth == DEPTH_ONE)
        args[count++] = "--depth=1";
    else if (access(shallow, F_OK) == 0)
        args[count++] = "--unshallow";
    args[count++] = "--";
    args[count++] = g->url->remote;
    args[count++] = spec;
    args[count++] = more;
    return build_git_run(&g->run, args, NULL, err);
}

/* A server that speaks plain files over http knows no depth. */
static int fetch_spec(struct build_git *g, const char *spec, struct error *err)
{
    if (fetch(g, DEPTH_ONE, spec, NULL, err) == 0)
        return 0;
    if (!strstr(error_text(err), "shallow") && !strstr(error_text(err), "depth"))
        return -1;
    error_clear(err);
    return fetch(g, DEPTH_ALL, spec, NULL, err);
}

static bool is_final(const struct error *err)
{
    return error_is(err, ERROR_CANCELLED) || error_is(err, ERROR_UNSUPPORTED) ||
           error_is(err, ERROR_DENIED);
}

/* By its name; by itself, which not every server allows; with everything there is. */
static int fetch_commit(struct build_git *g, struct error *err)
{
    CLEANUP(base_freep) char *local = git_local_ref(g);
    const bool named = !build_git_is_commit(g->ref) && !g->url->by_commit;
    CLEANUP(base_freep)
    char *spec = base_format("+%s:%s", named ? g->ref : g->object, local);

    if (fetch_spec(g, spec, err) == 0 && has_commit(g))
        return 0;
    if (named && err->code != ERROR_NONE)
        return -1;
    /* The name means another commit by now. */
    if (named && fetch_spec(g, g->object, err) == 0 && has_commit(g))
        return 0;
    if (is_final(err))
        return -1;
    error_clear(err);
    return fetch(g, DEPTH_ALL, "+refs/heads/*:refs/cooper/heads/*",
                 "+refs/tags/*:refs/cooper/tags/*", err);
}

int git_fetch(struct build_git *g, struct error *err)
{
    CLEANUP(base_freep) char *stale = base_format("%s/shallow.lock", g->repo);

    if (make_repository(g, err) < 0)
        return -1;
    if (has_commit(g))
        return 0;
    /* Of a git that was killed: nobody else is at work here. */
    (void)unlink(stale);
    if (fetch_commit(g, err) < 0)
        return -1;
    return has_commit(g) ? 0
                         : error_set(err, ERROR_NOT_FOUND,
                                     "the repository has no commit %s", g->object);
}
