#include "cli/rollback_packages.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "builder/layers.h"
#include "cli/compared.h"
#include "cli/diff_report.h"

#include <stdlib.h>

void cli_package_changes_release(struct cli_package_changes *p)
{
    free(p->text);
    doc_unref(p->list);
    *p = (struct cli_package_changes){0};
}

/* By its ID, so that no registry is asked. */
static bool open_here(struct cli_compared *c,
                      struct cli_session *session,
                      struct cli_transfers *transfers,
                      const char *id)
{
    CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* not known then */
    size_t absent = 0;

    return cli_compared_open(c, session, transfers, id, NULL, &ignored) == 0 &&
           build_layers_absent(c->layers, c->layer_count, &absent, &ignored) == 0 &&
           absent == 0;
}

static void tell(const struct build_compare *c, struct cli_package_changes *out)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    out->list = doc_new_array();
    buf_append_text(&text, c->package_count > 0 ? "packages:\n" : "packages: the same\n");
    for (size_t i = 0; i < c->package_count; i++) {
        cli_diff_package_text(&c->packages[i], &text);
        buf_append_char(&text, '\n');
        doc_append(out->list, cli_diff_package_doc(&c->packages[i]));
    }
    out->text = base_strdup(buf_text(&text));
}

void cli_rollback_packages(struct cli_session *session,
                           const struct digest *from,
                           const struct digest *to,
                           struct cli_package_changes *out)
{
    const struct digest_text ids[2] = {digest_format(from), digest_format(to)};
    CLEANUP(error_clear) struct error ignored = ERROR_INIT;
    CLEANUP(cli_transfers_release)
    struct cli_transfers transfers = {.mode = CLI_PROGRESS_QUIET};
    CLEANUP(build_compare_release) struct build_compare c = {0};
    CLEANUP(cli_compared_release) struct cli_compared before = {0};
    CLEANUP(cli_compared_release) struct cli_compared after = {0};

    *out = (struct cli_package_changes){0};
    if (!open_here(&before, session, &transfers, ids[0].text) ||
        !open_here(&after, session, &transfers, ids[1].text))
        return;
    const struct build_compare_image sides[2] = {cli_compared_image(&before),
                                                 cli_compared_image(&after)};
    if (build_compare_run(&sides[0], &sides[1], BUILD_COMPARE_PACKAGES, &c, &ignored) == 0)
        tell(&c, out);
}
