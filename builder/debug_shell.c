#include "builder/debug_shell.h"

#include "base/fs.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 64

static const char *const places[] = {"/bin", "/usr/bin", "/usr/local/bin"};
static const char *const names[] = {"busybox", "busybox.static"};

bool debug_shell_is_static(int fd)
{
    ElfW(Ehdr) header;

    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum > HEADERS_MAX)
        return false;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        const off_t at = (off_t)header.e_phoff + (off_t)(i * sizeof(ElfW(Phdr)));
        ElfW(Phdr) segment;

        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment ||
            segment.p_type == PT_INTERP)
            return false;
    }
    return true;
}

static bool is_usable(int dir_fd, const char *name)
{
    CLEANUP(fd_closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && debug_shell_is_static(fd);
}

int debug_shell_open(const char **name, struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(places) * ARRAY_COUNT(names); i++) {
        CLEANUP(fd_closep)
        int dir = open(places[i / ARRAY_COUNT(names)], O_PATH | O_DIRECTORY | O_CLOEXEC);

        *name = names[i % ARRAY_COUNT(names)];
        if (dir >= 0 && is_usable(dir, *name))
            return fd_take(&dir);
    }
    return error_set(err, ERROR_UNSUPPORTED,
                     "the image has no shell, and this machine has no busybox that runs "
                     "without libraries: install the package busybox-static, or give a "
                     "command that the image has: cooper debug BUILD -- COMMAND");
}
