/*
 * A fuzz target reads foreign bytes. libFuzzer calls it in the fuzz build; elsewhere
 * replay.c hands it the files of its corpus, past crashes included, as a normal test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns 0. What must hold is asserted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
