#include "cli/args.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "parser/suggest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

/* Where help texts begin; longer names get a line of their own. */
#define HELP_COLUMN 34

struct parser {
    const struct cli_option *options;
    size_t count;
    char **argv;
    int argc;
    int next; /* the argument that comes next */
    char *out;
};

void cli_texts_add(struct cli_texts *list, const char *text)
{
    list->items =
        base_grow(list->items, list->count, &list->capacity, sizeof list->items[0]);
    list->items[list->count++] = text;
}

void cli_texts_release(struct cli_texts *list)
{
    free(list->items);
    *list = (struct cli_texts){0};
}

/* --- Values ------------------------------------------------------------------------- */

static unsigned unit_shift(int letter)
{
    switch (tolower(letter)) {
    case 'k':
        return 10;
    case 'm':
        return 20;
    case 'g':
        return 30;
    case 't':
        return 40;
    case 'p':
        return 50;
    default:
        return 0;
    }
}

int cli_bytes_parse(const char *text, unsigned long long *out, struct error *err)
{
    char *end = NULL;
    double value;

    errno = 0;
    value = strtod(text, &end);
    /* strtod also knows white space, signs, "inf" and hexadecimal: not sizes. */
    if (!isdigit((unsigned char)text[0]) || errno != 0 ||
        text[strspn(text, "0123456789.")] == 'x')
        return error_set(err, ERROR_USAGE, "'%s' is no size such as 64m or 1g", text);
    while (*end == ' ')
        end++;
    const unsigned shift = unit_shift(*end);
    if (shift > 0)
        end++;
    if (end[0] == 'i' && shift > 0 && tolower(end[1]) == 'b')
        end += 2;
    else if (tolower(end[0]) == 'b')
        end++;
    value *= (double)(1ULL << shift);
    if (*end != '\0' || value >= 9e18)
        return error_set(err, ERROR_USAGE, "'%s' is no size such as 64m or 1g", text);
    *out = (unsigned long long)value;
    return 0;
}

int cli_switch_parse(const char *text, bool *out, struct error *err)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE, "'%s' is neither true nor false", text);
}

static int count_parse(const char *text, unsigned *out, struct error *err)
{
    uint64_t value = 0;

    if (!view_to_u64(view_of(text), &value) || value > UINT32_MAX)
        return error_set(err, ERROR_USAGE, "'%s' is no number", text);
    *out = (unsigned)value;
    return 0;
}

static int time_parse(const char *text, struct cli_time *out, struct error *err)
{
    uint64_t value = 0;

    if (!view_to_u64(view_of(text), &value) || value > INT64_MAX)
        return error_set(err, ERROR_USAGE, "'%s' is no number of seconds since 1970-01-01",
                         text);
    *out = (struct cli_time){true, (long long)value};
    return 0;
}

static int bytes_store(const char *text, uint64_t *out, struct error *err)
{
    unsigned long long value = 0;

    if (cli_bytes_parse(text, &value, err) < 0)
        return -1;
    *out = value;
    return 0;
}

static int value_store(const struct cli_option *option,
                       const char *text,
                       char *out,
                       struct error *err)
{
    void *const field = out + option->offset;

    switch (option->kind) {
    case CLI_OPTION_SWITCH:
        return cli_switch_parse(text, field, err);
    case CLI_OPTION_TEXT:
    case CLI_OPTION_MAYBE:
        *(const char **)field = text;
        return 0;
    case CLI_OPTION_TEXTS:
        cli_texts_add(field, text);
        return 0;
    case CLI_OPTION_COUNT:
        return count_parse(text, field, err);
    case CLI_OPTION_BYTES:
        return bytes_store(text, field, err);
    case CLI_OPTION_TIME:
        return time_parse(text, field, err);
    }
    return 0;
}

/* --- Options ------------------------------------------------------------------------ */

static const struct cli_option *find_name(const struct parser *p, struct view name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (view_eq_text(name, p->options[i].name))
            return &p->options[i];
    }
    return NULL;
}

static const struct cli_option *find_letter(const struct parser *p, char letter)
{
    for (size_t i = 0; i < p->count; i++) {
        if (p->options[i].letter == letter)
            return &p->options[i];
    }
    return NULL;
}

static int unknown_name(const struct parser *p, struct view name, struct error *err)
{
    const char **names = base_alloc_array(p->count + 1, sizeof names[0]);
    const char *near;

    for (size_t i = 0; i < p->count; i++)
        names[i] = p->options[i].name;
    names[p->count] = "help";
    near = dockerfile_suggest(name, names, p->count + 1, true);
    free(names);
    if (near != NULL)
        return error_set(err, ERROR_USAGE, "unknown flag: --%.*s (did you mean --%s?)",
                         VIEW_ARG(name), near);
    return error_set(err, ERROR_USAGE, "unknown flag: --%.*s", VIEW_ARG(name));
}

/* The value of an option that needs one and has none attached: the next argument. */
static const char *value_next(struct parser *p)
{
    return p->next < p->argc ? p->argv[p->next++] : NULL;
}

/* "--name" or "--name=value", with the dashes taken off. */
static int long_parse(struct parser *p, const char *text, bool *help, struct error *err)
{
    struct view name;
    struct view rest;
    const bool attached = view_cut(view_of(text), '=', &name, &rest);
    const struct cli_option *const option = find_name(p, name);
    const char *value = attached ? rest.data : NULL;

    if (option == NULL && view_eq_text(name, "help") && !attached) {
        *help = true;
        return 0;
    }
    if (option == NULL)
        return unknown_name(p, name, err);
    if (value == NULL)
        value = option->kind == CLI_OPTION_SWITCH || option->kind == CLI_OPTION_MAYBE
                    ? "true"
                    : value_next(p);
    if (value == NULL)
        return error_set(err, ERROR_USAGE, "flag needs an argument: --%s", option->name);
    if (value_store(option, value, p->out, err) < 0)
        return error_wrap(err, "--%s", option->name);
    return 0;
}

/* "-x", "-xyz", "-xVALUE", "-x=VALUE": `text` without the dash, not empty. */
static int short_parse(struct parser *p, const char *text, bool *help, struct error *err)
{
    for (; *text != '\0'; text++) {
        const struct cli_option *const option = find_letter(p, *text);

        if (option == NULL && *text == 'h') {
            *help = true;
            return 0;
        }
        if (option == NULL)
            return error_set(err, ERROR_USAGE, "unknown shorthand flag: '%c' in -%s", *text,
                             text);
        if (option->kind == CLI_OPTION_SWITCH && text[1] != '=') {
            *(bool *)(void *)(p->out + option->offset) = true;
            continue;
        }
        const char *value = text + 1;
        if (*value == '=')
            value++;
        else if (*value == '\0')
            value = value_next(p);
        if (value == NULL)
            return error_set(err, ERROR_USAGE, "flag needs an argument: '%c' in -%s", *text,
                             text);
        if (value_store(option, value, p->out, err) < 0)
            return error_wrap(err, "-%c", option->letter);
        return 0;
    }
    return 0;
}

int cli_args_parse(const struct cli_option *options,
                   size_t count,
                   enum cli_args_parse_flags flags,
                   int argc,
                   char **argv,
                   void *out,
                   struct cli_texts *positionals,
                   bool *help,
                   struct error *err)
{
    struct parser p = {options, count, argv, argc, 0, out};
    bool only_positionals = false;

    while (p.next < argc && !*help) {
        const char *const arg = argv[p.next++];

        if (only_positionals || arg[0] != '-' || arg[1] == '\0') {
            cli_texts_add(positionals, arg);
            only_positionals |= (flags & CLI_ARGS_PARSE_STOP) != 0;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_positionals = true;
            continue;
        }
        if (arg[1] == '-' ? long_parse(&p, arg + 2, help, err) < 0
                          : short_parse(&p, arg + 1, help, err) < 0)
            return -1;
    }
    return 0;
}

void cli_args_release(const struct cli_option *options, size_t count, void *out)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].kind == CLI_OPTION_TEXTS)
            cli_texts_release(
                (struct cli_texts *)(void *)((char *)out + options[i].offset));
    }
}

void cli_args_describe(const struct cli_option *options, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *const o = &options[i];
        const size_t begin = out->size;

        if (o->letter != 0)
            buf_printf(out, "  -%c, --%s", o->letter, o->name);
        else
            buf_printf(out, "      --%s", o->name);
        if (o->value != NULL)
            buf_printf(out, " %s", o->value);
        if (out->size - begin + 2 > HELP_COLUMN)
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
        else
            buf_printf(out, "%*s", (int)(HELP_COLUMN - (out->size - begin)), "");
        buf_printf(out, "%s\n", o->help);
    }
}
