/* cooper doctor */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/limits.h"
#include "builder/cgroup.h"
#include "builder/sandbox/sandbox.h"
#include "builder/service.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct doctor_options {
    const char *format;
};

static const struct cli_option options[] = {
    {'f', "format", CLI_OPTION_TEXT, "FORMAT", "table (default) or json",
     offsetof(struct doctor_options, format)},
};

/* One thing that was looked at. */
struct finding {
    const char *name;   /* for programs: "Isolation" */
    const char *label;  /* for people */
    const char *state;  /* what there is: a word of the documentation */
    const char *means;  /* in a sentence */
    const char *better; /* what one change would give a better one; NULL: nothing */
};

enum { FINDINGS = 5 };

/* --- Isolation --- */

static const char *isolation_state(const struct cli_session *s)
{
    static const char *const names[] = {
        [SANDBOX_GRADE_ROOT] = "root",
        [SANDBOX_GRADE_SUBIDS] = "subids",
        [SANDBOX_GRADE_SINGLE_ID] = "single",
        [SANDBOX_GRADE_NONE] = "none",
    };

    return names[s->grade];
}

static const char *isolation_means(const struct cli_session *s)
{
    switch (s->grade) {
    case SANDBOX_GRADE_ROOT:
        return "steps are shut in by namespaces; their root is root of this machine, with "
               "docker's capabilities";
    case SANDBOX_GRADE_SUBIDS:
        return "steps are shut in by namespaces; their root is an ordinary user outside";
    case SANDBOX_GRADE_SINGLE_ID:
        return "steps are shut in by namespaces; all their ids are this user outside, and "
               "owners are recorded";
    case SANDBOX_GRADE_NONE:
        break;
    }
    return "RUN cannot be run, unless --isolation none asks to run it without any "
           "isolation "
           "(and proot is installed)";
}

static struct finding look_at_isolation(const struct cli_session *s)
{
    const char *better = s->grade_why;

    if (s->grade == SANDBOX_GRADE_ROOT)
        better =
            "run cooper as an ordinary user with subordinate ids: what the sandbox may "
            "miss is worth less then";
    return (struct finding){"Isolation", "isolation", isolation_state(s),
                            isolation_means(s), better};
}

/* --- What steps get --- */

static struct finding look_at_network(const struct cli_session *s)
{
    if (s->grade != SANDBOX_GRADE_NONE && build_service_exists("pasta"))
        return (struct finding){
            "Network", "network", "own",
            "a build's steps share a network of their own, connected by pasta", NULL};
    return (struct finding){
        "Network", "network", "host",
        "steps use this machine's network, also what listens on its loopback address",
        s->grade == SANDBOX_GRADE_NONE ? "a better isolation comes first"
                                       : "install pasta (package passt)"};
}

static struct finding look_at_tracer(void)
{
    if (build_service_exists("proot"))
        return (struct finding){"NoIsolation", "--isolation none", "proot",
                                "can be asked for: proot is installed", NULL};
    return (struct finding){"NoIsolation", "--isolation none", "missing",
                            "cannot be asked for: proot is not installed",
                            "install proot, if you cannot have namespaces"};
}

/* The controllers whose groups may be made here: "cpu, memory, pids". */
static void list_controllers(struct buf *out)
{
    struct build_cgroup_places places;

    build_cgroup_places_find(&places);
    for (unsigned i = 0; i < BUILD_CGROUP_CONTROLLERS; i++) {
        const struct build_cgroup_place *const p = &places.of[i];

        if (p->version != 0 && p->own != NULL && access(p->own, W_OK) == 0)
            buf_printf(out, "%s%s (v%d)", out->size > 0 ? ", " : "",
                       build_cgroup_controller_name((enum build_cgroup_controller)i),
                       p->version);
    }
    build_cgroup_places_release(&places);
}

static struct finding look_at_limits(const struct buf *controllers)
{
    if (controllers->size > 0)
        return (struct finding){"Limits", "limits", buf_text(controllers),
                                "--memory, --resource and the like can be held", NULL};
    return (struct finding){
        "Limits", "limits", "none",
        "--memory, --resource and the like are refused: no control group can be made",
        "have one delegated: systemd-run --user --scope -p Delegate=yes cooper build ..."};
}

static struct finding look_at_processes(const struct cli_session *s,
                                        uint32_t max,
                                        const struct buf *count)
{
    if (max > 0)
        return (struct finding){
            "Processes", "processes", buf_text(count),
            "a step may have so many processes and threads at once, also without limits",
            NULL};
    if (s->grade == SANDBOX_GRADE_NONE)
        return (struct finding){"Processes", "processes", "unlimited",
                                "a step may start as many processes as this user",
                                "a better isolation comes first"};
    return (struct finding){
        "Processes", "processes", "unlimited",
        "a step may start as many processes as this user, unless --resource pids=N",
        "Linux 6.14 or newer, with a /proc/sys that can be written"};
}

/* --- Telling --- */

static void print_table(const struct finding *findings)
{
    for (size_t i = 0; i < FINDINGS; i++) {
        const struct finding *const f = &findings[i];

        printf("%-18s%s\n%-18s%s\n", f->label, f->state, "", f->means);
        if (f->better != NULL)
            printf("%-18sbetter: %s\n", "", f->better);
    }
}

static void print_json(const struct finding *findings)
{
    CLEANUP(doc_unrefp) struct doc *doc = doc_new_object();

    for (size_t i = 0; i < FINDINGS; i++) {
        struct doc *const one = doc_new_object();

        doc_set_text(one, "State", findings[i].state);
        doc_set_text(one, "Means", findings[i].means);
        if (findings[i].better != NULL)
            doc_set_text(one, "Better", findings[i].better);
        doc_set(doc, findings[i].name, one);
    }
    cli_output_doc(doc, DOC_WRITE_COMPACT);
}

/* A grade may be there in name only: the helper is started as for a build. *process_max is
 * what it knows of this kernel. */
static void try_sandbox(struct cli_session *s, uint32_t *process_max)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct sandbox_helper *helper = NULL;

    if (s->grade == SANDBOX_GRADE_NONE)
        return;
    helper = sandbox_helper_start(s->grade, &err);
    if (helper != NULL) {
        *process_max = sandbox_helper_process_max(helper);
    } else {
        s->grade = SANDBOX_GRADE_NONE;
        s->grade_why = "namespaces are refused to this process, though it is root";
    }
    sandbox_helper_stop(helper);
}

static int doctor_run(struct cli_session *session,
                      const void *opaque,
                      const struct cli_texts *arguments,
                      struct error *err)
{
    const struct doctor_options *const o = opaque;
    CLEANUP(buf_release) struct buf controllers = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf count = BUF_INIT(LIMIT_TEXT_SIZE);
    enum cli_output_format format;
    uint32_t process_max = 0;

    (void)arguments;
    if (cli_output_format_parse(o->format, &format, err) < 0 ||
        cli_session_enter(session, err) < 0)
        return -1;
    try_sandbox(session, &process_max);
    list_controllers(&controllers);
    buf_printf(&count, "%u", process_max);
    const struct finding findings[FINDINGS] = {
        look_at_isolation(session),
        look_at_network(session),
        look_at_limits(&controllers),
        look_at_processes(session, process_max, &count),
        look_at_tracer(),
    };
    if (format == CLI_OUTPUT_JSON)
        print_json(findings);
    else
        print_table(findings);
    session->exit_code = session->grade == SANDBOX_GRADE_NONE ? 1 : 0;
    return 0;
}

const struct cli_command cli_command_doctor = {
    .name = "doctor",
    .usage = "[OPTIONS]",
    .summary = "Tell how steps are shut in on this machine, and what would be better",
    .details = "Exit code 1 says that this machine shuts no step in.\n",
    CLI_OPTIONS(options, struct doctor_options),
    .run = doctor_run,
};
