/* check=skip=...;error=...;experimental=...  Spec: BuildKit linter.ParseLintOptions. */
#include "parser/check/check.h"
#include "parser/number.h"
#include "parser/unicode.h"

static void read_rules(struct view text, bool *all, bool *rules)
{
    text = dockerfile_trim(text);
    *all = view_eq_text(text, "all");
    for (bool more = !*all; more;) {
        enum dockerfile_rule rule;
        struct view name, rest;
        more = view_cut(text, ',', &name, &rest);
        if (dockerfile_rule_find(dockerfile_trim(name), &rule))
            rules[rule] = true;
        text = rest;
    }
}

static int read_option(struct view text,
                       struct dockerfile_check_config *config,
                       struct error *err)
{
    struct view key, value;

    if (!view_cut(text, '=', &key, &value))
        return error_set(err, ERROR_INVALID, "invalid check option \"%.*s\"",
                         VIEW_ARG(text));
    key = dockerfile_trim(key);
    if (view_eq_text(key, "skip"))
        read_rules(value, &config->skip_all, config->skip);
    else if (view_eq_text(key, "experimental"))
        read_rules(value, &config->experimental_all, config->experimental);
    else if (!view_eq_text(key, "error"))
        return error_set(err, ERROR_INVALID,
                         "invalid check option \"%.*s\" (skip, error, experimental)",
                         VIEW_ARG(key));
    else if (!dockerfile_bool_parse(dockerfile_trim(value), &config->error))
        return error_set(err, ERROR_INVALID,
                         "check option error must be true or false, not \"%.*s\"",
                         VIEW_ARG(value));
    return 0;
}

int dockerfile_check_config_parse(struct view text,
                                  struct dockerfile_check_config *config,
                                  struct error *err)
{
    *config = (struct dockerfile_check_config){.skip_all = false};
    text = dockerfile_trim(text);
    for (bool more = text.size > 0; more;) {
        struct view option, rest;
        more = view_cut(text, ';', &option, &rest);
        if (read_option(option, config, err) < 0)
            return -1;
        text = rest;
    }
    return 0;
}
