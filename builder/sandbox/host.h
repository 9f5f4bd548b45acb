/*
 * What this kernel and the namespaces around cooper allow; private to builder/sandbox.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The processes and threads of a step, where the machine has at least twice as many. It was
 * the number of a whole machine for long, so that no build expects more. */
#define SANDBOX_PROCESSES_DEFAULT 32768u

struct sandbox_host {
    bool new_mounts;     /* overlay layers by descriptor, open_tree, mount_setattr */
    bool user_namespace; /* not the first one: sysfs of the host's network cannot be mounted
                          */
    bool mknod;
    bool tty_group; /* gid 5 is mapped */
    bool setgroups;
    uint32_t process_max; /* for each step; 0: this kernel cannot bound them */
};

/* Looks; never fails. About 0.1 ms. */
struct sandbox_host sandbox_host_look(void);
