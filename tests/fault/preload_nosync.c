/*
 * For LD_PRELOAD: a disk's syncs that do nothing. With it the tests show that they notice a
 * program that does not sync.
 */
#include <unistd.h>

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}
