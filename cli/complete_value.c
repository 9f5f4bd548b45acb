#include "cli/complete_value.h"

#include "base/buf.h"

#include <ctype.h>
#include <string.h>

#define PLATFORMS                                                                          \
    "linux/amd64|linux/arm64|linux/arm/v7|linux/386|linux/ppc64le|linux/riscv64|linux/"    \
    "s390x"
#define COMPRESSIONS "gzip|zstd|uncompressed"
#define SWITCH       "true|false"

/* What neither the value's name nor its kind tells. A command's own row comes before that
 * of all. */
const struct cli_complete_rule cli_complete_rules[] = {
    {"check", "format", "text|json|sarif|github"},
    {"inspect", "format", "json"},
    {"parse", "format", "json"},
    {"save", "format", "docker-archive|oci-archive"},
    {NULL, "format", "table|json"},
    {NULL, "progress", "auto|plain|tty|quiet|rawjson"},
    {NULL, "compression", COMPRESSIONS},
    {NULL, "network", "default|none|host"},
    {NULL, "platform", PLATFORMS},
    {NULL, "load", "docker|podman|containerd"},
    {NULL, "call", "build|check|outline|targets"},
    {NULL, "rules", "all|docker"},
    {NULL, "only", "config|layers|packages|files"},
    {NULL, "allow", "network.host|security.insecure|device|device="},
    {NULL, "provenance", "false"},
    {NULL, "sbom", "false"},
    {NULL, "on-failure", "image="},
    {NULL, "storage-budget", "none"},
    {"prune", "filter", "until=|id=|type=|label=|label!=|shared="},
    {NULL, "secret", ",id=,src=@files,env="},
    {NULL, "ssh", "default"},
    {NULL, "resource", ",memory=,memory-swap=,cpus=,cpuset-cpus=,cpuset-mems=,pids="},
    {NULL, "tag", "@images"},
    {NULL, "context", "@files"},
    {"build", "output",
     ",type=image|registry|oci|docker|load|local|tar|cacheonly,dest=@files,name=@images"
     ",push=" SWITCH ",compression=" COMPRESSIONS
     ",compression-level=,force-compression=" SWITCH ",oci-mediatypes=" SWITCH
     ",rewrite-timestamp=" SWITCH ",tar=" SWITCH ",load=docker|podman|containerd"},
    {NULL, "output", "@files"},
    {NULL, "cache-from", ",type=registry|local,ref=,src=@files,tag=,digest="},
    {NULL, "cache-to",
     ",type=registry|local|inline,ref=,dest=@files,tag=,mode=min|max,"
     "compression=" COMPRESSIONS ",compression-level=,force-compression=" SWITCH
     ",image-manifest=" SWITCH ",oci-mediatypes=" SWITCH ",ignore-error=" SWITCH},
};
const size_t cli_complete_rule_count = ARRAY_COUNT(cli_complete_rules);

static bool is_any(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* "auto|root|none": words that are meant as they stand. */
static bool are_words(const char *value)
{
    return strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789.-|") == strlen(value);
}

const char *cli_complete_values(const struct cli_command *command,
                                const struct cli_option *option)
{
    static const char *const files[] = {"FILE", "DIR", "HTPASSWD"};

    for (size_t i = 0; i < cli_complete_rule_count; i++) {
        const struct cli_complete_rule *const r = &cli_complete_rules[i];

        if (strcmp(r->option, option->name) == 0 &&
            (r->command == NULL ||
             (command != NULL && strcmp(r->command, command->name) == 0)))
            return r->values;
    }
    if (option->value == NULL)
        return SWITCH;
    if (is_any(option->value, files, ARRAY_COUNT(files)))
        return "@files";
    return are_words(option->value) ? option->value : NULL;
}

/* --- Positional arguments ----------------------------------------------------------- */

static void kind_add(struct buf *out, const char *kind)
{
    if (strstr(buf_text(out), kind) != NULL)
        return;
    if (out->size > 0)
        buf_append_char(out, '|');
    buf_append_text(out, kind);
}

/* "REPOSITORY:TAG|REPOSITORY@DIGEST...", "[BUILD", "PATH". */
static void word_kinds(const char *word, struct buf *out)
{
    static const char *const images[] = {"IMAGE",  "REPOSITORY", "NAME", "SOURCE",
                                         "TARGET", "A",          "B"};
    static const char *const files[] = {"FILE",    "DIR",     "PATH",    "TAR",
                                        "CONTEXT", "COMMAND", "ARGUMENT"};

    if (is_any(word, images, ARRAY_COUNT(images)))
        kind_add(out, "@images");
    else if (is_any(word, files, ARRAY_COUNT(files)))
        kind_add(out, "@files");
    else if (strcmp(word, "BUILD") == 0)
        kind_add(out, "@builds");
}

/* Options within the usage, and what they take, are no arguments. */
static const char *option_skip(const char *p)
{
    if (p[0] != '-' || !isalpha((unsigned char)p[p[1] == '-' ? 2 : 1]))
        return p;
    p += strcspn(p, " ]");
    if (p[0] == ' ' && isupper((unsigned char)p[1]))
        p += 1 + strcspn(p + 1, " ]");
    return p;
}

void cli_complete_positionals(const struct cli_command *command,
                              bool is_first,
                              struct buf *out)
{
    const char *p = command->usage;

    while (*p != '\0') {
        char word[32];
        size_t size;

        p = option_skip(p);
        size = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        if (size == 0 || size >= sizeof word) {
            p += size > 0 ? size : *p != '\0';
            continue;
        }
        memcpy(word, p, size);
        word[size] = '\0';
        p += size;
        if (isupper((unsigned char)word[0]))
            word_kinds(word, out);
        else if (is_first)
            kind_add(out, word);
    }
}
