#include "cli/complete.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/builds.h"
#include "cas/ref.h"
#include "cli/command.h"
#include "cli/complete_value.h"
#include "cli/globals.h"
#include "registry/reference.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What was typed, and what the shell is told. */
struct completion {
    struct cli_session *session;
    const struct cli_command *command; /* NULL: not typed yet */
    const struct cli_option *options;  /* that may stand here */
    size_t option_count;
    const struct cli_option *pending; /* the word is its value */
    bool only_positionals;
    size_t positionals; /* before the word */
    const char *word;
    bool goes_on; /* some candidate ends in "=" or "," */
    bool is_done; /* the last line was written */
};

/* --- Candidates --------------------------------------------------------------------- */

/* `head` is what stands before `text` in the word. */
static void offer(struct completion *c,
                  struct view head,
                  struct view text,
                  const char *description)
{
    CLEANUP(base_freep)
    char *whole = base_format("%.*s%.*s", VIEW_ARG(head), VIEW_ARG(text));
    const size_t size = strlen(whole);

    if (strncmp(whole, c->word, strlen(c->word)) != 0)
        return;
    c->goes_on |= size > 0 && whole[size - 1] == '=';
    if (description != NULL)
        printf("%s\t%s\n", whole, description);
    else
        puts(whole);
}

static void files(struct completion *c, size_t head)
{
    if (!c->is_done)
        printf(":files %zu\n", head);
    c->is_done = true;
}

/* The store, if there is one: nothing is made because somebody pressed a key. */
static struct cas_store *store_of(struct completion *c)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(base_freep)
    char *path = c->session->root != NULL ? base_strdup(c->session->root)
                                          : cas_store_default_path(c->session->real_uid);
    CLEANUP(base_freep) char *mark = base_format("%s/oci-layout", path);

    return access(mark, F_OK) == 0 ? cli_session_store(c->session, &ignored) : NULL;
}

static void offer_images(struct completion *c, struct view head)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(cas_ref_list_release) struct cas_ref_list refs = {0};
    struct cas_store *const store = store_of(c);

    if (store == NULL || cas_ref_list(store, &refs, &ignored) < 0)
        return;
    for (size_t i = 0; i < refs.count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference r = {0};
        CLEANUP(base_freep) char *shown = NULL;

        if (registry_reference_parse(view_of(refs.items[i].name), &r, &ignored) < 0) {
            error_clear(&ignored);
            continue;
        }
        shown = registry_reference_familiar(&r);
        offer(c, head, view_of(shown), NULL);
    }
}

static void offer_builds(struct completion *c, struct view head)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(build_ids_release) struct build_ids ids = {0};
    struct cas_store *const store = store_of(c);

    offer(c, head, VIEW_LIT("latest"), "The latest build");
    if (store == NULL || build_builds_list(store, &ids, &ignored) < 0)
        return;
    for (size_t i = 0; i < ids.count; i++)
        offer(c, head, view_of(ids.items[i]), NULL);
}

/* "a|b|@files", without keys. */
static void offer_values(struct completion *c, struct view head, struct view values)
{
    bool wants_files = false;

    while (values.size > 0) {
        struct view value;
        struct view rest;

        view_cut(values, '|', &value, &rest);
        if (view_eq_text(value, "@images"))
            offer_images(c, head);
        else if (view_eq_text(value, "@builds"))
            offer_builds(c, head);
        else if (view_eq_text(value, "@files"))
            wants_files = true;
        else
            offer(c, head, value, NULL);
        values = rest;
    }
    if (wants_files)
        files(c, head.size);
}

/* ",type=a|b,dest=@files": behind the last comma a key, or the value of one. */
static void offer_keys(struct completion *c, struct view head, struct view keys)
{
    const char *const typed = c->word + head.size;
    const char *const comma = strrchr(typed, ',');
    const char *const begin = comma != NULL ? comma + 1 : typed;
    const char *const equals = strchr(begin, '=');
    const size_t key_size = equals != NULL ? (size_t)(equals + 1 - begin) : 0;

    while (keys.size > 0) {
        struct view item;
        struct view name;
        struct view values;

        view_cut(keys, ',', &item, &keys);
        view_cut(item, '=', &name, &values);
        if (name.size == 0)
            continue;
        const struct view key = {item.data, name.size + 1};
        if (equals == NULL)
            offer(c, (struct view){c->word, (size_t)(begin - c->word)}, key, NULL);
        else if (key.size == key_size && memcmp(key.data, begin, key_size) == 0)
            offer_values(c, (struct view){c->word, (size_t)(equals + 1 - c->word)}, values);
    }
}

static void offer_option_values(struct completion *c,
                                const struct cli_option *option,
                                size_t head_size)
{
    const char *const values = cli_complete_values(c->command, option);
    const struct view head = {c->word, head_size};

    if (values == NULL)
        return;
    if (values[0] == ',')
        offer_keys(c, head, view_of(values));
    else
        offer_values(c, head, view_of(values));
}

static void offer_options(struct completion *c)
{
    for (size_t i = 0; i < c->option_count; i++) {
        const struct cli_option *const o = &c->options[i];
        CLEANUP(base_freep) char *text = base_format("--%s", o->name);

        offer(c, VIEW_LIT(""), view_of(text), o->help);
    }
    offer(c, VIEW_LIT(""), VIEW_LIT("--help"), "Print the help");
}

static void offer_commands(struct completion *c)
{
    for (size_t i = 0; i < cli_command_count; i++)
        offer(c, VIEW_LIT(""), view_of(cli_commands[i]->name), cli_commands[i]->summary);
    offer(c, VIEW_LIT(""), VIEW_LIT("help"), "Print the help of a command");
}

/* --- What was typed ----------------------------------------------------------------- */

static const struct cli_option *find_option(const struct completion *c, struct view name)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (view_eq_text(name, c->options[i].name))
            return &c->options[i];
    return NULL;
}

static const struct cli_option *find_letter(const struct completion *c, char letter)
{
    for (size_t i = 0; i < c->option_count; i++)
        if (c->options[i].letter == letter)
            return &c->options[i];
    return NULL;
}

static bool takes_next(const struct cli_option *o)
{
    return o != NULL && o->kind != CLI_OPTION_SWITCH && o->kind != CLI_OPTION_MAYBE;
}

/* The option whose value the next word is, if there is one: of "--name", "-x", "-abx". */
static const struct cli_option *waits(const struct completion *c, const char *word)
{
    if (word[1] == '-') {
        const struct cli_option *const o = find_option(c, view_of(word + 2));

        return takes_next(o) ? o : NULL;
    }
    for (const char *p = word + 1; *p != '\0'; p++) {
        const struct cli_option *const o = find_letter(c, *p);

        if (takes_next(o))
            return p[1] == '\0' ? o : NULL;
    }
    return NULL;
}

static void read_command(struct completion *c, const char *word)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;

    c->command = cli_command_find(word, &ignored);
    c->options = c->command != NULL ? c->command->options : NULL;
    c->option_count = c->command != NULL ? c->command->option_count : 0;
}

/* One of the words before the current one; false: nothing is known behind it. */
static bool read_word(struct completion *c, const char *word)
{
    if (c->pending != NULL) {
        if (c->command == NULL && strcmp(c->pending->name, "root") == 0)
            c->session->root = word;
        c->pending = NULL;
        return true;
    }
    if (!c->only_positionals && word[0] == '-' && word[1] != '\0') {
        c->only_positionals = strcmp(word, "--") == 0;
        c->pending = c->only_positionals ? NULL : waits(c, word);
        if (c->command == NULL && strncmp(word, "--root=", 7) == 0)
            c->session->root = word + 7;
        return true;
    }
    if (c->command == NULL) {
        if (strcmp(word, "help") == 0)
            return true;
        read_command(c, word);
        return c->command != NULL;
    }
    c->positionals++;
    c->only_positionals |= (c->command->flags & CLI_ARGS_PARSE_STOP) != 0;
    return true;
}

static void complete_positional(struct completion *c)
{
    CLEANUP(buf_release) struct buf kinds = BUF_INIT(LIMIT_TEXT_SIZE);
    const bool is_passed_on =
        c->positionals > 0 && (c->command->flags & CLI_ARGS_PARSE_STOP) != 0;

    if (is_passed_on) {
        files(c, 0);
        return;
    }
    cli_complete_positionals(c->command, c->positionals == 0, &kinds);
    offer_values(c, VIEW_LIT(""), buf_view(&kinds));
}

static void complete_word(struct completion *c)
{
    const char *const equals = strchr(c->word, '=');

    if (c->pending != NULL) {
        offer_option_values(c, c->pending, 0);
    } else if (!c->only_positionals && strncmp(c->word, "--", 2) == 0 && equals != NULL) {
        const struct view name = {c->word + 2, (size_t)(equals - c->word) - 2};
        const struct cli_option *const o = find_option(c, name);

        if (o != NULL)
            offer_option_values(c, o, (size_t)(equals + 1 - c->word));
    } else if (!c->only_positionals && c->word[0] == '-') {
        offer_options(c);
    } else if (c->command == NULL) {
        offer_commands(c);
    } else {
        complete_positional(c);
    }
}

int cli_complete(struct cli_session *session,
                 const char *const *words,
                 size_t count,
                 struct error *err)
{
    struct completion c = {.session = session,
                           .options = cli_global_options,
                           .option_count = cli_global_option_count,
                           .word = count > 0 ? words[count - 1] : ""};
    bool is_known = true;

    (void)err;
    for (size_t i = 0; is_known && i + 1 < count; i++)
        is_known = read_word(&c, words[i]);
    if (is_known)
        complete_word(&c);
    if (!c.is_done)
        puts(c.goes_on ? ":nospace" : ":");
    return 0;
}
