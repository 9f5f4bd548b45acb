#include "cas/entry.h"

/* '/' becomes the smallest value, so that what is beneath a directory follows it at once.
 */
static int rank(char c)
{
    return c == '/' ? 0 : (unsigned char)c + 1;
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
