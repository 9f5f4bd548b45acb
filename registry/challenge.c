/*
 * WWW-Authenticate headers: a list of challenges, each with parameters, both lists
 * separated by commas. What follows a comma is a parameter of the same challenge if an
 * equals sign comes next, else the next challenge.
 *
 *     challenge = scheme [ 1*SP ( token68 | [ auth-param *( "," auth-param ) ] ) ]
 *
 * Spec: RFC 9110 section 11.3, 11.6.1; token and quoted-string in section 5.6.
 */
#include "registry/auth.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Nobody sends more; each costs memory. */
#define CHALLENGES_MAX 32

struct scanner {
    struct view text;
    size_t at;
};

static char peek(const struct scanner *s)
{
    return s->at < s->text.size ? s->text.data[s->at] : '\0';
}

static void skip_blanks(struct scanner *s)
{
    while (peek(s) == ' ' || peek(s) == '\t')
        s->at++;
}

static void skip_separators(struct scanner *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == ',')
        s->at++;
}

static bool is_token_char(char c)
{
    return c && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c));
}

static struct view scan_token(struct scanner *s)
{
    const size_t start = s->at;

    while (is_token_char(peek(s)))
        s->at++;
    return view_sub(s->text, start, s->at - start);
}

/* Behind the opening quote. malloc'ed, NULL if it does not end or holds control characters.
 */
static char *scan_quoted(struct scanner *s)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(LIMIT_HTTP_HEADER);

    for (;;) {
        char c = peek(s);

        if (s->at >= s->text.size)
            return NULL;
        s->at++;
        if (c == '"')
            return out.data ? buf_take(&out) : base_strdup("");
        if (c == '\\') {
            c = peek(s);
            s->at++;
        }
        if ((unsigned char)c < ' ' && c != '\t')
            return NULL;
        buf_append_char(&out, c);
    }
}

/* token "=" ( token | quoted-string ); false (and nothing consumed) if there is none here.
 * *value is malloc'ed, NULL if it is malformed. */
static bool scan_parameter(struct scanner *s, struct view *name, char **value)
{
    const size_t start = s->at;

    *name = scan_token(s);
    skip_blanks(s);
    if (name->size == 0 || peek(s) != '=') {
        s->at = start;
        return false;
    }
    s->at++;
    skip_blanks(s);
    if (peek(s) == '"') {
        s->at++;
        *value = scan_quoted(s);
        return true;
    }
    const struct view token = scan_token(s);
    *value = token.size ? view_dup(token) : NULL;
    return true;
}

/* token68: base 64 and its relatives with trailing "="; only skipped, as the schemes that
 * we speak have none. False (nothing consumed) if what is here cannot be one. */
static bool skip_token68(struct scanner *s)
{
    const size_t start = s->at;

    while (isalnum((unsigned char)peek(s)) || (peek(s) && strchr("-._~+/", peek(s))))
        s->at++;
    if (s->at > start) {
        while (peek(s) == '=')
            s->at++;
        skip_blanks(s);
        if (s->at == s->text.size || peek(s) == ',')
            return true;
    }
    s->at = start;
    return false;
}

static void challenge_release(struct registry_challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    free(c->error);
    *c = (struct registry_challenge){0};
}

/* Takes the value; the first of a name counts. */
static void set_parameter(struct registry_challenge *c, struct view name, char *value)
{
    char **field = view_eq_nocase(name, "realm")     ? &c->realm
                   : view_eq_nocase(name, "service") ? &c->service
                   : view_eq_nocase(name, "scope")   ? &c->scope
                   : view_eq_nocase(name, "error")   ? &c->error
                                                     : NULL;

    if (field && !*field)
        *field = value;
    else
        free(value);
}

static enum registry_auth_scheme scheme_of(struct view token)
{
    if (view_eq_nocase(token, "basic"))
        return REGISTRY_AUTH_BASIC;
    return view_eq_nocase(token, "bearer") ? REGISTRY_AUTH_BEARER : REGISTRY_AUTH_OTHER;
}

static bool scan_parameters(struct scanner *s, struct registry_challenge *c)
{
    struct view name;
    char *value = NULL;

    for (;;) {
        const size_t before = s->at;

        skip_separators(s);
        if (!scan_parameter(s, &name, &value)) {
            /* The comma, if any, separates the next challenge. */
            s->at = before;
            return true;
        }
        if (!value)
            return false;
        set_parameter(c, name, value);
    }
}

static bool scan_challenge(struct scanner *s, struct registry_challenge *c)
{
    const struct view scheme = scan_token(s);

    if (scheme.size == 0)
        return false;
    c->scheme = scheme_of(scheme);
    if (s->at < s->text.size && peek(s) != ' ' && peek(s) != '\t' && peek(s) != ',')
        return false;
    skip_blanks(s);
    if (skip_token68(s))
        return true;
    if (!scan_parameters(s, c))
        return false;
    skip_blanks(s);
    return s->at == s->text.size || peek(s) == ',';
}

static bool scan_list(struct scanner *s, struct registry_challenge_list *out)
{
    skip_separators(s);
    while (s->at < s->text.size) {
        struct registry_challenge c = {0};

        if (!scan_challenge(s, &c) || out->count == CHALLENGES_MAX) {
            challenge_release(&c);
            return false;
        }
        out->items[out->count++] = c;
        skip_separators(s);
    }
    return true;
}

void registry_challenge_list_release(struct registry_challenge_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        challenge_release(&l->items[i]);
    free(l->items);
    *l = (struct registry_challenge_list){0};
}

int registry_challenge_parse(struct view header,
                             struct registry_challenge_list *out,
                             struct error *err)
{
    struct scanner s = {.text = header};
    const size_t before = out->count;

    if (header.size > LIMIT_HTTP_HEADER)
        return error_set(err, ERROR_INVALID, "the challenge is too long");
    if (!out->items)
        out->items = base_alloc_array(CHALLENGES_MAX, sizeof *out->items);
    if (scan_list(&s, out))
        return 0;
    while (out->count > before)
        challenge_release(&out->items[--out->count]);
    return error_set(err, ERROR_INVALID,
                     "the registry's challenge (WWW-Authenticate) is malformed");
}
