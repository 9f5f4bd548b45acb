#include "http.h"

#include <stdio.h>

static int greet(const char *target, char out[HTTP_ANSWER_MAX])
{
    char name[64];

    snprintf(out,
             HTTP_ANSWER_MAX,
             "Hello, %s!\n",
             http_query(target, "name", name, sizeof name) != NULL ? name : "world");
    return 200;
}

int main(void)
{
    return http_serve("greeter", greet);
}
