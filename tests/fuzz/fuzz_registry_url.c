/* URLs and places of a stranger: the first line of the input is where we are, the second
 * where a Location, Link or Content-Range header sends us, the rest a value for a query. */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "registry/fetch.h"
#include "registry/location.h"
#include "registry/range.h"
#include "registry/url.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What goes into a request: no blanks, no control characters, nobody's name before the
 * host. */
static void check_parsed(const struct registry_url *u, struct view text)
{
    assert(u->host.size > 0 && u->host.size <= u->authority.size);
    for (size_t i = 0; i < u->authority.size; i++)
        assert(!strchr("/?#@\\", u->authority.data[i]));
    for (size_t i = 0; i < u->path.size; i++)
        assert((unsigned char)u->path.data[i] > ' ' && u->path.data[i] != 0x7f);
    assert(u->path.data >= text.data &&
           u->path.data + u->path.size <= text.data + text.size);
    assert(registry_url_same_origin(u, u));
    (void)registry_url_is_loopback(u->host);
}

static void check_resolved(const char *base, struct view location)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(base_freep) char *text = registry_url_resolve(base, location, &err);
    struct registry_url from, to;

    if (!text) {
        assert(error_is(&err, ERROR_INVALID));
        return;
    }
    const int rc = registry_url_parse(view_of(text), &to, &err);
    assert(rc == 0);
    check_parsed(&to, view_of(text));
    /* A place that names no host stays at the one where it was named. */
    const int base_rc = registry_url_parse(view_of(base), &from, &err);
    assert(base_rc == 0);
    if (location.size > 0 && location.data[0] == '/' && !view_starts(location, "//"))
        assert(registry_url_same_origin(&from, &to));
}

static void check_query(const char *base, struct view value)
{
    CLEANUP(base_freep) char *encoded = registry_url_encode(value);
    CLEANUP(base_freep) char *url = registry_url_add_query(base, "last", value);

    for (const char *c = encoded; *c; c++)
        assert(!strchr("/?#&=+@ ", *c) && (unsigned char)*c > ' ' && *c != 0x7f);
    assert(strncmp(url, base, strlen(base)) == 0);
}

static void check_range(struct view text)
{
    struct registry_range r;

    if (registry_range_parse(text, &r))
        assert(r.first < r.end && (!r.has_total || r.end <= r.total));
}

/* What parses as a place is the same place when its text is parsed. */
static void check_location(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(registry_location_release) struct registry_location l = {0};
    CLEANUP(registry_location_release) struct registry_location again = {0};

    if (registry_location_parse(text, &l, &err) < 0) {
        assert(error_is(&err, ERROR_INVALID) || error_is(&err, ERROR_UNSUPPORTED));
        return;
    }
    CLEANUP(base_freep) char *first = registry_location_text(&l);
    const int rc = registry_location_parse(view_of(first), &again, &err);
    assert(rc == 0 && l.kind == again.kind);
    CLEANUP(base_freep) char *second = registry_location_text(&again);
    assert(strcmp(first, second) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view first, rest, second, third;
    int64_t seconds;

    (void)view_cut((struct view){(const char *)data, size}, '\n', &first, &rest);
    (void)view_cut(rest, '\n', &second, &third);
    CLEANUP(base_freep) char *base = view_dup(first);
    CLEANUP(base_freep) char *shown = registry_fetch_shown(base);
    CLEANUP(base_freep) char *line = view_dup(second);
    (void)registry_fetch_date(line, &seconds);
    assert(strlen(shown) <= strlen(base));
    check_resolved(base, second);
    check_resolved("https://registry.example:5000/v2/a?b=c", second);
    check_query(base, third);
    check_range(second);
    /* An argument of a command: it ends at a zero byte. */
    check_location(view_of(line));
    return 0;
}
