/*
 * EXPOSE: [IP:][HOST:]PORT[-PORT][/PROTOCOL], of which only the container's ports and the
 * protocol end in the image. As docker's nat package reads it.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct port_range {
    unsigned start;
    unsigned end;
};

static bool read_port(struct view text, unsigned *out)
{
    uint64_t value;

    if (text.size > 0 && text.data[0] == '+')
        text = view_sub(text, 1, text.size);
    if (!view_to_u64(text, &value) || value > 65535)
        return false;
    *out = (unsigned)value;
    return true;
}

static int read_range(struct view text,
                      const char *what,
                      struct port_range *out,
                      struct error *err)
{
    struct view first, last;

    if (!view_cut(text, '-', &first, &last))
        last = first;
    if (!read_port(first, &out->start) || !read_port(last, &out->end) ||
        out->end < out->start)
        return error_set(
            err, ERROR_INVALID,
            "invalid %s: %.*s: ports are numbers from 0 to 65535, a range is START-END",
            what, VIEW_ARG(text));
    return 0;
}

/* Cuts at the last colon. */
static bool cut_last(struct view text, struct view *head, struct view *tail)
{
    for (size_t i = text.size; i-- > 0;) {
        if (text.data[i] != ':')
            continue;
        *head = view_sub(text, 0, i);
        *tail = view_sub(text, i + 1, text.size);
        return true;
    }
    return false;
}

static int check_ip(struct view ip, struct error *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    struct view bare = ip;
    char *text;
    bool good;

    if (bare.size >= 2 && bare.data[0] == '[' && bare.data[bare.size - 1] == ']')
        bare = view_sub(bare, 1, bare.size - 2);
    text = view_dup(bare);
    good =
        inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
    free(text);
    return good ? 0
                : error_set(err, ERROR_INVALID, "invalid IP address: %.*s", VIEW_ARG(ip));
}

static bool is_protocol(const char *proto)
{
    return strcmp(proto, "tcp") == 0 || strcmp(proto, "udp") == 0 ||
           strcmp(proto, "sctp") == 0;
}

static int check_host(struct view host, struct port_range container, struct error *err)
{
    struct port_range range;

    if (host.size == 0)
        return 0;
    if (read_range(host, "hostPort", &range, err) < 0)
        return -1;
    if (container.end != container.start &&
        range.end - range.start != container.end - container.start)
        return error_set(err, ERROR_INVALID,
                         "invalid ranges specified for container and host ports");
    return 0;
}

int plan_expose(struct build_config *config,
                const char *port,
                struct buf *history,
                struct error *err)
{
    struct view rest = view_of(port);
    struct view container, host = {0}, ip = {0}, proto_text;
    struct port_range range;
    char proto[8] = "tcp";

    if (cut_last(rest, &rest, &container)) {
        if (!cut_last(rest, &ip, &host))
            host = rest;
    } else {
        container = rest;
    }
    if (view_cut(container, '/', &container, &proto_text) && proto_text.size > 0) {
        if (proto_text.size >= sizeof proto)
            return error_set(err, ERROR_INVALID,
                             "invalid port: \"%s\": invalid proto: %.*s", port,
                             VIEW_ARG(proto_text));
        for (size_t i = 0; i <= proto_text.size; i++)
            proto[i] = i < proto_text.size
                           ? (char)tolower((unsigned char)proto_text.data[i])
                           : '\0';
    }
    if (container.size == 0)
        return error_set(err, ERROR_INVALID, "invalid port: \"%s\": no port specified",
                         port);
    if (!is_protocol(proto))
        return error_set(err, ERROR_INVALID, "invalid port: \"%s\": invalid proto: %.*s",
                         port, VIEW_ARG(proto_text));
    if (ip.size > 0 && check_ip(ip, err) < 0)
        return -1;
    if (read_range(container, "containerPort", &range, err) < 0 ||
        check_host(host, range, err) < 0)
        return error_wrap(err, "EXPOSE %s", port);
    for (unsigned i = range.start; i <= range.end; i++) {
        char *key = base_format("%u/%s", i, proto);

        build_config_set_key(config, "ExposedPorts", key, NULL);
        buf_printf(history, "%s%s",
                   history->size && history->data[history->size - 1] != '[' ? " " : "",
                   key);
        free(key);
    }
    return 0;
}
