/* cooper load */
#include "cli/command.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "cas/ref.h"
#include "cli/image.h"
#include "registry/archive.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

struct load_options {
    const char *input;
    bool quiet;
};

static const struct cli_option options[] = {
    {'i', "input", CLI_OPTION_TEXT, "FILE",
     "Read from this file in place of standard input",
     offsetof(struct load_options, input)},
    {'q', "quiet", CLI_OPTION_SWITCH, NULL, "Print nothing",
     offsetof(struct load_options, quiet)},
};

static int input_open(const char *path, struct error *err)
{
    if (path != NULL && strcmp(path, "-") != 0)
        return fs_open_at(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, err);
    if (isatty(STDIN_FILENO))
        return error_set(
            err, ERROR_USAGE,
            "standard input is a terminal: name a file with -i or redirect it");
    const int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return fd >= 0 ? fd : error_sys(err, "standard input");
}

static int entry_name(struct cas_store *store,
                      const struct registry_archive_entry *entry,
                      bool quiet,
                      struct error *err)
{
    for (size_t i = 0; i < entry->name_count; i++) {
        CLEANUP(registry_reference_release) struct registry_reference reference = {0};
        CLEANUP(base_freep) char *familiar = NULL;

        if (registry_reference_parse(view_of(entry->names[i]), &reference, err) < 0 ||
            cas_ref_set(store, entry->names[i], &entry->root, "load", err) < 0)
            return -1;
        familiar = registry_reference_familiar(&reference);
        if (!quiet)
            printf("Loaded image: %s\n", familiar);
    }
    if (entry->name_count == 0 && !quiet)
        printf("Loaded image ID: %s\n", digest_format(&entry->root.digest).text);
    return 0;
}

static int load_run(struct cli_session *session,
                    const void *opaque,
                    const struct cli_texts *arguments,
                    struct error *err)
{
    const struct load_options *const o = opaque;
    CLEANUP(registry_archive_list_release) struct registry_archive_list list = {0};
    CLEANUP(fd_closep) int fd = input_open(o->input, err);
    const char *const name = o->input != NULL ? o->input : "standard input";
    struct cas_store *store;

    (void)arguments;
    if (fd < 0)
        return -1;
    store = cli_session_store(session, err);
    if (store == NULL)
        return -1;
    if (registry_archive_read(store, fd, NULL, &list, err) < 0)
        return error_wrap(err, "load %s", name);
    for (size_t i = 0; i < list.count; i++) {
        if (entry_name(store, &list.items[i], o->quiet, err) < 0)
            return -1;
    }
    return 0;
}

const struct cli_command cli_command_load = {
    .name = "load",
    .usage = "[OPTIONS]",
    .summary = "Read images from a tar archive into the store",
    .details = "Docker and OCI archives, plain or compressed with gzip or zstd. An image "
               "without a\n"
               "name is kept until the next collection: tag it by the ID that is printed.",
    CLI_OPTIONS(options, struct load_options),
    .run = load_run,
};
