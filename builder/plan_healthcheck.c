/*
 * HEALTHCHECK: the member of the config, and its words in the history.
 */
#include "builder/plan_priv.h"

#include "base/buf.h"
#include "base/limits.h"

/* "." and the digits of `rest` of a `unit`, without zeros at the end. */
static void append_fraction(struct buf *text, int64_t rest, int64_t unit)
{
    if (rest > 0)
        buf_append_char(text, '.');
    for (; rest > 0; rest %= unit) {
        unit /= 10;
        buf_append_char(text, (char)('0' + rest / unit));
    }
}

/* As Go writes durations: "1m30s", "1.5s", "100ms", "0s". */
static void append_duration(struct buf *text, const char *name, int64_t ns)
{
    static const int64_t second = 1000000000;
    static const struct {
        int64_t ns;
        const char *name;
    } parts[] = {{1000000, "ms"}, {1000, "\xC2\xB5s"}, {1, "ns"}};
    const int64_t s = ns / second;

    buf_printf(text, " %s:", name);
    for (size_t i = 0; ns > 0 && ns < second && i < ARRAY_COUNT(parts); i++) {
        if (ns < parts[i].ns)
            continue;
        buf_printf(text, "%jd", (intmax_t)(ns / parts[i].ns));
        append_fraction(text, ns % parts[i].ns, parts[i].ns);
        buf_append_text(text, parts[i].name);
        return;
    }
    if (s >= 3600)
        buf_printf(text, "%jdh", (intmax_t)(s / 3600));
    if (s >= 60)
        buf_printf(text, "%jdm", (intmax_t)(s / 60 % 60));
    buf_printf(text, "%jd", (intmax_t)(s % 60));
    append_fraction(text, ns % second, second);
    buf_append_char(text, 's');
}

/* The words of docker's history entry. */
static void append_healthcheck(struct buf *text,
                               const struct dockerfile_healthcheck *h,
                               const struct doc *test)
{
    buf_append_text(text, "HEALTHCHECK {Test:[");
    for (size_t i = 0; i < doc_count(test); i++)
        buf_printf(text, "%s%s", i ? " " : "", doc_text(doc_at(test, i)));
    buf_append_char(text, ']');
    append_duration(text, "Interval", h->interval_ns);
    append_duration(text, "Timeout", h->timeout_ns);
    append_duration(text, "StartPeriod", h->start_period_ns);
    append_duration(text, "StartInterval", h->start_interval_ns);
    buf_printf(text, " Retries:%jd}", (intmax_t)h->retries);
}

static void set_duration(struct doc *check, const char *member, int64_t value)
{
    if (value != 0)
        doc_set_int(check, member, value);
}

void plan_healthcheck(struct plan_stage *s, const struct dockerfile_healthcheck *h)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    struct doc *check = doc_new_object();
    struct doc *test = doc_new_array();

    doc_append_text(test, h->none ? "NONE" : h->command.exec ? "CMD" : "CMD-SHELL");
    for (size_t i = 0; !h->none && i < h->command.args.count; i++)
        doc_append(test, doc_new_text(h->command.args.items[i].text));
    doc_set(check, "Test", test);
    set_duration(check, "Interval", h->interval_ns);
    set_duration(check, "Timeout", h->timeout_ns);
    set_duration(check, "StartPeriod", h->start_period_ns);
    set_duration(check, "StartInterval", h->start_interval_ns);
    set_duration(check, "Retries", h->retries);
    append_healthcheck(&text, h, test);
    doc_set(build_config_inner(&s->config), "Healthcheck", check);
    build_config_history(&s->config, buf_text(&text), true);
}
