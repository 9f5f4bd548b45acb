/*
 * Setting the attributes of files just made beneath a directory descriptor, in the order
 * that the kernel's side effects demand: owner (clears setuid and capabilities), extended
 * attributes, mode, times.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "cas/entry.h"

struct cas_owners;

/* Of an open file or directory. With `owners` the owner is recorded (owner.h), else real.
 */
MUST_CHECK int cas_file_attr_set(int fd,
                                 const struct cas_entry *e,
                                 struct cas_owners *owners,
                                 struct error *err);
/* Of `name` in a directory, which is not followed: symlinks, devices, fifos. */
MUST_CHECK int cas_file_attr_set_at(int dir_fd,
                                    const char *name,
                                    const struct cas_entry *e,
                                    struct cas_owners *owners,
                                    struct error *err);
