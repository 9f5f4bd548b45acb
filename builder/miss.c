#include "builder/miss.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <ctype.h>
#include <string.h>

/* A value in a line that people read. */
#define VALUE_WIDTH ((size_t)60)
/* What is shown of a common beginning before the place where two texts part. */
#define CONTEXT_WIDTH ((size_t)16)

struct difference {
    struct buf text;
    size_t count; /* differences; the first is in `text` */
};

/* UTF-8 is not cut within a character. */
static size_t fit(struct view text, size_t width)
{
    size_t size = text.size < width ? text.size : width;

    while (size > 0 && size < text.size && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void build_miss_clip(struct buf *out, struct view text, size_t width)
{
    const bool cut = text.size > width && width > 3;
    const size_t size = cut ? fit(text, width - 3) : text.size;

    for (size_t i = 0; i < size; i++)
        buf_append_char(out, iscntrl((unsigned char)text.data[i]) ? ' ' : text.data[i]);
    if (cut)
        buf_append_text(out, "...");
}

static bool first(struct difference *d)
{
    return d->count++ == 0;
}

/* --- Values --- */

static struct view value_of(const struct doc *d)
{
    const struct view text = doc_view(d);

    return text.data ? text : VIEW_LIT("");
}

static bool is_hidden(struct view value)
{
    return value.size > 0 && value.data[0] == '\x01';
}

/* Two long texts are shown from shortly before where they part. */
static size_t parting(struct view a, struct view b)
{
    size_t same = 0;

    while (same < a.size && same < b.size && a.data[same] == b.data[same])
        same++;
    if ((a.size <= VALUE_WIDTH && b.size <= VALUE_WIDTH) || same <= 2 * CONTEXT_WIDTH)
        return 0;
    same -= CONTEXT_WIDTH;
    while (same > 0 && ((unsigned char)a.data[same] & 0xc0) == 0x80)
        same--;
    return same;
}

static void append_value(struct buf *out, struct view value, size_t from, bool quoted)
{
    const char *quote = quoted || value.size == 0 ? "\"" : "";

    buf_append_text(out, quote);
    if (from > 0)
        buf_append_text(out, "...");
    build_miss_clip(out, view_sub(value, from, value.size), VALUE_WIDTH);
    buf_append_text(out, quote);
}

static void tell_change(
    struct difference *d, const char *what, struct view was, struct view is, bool quoted)
{
    const size_t from = parting(was, is);

    if (!first(d))
        return;
    buf_printf(&d->text, "%s was ", what);
    append_value(&d->text, was, from, quoted);
    buf_append_text(&d->text, ", is ");
    append_value(&d->text, is, from, quoted);
}

/* --- Members --- */

static void compare_text(struct difference *d,
                         const struct doc *was,
                         const struct doc *is,
                         const char *key,
                         const char *what,
                         bool quoted)
{
    const struct view x = value_of(doc_get(was, key));
    const struct view y = value_of(doc_get(is, key));

    if (!view_eq(x, y))
        tell_change(d, what, x, y, quoted);
}

static void join(const struct doc *list, size_t from, struct buf *out)
{
    for (size_t i = from; i < doc_count(list); i++) {
        buf_append_text(out, i > from ? " " : "");
        buf_append_view(out, doc_view(doc_at(list, i)));
    }
}

/* As a whole; without the beginning that both have, the shell. */
static void compare_list(struct difference *d,
                         const struct doc *was,
                         const struct doc *is,
                         const char *key,
                         const char *what)
{
    const struct doc *x = doc_get(was, key);
    const struct doc *y = doc_get(is, key);
    CLEANUP(buf_release) struct buf a = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf b = BUF_INIT(LIMIT_TEXT_SIZE);
    size_t same = 0;

    if (doc_equal(x, y))
        return;
    while (same < doc_count(x) && same < doc_count(y) &&
           doc_equal(doc_at(x, same), doc_at(y, same)))
        same++;
    join(x, same, &a);
    join(y, same, &b);
    tell_change(d, what, buf_view(&a), buf_view(&b), true);
}

static void tell_variable(struct difference *d,
                          const char *what,
                          const char *name,
                          const struct doc *was,
                          const struct doc *is)
{
    const struct view x = value_of(was);
    const struct view y = value_of(is);

    if (!first(d))
        return;
    buf_printf(&d->text, "%s %s ", what, name);
    if (is_hidden(x) || is_hidden(y)) {
        buf_append_text(&d->text, !was ? "is new" : !is ? "is gone" : "changed");
        return;
    }
    const size_t from = was && is ? parting(x, y) : 0;
    if (was) {
        buf_append_text(&d->text, "was ");
        append_value(&d->text, x, from, false);
    } else {
        buf_append_text(&d->text, "was not set");
    }
    buf_append_text(&d->text, ", is ");
    if (is)
        append_value(&d->text, y, from, false);
    else
        buf_append_text(&d->text, "not set");
}

static void compare_variables(struct difference *d,
                              const struct doc *was,
                              const struct doc *is,
                              const char *what)
{
    const struct doc *value;

    for (const char *name = NULL; doc_next(is, &name, &value);)
        if (!doc_equal(doc_get(was, name), value))
            tell_variable(d, what, name, doc_get(was, name), value);
    for (const char *name = NULL; doc_next(was, &name, &value);)
        if (!doc_get(is, name))
            tell_variable(d, what, name, value, NULL);
}

/* --- Operations --- */

static void compare_run(struct difference *d, const struct doc *was, const struct doc *is)
{
    compare_list(d, was, is, "command", "the command");
    compare_text(d, was, is, "script", "the script", true);
    compare_variables(d, doc_get(was, "args"), doc_get(is, "args"), "build argument");
    compare_variables(d, doc_get(was, "env"), doc_get(is, "env"), "environment variable");
    compare_text(d, was, is, "workdir", "the working directory", false);
    compare_text(d, was, is, "user", "the user", false);
    compare_text(d, was, is, "network", "the network", false);
    compare_text(d, was, is, "security", "the security mode", false);
    compare_list(d, was, is, "mounts", "a mount");
    compare_list(d, was, is, "devices", "a device");
    compare_list(d, was, is, "ulimits", "a limit");
    compare_text(d, was, is, "hostname", "the host name", false);
}

static void compare_copy(struct difference *d, const struct doc *was, const struct doc *is)
{
    compare_list(d, was, is, "sources", "the source");
    compare_text(d, was, is, "destination", "the destination", false);
    compare_text(d, was, is, "chown", "--chown", false);
    compare_text(d, was, is, "chmod", "--chmod", false);
    compare_text(d, was, is, "link", "--link", false);
    compare_list(d, was, is, "exclude", "--exclude");
    if (!doc_equal(doc_get(was, "texts"), doc_get(is, "texts")) && first(d))
        buf_append_text(&d->text, "the text of its here-document changed");
}

/* "sha256:" and twelve digits. */
static struct view short_digest(const struct doc *d)
{
    return view_sub(value_of(d), 0, sizeof "sha256:0123456789ab" - 1);
}

static void compare_source(struct difference *d,
                           const struct doc *was,
                           const struct doc *is)
{
    const struct doc *x = doc_get(was, "digest");
    const struct doc *y = doc_get(is, "digest");
    const bool same_name = doc_equal(doc_get(was, "image"), doc_get(is, "image"));

    if (doc_equal(x, y))
        return;
    if (!same_name)
        compare_text(d, was, is, "image", "the image", false);
    else if (first(d))
        buf_printf(&d->text, "tag moved from %.*s to %.*s", VIEW_ARG(short_digest(x)),
                   VIEW_ARG(short_digest(y)));
}

char *build_miss_difference(const struct doc *was, const struct doc *is)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct difference d = {.text = text};
    const struct view op = doc_view(doc_get(is, "op"));

    if (view_eq_text(op, "run"))
        compare_run(&d, was, is);
    else if (view_eq_text(op, "copy"))
        compare_copy(&d, was, is);
    else if (view_eq_text(op, "from"))
        compare_source(&d, was, is);
    compare_text(&d, was, is, "path", "the directory", false);
    if (view_eq_text(op, "workdir"))
        compare_text(&d, was, is, "user", "the user", false);
    /* What holds for the whole build. */
    compare_variables(&d, doc_get(was, "variant"), doc_get(is, "variant"), "the build's");
    text = d.text;
    if (d.count > 1)
        buf_printf(&text, ", and %zu more", d.count - 1);
    return d.count > 0 ? buf_take(&text) : NULL;
}
