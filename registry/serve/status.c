/* /v2/ and Prometheus' metrics. */
#include "registry/serve/serve_priv.h"

#include "base/limits.h"

#include <inttypes.h>

static void get_base(struct serve_exchange *x)
{
    CLEANUP(doc_unrefp) struct doc *nothing = doc_new_object();

    serve_reply(x, 200);
    serve_reply_doc(x, "application/json", nothing);
}

static void metric(
    struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type,
               name, value);
}

static void upstream_metrics(struct buf *out, struct serve_upstream *u)
{
    const struct serve_upstream_stats s = serve_upstream_stats(u);

    metric(out, "cooper_upstream_manifests_total", "counter",
           "Manifests that came from the upstream.", s.manifests);
    metric(out, "cooper_upstream_blobs_total", "counter",
           "Blobs that came from the upstream.", s.blobs);
    metric(out, "cooper_upstream_received_bytes_total", "counter", "Bytes of these.",
           s.bytes);
    metric(out, "cooper_upstream_failures_total", "counter",
           "Times that the upstream failed.", s.failures);
    metric(out, "cooper_upstream_downloads", "gauge", "Blobs that are on their way.",
           serve_upstream_active(u));
}

/* The text format of Prometheus, version 0.0.4. */
static void get_metrics(struct serve_exchange *x)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_HTTP_BODY_SMALL);
    struct serve_stats *s = &x->serve->stats;

    buf_append_text(&text, "# HELP cooper_requests_total Requests by the class of their "
                           "status; 0 is those that broke off.\n"
                           "# TYPE cooper_requests_total counter\n");
    for (int i = 0; i < 6; i++) {
        if (i != 1)
            buf_printf(&text, "cooper_requests_total{class=\"%dxx\"} %" PRIu64 "\n", i,
                       (uint64_t)atomic_load(&s->requests[i]));
    }
    metric(&text, "cooper_received_bytes_total", "counter", "Bytes of request bodies.",
           atomic_load(&s->bytes_in));
    metric(&text, "cooper_sent_bytes_total", "counter", "Bytes of answers' bodies.",
           atomic_load(&s->bytes_out));
    metric(&text, "cooper_manifests_pushed_total", "counter", "Manifests that were pushed.",
           atomic_load(&s->manifests));
    metric(&text, "cooper_blobs_pushed_total", "counter", "Blobs that were uploaded.",
           atomic_load(&s->blobs));
    metric(&text, "cooper_requests_active", "gauge", "Requests under way.",
           atomic_load(&s->active));
    metric(&text, "cooper_uploads", "gauge", "Upload sessions.",
           serve_uploads_count(x->serve->uploads));
    if (x->serve->upstream)
        upstream_metrics(&text, x->serve->upstream);
    serve_reply(x, 200);
    serve_reply_text(x, "text/plain; version=0.0.4; charset=utf-8", &text);
}

const struct serve_action serve_actions_status[] = {
    {SERVE_ROUTE_BASE, SERVE_METHOD_GET, .finish = get_base},
    {SERVE_ROUTE_BASE, SERVE_METHOD_HEAD, .finish = get_base},
    {SERVE_ROUTE_METRICS, SERVE_METHOD_GET, .finish = get_metrics},
    {.route = SERVE_ROUTE_UNKNOWN},
};
