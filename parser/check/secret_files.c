/* SecretsInContext: files of the build context that look like secrets. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/check/context.h"
#include "parser/ignore.h"

/* Names of files and directories that hold keys, passwords or tokens where people have
 * them; "*" at the start stands for anything. Certificates are public, so *.pem alone is
 * none. */
static const char *const secret_names[] = {
    ".aws",       ".docker",      ".env",        ".git-credentials",
    ".gnupg",     ".htpasswd",    ".kube",       ".my.cnf",
    ".netrc",     ".npmrc",       ".pgpass",     ".pypirc",
    ".ssh",       ".vault-token", "id_dsa",      "id_ecdsa",
    "id_ed25519", "id_rsa",       "privkey.pem", "*.jks",
    "*.kdbx",     "*.key",        "*.keystore",  "*.p12",
    "*.pfx",      "*-key.pem",    "*_rsa"};

static bool is_secret(struct view name)
{
    for (size_t i = 0; i < ARRAY_COUNT(secret_names); i++) {
        const char *const known = secret_names[i];
        if (*known == '*' ? view_ends(name, known + 1) && name.size > strlen(known + 1)
                          : view_eq_text(name, known))
            return true;
    }
    return false;
}

/* One source that is looked through. */
struct search {
    struct dockerfile_checker *check;
    const struct dockerfile_instruction *instruction;
    struct dockerfile_word written;
    struct view directory; /* "" is the top of the context */
};

static void check_path(const struct search *search, struct view path)
{
    const struct dockerfile_ignore *ignore = search->check->options->ignore;

    if (ignore && dockerfile_ignore_match(ignore, path))
        return;
    dockerfile_check_report(
        search->check, DOCKERFILE_RULE_SECRETS_IN_CONTEXT, search->written.pos,
        "%.*s brings \"%.*s\" into the image, which looks like a secret: leave it out with "
        ".dockerignore, or use RUN --mount=type=secret",
        VIEW_ARG(search->instruction->name.text), VIEW_ARG(path));
}

static void check_entry(void *context, struct view name)
{
    const struct search *search = context;
    const struct view directory = search->directory;

    if (!is_secret(name))
        return;
    CLEANUP(base_freep)
    char *path = base_format("%.*s%s%.*s", VIEW_ARG(directory), directory.size ? "/" : "",
                             VIEW_ARG(name));
    check_path(search, view_of(path));
}

/* A directory is looked through once: its second copy brings nothing new. */
static bool is_new(struct dockerfile_checker *check, struct view directory)
{
    if (dockerfile_scope_find(&check->listed, directory))
        return false;
    dockerfile_scope_set(&check->listed, directory, NULL);
    return true;
}

void dockerfile_check_secret_files(struct dockerfile_checker *check,
                                   const struct dockerfile_instruction *instruction,
                                   struct dockerfile_word written,
                                   struct view source)
{
    const struct dockerfile_check_options *options = check->options;
    CLEANUP(buf_release) struct buf clean = BUF_INIT(LIMIT_TEXT_SIZE);

    if (!options->extra || !options->context_list ||
        dockerfile_word_given(instruction->copy->from))
        return;
    path_clean(source, &clean);
    struct view path = buf_view(&clean);
    while (path.size > 0 && *path.data == '/')
        path = view_sub(path, 1, path.size);
    if (view_eq_text(path, "."))
        path = VIEW_LIT("");
    struct search search = {check, instruction, written, path};
    if (path.size > 0 && is_secret(path_base(path)))
        check_path(&search, path);
    else if (is_new(check, path))
        options->context_list(options->context, path, check_entry, &search);
}
