/* setuid, setgid, setgroups and their like; getuid and its like. */
#include "builder/sandbox/notify_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define NO_ID ((uid_t)-1)

/*
 * As credentials(7) and the pages of these calls have it, with "root" for the capability:
 * a step's root has CAP_SETUID and CAP_SETGID unless they were taken from it, and then the
 * worst is that it believes to be somebody else.
 */
static bool is_root(const struct notify_person *p)
{
    return p->uid.effective == 0;
}

static bool is_one_of(const struct notify_ids *ids, uid_t id)
{
    return id == ids->real || id == ids->effective || id == ids->saved;
}

/* Nothing to remember: root that becomes root. */
static bool is_no_change(const struct notify_ids *was, const struct notify_ids *is)
{
    return memcmp(was, is, sizeof *was) == 0;
}

static struct notify_answer change(const struct notify_call *c,
                                   bool group,
                                   const struct notify_ids *to)
{
    const struct notify_person *const was = notify_person(c);

    if (!is_no_change(group ? &was->gid : &was->uid, to)) {
        struct notify_person *const p = notify_person_change(c);
        *(group ? &p->gid : &p->uid) = *to;
    }
    return notify_return(0);
}

static struct notify_answer set_one(const struct notify_call *c, bool group)
{
    const struct notify_person *const p = notify_person(c);
    const uid_t id = (uid_t)notify_argument(c, 0);
    struct notify_ids ids = group ? p->gid : p->uid;

    if (is_root(p))
        ids = (struct notify_ids){id, id, id, id};
    else if (id == ids.real || id == ids.saved)
        ids.effective = ids.fs = id;
    else
        return notify_return(-EPERM);
    return change(c, group, &ids);
}

static struct notify_answer set_two(const struct notify_call *c, bool group)
{
    const struct notify_person *const p = notify_person(c);
    const uid_t real = (uid_t)notify_argument(c, 0);
    const uid_t effective = (uid_t)notify_argument(c, 1);
    struct notify_ids ids = group ? p->gid : p->uid;
    const struct notify_ids old = ids;

    if (!is_root(p) && ((real != NO_ID && real != old.real && real != old.effective) ||
                        (effective != NO_ID && !is_one_of(&old, effective))))
        return notify_return(-EPERM);
    ids.real = real != NO_ID ? real : old.real;
    ids.effective = effective != NO_ID ? effective : old.effective;
    if (real != NO_ID || (effective != NO_ID && effective != old.real))
        ids.saved = ids.effective;
    ids.fs = ids.effective;
    return change(c, group, &ids);
}

static struct notify_answer set_three(const struct notify_call *c, bool group)
{
    const struct notify_person *const p = notify_person(c);
    struct notify_ids ids = group ? p->gid : p->uid;
    const struct notify_ids old = ids;
    uid_t to[3];

    for (unsigned i = 0; i < 3; i++) {
        to[i] = (uid_t)notify_argument(c, i);
        if (to[i] != NO_ID && !is_root(p) && !is_one_of(&old, to[i]))
            return notify_return(-EPERM);
    }
    ids.real = to[0] != NO_ID ? to[0] : old.real;
    ids.effective = to[1] != NO_ID ? to[1] : old.effective;
    ids.saved = to[2] != NO_ID ? to[2] : old.saved;
    ids.fs = ids.effective;
    return change(c, group, &ids);
}

/* Returns what it was, whatever happens. */
static struct notify_answer set_fs(const struct notify_call *c, bool group)
{
    const struct notify_person *const p = notify_person(c);
    const uid_t id = (uid_t)notify_argument(c, 0);
    struct notify_ids ids = group ? p->gid : p->uid;
    const uid_t old = ids.fs;

    if (id != NO_ID && (is_root(p) || is_one_of(&ids, id))) {
        ids.fs = id;
        (void)change(c, group, &ids);
    }
    return notify_return(old);
}

struct notify_answer notify_setuid(const struct notify_call *c)
{
    return set_one(c, false);
}

struct notify_answer notify_setgid(const struct notify_call *c)
{
    return set_one(c, true);
}

struct notify_answer notify_setreuid(const struct notify_call *c)
{
    return set_two(c, false);
}

struct notify_answer notify_setregid(const struct notify_call *c)
{
    return set_two(c, true);
}

/* The child's own call, the last one about ids before the step's program runs, says who the
 * step is. */
struct notify_answer notify_setresuid(const struct notify_call *c)
{
    const struct notify_answer answer = set_three(c, false);

    c->n->is_set = true;
    return answer;
}

struct notify_answer notify_setresgid(const struct notify_call *c)
{
    return set_three(c, true);
}

struct notify_answer notify_setfsuid(const struct notify_call *c)
{
    return set_fs(c, false);
}

struct notify_answer notify_setfsgid(const struct notify_call *c)
{
    return set_fs(c, true);
}

static int compare_groups(const void *a, const void *b)
{
    const gid_t x = *(const gid_t *)a;
    const gid_t y = *(const gid_t *)b;

    return (x > y) - (x < y);
}

/* The kernel hands them out in the order of their numbers. */
struct notify_answer notify_setgroups(const struct notify_call *c)
{
    const uint64_t count = notify_argument(c, 0);
    gid_t groups[NOTIFY_GROUPS_MAX];

    if (!is_root(notify_person(c)))
        return notify_return(-EPERM);
    if (count > NOTIFY_GROUPS_MAX)
        return notify_return(-EINVAL);
    if (count > 0 &&
        notify_read(c, notify_argument(c, 1), groups, (size_t)count * sizeof *groups) < 0)
        return notify_return(-EFAULT);
    if (count > 1)
        qsort(groups, (size_t)count, sizeof *groups, compare_groups);

    const struct notify_person *const was = notify_person(c);
    if (was->group_count == count &&
        memcmp(was->groups, groups, count * sizeof *groups) == 0)
        return notify_return(0);

    struct notify_person *const p = notify_person_change(c);
    memcpy(p->groups, groups, (size_t)count * sizeof *groups);
    p->group_count = (size_t)count;
    return notify_return(0);
}

struct notify_answer notify_getgroups(const struct notify_call *c)
{
    const struct notify_person *const p = notify_person(c);
    const int room = (int)notify_argument(c, 0);

    if (room < 0 || (room > 0 && (size_t)room < p->group_count))
        return notify_return(-EINVAL);
    if (room > 0 && p->group_count > 0 &&
        notify_write(c, notify_argument(c, 1), p->groups, p->group_count * sizeof(gid_t)) <
            0)
        return notify_return(-EFAULT);
    return notify_return((int64_t)p->group_count);
}

static struct notify_answer get_three(const struct notify_call *c,
                                      const struct notify_ids *ids)
{
    const uid_t values[3] = {ids->real, ids->effective, ids->saved};

    for (unsigned i = 0; i < 3; i++)
        if (notify_write(c, notify_argument(c, i), &values[i], sizeof values[i]) < 0)
            return notify_return(-EFAULT);
    return notify_return(0);
}

struct notify_answer notify_getresuid(const struct notify_call *c)
{
    return get_three(c, &notify_person(c)->uid);
}

struct notify_answer notify_getresgid(const struct notify_call *c)
{
    return get_three(c, &notify_person(c)->gid);
}

struct notify_answer notify_getuid(const struct notify_call *c)
{
    return notify_return(notify_person(c)->uid.real);
}

struct notify_answer notify_getgid(const struct notify_call *c)
{
    return notify_return(notify_person(c)->gid.real);
}

struct notify_answer notify_geteuid(const struct notify_call *c)
{
    return notify_return(notify_person(c)->uid.effective);
}

struct notify_answer notify_getegid(const struct notify_call *c)
{
    return notify_return(notify_person(c)->gid.effective);
}
