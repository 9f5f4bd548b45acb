/*
 * What a step prints, on its way to the events: secrets of the build are masked
 * (builder/mask.h), whichever step prints them. For builder/step_*.c.
 */
#pragma once

#include "builder/solve_priv.h"

#include <stddef.h>

struct step_output;

struct step_output *step_output_new(struct solve_node *n);
void step_output_write(struct step_output *o, int stream, const char *data, size_t size);
/* What is held back comes out; frees. */
void step_output_end(struct step_output *o);
