#include "registry/platform.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* Copies a view into a fixed field in lower case; false if it does not fit or holds
 * anything that no platform has (the text ends up in messages). */
static bool field_set(char *field, size_t capacity, struct view value)
{
    if (value.size >= capacity)
        return false;
    for (size_t i = 0; i < value.size; i++) {
        const unsigned char c = (unsigned char)value.data[i];

        if (!isalnum(c) && c != '_' && c != '-' && c != '.')
            return false;
        field[i] = (char)tolower(c);
    }
    field[value.size] = '\0';
    return true;
}

static void field_copy(char *field, size_t capacity, const char *text)
{
    const bool fits = field_set(field, capacity, view_of(text));

    assert(fits);
}

#define FIELD_SET(field, value) field_set((field), sizeof(field), (value))
#define FIELD_COPY(field, text) field_copy((field), sizeof(field), (text))

/* containerd/platforms normalizeArch, as a table: `variant` NULL stands for any. */
static const struct {
    const char *architecture, *variant;
    const char *to_architecture, *to_variant; /* to_variant NULL: stays */
} normal_forms[] = {
    {"i386", NULL, "386", ""},        {"i686", NULL, "386", ""},
    {"x86_64", "v1", "amd64", ""},    {"x86_64", NULL, "amd64", NULL},
    {"x86-64", "v1", "amd64", ""},    {"x86-64", NULL, "amd64", NULL},
    {"amd64", "v1", "amd64", ""},     {"aarch64", "8", "arm64", ""},
    {"aarch64", "v8", "arm64", ""},   {"aarch64", "v8.0", "arm64", ""},
    {"aarch64", NULL, "arm64", NULL}, {"arm64", "8", "arm64", ""},
    {"arm64", "v8", "arm64", ""},     {"arm64", "v8.0", "arm64", ""},
    {"arm64", "9", "arm64", "v9"},    {"arm64", "9.0", "arm64", "v9"},
    {"arm64", "v9.0", "arm64", "v9"}, {"armhf", NULL, "arm", "v7"},
    {"armel", NULL, "arm", "v6"},     {"arm", "", "arm", "v7"},
    {"arm", "7", "arm", "v7"},        {"arm", "5", "arm", "v5"},
    {"arm", "6", "arm", "v6"},        {"arm", "8", "arm", "v8"},
};

static void normalize(struct registry_platform *p)
{
    if (strcmp(p->os, "macos") == 0)
        FIELD_COPY(p->os, "darwin");
    for (size_t i = 0; i < sizeof normal_forms / sizeof normal_forms[0]; i++) {
        if (strcmp(p->architecture, normal_forms[i].architecture) != 0 ||
            (normal_forms[i].variant && strcmp(p->variant, normal_forms[i].variant) != 0))
            continue;
        FIELD_COPY(p->architecture, normal_forms[i].to_architecture);
        if (normal_forms[i].to_variant)
            FIELD_COPY(p->variant, normal_forms[i].to_variant);
        return;
    }
}

/* uname's machine in Go's words, where the table above does not know it. */
static const char *machine_architecture(const char *machine)
{
    if (strncmp(machine, "armv7", 5) == 0 || strncmp(machine, "armv8", 5) == 0)
        return "armhf";
    if (strncmp(machine, "armv6", 5) == 0)
        return "armel";
    if (strcmp(machine, "loongarch64") == 0)
        return "loong64";
    if (strcmp(machine, "mips64") == 0)
        return "mips64le";
    return machine;
}

const struct registry_platform registry_platform_any = {.os = ""};

struct registry_platform registry_platform_host(void)
{
    struct registry_platform p = {.os = "linux", .architecture = "amd64"};
    struct utsname name;

    if (uname(&name) == 0)
        (void)FIELD_SET(p.architecture, view_of(machine_architecture(name.machine)));
    normalize(&p);
    return p;
}

static bool is_known_os(struct view word)
{
    static const char *const known[] = {
        "aix",     "android", "darwin", "dragonfly", "freebsd", "hurd",
        "illumos", "ios",     "js",     "linux",     "macos",   "nacl",
        "netbsd",  "openbsd", "plan9",  "solaris",   "windows", "zos",
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (view_eq_nocase(word, known[i]))
            return true;
    }
    return false;
}

/* A word alone must tell by itself which of the two it is. */
static bool is_known_architecture(struct view word)
{
    static const char *const known[] = {
        "386",         "aarch64", "amd64",  "amd64p32", "arm",       "arm64",
        "arm64be",     "armbe",   "armel",  "armhf",    "i386",      "loong64",
        "loongarch64", "mips",    "mips64", "mips64le", "mips64p32", "mips64p32le",
        "mipsle",      "ppc",     "ppc64",  "ppc64le",  "riscv",     "riscv64",
        "s390",        "s390x",   "sparc",  "sparc64",  "wasm",      "x86-64",
        "x86_64",
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (view_eq_nocase(word, known[i]))
            return true;
    }
    return false;
}

static bool set_words(struct registry_platform *p, const struct view *words, size_t count)
{
    if (count == 1 && is_known_os(words[0]))
        return FIELD_SET(p->os, words[0]);
    if (count == 1)
        return is_known_architecture(words[0]) && FIELD_SET(p->architecture, words[0]);
    return FIELD_SET(p->os, words[0]) && FIELD_SET(p->architecture, words[1]) &&
           (count < 3 || FIELD_SET(p->variant, words[2]));
}

int registry_platform_parse(struct view text,
                            struct registry_platform *out,
                            struct error *err)
{
    struct registry_platform p = registry_platform_host();
    struct view words[3], rest = text;
    size_t count = 0;
    bool more, ok = true;

    do {
        if (count == 3)
            return error_set(err, ERROR_INVALID,
                             "platform '%.*s' has more than three parts", VIEW_ARG(text));
        more = view_cut(rest, '/', &words[count], &rest);
        ok = ok && words[count].size > 0;
        count++;
    } while (more);
    if (count > 1 || !is_known_os(words[0]))
        p.variant[0] = '\0';
    if (!ok || !set_words(&p, words, count))
        return error_set(err, ERROR_INVALID,
                         "platform '%.*s' is not of the form OS/ARCHITECTURE[/VARIANT], "
                         "such as linux/amd64",
                         VIEW_ARG(text));
    normalize(&p);
    *out = p;
    return 0;
}

int registry_platform_from_doc(const struct doc *d,
                               struct registry_platform *out,
                               struct error *err)
{
    struct registry_platform p = {0};
    const struct view os = doc_view(doc_get(d, "os"));
    const struct view architecture = doc_view(doc_get(d, "architecture"));

    if (os.size == 0 || architecture.size == 0)
        return error_set(err, ERROR_INVALID, "a platform without os or architecture");
    if (!FIELD_SET(p.os, os) || !FIELD_SET(p.architecture, architecture) ||
        !FIELD_SET(p.variant, doc_view(doc_get(d, "variant"))) ||
        !FIELD_SET(p.os_version, doc_view(doc_get(d, "os.version"))))
        return error_set(err, ERROR_INVALID,
                         "a platform with strange characters or too long");
    normalize(&p);
    *out = p;
    return 0;
}

struct doc *registry_platform_doc(const struct registry_platform *p)
{
    struct doc *d = doc_new_object();

    doc_set_text(d, "architecture", p->architecture);
    doc_set_text(d, "os", p->os);
    if (p->os_version[0])
        doc_set_text(d, "os.version", p->os_version);
    if (p->variant[0])
        doc_set_text(d, "variant", p->variant);
    return d;
}

struct registry_platform_text registry_platform_format(const struct registry_platform *p)
{
    struct registry_platform_text out;

    (void)snprintf(out.text, sizeof out.text, "%s/%s%s%s", p->os, p->architecture,
                   p->variant[0] ? "/" : "", p->variant);
    return out;
}

/* "v8" -> 8.0, "v8.3" -> 8.3, "" -> `none`.0; false for anything else. */
static bool variant_version(const char *variant, int none, int *major, int *minor)
{
    int used = 0;

    *major = none;
    *minor = 0;
    if (!variant[0])
        return true;
    if (sscanf(variant, "v%2d.%2d%n", major, minor, &used) == 2 && variant[used] == '\0')
        return true;
    *minor = 0;
    return sscanf(variant, "v%2d%n", major, &used) == 1 && variant[used] == '\0';
}

/* Newer to older within one architecture: the distance, -1 if `have` is newer. */
static int variant_distance(const char *want, const char *have, int none, int oldest)
{
    int want_major, want_minor, have_major, have_minor;

    if (strcmp(want, have) == 0)
        return 0;
    if (!variant_version(want, none, &want_major, &want_minor) ||
        !variant_version(have, none, &have_major, &have_minor) || have_major < oldest)
        return -1;
    const int distance = (want_major - have_major) * 10 + want_minor - have_minor;
    return distance < 0 ? -1 : distance;
}

/* arm64: v9.N includes v8.(N+5), so both are placed on one scale of v8's minor numbers; 8.9
 * is the last of the v8 line. */
static int arm64_distance(const char *want, const char *have)
{
    int want_major, want_minor, have_major, have_minor;

    if (strcmp(want, have) == 0)
        return 0;
    if (!variant_version(want, 8, &want_major, &want_minor) ||
        !variant_version(have, 8, &have_major, &have_minor) || have_major < 8 ||
        have_major > want_major)
        return -1;
    const int allowed = want_major == have_major ? want_minor : want_minor + 5;
    if (have_minor > allowed)
        return -1;
    return (want_major - have_major) * 20 + allowed - have_minor;
}

/* Behind every variant of the machine's own architecture. */
#define RANK_OTHER_ARCHITECTURE 1000

static int foreign_rank(const struct registry_platform *want,
                        const struct registry_platform *have)
{
    if (strcmp(want->architecture, "amd64") == 0 && strcmp(have->architecture, "386") == 0)
        return RANK_OTHER_ARCHITECTURE;
    if (strcmp(want->architecture, "arm64") == 0 &&
        strcmp(have->architecture, "arm") == 0) {
        const int distance = variant_distance("v8", have->variant, 7, 5);

        return distance < 0 ? -1 : RANK_OTHER_ARCHITECTURE + distance;
    }
    return -1;
}

int registry_platform_rank(const struct registry_platform *want,
                           const struct registry_platform *have)
{
    if (strcmp(want->os, have->os) != 0)
        return -1;
    if (strcmp(want->architecture, have->architecture) != 0)
        return foreign_rank(want, have);
    if (strcmp(want->architecture, "amd64") == 0)
        return variant_distance(want->variant, have->variant, 1, 1);
    if (strcmp(want->architecture, "arm") == 0)
        return variant_distance(want->variant, have->variant, 7, 5);
    if (strcmp(want->architecture, "arm64") == 0)
        return arm64_distance(want->variant, have->variant);
    return strcmp(want->variant, have->variant) == 0 ? 0 : -1;
}
