#include "cli/build_proxy.h"

#include "base/alloc.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <fcntl.h>

static char *config_path(void)
{
    const char *const dir = getenv("DOCKER_CONFIG");
    const char *const home = getenv("HOME");

    if (dir != NULL && dir[0] != '\0')
        return base_format("%s/config.json", dir);
    return home != NULL ? base_format("%s/.docker/config.json", home) : NULL;
}

static void proxies_add(const struct doc *proxies, struct cli_pairs *args)
{
    /* Both spellings: programs disagree on which one they read. */
    static const struct {
        const char *key;
        const char *upper;
        const char *lower;
    } names[] = {
        {"httpProxy", "HTTP_PROXY", "http_proxy"},
        {"httpsProxy", "HTTPS_PROXY", "https_proxy"},
        {"ftpProxy", "FTP_PROXY", "ftp_proxy"},
        {"noProxy", "NO_PROXY", "no_proxy"},
        {"allProxy", "ALL_PROXY", "all_proxy"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *const value = doc_text(doc_get(proxies, names[i].key));

        /* What the command line says, in either spelling, goes before in both. */
        if (value == NULL || value[0] == '\0' || cli_pairs_has(args, names[i].upper) ||
            cli_pairs_has(args, names[i].lower))
            continue;
        cli_pairs_add(args, view_of(names[i].upper), value);
        cli_pairs_add(args, view_of(names[i].lower), value);
    }
}

/* Docker has them for each daemon, by its address, and for all others. */
static const struct doc *proxies_find(const struct doc *all)
{
    const char *const host = getenv("DOCKER_HOST");
    const struct doc *const own =
        host != NULL && host[0] != '\0' ? doc_get(all, host) : NULL;

    return own != NULL ? own : doc_get(all, "default");
}

int cli_build_proxies(struct cli_pairs *args, struct error *err)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_CONFIG_SIZE);
    CLEANUP(error_clear) struct error unreadable = ERROR_INIT;
    CLEANUP(base_freep) char *path = config_path();
    CLEANUP(doc_unrefp) struct doc *config = NULL;

    /* Whoever may not read the file has no proxies from it, as with docker. */
    if (path == NULL || fs_read_file_at(AT_FDCWD, path, &text, &unreadable) < 0)
        return 0;
    config = doc_parse(buf_view(&text), err);
    if (config == NULL)
        return error_wrap(err, "%s", path);
    proxies_add(proxies_find(doc_get(config, "proxies")), args);
    return 0;
}
