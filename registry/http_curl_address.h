/*
 * Which addresses are a private network's: for redirects that lead from outside into one.
 *
 * Spec: RFC 6890 (special-purpose addresses), RFC 6598, RFC 4193.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Of this machine or network: loopback, link-local (where clouds tell their secrets),
 * private, shared, unspecified. Other families than IP are not. */
bool http_address_is_private(const struct sockaddr *address);
/* An address as text ("192.0.2.1", "2001:db8::1") that is not; false if it is none. */
bool http_address_is_public(const char *text);
