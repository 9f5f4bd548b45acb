#include "http.h"

#include <stdio.h>
#include <string.h>

static int failures;

static void expect(const char *target, const char *want)
{
    char value[16];
    const char *const got = http_query(target, "name", value, sizeof value);

    if ((got == NULL) != (want == NULL) || (got != NULL && strcmp(got, want) != 0)) {
        printf("%s: %s, not %s\n", target, got ? got : "nothing", want ? want : "nothing");
        failures++;
    }
}

int main(void)
{
    expect("/", NULL);
    expect("/?name=Ada", "Ada");
    expect("/?title=Lady&name=Ada+L%2e", "Ada L.");
    expect("/?surname=Lovelace", NULL);
    expect("/?name=", "");
    expect("/?name=%4", NULL);
    expect("/?name=%00", NULL);
    expect("/?name=0123456789abcdefgh", "0123456789abcde");
    printf("query: %d failures\n", failures);
    return failures != 0;
}
