/*
 * How this machine finds names and its way out, for steps that do the same.
 * Spec: resolv.conf(5).
 */
#pragma once

#include "base/buf.h"
#include "base/view.h"

#include <stdbool.h>

/* /etc/resolv.conf; empty where there is none. */
void build_resolver_read(struct buf *out);
/* The same for another network namespace, where no resolver on a loopback address is: if
 * the first one is, `address` stands for it, and true is returned; others are left out. */
bool build_resolver_translate(struct view text, const char *address, struct buf *out);
/* The gateway of the default route (IPv4), malloc'ed; NULL if there is none. */
char *build_resolver_gateway(void);
/* The same, of the text of /proc/net/route. */
char *build_resolver_gateway_of(struct view table);
