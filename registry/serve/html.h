/*
 * HTML for people who look at the registry with a browser: no script, nothing from
 * elsewhere, and whatever was not written in here is escaped.
 *
 * Names, labels, commands and all else that images say come from strangers. html_text is
 * the one way for them into a page, in element content and in quoted attributes alike. What
 * a page could be made to lie with is shown as what it is: control characters and broken
 * UTF-8 become U+FFFD, marks that turn the direction of text are written out. Should
 * something slip through all the same, SERVE_HTML_POLICY lets it do nothing.
 *
 * Spec: HTML (WHATWG) 13.2 "named character references"; UAX #9 for directions; CSP 3.
 */
#pragma once

#include "base/buf.h"
#include "base/macros.h"
#include "base/view.h"
#include "cas/digest.h"

#include <stdint.h>

/* Style sheets of our own; no script, image, frame, form, base, or embedding. */
#define SERVE_HTML_POLICY                                                                  \
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "          \
    "frame-ancestors 'none'"

/* Of one text, in bytes: what is longer ends in an ellipsis. */
#define SERVE_HTML_TEXT_MAX ((size_t)4096)

/* The page's head up to where its content begins. `registry`: its name. */
void html_begin(struct buf *out, const char *registry, const char *title);
void html_end(struct buf *out);

void html_text(struct buf *out, struct view text);
/* Markup of our own with a text, escaped, in the place of each %s; there is nothing else
 * that is replaced. */
void html_put(struct buf *out, const char *markup, ...) PRINTF_LIKE(2, 3);
/* A row of a two-column table, unless the value is empty. */
void html_row(struct buf *out, const char *name, struct view value);

/* "12.3 MB", "2026-11-23 13:05:59 UTC" */
void html_size(struct buf *out, uint64_t size);
void html_time(struct buf *out, int64_t seconds);
/* Its first digits, the whole on hovering; "-" if it is not set. */
void html_digest(struct buf *out, const struct digest *d);
/* Begins a link to the page about something; the tag or the digest may be NULL. To be ended
 * with "</a>". */
void html_link(struct buf *out,
               const char *repository,
               const char *tag,
               const char *digest);

/* What /style.css answers; static. */
const char *html_style(void);
