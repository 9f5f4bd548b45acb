/*
 * The helper process: one thread, no locks, hardly any memory. Private to builder/sandbox.
 */
#pragma once

/* Serves requests from cooper until the control socket closes, then exits; the kernel kills
 * what is left in its pid namespace. Called in a new process, whose descriptors it all
 * closes but `control` and standard error. */
_Noreturn void sandbox_helper_run(int control);
