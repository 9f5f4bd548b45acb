#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#define EXIT_INTERRUPTED 130

static atomic_bool interrupted;
static bool interrupted_plain;

static void on_signal(int number)
{
    if (number == SIGINT && atomic_load(&interrupted))
        _exit(EXIT_INTERRUPTED);
    atomic_store(&interrupted, true);
    __atomic_store_n(&interrupted_plain, true, __ATOMIC_RELAXED);
}

void cli_interrupt_init(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
}

void cli_interrupt_catch(void)
{
    /* No SA_RESTART: a wait in poll or read returns, and the flag is looked at. */
    struct sigaction action = {.sa_handler = on_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

const bool *cli_interrupt_flag(void)
{
    return &interrupted_plain;
}

const atomic_bool *cli_interrupt_atomic(void)
{
    return &interrupted;
}

bool cli_interrupted(void)
{
    return atomic_load(&interrupted);
}
