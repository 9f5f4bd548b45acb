/*
 * Steps where only one id is mapped: system calls about owners are answered by cooper.
 *
 *     child    installs the filter; sends its listener over the socket that came as a slot
 *     thread   of cooper's, one a step: takes each call that the filter stops and
 *              - lets the kernel carry it out as it is (nearly all), or
 *              - carries it out in the step's stead and answers it.
 *
 * What is answered: chown and mknod are recorded (cas/owner.h); stat shows what is
 * recorded; files that are created get the owner that they would have had; setuid,
 * setgroups and their like are remembered for each process, and getuid tells them.
 *
 *     notify_filter.c  which calls        notify_task.c    paths and memory of the step
 *     notify_file.c    chown, stat, mknod notify_create.c  open, mkdir, symlink
 *     notify_ids.c     setuid, getuid     notify_people.c  who is who
 *     notify_end.c     exit, of a traced program
 *     notify_plain.c   mounts that are read-only, the environment, of a traced program
 *
 * The thread has no more rights than the step's user outside of the sandbox, but does have
 * more capabilities inside, and another root. So every path is resolved in the root of the
 * process that names it (RESOLVE_IN_ROOT, no magic links), every descriptor of it is looked
 * up in its own table, nothing is changed but inodes that were opened that way, and the
 * only changes are: an owner's record, the loss of setuid bits that a chown brings, and
 * one new name that the step asked for, in a directory that it could name. A step that
 * changes a path or its memory meanwhile gains another file of its own.
 *
 * Private to builder/sandbox.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "builder/sandbox/sandbox.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox_notify;

/* Starts the thread of a step whose root records owners. *child_socket is the end that the
 * child sends its listener to: the caller's to close after it was handed over. */
MUST_CHECK struct sandbox_notify *sandbox_notify_start(const struct sandbox_spec *spec,
                                                       int *child_socket,
                                                       struct error *err);
/* Waits for the thread, which ends when the last process of the step does; frees. */
void sandbox_notify_stop(struct sandbox_notify *n);
void sandbox_notify_stopp(struct sandbox_notify **n);

/*
 * Where a tracer runs the program (plain.h): how that program itself ended, whatever its
 * tracer says of others that it left running. Those end then: `socket` is the step's, as
 * sandbox_kill has it. Before the step is started.
 */
void sandbox_notify_watch_end(struct sandbox_notify *n, int socket);
/*
 * There too: the places beneath which nothing may be changed, ending with NULL; borrowed
 * until the end. Before the step is started.
 */
void sandbox_notify_protect(struct sandbox_notify *n, const char *const *readonly);
/* False: it did not end by itself. After the step's end. */
bool sandbox_notify_exit_code(const struct sandbox_notify *n, int *code);

/* Appends the filter, an array of struct sock_filter; its length. 0: this machine's calls
 * are not known here. `plain`: also for what a tracer does not tell (notify_plain.c). */
uint32_t sandbox_notify_filter(bool plain, struct buf *out);
