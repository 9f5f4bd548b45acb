/*
 * The helper process: one thread, no locks, hardly any memory. Private to builder/sandbox.
 */
#pragma once

#include "builder/sandbox/host.h"
#include "builder/sandbox/userns.h"

#include <pthread.h>
#include <sys/types.h>

/* The helper as cooper has it. */
struct sandbox_helper {
    int control; /* set once */
    int pidfd;
    pid_t pid;
    enum sandbox_grade grade;
    struct sandbox_host host;
    pthread_mutex_t lock; /* held while a request is sent, so that those do not mix */
};

/* Serves requests from cooper until the control socket closes, then exits; the kernel kills
 * what is left in its pid namespace. Called in a new process, whose descriptors it all
 * closes but `control` and standard error. */
_Noreturn void sandbox_helper_run(int control);
/* The same where no namespace can be had: whatever descends from a step becomes a child of
 * the helper's when its own parent ends, and is killed when the last step has ended, and
 * when the control socket closes. */
_Noreturn void sandbox_helper_run_plain(int control);
