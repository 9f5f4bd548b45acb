/*
 * The pages for people with a browser, for registry/serve/:
 *
 *     /                                   all repositories             page.c
 *     /?repository=R                      its tags                     page.c
 *     /?repository=R&tag=T                what a tag points to,
 *     /?repository=R&digest=D             and its history              page_image.c
 *                                         index, config, layers        page_content.c
 *
 * They show what the API shows, by the same rules (visible.c), and change nothing.
 */
#pragma once

#include "base/buf.h"
#include "cas/descriptor.h"
#include "cas/ref.h"
#include "registry/serve/serve_priv.h"

/* Rows of one table; what is more is only counted. */
#define PAGE_ROWS_MAX ((size_t)1000)

/* "and N more" below a table that shows `shown` of `count`. */
void page_more(struct buf *out, size_t shown, size_t count);
/* Is there no such thing: 404, for people. */
void page_missing(struct serve_exchange *x, const char *what, const char *name);
/* Takes the finished page. */
void page_reply(struct serve_exchange *x, int status, struct buf *html);

/* Answers for a tag or a digest (one of them NULL) of the repository. */
void page_image(struct serve_exchange *x,
                const char *repository,
                const char *tag,
                const char *digest);

/* What a manifest or index holds, and what refers to it. */
void page_content(struct serve_exchange *x,
                  const char *repository,
                  const struct descriptor *target,
                  struct buf *out);
/* In a few words: "image, 5.1 MB", "index of 3". */
void page_summary(struct serve *s, const struct descriptor *target, struct buf *out);
