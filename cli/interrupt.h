/*
 * SIGINT and SIGTERM: the first asks everything to stop at its next step boundary, a second
 * SIGINT ends the program at once with status 130.
 *
 * A signal handler can only reach what is global, so the two flags are the room's only
 * mutable globals. They are set once and never cleared.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* Called once at start. SIGPIPE is ignored from then on: writing to a closed pipe is an
 * error like any other. */
void cli_interrupt_init(void);
/* From now on the two signals set the flag. Only for commands that look at it: the others
 * are ended by the signal, which leaves nothing half-written. */
void cli_interrupt_catch(void);
/* The flag, in the two forms in which the rooms below take it. */
const bool *cli_interrupt_flag(void);
const atomic_bool *cli_interrupt_atomic(void);
bool cli_interrupted(void);
