/*
 * UTF-8 and the character classes that the Dockerfile language uses, as Go has them.
 * Private to parser/.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define DOCKERFILE_RUNE_BAD ((uint32_t)0xfffd) /* stands for a byte that is not UTF-8 */

/* A range of code points, for the generated tables. */
struct dockerfile_rune_range {
    uint32_t first;
    uint32_t last;
};

/* Decodes the rune at data[0 .. size), size > 0, and gives its length in bytes. A byte that
 * starts no valid sequence is U+FFFD of length 1 (Go's utf8.DecodeRune). */
uint32_t dockerfile_rune_decode(const char *data, size_t size, size_t *length);

/* The same for the rune that ends at data[size], size > 0. */
uint32_t dockerfile_rune_decode_last(const char *data, size_t size, size_t *length);

void dockerfile_rune_append(struct buf *out, uint32_t rune);

bool dockerfile_rune_is_space(uint32_t rune);  /* unicode.IsSpace */
bool dockerfile_rune_is_letter(uint32_t rune); /* unicode.IsLetter */
bool dockerfile_rune_is_digit(uint32_t rune);  /* unicode.IsDigit */

/* Bytes of white space at the start. */
size_t dockerfile_space_size(struct view text);
struct view dockerfile_trim_left(struct view text); /* of unicode.IsSpace */
struct view dockerfile_trim(struct view text);
