#include "release/version.h"

#include "base/alloc.h"
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

static const char *const scheme_names[] = {
    [RELEASE_SEMVER] = "semver", [RELEASE_CALVER] = "calver", [RELEASE_ANY] = "any"};

int release_scheme_parse(const char *text, enum release_scheme *out, struct error *err)
{
    *out = RELEASE_SEMVER;
    if (!text)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(scheme_names); i++) {
        if (strcmp(text, scheme_names[i]) == 0) {
            *out = (enum release_scheme)i;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE, "a scheme is semver, calver or any, not '%s'", text);
}

const char *release_scheme_name(enum release_scheme scheme)
{
    return scheme_names[scheme];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_identifier_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool is_number(struct view v)
{
    for (size_t i = 0; i < v.size; i++) {
        if (!is_digit(v.data[i]))
            return false;
    }
    return v.size > 0;
}

static bool has_leading_zero(struct view v)
{
    return v.size > 1 && v.data[0] == '0';
}

/* Dot-separated identifiers. semver.org sections 9 and 10. */
static const char *identifiers_fault(struct view list, bool zeros_allowed)
{
    struct view one;
    bool more = true;

    while (more) {
        more = view_cut(list, '.', &one, &list);
        if (one.size == 0)
            return "an identifier is empty";
        for (size_t i = 0; i < one.size; i++) {
            if (!is_identifier_char(one.data[i]))
                return "identifiers have letters, digits and '-' only";
        }
        if (!zeros_allowed && is_number(one) && has_leading_zero(one))
            return "a number begins with 0";
    }
    return NULL;
}

/* The numbers at the front, up to the first "-" or `plus`. */
static const char *numbers_fault(struct release_version *v, struct view text)
{
    struct view one;
    bool more = true;

    while (more) {
        more = view_cut(text, '.', &one, &text);
        if (!is_number(one))
            return "its parts are not numbers";
        if (v->scheme == RELEASE_SEMVER && has_leading_zero(one))
            return "a number begins with 0";
        if (v->part_count == RELEASE_PARTS_MAX)
            return "it has too many parts";
        v->parts[v->part_count++] = one;
    }
    if (v->scheme == RELEASE_SEMVER && v->part_count != 3)
        return "it needs three numbers, MAJOR.MINOR.PATCH";
    return v->part_count < 2 ? "it needs two numbers at least" : NULL;
}

/* Where the numbers end: at the first "-" or `plus`. */
static size_t core_size(struct view text, char plus)
{
    size_t i = 0;

    while (i < text.size && text.data[i] != '-' && text.data[i] != plus)
        i++;
    return i;
}

/* Takes apart text that lives as long as `v`. NULL, or what is wrong. */
static const char *dissect(struct release_version *v, struct view text, char plus)
{
    const char *fault;

    if (text.size > 1 && text.data[0] == 'v' && is_digit(text.data[1])) {
        v->has_v = true;
        text = view_sub(text, 1, text.size);
    }
    const size_t core = core_size(text, plus);
    struct view rest = view_sub(text, core, text.size);
    if ((fault = numbers_fault(v, view_sub(text, 0, core))))
        return fault;
    if (rest.size > 0 && rest.data[0] == '-') {
        const bool has_build = view_cut(view_sub(rest, 1, rest.size), plus, &v->pre, &rest);
        if ((fault = identifiers_fault(v->pre, v->scheme == RELEASE_CALVER)))
            return fault;
        if (!has_build)
            return NULL;
    } else if (rest.size > 0) {
        rest = view_sub(rest, 1, rest.size);
    } else {
        return NULL;
    }
    v->build = rest;
    return identifiers_fault(v->build, true);
}

/* A version's tag, "+" being "_" there. */
static char *tag_of(struct view text)
{
    char *const tag = view_dup(text);

    for (char *c = tag; *c; c++)
        *c = *c == '+' ? '_' : *c;
    return tag;
}

int release_version_parse(enum release_scheme scheme,
                          struct view text,
                          struct release_version *out,
                          struct error *err)
{
    const char *fault = NULL;

    *out = (struct release_version){.scheme = scheme};
    if (text.size > RELEASE_VERSION_MAX)
        return error_set(err, ERROR_INVALID,
                         "a version has at most %d characters; this one has %zu",
                         RELEASE_VERSION_MAX, text.size);
    out->tag = scheme == RELEASE_ANY ? view_dup(text) : tag_of(text);
    if (memchr(text.data, '\0', text.size))
        fault = "it holds a NUL";
    else if (scheme != RELEASE_ANY && memchr(text.data, '_', text.size))
        fault = "it holds '_'"; /* would be taken for "+" */
    else if (scheme != RELEASE_ANY)
        fault = dissect(out, view_of(out->tag), '_');
    if (!fault && !registry_reference_is_tag(view_of(out->tag)))
        fault = "a registry takes no such tag";
    if (!fault)
        return 0;
    release_version_release(out);
    if (scheme == RELEASE_ANY)
        return error_set(err, ERROR_INVALID, "'%.*s' cannot name a version: %s",
                         VIEW_ARG(text), fault);
    return error_set(
        err, ERROR_INVALID,
        "'%.*s' is no version of the scheme %s: %s (--scheme semver, calver or "
        "any)",
        VIEW_ARG(text), scheme_names[scheme], fault);
}

bool release_version_from_tag(enum release_scheme scheme,
                              const char *tag,
                              struct release_version *out)
{
    *out = (struct release_version){.scheme = scheme};
    if (strlen(tag) > RELEASE_VERSION_MAX)
        return false;
    out->tag = base_strdup(tag);
    if (scheme == RELEASE_ANY || !dissect(out, view_of(out->tag), '_'))
        return true;
    release_version_release(out);
    return false;
}

void release_version_release(struct release_version *v)
{
    free(v->tag);
    *v = (struct release_version){0};
}

char *release_version_text(const struct release_version *v)
{
    char *const text = base_strdup(v->tag);

    if (v->build.size > 0)
        text[(size_t)(v->build.data - v->tag) - 1] = '+';
    return text;
}

bool release_version_is_pre(const struct release_version *v)
{
    return v->pre.size > 0;
}

static int compare_numbers(struct view a, struct view b)
{
    while (has_leading_zero(a))
        a = view_sub(a, 1, a.size);
    while (has_leading_zero(b))
        b = view_sub(b, 1, b.size);
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return memcmp(a.data, b.data, a.size);
}

static int compare_identifiers(struct view a, struct view b)
{
    const bool numbers = is_number(a);

    if (numbers != is_number(b))
        return numbers ? -1 : 1;
    return numbers ? compare_numbers(a, b) : view_compare(a, b);
}

/* semver.org 11.3, 11.4: without one is higher; else identifier by identifier. */
static int compare_pre(struct view a, struct view b)
{
    struct view x, y;

    if (a.size == 0 || b.size == 0)
        return (a.size == 0) - (b.size == 0);
    for (;;) {
        const bool more_a = view_cut(a, '.', &x, &a);
        const bool more_b = view_cut(b, '.', &y, &b);
        const int order = compare_identifiers(x, y);

        if (order != 0)
            return order;
        if (!more_a || !more_b)
            return more_a - more_b;
    }
}

bool release_version_is_comparable(const struct release_version *a,
                                   const struct release_version *b)
{
    return a->scheme == b->scheme && a->scheme != RELEASE_ANY &&
           a->part_count == b->part_count;
}

int release_version_compare(const struct release_version *a,
                            const struct release_version *b)
{
    if (!release_version_is_comparable(a, b))
        return 0;
    for (size_t i = 0; i < a->part_count; i++) {
        const int order = compare_numbers(a->parts[i], b->parts[i]);
        if (order != 0)
            return order;
    }
    return compare_pre(a->pre, b->pre);
}

bool release_version_same_line(const struct release_version *a,
                               const struct release_version *b)
{
    return release_version_is_comparable(a, b) &&
           compare_numbers(a->parts[0], b->parts[0]) == 0;
}
