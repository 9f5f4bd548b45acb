/*
 * Generated tables of Unicode categories beyond ASCII: see unicode_tables.c.
 * Private to parser/.
 */
#pragma once

#include "parser/unicode.h"

extern const struct dockerfile_rune_range dockerfile_letters[]; /* L: letters */
extern const size_t dockerfile_letter_count;
extern const struct dockerfile_rune_range dockerfile_digits[]; /* Nd: decimal digits */
extern const size_t dockerfile_digit_count;
