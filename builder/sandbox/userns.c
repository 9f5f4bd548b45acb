#include "builder/sandbox/userns_priv.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/view.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *sandbox_grade_name(enum sandbox_grade grade)
{
    switch (grade) {
    case SANDBOX_GRADE_ROOT:
        return "root";
    case SANDBOX_GRADE_SUBIDS:
        return "subordinate ids";
    case SANDBOX_GRADE_SINGLE_ID:
        return "single id";
    case SANDBOX_GRADE_NONE:
        return "none";
    }
    return "unknown";
}

int sandbox_isolation_parse(const char *text,
                            enum sandbox_isolation *out,
                            struct error *err)
{
    static const struct {
        const char *name;
        enum sandbox_isolation value;
    } known[] = {
        {"", SANDBOX_ISOLATION_AUTO},         {"auto", SANDBOX_ISOLATION_AUTO},
        {"default", SANDBOX_ISOLATION_AUTO},  {"root", SANDBOX_ISOLATION_ROOT},
        {"subids", SANDBOX_ISOLATION_SUBIDS}, {"single", SANDBOX_ISOLATION_SINGLE},
        {"none", SANDBOX_ISOLATION_NONE},
    };

    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strcmp(text, known[i].name) == 0) {
            *out = known[i].value;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE,
                     "--isolation '%s': it is auto, root, subids, single or none", text);
}

/* --- the choice --- */

static int grade_of_root(const char **why)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct error ignored = ERROR_INIT; /* a /proc that cannot be read limits nothing */
    struct view first, outside, line;

    if (fs_read_file_at(AT_FDCWD, "/proc/self/uid_map", &text, &ignored) < 0)
        error_clear(&ignored);
    line = view_trim(buf_view(&text));
    view_cut(line, ' ', &first, &line);
    line = view_trim(line);
    view_cut(line, ' ', &outside, &line);
    if (!view_eq_text(view_trim(line), "1"))
        return SANDBOX_GRADE_ROOT;
    *why = userns_no_ranges;
    return SANDBOX_GRADE_SINGLE_ID;
}

/* Mounts of the host that come and go are still seen here; ours are not seen there. */
static int enter_mounts(struct error *err)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_sys(err, "create a mount namespace");
    return 0;
}

static int become_root(struct error *err)
{
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return error_sys(err, "become root of the user namespace");
    return 0;
}

/* So that root's way is that of everybody, whose owners are recorded: what is not there can
 * also not be passed on to a step. */
static int drop_capabilities(struct error *err)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct none[2] = {{0}};

    if (syscall(SYS_capset, &header, none) < 0)
        return error_sys(err, "give up capabilities");
    return 0;
}

/* Was a grade asked for by name that this is not? */
static int check_wanted(enum sandbox_isolation wanted,
                        int grade,
                        const char *why,
                        struct error *err)
{
    static const char *const names[] = {"auto", "root", "subids", "single", "none"};
    static const int grades[] = {-1, SANDBOX_GRADE_ROOT, SANDBOX_GRADE_SUBIDS,
                                 SANDBOX_GRADE_SINGLE_ID, SANDBOX_GRADE_NONE};

    if (wanted == SANDBOX_ISOLATION_AUTO || grades[wanted] == grade)
        return grade;
    return error_set(err, ERROR_UNSUPPORTED,
                     "--isolation %s cannot be had here, only what is called '%s': %s",
                     names[wanted], sandbox_grade_name((enum sandbox_grade)grade),
                     why ? why : "this is root: run cooper as an ordinary user");
}

static int enter(enum sandbox_isolation isolation, const char **why, struct error *err)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();

    if (uid == 0 && fs_capable(CAP_SYS_ADMIN))
        return grade_of_root(why);
    if (isolation == SANDBOX_ISOLATION_ROOT)
        return error_set(err, ERROR_UNSUPPORTED,
                         "--isolation root: this process is not root, or has no "
                         "CAP_SYS_ADMIN");
    const bool alone = isolation == SANDBOX_ISOLATION_SINGLE;
    const enum userns_entered entered = uid == 0 && !alone
                                            ? userns_enter_nested(why, err)
                                            : userns_enter_user(alone, uid, gid, why, err);
    if (entered == ENTER_REFUSED)
        return SANDBOX_GRADE_NONE;
    if (entered == ENTER_FAILED || become_root(err) < 0 || enter_mounts(err) < 0)
        return -1;
    if (entered == ENTER_ALONE)
        return SANDBOX_GRADE_SINGLE_ID;
    *why = NULL;
    return SANDBOX_GRADE_SUBIDS;
}

int sandbox_userns_enter(enum sandbox_isolation isolation,
                         const char **why,
                         struct error *err)
{
    *why = NULL;
    if (isolation == SANDBOX_ISOLATION_NONE)
        return drop_capabilities(err) < 0 ? -1 : SANDBOX_GRADE_NONE;
    const int grade = enter(isolation, why, err);
    return grade < 0 ? -1 : check_wanted(isolation, grade, *why, err);
}
