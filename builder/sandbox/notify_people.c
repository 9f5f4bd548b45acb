/* Who each process of a step takes itself for. */
#include "builder/sandbox/notify_priv.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Only set*id calls are seen, not fork: a process that is not in the list is asked for its
 * parent, and takes itself for whom the parent does. So that a parent that changes does not
 * change its children, these are entered before.
 */
enum { DEPTH_MAX = 64, PROC_PATH_SIZE = 64 };

static bool read_proc(pid_t pid, const char *what, struct buf *out)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* it is gone */
    char path[PROC_PATH_SIZE];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    return fs_read_file_at(AT_FDCWD, path, out, &ignored) == 0;
}

/* proc(5): field 22 of stat, counted behind the name, which may hold anything. */
static uint64_t start_of(pid_t pid)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct view rest, word;
    uint64_t start = 0;

    if (!read_proc(pid, "stat", &text))
        return 0;
    const char *const end = strrchr(buf_text(&text), ')');
    if (!end)
        return 0;
    rest = view_of(end + 1);
    rest = view_trim(rest);
    for (int field = 3; field <= 22; field++)
        view_cut(rest, ' ', &word, &rest);
    return view_to_u64(word, &start) ? start : 0;
}

static pid_t number_after(const char *text, const char *key)
{
    const char *const at = strstr(text, key);

    return at ? (pid_t)strtol(at + strlen(key), NULL, 10) : 0;
}

pid_t notify_parent_of(pid_t pid)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    if (!read_proc(pid, "status", &text))
        return 0;
    const pid_t group = number_after(buf_text(&text), "\nTgid:\t");
    return group != pid ? group : number_after(buf_text(&text), "\nPPid:\t");
}

static struct notify_process *find(struct sandbox_notify *n, pid_t pid)
{
    uint64_t started = 0;

    for (size_t i = 0; i < n->process_count; i++) {
        struct notify_process *const p = &n->processes[i];

        if (p->pid != pid)
            continue;
        started = start_of(pid);
        if (p->started == started)
            return p;
        *p = n->processes[--n->process_count]; /* another one of the same number */
        return NULL;
    }
    return NULL;
}

static const struct notify_person *person_of(struct sandbox_notify *n, pid_t pid)
{
    for (int depth = 0; depth < DEPTH_MAX && pid > 1; depth++) {
        const struct notify_process *const p = find(n, pid);

        if (p)
            return &p->person;
        if (pid == n->first)
            break;
        pid = notify_parent_of(pid);
    }
    return &n->initial;
}

static struct notify_process *enter(struct sandbox_notify *n, pid_t pid)
{
    struct notify_process *p = find(n, pid);

    if (p)
        return p;
    const struct notify_person person = *person_of(n, pid);
    n->processes =
        base_grow(n->processes, n->process_count, &n->process_room, sizeof *n->processes);
    p = &n->processes[n->process_count++];
    *p = (struct notify_process){.pid = pid, .started = start_of(pid), .person = person};
    return p;
}

static void enter_children(struct sandbox_notify *n, pid_t pid)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    char what[PROC_PATH_SIZE];
    struct view rest, word;
    uint64_t child = 0;

    snprintf(what, sizeof what, "task/%d/children", (int)pid);
    if (!read_proc(pid, what, &text))
        return;
    for (rest = buf_view(&text); rest.size > 0;) {
        view_cut(rest, ' ', &word, &rest);
        if (view_to_u64(word, &child))
            enter(n, (pid_t)child);
    }
}

/* Those that are gone need not be remembered. */
static void drop_dead(struct sandbox_notify *n)
{
    for (size_t i = n->process_count; i-- > 0;)
        if (start_of(n->processes[i].pid) != n->processes[i].started)
            n->processes[i] = n->processes[--n->process_count];
}

const struct notify_person *notify_person(const struct notify_call *c)
{
    struct sandbox_notify *const n = c->n;

    return n->is_plain ? &n->initial : person_of(n, (pid_t)c->request->pid);
}

struct notify_person *notify_person_change(const struct notify_call *c)
{
    enum { MANY = 64 };
    struct sandbox_notify *const n = c->n;
    const pid_t pid = (pid_t)c->request->pid;

    if (!n->is_set)
        return &n->initial;
    n->is_plain = false;
    if (n->process_count >= MANY && n->process_count == n->process_room)
        drop_dead(n);
    enter_children(n, pid);
    return &enter(n, pid)->person;
}

void notify_people_release(struct sandbox_notify *n)
{
    free(n->processes);
    n->processes = NULL;
    n->process_count = 0;
}
