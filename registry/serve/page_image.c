#include "registry/serve/page_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "registry/serve/html.h"

#include <stdlib.h>

struct history {
    struct cas_ref_event *events;
    size_t count;
};

static void history_release(struct history *h)
{
    cas_ref_history_free(h->events, h->count);
}

/* --- History --- */

/* What the registry's ref went through; where it never was, the store's own. */
static int read_history(struct serve *s,
                        const char *repository,
                        const char *tag,
                        struct history *out,
                        struct error *err)
{
    CLEANUP(base_freep) char *prefix = serve_names_prefix(s, repository);
    CLEANUP(base_freep) char *own_prefix = serve_names_own_prefix(s, repository);
    CLEANUP(base_freep) char *name = base_format("%s%s", prefix, tag);

    if (cas_ref_history(s->store, name, &out->events, &out->count, err) < 0)
        return -1;
    if (out->count > 0 || !own_prefix)
        return 0;
    cas_ref_history_free(out->events, out->count);
    *out = (struct history){0};
    CLEANUP(base_freep) char *own = base_format("%s%s", own_prefix, tag);
    return cas_ref_history(s->store, own, &out->events, &out->count, err);
}

/* What is gone from the store cannot be looked at. */
static void put_state(struct serve *s,
                      const char *repository,
                      const struct digest *d,
                      struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor target = {0};
    bool found = false;

    if (!digest_is_set(d)) {
        buf_append_text(out, "<td>removed</td>");
        return;
    }
    if (serve_manifest_find(s, repository, d, &found, NULL, &target, &ignored) < 0)
        found = false;
    buf_append_text(out, "<td>");
    if (found)
        html_link(out, repository, NULL, digest_format(d).text);
    html_digest(out, d);
    buf_append_text(out, found ? "</a></td>" : "</td>");
}

static void put_history(struct serve *s,
                        const char *repository,
                        const struct history *h,
                        struct buf *out)
{
    if (h->count == 0)
        return;
    buf_append_text(out, "<h2>History</h2>\n<table id=\"history\"><thead><tr><th>When</th>"
                         "<th>Pointed to</th><th>Before</th><th>By</th></tr></thead>\n"
                         "<tbody>\n");
    for (size_t i = 0; i < h->count && i < PAGE_ROWS_MAX; i++) {
        const struct cas_ref_event *e = &h->events[i];
        buf_append_text(out, "<tr><td>");
        html_time(out, e->time);
        buf_append_text(out, "</td>");
        put_state(s, repository, &e->to, out);
        buf_append_text(out, "<td>");
        html_digest(out, &e->from);
        html_put(out, "</td><td>%s</td></tr>\n", e->why);
    }
    buf_append_text(out, "</tbody></table>\n");
    page_more(out, PAGE_ROWS_MAX, h->count);
}

/* --- The whole --- */

static void put_title(struct serve *s,
                      const char *repository,
                      const char *reference,
                      bool is_tag,
                      struct buf *out)
{
    CLEANUP(base_freep)
    char *whole = base_format("%s%s%s", repository, is_tag ? ":" : "@", reference);

    html_begin(out, s->name, whole);
    buf_append_text(out, "<h1>");
    html_link(out, repository, NULL, NULL);
    html_put(out, "%s</a>%s%s</h1>\n", repository, is_tag ? ":" : "@", reference);
    html_put(out, "<pre>docker pull %s/%s</pre>\n", s->name, whole);
}

static void put_target(const char *repository,
                       const struct descriptor *target,
                       bool is_own,
                       struct buf *out)
{
    const struct digest_text digest = digest_format(&target->digest);

    buf_append_text(out, "<table id=\"target\"><tbody>\n");
    /* Hex digits and a valid name: nothing in the URL needs an escape. */
    html_put(out,
             "<tr><th scope=\"row\">Digest</th><td><a href=\"/v2/%s/manifests/%s\">"
             "<code>%s</code></a></td></tr>\n",
             repository, digest.text, digest.text);
    html_row(out, "Media type", view_of(target->media_type));
    if (is_own)
        html_row(out, "Origin", view_of("an image of the store that was not pushed"));
    buf_append_text(out, "</tbody></table>\n");
}

static int find_target(struct serve *s,
                       const char *repository,
                       const char *tag,
                       const char *digest,
                       bool *found,
                       bool *own,
                       struct descriptor *out,
                       struct error *err)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    struct digest d;

    *found = false;
    if (tag)
        return serve_is_tag(view_of(tag))
                   ? serve_tag_find(s, repository, tag, found, own, out, err)
                   : 0;
    if (digest_parse(view_of(digest), &d, &ignored) < 0)
        return 0;
    return serve_manifest_find(s, repository, &d, found, own, out, err);
}

void page_image(struct serve_exchange *x,
                const char *repository,
                const char *tag,
                const char *digest)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(descriptor_release) struct descriptor target = {0};
    CLEANUP(history_release) struct history history = {0};
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    struct serve *const s = x->serve;
    bool found;
    bool own = false;

    if (find_target(s, repository, tag, digest, &found, &own, &target, &err) < 0 ||
        (tag && serve_is_tag(view_of(tag)) &&
         read_history(s, repository, tag, &history, &err) < 0)) {
        serve_fail(x, &err);
        return;
    }
    if (!found && history.count == 0) {
        page_missing(x, tag ? "tag" : "manifest", tag ? tag : digest);
        return;
    }
    put_title(s, repository, tag ? tag : digest, tag != NULL, &out);
    if (found)
        put_target(repository, &target, own, &out);
    else
        buf_append_text(&out, "<p>The tag was removed.</p>\n");
    if (found)
        page_content(x, repository, &target, &out);
    put_history(s, repository, &history, &out);
    page_reply(x, 200, &out);
}
