#include "http.h"

#include <stdio.h>
#include <string.h>

static int count(const char *target, char out[HTTP_ANSWER_MAX])
{
    static unsigned long visits;

    if (strcmp(target, "/visit") != 0)
        return 404;
    snprintf(out, HTTP_ANSWER_MAX, "%lu\n", ++visits);
    return 200;
}

int main(void)
{
    return http_serve("counter", count);
}
