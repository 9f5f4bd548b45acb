#include "builder/resolver.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>

void build_resolver_read(struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    /* A machine without the file has no resolver to offer. */
    if (fs_read_file_at(AT_FDCWD, "/etc/resolv.conf", out, &ignored) < 0)
        buf_clear(out);
}

/* The next word of a line. */
static struct view next_word(struct view *line)
{
    struct view word;

    *line = view_trim(*line);
    for (word = view_sub(*line, 0, 0); word.size < line->size; word.size++)
        if (line->data[word.size] == ' ' || line->data[word.size] == '\t')
            break;
    *line = view_sub(*line, word.size, line->size - word.size);
    return word;
}

static bool is_loopback(struct view address)
{
    return view_starts(address, "127.") || view_eq_text(address, "::1") ||
           view_eq_text(address, "0.0.0.0");
}

bool build_resolver_translate(struct view text, const char *address, struct buf *out)
{
    size_t servers = 0;
    bool replaced = false;

    while (text.size > 0) {
        struct view line, rest;

        view_cut(text, '\n', &line, &text);
        rest = line;
        if (!view_eq_text(next_word(&rest), "nameserver")) {
            buf_append_view(out, line);
            buf_append_char(out, '\n');
            continue;
        }
        if (!is_loopback(next_word(&rest))) {
            buf_append_view(out, line);
            buf_append_char(out, '\n');
        } else if (servers == 0) {
            replaced = true;
            buf_printf(out, "nameserver %s\n", address);
        }
        servers++;
    }
    return replaced;
}

/* "Iface Destination Gateway ...": numbers are hexadecimal, as they lie in memory. */
char *build_resolver_gateway_of(struct view table)
{
    while (table.size > 0) {
        struct view line;

        view_cut(table, '\n', &line, &table);
        next_word(&line);
        const struct view destination = next_word(&line);
        CLEANUP(base_freep) char *gateway = view_dup(next_word(&line));
        const struct in_addr address = {.s_addr = (in_addr_t)strtoul(gateway, NULL, 16)};
        char text[INET_ADDRSTRLEN];

        if (view_eq_text(destination, "00000000") && address.s_addr != 0 &&
            inet_ntop(AF_INET, &address, text, sizeof text))
            return base_strdup(text);
    }
    return NULL;
}

char *build_resolver_gateway(void)
{
    CLEANUP(buf_release) struct buf table = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* no table, no route */

    if (fs_read_file_at(AT_FDCWD, "/proc/net/route", &table, &ignored) < 0)
        return NULL;
    return build_resolver_gateway_of(buf_view(&table));
}
