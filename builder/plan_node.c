/*
 * Nodes of the graph: their titles, and paths as a stage means them.
 */
#include "builder/plan_priv.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static unsigned digits(unsigned n)
{
    unsigned count = 1;

    while (n >= 10) {
        n /= 10;
        count++;
    }
    return count;
}

/* Newlines and control characters would tear the progress display. */
static void append_shown(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_append_char(out, iscntrl((unsigned char)*text) ? ' ' : *text);
}

/* Of several platforms: which one the step is for, and, if it depends on that, for which
 * one it compiles. */
static void append_platform(struct buf *out, const struct plan_stage *s)
{
    const struct registry_platform *p = s->shown_platform;
    struct view target;

    if (!p)
        return;
    buf_append_text(out, registry_platform_format(p).text);
    if (plan_env_get(&s->env, VIEW_LIT("TARGETARCH"), &target) &&
        !view_eq_text(target, p->architecture))
        buf_printf(out, "->%.*s", VIEW_ARG(target));
    buf_append_char(out, ' ');
}

char *plan_title(struct plan_stage *s, const struct plan_command *c, const char *text)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    const char *end = text;

    if (s->step_count > 0) {
        s->step++;
        buf_append_char(&out, '[');
        append_platform(&out, s);
        buf_printf(&out, "%s%s%*u/%u] ", s->shown, *s->shown ? " " : "",
                   (int)digits(s->step_count), s->step, s->step_count);
    }
    if (c && c->is_trigger)
        buf_append_text(&out, "ONBUILD ");
    for (; *end && !isspace((unsigned char)*end); end++)
        buf_append_char(&out, (char)toupper((unsigned char)*end));
    append_shown(&out, end);
    return buf_take(&out);
}

struct build_node *plan_add_node(struct planner *p,
                                 struct plan_stage *s,
                                 const struct plan_command *c,
                                 enum build_op op)
{
    struct build_node *n = build_graph_add(p->graph, op, s->node, c->instruction->pos);
    char *text = view_dup(c->instruction->original);

    n->title = plan_title(s, c, text);
    n->no_cache = s->no_cache;
    free(text);
    return n;
}

char *plan_path(const struct plan_stage *s, const char *path)
{
    const char *parent = build_config_text(&s->config, "WorkingDir");
    CLEANUP(base_freep) char *joined = NULL;
    CLEANUP(base_freep) char *clean = NULL;
    const size_t size = strlen(path);
    const char *tail = "";

    if (size == 0 || strcmp(path, ".") == 0)
        tail = "/";
    else if (path[size - 1] == '/')
        tail = "/";
    else if (size >= 2 && strcmp(path + size - 2, "/.") == 0)
        tail = "/.";
    joined = *path == '/' ? base_strdup(path) : base_format("/%s/%s", parent, path);
    clean = path_clean_rooted(view_of(joined));
    return base_format("%s%s", clean, strcmp(clean, "/") == 0 ? "" : tail);
}
