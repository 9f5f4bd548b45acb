#include "cas/entry.h"
#include <sys/stat.h>

/* '/' becomes the smallest value, so that what is beneath a directory follows it at once.
 */
static int rank(char c)
{
    return c == '/' ? 0 : (unsigned char)c + 1;
}

enum cas_entry_type cas_entry_type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return CAS_ENTRY_FILE;
    case S_IFDIR:
        return CAS_ENTRY_DIR;
    case S_IFLNK:
        return CAS_ENTRY_SYMLINK;
    case S_IFCHR:
        return CAS_ENTRY_CHAR;
    case S_IFBLK:
        return CAS_ENTRY_BLOCK;
    case S_IFIFO:
        return CAS_ENTRY_FIFO;
    default:
        return 0;
    }
}

int cas_entry_path_compare(struct view a, struct view b)
{
    const size_t common = a.size < b.size ? a.size : b.size;
    size_t i = 0;

    while (i < common && a.data[i] == b.data[i])
        i++;
    if (i < common)
        return rank(a.data[i]) - rank(b.data[i]);
    if (a.size == b.size)
        return 0;
    return a.size < b.size ? -1 : 1;
}

const char *cas_entry_type_name(enum cas_entry_type type)
{
    switch (type) {
    case CAS_ENTRY_FILE:
        return "file";
    case CAS_ENTRY_DIR:
        return "directory";
    case CAS_ENTRY_SYMLINK:
        return "symlink";
    case CAS_ENTRY_HARDLINK:
        return "hard link";
    case CAS_ENTRY_CHAR:
        return "char device";
    case CAS_ENTRY_BLOCK:
        return "block device";
    case CAS_ENTRY_FIFO:
        return "fifo";
    case CAS_ENTRY_WHITEOUT:
        return "whiteout";
    }
    return "";
}
