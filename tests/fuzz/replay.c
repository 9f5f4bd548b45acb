/*
 * replay DIR: runs the fuzz target this is linked with over every file below DIR. Fails
 * when there is none, as then nothing was tested.
 */
#include "tests/fuzz/fuzz.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int replay(int dir_fd, const char *name, struct error *err)
{
    CLEANUP(buf_release) struct buf input = BUF_INIT(LIMIT_TEXT_SIZE);

    if (fs_read_file_at(dir_fd, name, &input, err) < 0)
        return -1;

    /* An exact copy, so that the address sanitizer sees a read past the end. */
    CLEANUP(base_freep) uint8_t *exact = input.size ? malloc(input.size) : NULL;

    if (exact)
        memcpy(exact, input.data, input.size);
    return LLVMFuzzerTestOneInput(exact, input.size);
}

int main(int argc, char **argv)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    unsigned count = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }

    DIR *dir = opendir(argv[1]);

    if (!dir) {
        perror(argv[1]);
        return 1;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        if (replay(dirfd(dir), entry->d_name, &err) < 0) {
            fprintf(stderr, "%s: %s\n", argv[1], error_text(&err));
            closedir(dir);
            return 1;
        }
        count++;
    }
    closedir(dir);
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
