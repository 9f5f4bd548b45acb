/* Databases that are text: stanzas of lines, an empty line between them. */
#include "builder/compare/package.h"

#include "base/limits.h"

/* What of a stanza counts. */
struct stanza {
    struct view name;
    struct view version;
    struct view architecture;
    struct view status;
};

/* "Key: value"; continuation lines begin with a blank and have no key. */
static void dpkg_line(struct stanza *s, struct view line)
{
    struct view key, value;

    if (line.data[0] == ' ' || line.data[0] == '\t' || !view_cut(line, ':', &key, &value))
        return;
    value = view_trim(value);
    if (view_eq_nocase(key, "package"))
        s->name = value;
    else if (view_eq_nocase(key, "version"))
        s->version = value;
    else if (view_eq_nocase(key, "architecture"))
        s->architecture = value;
    else if (view_eq_nocase(key, "status"))
        s->status = value;
}

static void apk_line(struct stanza *s, struct view line)
{
    const struct view value = view_sub(line, 2, line.size);

    if (line.size < 2 || line.data[1] != ':')
        return;
    if (line.data[0] == 'P')
        s->name = value;
    else if (line.data[0] == 'V')
        s->version = value;
    else if (line.data[0] == 'A')
        s->architecture = value;
}

/* Removed packages whose configuration is left have a stanza too; status.d has none. */
static bool is_installed(const struct stanza *s)
{
    return s->status.size == 0 || view_ends(s->status, " installed");
}

static int read_stanzas(struct build_packages *l,
                        const char *kind,
                        void (*read_line)(struct stanza *s, struct view line),
                        struct view text,
                        struct error *err)
{
    struct stanza s = {0};
    struct view line;

    while (text.size > 0) {
        view_cut(text, '\n', &line, &text);
        if (line.size > 0)
            read_line(&s, line);
        if (line.size > 0 && text.size > 0)
            continue;
        if (is_installed(&s) &&
            build_packages_add(l, kind, s.name, s.architecture, s.version, err) < 0)
            return -1;
        s = (struct stanza){0};
    }
    return 0;
}

int build_packages_dpkg(struct build_packages *l, struct view text, struct error *err)
{
    return read_stanzas(l, "dpkg", dpkg_line, text, err);
}

int build_packages_apk(struct build_packages *l, struct view text, struct error *err)
{
    return read_stanzas(l, "apk", apk_line, text, err);
}
