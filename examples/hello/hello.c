/* The smallest image that does something: one static binary, and nothing else. */
#include <stdio.h>

int main(int argc, char **argv)
{
    return printf("Hello, %s, from a cask.\n", argc > 1 ? argv[1] : "world") < 0;
}
