/*
 * bench_parse [FILES [SEED [ROUNDS]]]
 *
 * Makes Dockerfiles that look like people's (default 10,000) from a seed, and parses them
 * all on one core: MB of text a second (the best of some rounds), allocations a file.
 */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray */
/* link: -Wl,--wrap=strdup,--wrap=strndup,--wrap=free */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "parser/check/check.h"
#include "parser/dockerfile.h"
#include "parser/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- Counting -----------------------------------------------------------------------
 */

static uint64_t allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    allocations++;
    return __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
    allocations++;
    return __real_reallocarray(p, count, size);
}

char *__wrap_strdup(const char *text)
{
    allocations++;
    return __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    allocations++;
    return __real_strndup(text, size);
}

void __wrap_free(void *p)
{
    __real_free(p);
}

/* --- Dockerfiles --------------------------------------------------------------------
 */

struct random {
    uint64_t state;
};

/* xorshift64*: the same files for the same seed, everywhere. */
static size_t below(struct random *r, size_t limit)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (size_t)((r->state * 2685821657736338717ull) >> 33) % limit;
}

#define PICK(r, list) ((list)[below((r), ARRAY_COUNT(list))])

static const char *const images[] = {
    "debian:12-slim",     "node:22-alpine", "python:3.12-slim",  "golang:1.23",
    "eclipse-temurin:21", "ubuntu:24.04",   "nginx:1.27-alpine", "rust:1.82-bookworm",
    "php:8.3-fpm",        "ruby:3.3-slim",  "alpine:3.20",       "ghcr.io/acme/base:4.2"};
static const char *const packages[] = {
    "ca-certificates", "curl",  "git",  "build-essential", "libpq-dev", "pkg-config",
    "libssl-dev",      "unzip", "tini", "gnupg",           "jq",        "netcat-openbsd",
    "python3-venv"};
static const char *const comments[] = {"# Install what the application needs at run time",
                                       "# syntax is that of 1.26",
                                       "# The user is not root",
                                       "# Copy the manifest first, so that the cache works",
                                       "# hadolint ignore=DL3008",
                                       "#",
                                       "# Drop this when the mirror is back"};
static const char *const blocks[] = {
    "COPY package.json package-lock.json ./\nRUN --mount=type=cache,target=/root/.npm \\\n"
    "    npm ci --omit=dev --no-audit --no-fund\nCOPY . .\nRUN npm run build\n",
    "COPY requirements.txt /tmp/requirements.txt\nRUN pip install --no-cache-dir -r "
    "/tmp/requirements.txt && \\\n    rm -rf /tmp/requirements.txt\n",
    "COPY go.mod go.sum ./\nRUN go mod download && go mod verify\nCOPY . .\n"
    "RUN CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags=\"-s -w -X "
    "main.version=${VERSION}\" -o /out/app ./cmd/app\n",
    "COPY --chown=1000:1000 --from=build /out/app /usr/local/bin/app\n",
    "RUN groupadd -r app && useradd -r -g app -d /app -s /usr/sbin/nologin app \\\n"
    "    && mkdir -p /app /var/lib/app \\\n    && chown -R app:app /app /var/lib/app\n",
    "ENV PATH=\"/opt/venv/bin:$PATH\" \\\n    PYTHONUNBUFFERED=1 \\\n    "
    "PYTHONDONTWRITEBYTECODE=1\n",
    "HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \\\n"
    "  CMD curl -fsS http://localhost:8080/health || exit 1\n",
    "LABEL org.opencontainers.image.source=\"https://github.com/acme/app\" \\\n"
    "      org.opencontainers.image.licenses=\"Apache-2.0\" \\\n"
    "      org.opencontainers.image.description=\"The service that does it all\"\n",
    "RUN <<EOF\nset -eu\napt-get update\napt-get install -y --no-install-recommends curl\n"
    "rm -rf /var/lib/apt/lists/*\nEOF\n",
    "COPY <<-\"CONF\" /etc/nginx/conf.d/default.conf\n\tserver {\n\t\tlisten 8080;\n"
    "\t\tlocation / { root /usr/share/nginx/html; }\n\t}\n\tCONF\n",
    "RUN set -eux; \\\n    arch=\"$(dpkg --print-architecture)\"; \\\n    case \"$arch\" "
    "in \\\n"
    "        amd64) sha='0d5f8c3e0b8f3c1d' ;; \\\n        arm64) sha='77aa12b90cdde4f1' ;; "
    "\\\n"
    "        *) echo >&2 \"unsupported: $arch\"; exit 1 ;; \\\n    esac; \\\n"
    "    curl -fsSLo /tmp/tool.tgz "
    "\"https://example.com/tool-${TOOL_VERSION:-1.2.3}-$arch.tgz\"; "
    "\\\n    echo \"$sha /tmp/tool.tgz\" | sha256sum -c -; \\\n    tar -xzf /tmp/tool.tgz "
    "-C "
    "/usr/local/bin; \\\n    rm /tmp/tool.tgz\n",
    "EXPOSE 8080/tcp 9090\nVOLUME [\"/data\", \"/var/log/app\"]\nUSER app\n"
    "WORKDIR /app\nSTOPSIGNAL SIGTERM\n",
    "ONBUILD COPY . /usr/src/app\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n"};

static void put_packages(struct random *r, struct buf *out)
{
    buf_append_text(
        out, "RUN apt-get update && apt-get install -y --no-install-recommends \\\n");
    for (size_t i = 2 + below(r, 8); i > 0; i--)
        buf_printf(out, "        %s \\\n", PICK(r, packages));
    buf_append_text(out, "    && rm -rf /var/lib/apt/lists/*\n");
}

static void put_stage(struct random *r, size_t number, struct buf *out)
{
    if (number == 0)
        buf_printf(out, "FROM %s AS build\n", PICK(r, images));
    else
        buf_printf(out, "\nFROM %s AS stage%zu\n", PICK(r, images), number);
    buf_append_text(out, "ARG VERSION\nWORKDIR /src\n");
    for (size_t i = 2 + below(r, 7); i > 0; i--) {
        if (below(r, 3) == 0)
            buf_printf(out, "\n%s\n", PICK(r, comments));
        if (below(r, 5) == 0)
            put_packages(r, out);
        else
            buf_append_text(out, PICK(r, blocks));
    }
}

static void put_file(struct random *r, struct buf *out)
{
    const size_t stages = 1 + below(r, 3);

    if (below(r, 2) == 0)
        buf_append_text(out, "# syntax=docker/dockerfile:1\n\n");
    buf_printf(out, "ARG VERSION=%zu.%zu\n", below(r, 9), below(r, 20));
    for (size_t i = 0; i < stages; i++)
        put_stage(r, i, out);
    buf_append_text(out,
                    "\nENTRYPOINT [\"/usr/bin/tini\", \"--\"]\nCMD [\"app\", \"serve\"]\n");
}

/* --- Measuring ----------------------------------------------------------------------
 */

struct corpus {
    struct buf text;
    size_t *ends; /* of each file */
    size_t count;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what, const struct error *err)
{
    fprintf(stderr, "bench_parse: %s: %s\n", what, error_text(err));
    exit(1);
}

static void parse_one(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);

    if (!file)
        fail("parse", &err);
}

static void check_one(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    const struct dockerfile_check_options options = {.extra = true};
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);

    if (!file || dockerfile_check(file, &options, NULL, &err) < 0)
        fail("check", &err);
}

static void format_one(struct view text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);

    if (!file)
        fail("format", &err);
    dockerfile_format(file, &out);
}

static void measure(const char *name,
                    const struct corpus *corpus,
                    size_t rounds,
                    void (*treat)(struct view text))
{
    double best = 0;
    uint64_t counted = 0;

    for (size_t round = 0; round < rounds; round++) {
        const double begin = now();
        size_t at = 0;
        allocations = 0;
        for (size_t i = 0; i < corpus->count; at = corpus->ends[i++])
            treat(view_sub(buf_view(&corpus->text), at, corpus->ends[i] - at));
        const double seconds = now() - begin;
        counted = allocations;
        if (round == 0 || seconds < best)
            best = seconds;
    }
    printf("%-18s %7.1f MB/s  %6.2f us a file  %6.1f allocations a file\n", name,
           (double)corpus->text.size / best / 1e6, best * 1e6 / (double)corpus->count,
           (double)counted / (double)corpus->count);
}

int main(int argc, char **argv)
{
    const size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    struct random random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 20240229};
    const size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    struct corpus corpus = {.text = BUF_INIT((size_t)1 << 30), .count = count};

    corpus.ends = base_alloc_array(count, sizeof *corpus.ends);
    for (size_t i = 0; i < count; i++) {
        put_file(&random, &corpus.text);
        corpus.ends[i] = corpus.text.size;
    }
    printf("%zu files, %.1f MB\n", count, (double)corpus.text.size / 1e6);
    measure("parse", &corpus, rounds, parse_one);
    measure("parse and format", &corpus, rounds, format_one);
    measure("parse and check", &corpus, rounds, check_one);
    buf_release(&corpus.text);
    free(corpus.ends);
    return 0;
}
