#include "registry/retry.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Longer than any sane queue: what a server asks for beyond is cut down to this. */
#define WAIT_MAX_MS 120000u
#define SLICE_MS    50u /* how soon a cancellation is seen */
/* For a registry that is just being started again. */
#define REFUSED_ATTEMPTS   3u
#define REFUSED_BACKOFF_MS 100u

bool registry_retry_is_status(int status)
{
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return false;
    }
}

bool registry_retry_is_error(const struct error *err)
{
    return error_is(err, ERROR_NETWORK);
}

bool registry_retry_after_parse(struct view value, uint64_t now_s, uint64_t *seconds)
{
    char text[64];
    struct tm tm = {0};

    if (view_to_u64(value, seconds))
        return true;
    if (value.size >= sizeof text)
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end != '\0')
        return false;
    const time_t when = timegm(&tm);
    *seconds = when > 0 && (uint64_t)when > now_s ? (uint64_t)when - now_s : 0;
    return true;
}

/* A number below `bound`, so that clients that failed together do not come back together.
 */
static uint32_t jitter(uint32_t bound)
{
    uint32_t random = 0;

    if (bound == 0 ||
        getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        return 0;
    return random % bound;
}

static uint32_t wait_time_ms(const struct registry_retry *r, struct view retry_after)
{
    uint64_t seconds;

    if (retry_after.size > 0 &&
        registry_retry_after_parse(retry_after, (uint64_t)time(NULL), &seconds))
        return seconds >= WAIT_MAX_MS / 1000 ? WAIT_MAX_MS : (uint32_t)seconds * 1000;
    const unsigned shift = r->made - 1 < 12 ? r->made - 1 : 12;
    const uint64_t full = (uint64_t)r->policy->backoff_ms << shift;
    const uint32_t bound = full > WAIT_MAX_MS / 4 ? WAIT_MAX_MS / 4 : (uint32_t)full;
    return bound / 2 + jitter(bound / 2 + 1);
}

static bool is_cancelled(const struct registry_retry *r)
{
    return r->policy->cancelled && atomic_load(r->policy->cancelled);
}

bool registry_retry_wait(struct registry_retry *r,
                         const struct error *err,
                         struct view retry_after)
{
    const bool is_refused = err && err->sys == ECONNREFUSED;

    r->made++;
    if (r->made >= r->policy->attempts || (is_refused && r->made >= REFUSED_ATTEMPTS))
        return false;
    for (uint32_t left = is_refused ? REFUSED_BACKOFF_MS : wait_time_ms(r, retry_after);
         left > 0;) {
        const uint32_t slice = left < SLICE_MS ? left : SLICE_MS;
        struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)slice * 1000000};

        if (is_cancelled(r))
            return false;
        while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
            continue;
        left -= slice;
    }
    return !is_cancelled(r);
}
