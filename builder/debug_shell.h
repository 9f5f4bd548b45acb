/*
 * A shell for images that have none: a busybox of this machine that needs no libraries. For
 * builder/debug.c.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>

/* Where it is mounted in the step. */
#define DEBUG_SHELL_TARGET "/.cooper/busybox"

/* A descriptor of the directory that holds a static busybox, and its name there (static).
 * ERROR_UNSUPPORTED names the package to install if there is none. */
MUST_CHECK int debug_shell_open(const char **name, struct error *err);

/* Does the program run without a loader? Reads an ELF file of this machine's word size. */
bool debug_shell_is_static(int fd);
