#include "cli/diff_report.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/message.h"
#include "cli/output.h"

#include <inttypes.h>

/* Longer values of the config and commands of layers are cut. */
enum { VALUE_WIDTH = 100, COMMAND_WIDTH = 60 };

/* Lines are gathered here and written in pieces: a comparison may have a million. */
struct report {
    struct buf text;
};

enum { FLUSH_SIZE = 64 << 10 };

static void end_line(struct report *r)
{
    buf_append_char(&r->text, '\n');
    if (r->text.size < FLUSH_SIZE)
        return;
    cli_output_buf(&r->text);
    buf_clear(&r->text);
}

/* As ls -b: control characters, and what would be taken for the escape, are escaped. C1
 * controls are "\xc2\x80" to "\xc2\x9f" in UTF-8. */
static void append_quoted(struct buf *out, struct view text)
{
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        const bool is_c1 = c == 0xc2 && i + 1 < text.size &&
                           ((unsigned char)text.data[i + 1] & 0xe0) == 0x80;

        if (c == '\n')
            buf_append_text(out, "\\n");
        else if (c == '\\')
            buf_append_text(out, "\\\\");
        else if (c < ' ' || c == 0x7f || is_c1)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

static void append_cut(struct buf *out, struct view text, size_t width)
{
    append_quoted(out, view_sub(text, 0, width));
    if (text.size > width)
        buf_append_text(out, "...");
}

static char sign_of(enum build_change change)
{
    switch (change) {
    case BUILD_CHANGE_NONE:
        return '=';
    case BUILD_CHANGE_ADDED:
        return '+';
    case BUILD_CHANGE_REMOVED:
        return '-';
    case BUILD_CHANGE_CHANGED:
        return '~';
    }
    return ' ';
}

/* --- Head --------------------------------------------------------------------------- */

static void print_side(struct report *r, const char *mark, const struct cli_compared *side)
{
    uint64_t size = 0;

    for (size_t i = 0; i < side->image.layer_count; i++)
        size += side->image.layers[i].size;
    buf_printf(&r->text, "%s ", mark);
    append_quoted(&r->text, view_of(side->typed));
    buf_printf(&r->text, "  %s  %zu layer%s, %s",
               digest_format(&side->image.manifest.digest).text, side->image.layer_count,
               side->image.layer_count == 1 ? "" : "s", cli_format_size(size).text);
    end_line(r);
}

static void print_title(struct report *r, const char *title)
{
    buf_append_text(&r->text, title);
    end_line(r);
}

/* --- Config ------------------------------------------------------------------------- */

static void append_value(struct buf *out, const struct doc *value)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(value, DOC_WRITE_COMPACT, &text);
    append_cut(out, buf_view(&text), VALUE_WIDTH);
}

static void print_values(struct report *r, const struct build_compare *c)
{
    if (c->value_count > 0)
        print_title(r, "config:");
    for (size_t i = 0; i < c->value_count; i++) {
        const struct build_compare_value *const v = &c->values[i];

        buf_printf(&r->text, "  %c ", sign_of(v->change));
        append_quoted(&r->text, view_of(v->path));
        buf_append_text(&r->text, "  ");
        if (v->before != NULL)
            append_value(&r->text, v->before);
        if (v->change == BUILD_CHANGE_CHANGED)
            buf_append_text(&r->text, " -> ");
        if (v->after != NULL)
            append_value(&r->text, v->after);
        end_line(r);
    }
}

/* --- Layers ------------------------------------------------------------------------- */

static bool layers_differ(const struct build_compare *c)
{
    for (size_t i = 0; i < c->layer_count; i++) {
        if (c->layers[i].change != BUILD_CHANGE_NONE)
            return true;
    }
    return false;
}

static void print_layers(struct report *r, const struct build_compare *c)
{
    if (!layers_differ(c))
        return;
    print_title(r, "layers:");
    for (size_t i = 0; i < c->layer_count; i++) {
        const struct build_compare_layer *const l = &c->layers[i];

        buf_printf(&r->text, "  %c %s  %s", sign_of(l->change),
                   cli_format_short_id(&l->blob).text, cli_format_size(l->size).text);
        if (l->created_by != NULL) {
            buf_append_text(&r->text, "  ");
            append_cut(&r->text, view_of(l->created_by), COMMAND_WIDTH);
        }
        end_line(r);
    }
}

/* --- Packages ----------------------------------------------------------------------- */

void cli_diff_package_text(const struct build_compare_package *p, struct buf *out)
{
    buf_printf(out, "  %c %s ", sign_of(p->change), p->kind);
    append_quoted(out, view_of(p->name));
    if (p->architecture != NULL) {
        buf_append_char(out, ':');
        append_quoted(out, view_of(p->architecture));
    }
    buf_append_text(out, "  ");
    if (p->before != NULL)
        append_quoted(out, view_of(p->before));
    if (p->change == BUILD_CHANGE_CHANGED)
        buf_append_text(out, " -> ");
    if (p->after != NULL)
        append_quoted(out, view_of(p->after));
}

static void print_packages(struct report *r, const struct build_compare *c)
{
    if (c->package_count > 0)
        print_title(r, "packages:");
    for (size_t i = 0; i < c->package_count; i++) {
        cli_diff_package_text(&c->packages[i], &r->text);
        end_line(r);
    }
}

/* --- Files -------------------------------------------------------------------------- */

/* What one looks at first: a file's size, a link's target. */
static void append_side(struct buf *out, const struct build_file_side *side)
{
    if (side->type == CAS_ENTRY_FILE) {
        buf_append_text(out, cli_format_size(side->size).text);
    } else if (side->type == CAS_ENTRY_SYMLINK) {
        buf_append_text(out, "-> ");
        append_quoted(out, side->target);
    } else {
        buf_append_text(out, cas_entry_type_name(side->type));
    }
}

/* A list of aspects, each introduced by a comma but the first. */
static void append_aspect(struct buf *out, bool *is_first)
{
    buf_append_text(out, *is_first ? "  " : ", ");
    *is_first = false;
}

static void append_times(struct buf *out, const struct build_compare_file *f)
{
    buf_printf(out, "time %s -> %s", cli_format_time(f->before.mtime_s, 0).text,
               cli_format_time(f->after.mtime_s, 0).text);
}

static void append_aspects(struct buf *out, const struct build_compare_file *f)
{
    bool is_first = true;

    if (f->aspects & (BUILD_FILE_TYPE | BUILD_FILE_CONTENT | BUILD_FILE_TARGET)) {
        append_aspect(out, &is_first);
        append_side(out, &f->before);
        buf_append_text(out, f->before.type == CAS_ENTRY_SYMLINK ? ", now " : " -> ");
        append_side(out, &f->after);
    }
    if (f->aspects & BUILD_FILE_MODE) {
        append_aspect(out, &is_first);
        buf_printf(out, "mode %04" PRIo32 " -> %04" PRIo32, f->before.mode, f->after.mode);
    }
    if (f->aspects & BUILD_FILE_OWNER) {
        append_aspect(out, &is_first);
        buf_printf(out, "owner %" PRIu32 ":%" PRIu32 " -> %" PRIu32 ":%" PRIu32,
                   f->before.uid, f->before.gid, f->after.uid, f->after.gid);
    }
    if (f->aspects & BUILD_FILE_XATTRS) {
        append_aspect(out, &is_first);
        buf_append_text(out, "extended attributes");
    }
    if (f->aspects & BUILD_FILE_DEVICE) {
        append_aspect(out, &is_first);
        buf_append_text(out, "device number");
    }
    if (f->aspects == BUILD_FILE_TIME) {
        append_aspect(out, &is_first);
        append_times(out, f);
    }
}

struct totals {
    size_t counts[BUILD_CHANGE_CHANGED + 1];
    uint64_t added;
    uint64_t removed;
};

static void print_file(struct report *r,
                       const struct build_compare_file *f,
                       struct totals *totals)
{
    totals->counts[f->change]++;
    totals->added += f->after.size;
    totals->removed += f->before.size;
    buf_printf(&r->text, "  %c /", sign_of(f->change));
    append_quoted(&r->text, f->path);
    if (f->change == BUILD_CHANGE_CHANGED) {
        append_aspects(&r->text, f);
    } else {
        buf_append_text(&r->text, "  ");
        append_side(&r->text, f->change == BUILD_CHANGE_ADDED ? &f->after : &f->before);
    }
    end_line(r);
}

static void print_files(struct report *r, const struct build_compare *c)
{
    struct totals t = {0};

    if (c->file_count > 0)
        print_title(r, "files:");
    for (size_t i = 0; i < c->file_count; i++)
        print_file(r, &c->files[i], &t);
    if (c->file_count == 0)
        return;
    buf_printf(
        &r->text, "%zu added, %zu removed, %zu changed; %s%s", t.counts[BUILD_CHANGE_ADDED],
        t.counts[BUILD_CHANGE_REMOVED], t.counts[BUILD_CHANGE_CHANGED],
        t.added >= t.removed ? "+" : "-",
        cli_format_size(t.added >= t.removed ? t.added - t.removed : t.removed - t.added)
            .text);
    if (c->time_only_count > 0)
        buf_printf(&r->text, "; %zu more differ in their times only", c->time_only_count);
    end_line(r);
}

void cli_diff_report_text(const struct cli_compared sides[2], const struct build_compare *c)
{
    struct report r = {BUF_INIT(LIMIT_TEXT_SIZE)};

    for (size_t i = 0; i < c->note_count; i++)
        cli_message_warning("%s", c->notes[i]);
    if (!build_compare_differs(c))
        return;
    print_side(&r, "---", &sides[0]);
    print_side(&r, "+++", &sides[1]);
    print_values(&r, c);
    print_layers(&r, c);
    print_packages(&r, c);
    print_files(&r, c);
    cli_output_buf(&r.text);
    buf_release(&r.text);
}
