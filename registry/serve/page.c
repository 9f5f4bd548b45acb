#include "registry/serve/page_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/serve/html.h"
#include "registry/serve/lists.h"
#include "registry/url.h"

#include <string.h>

/* Of one page; more follow by its link. A row may cost a look into a manifest. */
#define REPOSITORIES_SHOWN ((size_t)200)
#define TAGS_SHOWN         ((size_t)100)
/* Tags of a repository are counted up to here. */
#define TAGS_COUNTED ((size_t)1000)

/* --- For all pages --- */

void page_more(struct buf *out, size_t shown, size_t count)
{
    if (count > shown)
        buf_printf(out, "<p class=\"soft\">… and %zu more</p>\n", count - shown);
}

void page_reply(struct serve_exchange *x, int status, struct buf *html)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    html_end(html);
    if (buf_ok(html, "the page", &err) < 0) {
        serve_fail(x, &err);
        return;
    }
    serve_reply(x, status);
    serve_reply_header(x, "Content-Security-Policy", "%s", SERVE_HTML_POLICY);
    serve_reply_header(x, "Referrer-Policy", "no-referrer");
    serve_reply_header(x, "Cache-Control", "no-cache");
    serve_reply_text(x, "text/html; charset=utf-8", html);
}

void page_missing(struct serve_exchange *x, const char *what, const char *name)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    html_begin(&out, x->serve->name, "Not found");
    html_put(&out, "<h1>Not found</h1><p>There is no %s <code>%s</code>.</p>\n", what,
             name);
    page_reply(x, 404, &out);
}

/* To the rows after `last`; `repository` may be NULL. */
static void link_next(struct buf *out, const char *repository, const char *last)
{
    CLEANUP(base_freep) char *after = registry_url_encode(view_of(last));

    if (repository) {
        CLEANUP(base_freep) char *name = registry_url_encode(view_of(repository));
        buf_printf(out, "<p><a href=\"/?repository=%s&amp;last=%s\">", name, after);
    } else {
        buf_printf(out, "<p><a href=\"/?last=%s\">", after);
    }
    buf_append_text(out, "next page</a></p>\n");
}

/* --- All repositories --- */

static int put_repository(struct serve *s,
                          const char *name,
                          struct buf *out,
                          struct error *err)
{
    CLEANUP(serve_list_release) struct serve_list tags = {0};

    if (serve_list_tags(s, name, "", TAGS_COUNTED + 1, &tags, err) < 0)
        return -1;
    buf_append_text(out, "<tr><td>");
    html_link(out, name, NULL, NULL);
    html_put(out, "%s</a></td>", name);
    buf_printf(out, "<td class=\"number\">%zu%s</td></tr>\n",
               tags.count > TAGS_COUNTED ? TAGS_COUNTED : tags.count,
               tags.count > TAGS_COUNTED ? "+" : "");
    return 0;
}

static int put_repositories(struct serve *s,
                            const struct serve_list *list,
                            struct buf *out,
                            struct error *err)
{
    const size_t count =
        list->count < REPOSITORIES_SHOWN ? list->count : REPOSITORIES_SHOWN;

    html_begin(out, s->name, s->name);
    buf_append_text(out, "<h1>Repositories</h1>\n");
    if (count == 0) {
        html_put(out,
                 "<p>There is nothing here yet.</p>\n"
                 "<pre>cooper tag IMAGE %s/IMAGE\ncooper push %s/IMAGE</pre>\n",
                 s->name, s->name);
        return 0;
    }
    buf_append_text(out, "<table id=\"repositories\"><thead><tr><th>Repository</th>"
                         "<th>Tags</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < count; i++) {
        if (put_repository(s, list->items[i], out, err) < 0)
            return -1;
    }
    buf_append_text(out, "</tbody></table>\n");
    if (list->count > count)
        link_next(out, NULL, list->items[count - 1]);
    return 0;
}

static void page_repositories(struct serve_exchange *x, const char *last)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_list_release) struct serve_list list = {0};
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);

    if (serve_list_repositories(x->serve, last, &list, &err) < 0 ||
        put_repositories(x->serve, &list, &out, &err) < 0)
        serve_fail(x, &err);
    else
        page_reply(x, 200, &out);
}

/* --- One repository --- */

/* The ref behind a tag, whoever's it is. */
static int find_ref(struct serve *s,
                    const char *repository,
                    const char *tag,
                    bool *found,
                    struct cas_ref *out,
                    struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(s, repository);
    CLEANUP(base_freep) char *own_prefix = serve_names_own_prefix(s, repository);
    CLEANUP(base_freep) char *name = base_format("%s%s", prefix, tag);
    CLEANUP(base_freep)
    char *own = own_prefix ? base_format("%s%s", own_prefix, tag) : NULL;

    if (cas_ref_find(s->store, name, found, out, err) < 0)
        return -1;
    return *found || !own ? 0 : cas_ref_find(s->store, own, found, out, err);
}

static int put_tag(struct serve *s,
                   const char *repository,
                   const char *tag,
                   struct buf *out,
                   struct error *err)
{
    CLEANUP(cas_ref_release) struct cas_ref ref = {0};
    bool found;

    if (find_ref(s, repository, tag, &found, &ref, err) < 0)
        return -1;
    if (!found) /* it went meanwhile */
        return 0;
    buf_append_text(out, "<tr><td>");
    html_link(out, repository, tag, NULL);
    html_put(out, "%s</a>%s</td><td>", tag,
             serve_names_fixed(s, repository, tag) ? " (immutable)" : "");
    html_digest(out, &ref.target.digest);
    buf_append_text(out, "</td><td>");
    page_summary(s, &ref.target, out);
    buf_append_text(out, "</td><td>");
    html_time(out, ref.time);
    buf_append_text(out, "</td></tr>\n");
    return 0;
}

static int put_tags(struct serve *s,
                    const char *repository,
                    const struct serve_list *tags,
                    struct buf *out,
                    struct error *err)
{
    const size_t count = tags->count < TAGS_SHOWN ? tags->count : TAGS_SHOWN;

    html_begin(out, s->name, repository);
    html_put(out, "<h1>%s</h1>\n", repository);
    if (count == 0)
        buf_append_text(out, "<p>No tag points to anything here.</p>\n");
    else
        buf_append_text(out, "<table id=\"tags\"><thead><tr><th>Tag</th><th>Digest</th>"
                             "<th>What</th><th>Since</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < count; i++) {
        if (put_tag(s, repository, tags->items[i], out, err) < 0)
            return -1;
    }
    if (count > 0)
        buf_append_text(out, "</tbody></table>\n");
    if (tags->count > count)
        link_next(out, repository, tags->items[count - 1]);
    return 0;
}

static void page_repository(struct serve_exchange *x,
                            const char *repository,
                            const char *last)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(serve_list_release) struct serve_list tags = {0};
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    bool known;

    if (serve_list_is_known(x->serve, repository, &known, &err) < 0 ||
        serve_list_tags(x->serve, repository, last, TAGS_SHOWN + 1, &tags, &err) < 0)
        serve_fail(x, &err);
    else if (!known)
        page_missing(x, "repository", repository);
    else if (put_tags(x->serve, repository, &tags, &out, &err) < 0)
        serve_fail(x, &err);
    else
        page_reply(x, 200, &out);
}

/* --- Which one --- */

static void get_page(struct serve_exchange *x)
{
    CLEANUP(base_freep) char *repository = serve_target_param(&x->target, "repository", 0);
    CLEANUP(base_freep) char *tag = serve_target_param(&x->target, "tag", 0);
    CLEANUP(base_freep) char *digest = serve_target_param(&x->target, "digest", 0);
    CLEANUP(base_freep) char *last = serve_target_param(&x->target, "last", 0);

    if (!repository)
        page_repositories(x, last ? last : "");
    else if (!serve_is_repository(view_of(repository)))
        page_missing(x, "repository", repository);
    else if (tag || digest)
        page_image(x, repository, tag, tag ? NULL : digest);
    else
        page_repository(x, repository, last ? last : "");
}

static void get_style(struct serve_exchange *x)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_HTTP_BODY_SMALL);

    buf_append_text(&out, html_style());
    serve_reply(x, 200);
    serve_reply_header(x, "Cache-Control", "max-age=3600");
    serve_reply_text(x, "text/css; charset=utf-8", &out);
}

const struct serve_action serve_actions_page[] = {
    {SERVE_ROUTE_PAGE, SERVE_METHOD_GET, .finish = get_page},
    {SERVE_ROUTE_PAGE, SERVE_METHOD_HEAD, .finish = get_page},
    {SERVE_ROUTE_STYLE, SERVE_METHOD_GET, .finish = get_style},
    {SERVE_ROUTE_STYLE, SERVE_METHOD_HEAD, .finish = get_style},
    {.route = SERVE_ROUTE_UNKNOWN},
};
