#include "registry/serve/html.h"

#include "base/alloc.h"
#include "registry/url.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

/* Hex digits of a digest that tell it from all others on a page. */
#define DIGITS_SHOWN 12

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--soft:#777;--mark:#0a6cc4}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;"
    "padding:0 1rem 3rem}"
    "header{border-bottom:1px solid var(--line);padding:1rem 0;margin-bottom:1rem}"
    "header a{font-weight:600}"
    "h1{font-size:1.5rem;margin:.6rem 0;overflow-wrap:anywhere}"
    "h2{font-size:1.1rem;margin:1.8rem 0 .5rem}"
    "a{color:var(--mark);text-decoration:none}a:hover{text-decoration:underline}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{border-bottom:1px solid var(--line);padding:.3rem .8rem .3rem 0;"
    "text-align:left;vertical-align:top;overflow-wrap:anywhere;unicode-bidi:isolate}"
    "th{font-weight:600;white-space:nowrap}"
    "td.number{text-align:right;white-space:nowrap}"
    "code,pre{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere;"
    "white-space:pre-wrap;unicode-bidi:isolate}"
    "pre{background:#8881;padding:.6rem;margin:.4rem 0}"
    "time{white-space:nowrap}"
    ".soft{color:var(--soft)}";

const char *html_style(void)
{
    return style;
}

/* --- Texts --- */

/* The next character; what is no UTF-8 (overlong forms and surrogates too) gives U+FFFD and
 * takes one byte. */
static uint32_t next_character(struct view text, size_t at, size_t *length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t first = (uint8_t)text.data[at];
    const size_t n = first < 0x80   ? 1
                     : first < 0xc2 ? 0
                     : first < 0xe0 ? 2
                     : first < 0xf0 ? 3
                     : first < 0xf5 ? 4
                                    : 0;
    uint32_t c = n < 2 ? first : first & (0x7fu >> n);

    *length = 1;
    if (n == 0 || n > text.size - at)
        return 0xfffd;
    for (size_t i = 1; i < n; i++) {
        const uint8_t next = (uint8_t)text.data[at + i];
        if ((next & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (next & 0x3f);
    }
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0xfffd;
    *length = n;
    return c;
}

static bool turns_text(uint32_t c)
{
    return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static bool is_control(uint32_t c)
{
    return (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

static void put_character(struct buf *out, struct view bytes, uint32_t c)
{
    switch (c) {
    case '&':
        buf_append_text(out, "&amp;");
        return;
    case '<':
        buf_append_text(out, "&lt;");
        return;
    case '>':
        buf_append_text(out, "&gt;");
        return;
    case '"':
        buf_append_text(out, "&quot;");
        return;
    case '\'':
        buf_append_text(out, "&#39;");
        return;
    case 0xfffd:
        buf_append_text(out, "\xef\xbf\xbd");
        return;
    default:
        if (turns_text(c))
            buf_printf(out, "\\u{%" PRIx32 "}", c);
        else
            buf_append_view(out, bytes);
    }
}

void html_text(struct buf *out, struct view text)
{
    for (size_t at = 0; at < text.size;) {
        size_t length;
        uint32_t c = next_character(text, at, &length);
        if (at >= SERVE_HTML_TEXT_MAX) {
            buf_append_text(out, "…");
            return;
        }
        if (is_control(c))
            c = 0xfffd;
        put_character(out, view_sub(text, at, length), c);
        at += length;
    }
}

void html_put(struct buf *out, const char *markup, ...)
{
    struct view rest = view_of(markup);
    va_list args;

    va_start(args, markup);
    while (rest.size > 0) {
        size_t at = 0;
        while (at < rest.size && !view_starts(view_sub(rest, at, rest.size), "%s"))
            at++;
        buf_append(out, rest.data, at);
        if (at == rest.size)
            break;
        html_text(out, view_of(va_arg(args, const char *)));
        rest = view_sub(rest, at + 2, rest.size);
    }
    va_end(args);
}

void html_row(struct buf *out, const char *name, struct view value)
{
    if (value.size == 0)
        return;
    html_put(out, "<tr><th scope=\"row\">%s</th><td>", name);
    html_text(out, value);
    buf_append_text(out, "</td></tr>\n");
}

/* --- Values --- */

void html_size(struct buf *out, uint64_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)size;
    size_t unit = 0;

    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000.0;
        unit++;
    }
    buf_printf(out, "<span title=\"%" PRIu64 " bytes\">%.3g %s</span>", size, value,
               units[unit]);
}

void html_time(struct buf *out, int64_t seconds)
{
    char text[64] = "?";
    const time_t t = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&t, &tm))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    html_put(out, "<time>%s</time>", text);
}

void html_digest(struct buf *out, const struct digest *d)
{
    if (!digest_is_set(d)) {
        buf_append_text(out, "-");
        return;
    }
    buf_printf(out, "<code title=\"%s\">%.*s</code>", digest_format(d).text, DIGITS_SHOWN,
               digest_hex(d).text);
}

void html_link(struct buf *out, const char *repository, const char *tag, const char *digest)
{
    CLEANUP(base_freep) char *name = registry_url_encode(view_of(repository));

    buf_printf(out, "<a href=\"/?repository=%s", name);
    if (tag) {
        CLEANUP(base_freep) char *encoded = registry_url_encode(view_of(tag));
        buf_printf(out, "&amp;tag=%s", encoded);
    } else if (digest) {
        CLEANUP(base_freep) char *encoded = registry_url_encode(view_of(digest));
        buf_printf(out, "&amp;digest=%s", encoded);
    }
    buf_append_text(out, "\">");
}

/* --- The page's frame --- */

void html_begin(struct buf *out, const char *registry, const char *title)
{
    html_put(out,
             "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
             "<title>%s</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\n"
             "<body><header><a href=\"/\">%s</a></header>\n<main>\n",
             title, registry);
}

void html_end(struct buf *out)
{
    buf_append_text(out, "</main></body></html>\n");
}
