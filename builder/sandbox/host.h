/*
 * What this kernel and the namespaces around cooper allow; private to builder/sandbox.
 */
#pragma once

#include <stdbool.h>

struct sandbox_host {
    bool new_mounts;     /* overlay layers by descriptor, open_tree, mount_setattr */
    bool user_namespace; /* not the first one: sysfs of the host's network cannot be mounted
                          */
    bool mknod;
    bool tty_group; /* gid 5 is mapped */
    bool setgroups;
};

/* Looks; never fails. About 0.1 ms. */
struct sandbox_host sandbox_host_look(void);
