#include "builder/sandbox/plan.h"

#include <errno.h>
#include <string.h>

/* What was being done, for people; "%s" stands for the target, text or program. */
static const char *const doing[] = {
    [OP_CGROUP] = "join the control group of the step",
    [OP_CGROUP_NAMESPACE] = "create a control group namespace",
    [OP_PROCESSES] = "bound the number of processes",
    [OP_NOTIFY] = "have owners recorded",
    [OP_NETWORK] = "create a network namespace",
    [OP_OVERLAY] = "mount the layers as overlay",
    [OP_TREE] = "mount source '%s'",
    [OP_NETNS] = "join the network of the build",
    [OP_UNSHARE] = "create a mount namespace",
    [OP_REOPEN] = "find the layers in the mount namespace",
    [OP_CLASSIC_OVERLAY] = "mount the layers as overlay",
    [OP_CLASSIC_SELF] = "bind the root file system",
    [OP_STAGE] = "attach the layers of a mount",
    [OP_SUBTREE] = "mount source '%s'",
    [OP_ROOT] = "attach the root file system",
    [OP_MOUNT] = "mount %s",
    [OP_BIND] = "bind %s",
    [OP_DEV] = "set up %s",
    [OP_FILE] = "mount a file at %s",
    [OP_SOCKET] = "mount a socket at %s",
    [OP_ATTACH] = "mount at %s",
    [OP_MASK] = "hide %s",
    [OP_READONLY] = "make %s read-only",
    [OP_PIVOT] = "change the root",
    [OP_LOOPBACK] = "bring the loopback interface up",
    [OP_HOSTNAME] = "set the host name '%s'",
    [OP_KEYRING] = "create a session keyring",
    [OP_TTY] = "open a terminal",
    [OP_STDIO] = "hand over standard input and output",
    [OP_CWD] = "working directory '%s'",
    [OP_RLIMIT] = "set a resource limit",
    [OP_ROOT_READONLY] = "make the root file system read-only",
    [OP_NO_NEW_PRIVILEGES] = "forbid new privileges",
    [OP_SECCOMP] = "install the system call filter",
    [OP_BOUNDING] = "drop capabilities",
    [OP_USER] = "become the step's user",
    [OP_CAPABILITIES] = "set capabilities",
    [OP_TRACER] = "prepare to run without isolation",
    [OP_TARGET] = "mount at %s",
    [OP_EXEC] = "exec",
};

static const char *text_at(const struct sandbox_plan *plan, uint32_t offset)
{
    return offset ? plan->bytes.data + offset : NULL;
}

/* Docker's words, which people look for. */
static int explain_exec(const struct sandbox_plan *plan,
                        const struct sandbox_op *op,
                        int sys,
                        struct error *err)
{
    uint64_t first;

    memcpy(&first, plan->bytes.data + op->text, sizeof first);
    const char *const name = plan->bytes.data + first;
    if (sys == ENOENT && !strchr(name, '/'))
        return error_set(err, ERROR_NOT_FOUND,
                         "exec: \"%s\": executable file not found in $PATH", name);
    errno = sys;
    return error_sys(err, "exec: \"%s\"", name);
}

static int explain_user(const struct sandbox_op *op, int sys, struct error *err)
{
    if (sys == EINVAL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "user %u, group %u: not mapped in this user namespace; a larger "
                         "range in /etc/subuid and /etc/subgid maps more",
                         (unsigned)(op->a >> 32), (unsigned)(op->a & UINT32_MAX));
    errno = sys;
    return error_sys(err, "become user %u, group %u", (unsigned)(op->a >> 32),
                     (unsigned)(op->a & UINT32_MAX));
}

int sandbox_plan_explain(const struct sandbox_plan *plan,
                         const struct sandbox_message *failure,
                         struct error *err)
{
    errno = failure->sys;
    if (failure->op >= plan->op_count)
        return error_sys(err, "create the sandbox");
    const struct sandbox_op *op = &plan->ops[failure->op];
    if (op->code == OP_EXEC)
        return explain_exec(plan, op, failure->sys, err);
    if (op->code == OP_USER)
        return explain_user(op, failure->sys, err);

    const char *const name =
        op->target ? text_at(plan, op->target) : text_at(plan, op->text);
    const char *const what = doing[op->code];
    const char *const gap = strstr(what, "%s");
    if (!gap)
        return error_sys(err, "%s", what);
    return error_sys(err, "%.*s%s%s", (int)(gap - what), what, name ? name : "/", gap + 2);
}
