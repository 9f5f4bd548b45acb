#include "builder/solve_priv.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "builder/mask.h"
#include "builder/rewrite.h"
#include "builder/solve_failed.h"
#include "builder/solve_last.h"
#include "builder/step_shared.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- One node, on any thread --- */

static uint32_t next_step(struct solver *s)
{
    uint32_t step;

    pthread_mutex_lock(&s->lock);
    step = ++s->next_step;
    pthread_mutex_unlock(&s->lock);
    return step;
}

static int run_step(struct solve_node *n, struct error *err)
{
    switch (n->node->op) {
    case BUILD_OP_SOURCE:
        return step_source(n, err);
    case BUILD_OP_COPY:
        return step_copy(n, err);
    case BUILD_OP_MKDIR:
        return step_mkdir(n, err);
    case BUILD_OP_RUN:
        return step_run(n, err);
    }
    return error_set(err, ERROR_INVALID, "unknown operation");
}

static int solve_node(struct solve_node *n, struct error *err)
{
    CLEANUP(base_freep) char *reason = NULL;
    const bool was_hit = n->is_hit;
    int status;

    if (solve_is_cancelled(n->solver))
        return error_set(err, ERROR_CANCELLED, "interrupted");
    if (solve_lookup(n, err) < 0)
        return -1;
    if (!n->is_hit && n->node->op != BUILD_OP_SOURCE && solve_claim(n, err) < 0)
        return -1;
    n->hit_late = n->is_hit && !was_hit;
    if (n->is_hit) {
        solve_event(n, EVENT_STEP_CACHED, NULL);
        return solve_apply_hit(n, err);
    }
    reason = solve_miss_reason(n);
    solve_event(n, EVENT_STEP_START, reason);
    status = run_step(n, err);
    if (status == 0 && n->is_followed)
        status = solve_define(n, err);
    if (status == 0)
        solve_event(n, EVENT_STEP_DONE, NULL);
    return status;
}

static void work(void *arg)
{
    struct solve_node *n = arg;

    if (solve_node(n, &n->error) < 0) {
        error_locate(&n->error, n->node->pos);
        solve_failed_note(n, &n->error);
        solve_unclaim(n);
        solve_event(n, EVENT_STEP_FAILED, error_text(&n->error));
    }
    queue_push(n->solver->finished, n);
}

/* --- Writing records beside the next steps --- */

/* What cannot be found out is not worth an error. */
static void warn_of_rewrite(const struct solve_node *n)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep) char *text = NULL;
    struct build_rewrite found;

    if (n->is_hit || n->node->op != BUILD_OP_RUN ||
        build_rewrite_find(n->layers, n->count, &found, &ignored) < 0)
        return;
    text = build_rewrite_tell(&found, n->node->title);
    if (text)
        event_send(&n->solver->env->sink, (struct event){.type = EVENT_WARNING,
                                                         .name = "RewrittenFiles",
                                                         .text = text,
                                                         .pos = n->node->pos});
}

static void *record(void *arg)
{
    struct solver *s = arg;
    struct solve_node *n;

    /* An item without a node ends the thread. */
    while ((n = queue_pop(s->to_record, -1)) != (void *)s) {
        struct error err = ERROR_INIT;
        const int status = solve_store(n, &err);

        solve_unclaim(n);
        if (status == 0) {
            warn_of_rewrite(n);
            continue;
        }
        error_locate(&err, n->node->pos);
        if (s->record_error.code == ERROR_NONE)
            error_move(&s->record_error, &err);
        error_clear(&err);
    }
    return NULL;
}

static int start_recorder(struct solver *s, struct error *err)
{
    if (s->has_recorder)
        return 0;
    const int status = pthread_create(&s->recorder, NULL, record, s);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "start a thread: %s", strerror(status));
    s->has_recorder = true;
    return 0;
}

static int stop_recorder(struct solver *s, struct error *err)
{
    if (!s->has_recorder)
        return 0;
    queue_push(s->to_record, s);
    pthread_join(s->recorder, NULL);
    s->has_recorder = false;
    return s->record_error.code == ERROR_NONE ? 0 : error_move(err, &s->record_error);
}

/* --- The scheduler --- */

static void mark_files(struct solver *s, const struct build_node *node)
{
    for (; node && !solve_of(s, node)->needs_files; node = node->base)
        solve_of(s, node)->needs_files = true;
}

/* RUN mounts the layers below it, and those of what it binds. */
static void mark_all_files(struct solver *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = &s->nodes[i];

        if (!n->is_needed || n->is_hit || n->node->op != BUILD_OP_RUN)
            continue;
        mark_files(s, n->node->base);
        for (size_t k = 0; k < n->node->run.mount_count; k++)
            mark_files(s, n->node->run.mounts[k].from);
    }
}

static void count_missing(void *context, struct build_node *input)
{
    struct solve_node *n = context;

    if (solve_of(n->solver, input)->is_needed)
        n->missing += solve_of(n->solver, input)->phase != SOLVE_DONE;
}

static bool is_ready(struct solve_node *n)
{
    n->missing = 0;
    if (!n->is_needed || n->phase != SOLVE_WAITING)
        return false;
    if (n->is_hit) {
        if (n->node->base)
            count_missing(n, n->node->base);
    } else {
        build_node_inputs(n->node, count_missing, n);
    }
    return n->missing == 0;
}

/* Starts what can be started; a lone node runs right here, without a thread. */
static size_t start_ready(struct solver *s, size_t running)
{
    struct solve_node *alone = NULL;
    size_t started = 0;

    for (size_t i = 0; i < s->count && !solve_is_cancelled(s); i++) {
        struct solve_node *n = &s->nodes[i];

        if (!is_ready(n))
            continue;
        n->phase = SOLVE_RUNNING;
        n->step = next_step(s);
        started++;
        if (alone)
            pool_submit(s->workers, work, n);
        else
            alone = n;
    }
    if (alone && running + started > 1)
        pool_submit(s->workers, work, alone);
    else if (alone)
        work(alone);
    return started;
}

static void finish_node(struct solver *s, struct solve_node *n, struct error *first)
{
    n->phase = SOLVE_DONE;
    if (n->error.code != ERROR_NONE) {
        __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
        /* What was cancelled because of a failure elsewhere is not the reason. */
        if (first->code == ERROR_NONE ||
            (error_is(first, ERROR_CANCELLED) && !error_is(&n->error, ERROR_CANCELLED)))
            error_move(first, &n->error);
        return;
    }
    solve_tell_watch(n);
    /* What came from another cache is recorded when it is known to be true. */
    if (n->node->op == BUILD_OP_SOURCE ||
        (n->is_hit && !n->hit->rewrite && (!n->hit_late || n->hit->from)))
        return;
    if (start_recorder(s, first) < 0) {
        __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
        return;
    }
    queue_push(s->to_record, n);
}

/* An interrupted build does not wait for layers that are still being compressed. */
static void drop_unfinished(struct solver *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->nodes[i].count > 0 && s->nodes[i].node->op != BUILD_OP_SOURCE)
            cas_layer_cancel(s->nodes[i].layers[s->nodes[i].count - 1]);
}

static void expect_runs(struct solver *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->nodes[i].is_needed && !s->nodes[i].is_hit &&
            s->nodes[i].node->op == BUILD_OP_RUN)
            step_run_expect(&s->nodes[i]);
}

static int run_all(struct solver *s, struct error *err)
{
    CLEANUP(error_clear) struct error unrecorded = ERROR_INIT;
    struct error first = ERROR_INIT;
    size_t running = start_ready(s, 0);

    while (running > 0) {
        struct solve_node *n = queue_pop(s->finished, -1);

        running--;
        finish_node(s, n, &first);
        running += start_ready(s, running);
    }
    if (solve_is_interrupted(s))
        drop_unfinished(s);
    if (stop_recorder(s, &unrecorded) < 0 && first.code == ERROR_NONE)
        error_move(&first, &unrecorded);
    /* Interrupted between two steps: no step says so. */
    if (first.code == ERROR_NONE && solve_is_cancelled(s))
        error_set(&first, ERROR_CANCELLED, "interrupted");
    return first.code == ERROR_NONE ? 0 : error_move(err, &first);
}

/* A step that will miss wants to know what it was the last time. */
static void recall(struct solver *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct solve_node *n = &s->nodes[i];

        if (n->is_needed && !n->is_hit && n->node->op != BUILD_OP_SOURCE) {
            solve_last_load(s);
            return;
        }
    }
}

static int take_result(struct solver *s,
                       const struct build_plan *plan,
                       struct build_solution *out,
                       struct error *err)
{
    const struct solve_node *n = plan->result ? solve_of(s, plan->result) : NULL;

    for (size_t i = 0; i < s->count; i++) {
        if (!s->nodes[i].is_needed || s->nodes[i].node->op == BUILD_OP_SOURCE)
            continue;
        out->steps++;
        out->steps_cached += s->nodes[i].is_hit;
    }
    if (!n)
        return 0;
    out->layers = base_alloc_array(n->count + 1, sizeof(struct cas_layer *));
    out->created = base_alloc_array(n->count + 1, sizeof *out->created);
    for (size_t i = 0; i < n->count; i++) {
        out->layers[out->count] = cas_layer_ref(n->layers[i]);
        out->created[out->count++] = n->created[i];
        if (cas_layer_wait(n->layers[i], err) < 0)
            return -1;
    }
    return 0;
}

static void solver_release(struct solver *s)
{
    pool_free(s->workers);
    step_shared_free(s->shared);
    for (size_t i = 0; i < s->count; i++) {
        struct solve_node *n = &s->nodes[i];

        for (size_t k = 0; k < n->count; k++)
            cas_layer_unref(n->layers[k]);
        free(n->layers);
        free(n->created);
        solve_hit_free(n->hit);
        solve_unclaim(n);
        free(n->contents);
        error_clear(&n->error);
    }
    solve_failed_drop(s);
    solve_last_free(s->last);
    build_mask_free(s->mask);
    pool_free(s->cpus);
    queue_free(s->finished);
    queue_free(s->to_record);
    error_clear(&s->record_error);
    pthread_mutex_destroy(&s->lock);
    free(s->nodes);
}

static void solver_init(struct solver *s,
                        const struct build_environment *env,
                        const struct build_request *request,
                        const struct build_plans *plans)
{
    *s = (struct solver){
        .env = env,
        .request = request,
        .plans = plans,
        .shared = step_shared_new(env, request),
        .variant = {.epoch = plans->items[0].epoch,
                    .hosts = request->add_hosts,
                    .host_count = request->add_host_count},
        .count = plans->graph.count,
        .nodes = base_alloc_array(plans->graph.count + 1, sizeof(struct solve_node)),
        .workers = pool_new(request->parallel),
        .cpus = pool_new(0),
        .finished = queue_new(),
        .to_record = queue_new(),
        .next_step = env->step_count ? *env->step_count : 0,
    };
    pthread_mutex_init(&s->lock, NULL);
}

static int take_results(struct solver *s, struct build_solution *out, struct error *err)
{
    for (size_t i = 0; i < s->plans->count; i++)
        if (take_result(s, &s->plans->items[i], &out[i], err) < 0)
            return -1;
    for (size_t i = 0; i < s->plans->count; i++)
        solve_report(s, &s->plans->items[i], &out[i]);
    return 0;
}

int build_solve(const struct build_environment *env,
                const struct build_request *request,
                const struct build_plans *plans,
                struct build_solution *out,
                struct error *err)
{
    struct solver s;
    int status;

    for (size_t i = 0; i < plans->count; i++)
        out[i] = (struct build_solution){0};
    solver_init(&s, env, request, plans);
    status = solve_begin(&s, err);
    if (status == 0 && build_plans_have_result(plans)) {
        solve_mark_needed(&s);
        mark_all_files(&s);
        expect_runs(&s);
        recall(&s);
        status = run_all(&s, err);
        solve_last_save(&s);
        if (status < 0)
            solve_failed_keep(&s);
    }
    if (status == 0)
        status = take_results(&s, out, err);
    /* Should the build be done again, its steps have other numbers. */
    if (env->step_count)
        *env->step_count = s.next_step;
    solver_release(&s);
    for (size_t i = 0; status < 0 && i < plans->count; i++)
        build_solution_release(&out[i]);
    return status;
}

int build_solve_explain(const struct build_environment *env,
                        const struct build_request *request,
                        const struct build_plans *plans,
                        struct build_explanation *out,
                        struct error *err)
{
    struct solver s;
    int status;

    *out = (struct build_explanation){0};
    solver_init(&s, env, request, plans);
    s.is_dry = true;
    status = solve_begin(&s, err);
    if (status == 0 && build_plans_have_result(plans)) {
        solve_mark_needed(&s);
        solve_last_load(&s);
        status = solve_explain(&s, out, err);
    }
    solver_release(&s);
    if (status < 0)
        build_explanation_release(out);
    return status;
}

void build_solution_release(struct build_solution *s)
{
    for (size_t i = 0; i < s->count; i++)
        cas_layer_unref(s->layers[i]);
    free(s->layers);
    free(s->created);
    for (size_t i = 0; i < s->solved_count; i++)
        descriptor_release(&s->solved[i].blob);
    free(s->solved);
    *s = (struct build_solution){0};
}
