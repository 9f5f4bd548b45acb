#include "builder/mode.h"

bool build_mode_octal(struct view text, uint32_t *mode)
{
    uint32_t value = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '7' || value > 07777)
            return false;
        value = value * 8 + (uint32_t)(text.data[i] - '0');
    }
    *mode = value;
    return value <= 07777;
}

/* One clause: [ugoa]*([-+=]([rwxXst]|[ugo])*)+ */
struct clause {
    struct view rest;
    uint32_t who;  /* bits that the letters stand for; 0: none was given */
    uint32_t bits; /* what an action collects */
    bool has_sticky;
    bool is_flushed; /* '=' has nothing to clear any more */
};

enum { BITS_ALL = 06777, BITS_OTHER = 0007, BIT_STICKY = 01000 };

static uint32_t who_bits(char c)
{
    switch (c) {
    case 'u':
        return 04700;
    case 'g':
        return 02070;
    case 'o':
        return BITS_OTHER;
    case 'a':
        return BITS_ALL;
    default:
        return 0;
    }
}

static char take(struct clause *c)
{
    const char first = c->rest.data[0];

    c->rest = view_sub(c->rest, 1, c->rest.size);
    return first;
}

static void read_who(struct clause *c)
{
    while (c->rest.size > 0 && who_bits(c->rest.data[0]) != 0)
        c->who |= who_bits(take(c));
}

/* The three bits of a class copied to all three. */
static uint32_t copied_bits(char from, uint32_t mode)
{
    const uint32_t bits = from == 'u'   ? mode >> 6 & 7
                          : from == 'g' ? mode >> 3 & 7
                                        : mode & 7;

    return bits << 6 | bits << 3 | bits;
}

/* Set-id and sticky bits are no business of "others" alone. */
static bool only_other(const struct clause *c)
{
    return c->who == BITS_OTHER;
}

static void change(uint32_t *mode, char op, uint32_t cleared, uint32_t bits)
{
    if (op == '=')
        *mode &= ~cleared;
    if (op == '-')
        *mode &= ~bits;
    else
        *mode |= bits;
}

/* Applies what the letters so far ask for. */
static void flush(struct clause *c, char op, uint32_t *mode)
{
    const uint32_t who = c->who ? c->who : BITS_ALL;

    change(mode, op, who, (c->bits & who) | (c->has_sticky ? BIT_STICKY : 0u));
    c->bits = 0;
    c->has_sticky = false;
}

/* u, g or o as permission: the class as it is by then. Set-id bits stay out of it. */
static void copy_class(struct clause *c, char op, uint32_t *mode)
{
    const uint32_t who = (c->who ? c->who : BITS_ALL) & 0777;

    if (c->bits || c->has_sticky)
        flush(c, op, mode);
    change(mode, op, who, copied_bits(c->rest.data[0], *mode) & who);
    c->is_flushed = true;
}

static bool read_perm(struct clause *c, char op, uint32_t *mode, bool any_x)
{
    switch (c->rest.size > 0 ? c->rest.data[0] : '\0') {
    case 'r':
        c->bits |= 0444;
        break;
    case 'w':
        c->bits |= 0222;
        break;
    case 'x':
        c->bits |= 0111;
        break;
    case 'X':
        c->bits |= any_x || op == '-' ? 0111 : 0;
        break;
    case 's':
        c->bits |= only_other(c) ? 0 : 06000;
        break;
    case 't':
        c->has_sticky = c->has_sticky || !only_other(c);
        break;
    case 'u':
    case 'g':
    case 'o':
        copy_class(c, op, mode);
        break;
    default:
        return false;
    }
    take(c);
    return true;
}

/* Reads one operator with its permissions and applies it. False: malformed. */
static bool apply_action(struct clause *c, uint32_t *mode, bool any_x)
{
    const char op = take(c);

    if (op != '+' && op != '-' && op != '=')
        return false;
    c->bits = 0;
    c->has_sticky = false;
    c->is_flushed = false;
    while (read_perm(c, op, mode, any_x))
        ;
    if (c->bits || c->has_sticky || !c->is_flushed)
        flush(c, op, mode);
    return true;
}

/* X asks whether the file could be executed before any of the clauses. */
static bool apply(struct view text, uint32_t *mode, bool is_dir)
{
    const bool any_x = is_dir || (*mode & 0111) != 0;
    struct view part;
    bool more = true;

    while (more) {
        struct clause c = {0};

        more = view_cut(text, ',', &part, &text);
        c.rest = part;
        read_who(&c);
        if (c.rest.size == 0)
            return false;
        while (c.rest.size > 0)
            if (!apply_action(&c, mode, any_x))
                return false;
    }
    return true;
}

int build_mode_check(struct view text, struct error *err)
{
    uint32_t mode = 0;
    uint64_t number;

    if (build_mode_octal(text, &mode))
        return 0;
    if (view_to_u64(text, &number))
        return error_set(err, ERROR_INVALID,
                         "invalid chmod parameter: '%.*s': it should be an octal number "
                         "between 0 and 07777",
                         VIEW_ARG(text));
    if (!apply(text, &mode, false))
        return error_set(err, ERROR_INVALID,
                         "invalid chmod parameter: '%.*s': write an octal number (0755) or "
                         "a symbolic mode (u=rwX,go=rX)",
                         VIEW_ARG(text));
    return 0;
}

uint32_t build_mode_apply(struct view text, uint32_t mode, bool is_dir)
{
    uint32_t octal;

    if (build_mode_octal(text, &octal))
        return octal;
    apply(text, &mode, is_dir);
    return mode & 07777;
}
