#include "cli/diff_report.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/output.h"

/*
 * One document, written a member at a time: of a million files as many small documents are
 * made, one after the other, not one that fills the memory.
 */
static void write_doc(struct doc *doc)
{
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);

    doc_write(doc, DOC_WRITE_COMPACT, &text);
    cli_output_buf(&text);
    doc_unref(doc);
}

/* Consumes. "\n,{...}": one a line. */
static void write_item(size_t i, struct doc *doc)
{
    fputs(i == 0 ? "\n" : ",\n", stdout);
    write_doc(doc);
}

static void set_text(struct doc *out, const char *key, const char *text)
{
    if (text != NULL)
        doc_set_text(out, key, text);
}

static struct doc *side_doc(const struct cli_compared *side)
{
    struct doc *const out = doc_new_object();
    struct doc *const platform = doc_new_object();
    uint64_t size = 0;

    for (size_t i = 0; i < side->image.layer_count; i++)
        size += side->image.layers[i].size;
    doc_set_text(out, "name", side->typed);
    doc_set_text(out, "digest", digest_format(&side->image.manifest.digest).text);
    doc_set_text(out, "index",
                 digest_eq(&side->image.root.digest, &side->image.manifest.digest)
                     ? ""
                     : digest_format(&side->image.root.digest).text);
    set_text(platform, "os", doc_text(doc_get(side->config, "os")));
    set_text(platform, "architecture", doc_text(doc_get(side->config, "architecture")));
    set_text(platform, "variant", doc_text(doc_get(side->config, "variant")));
    doc_set(out, "platform", platform);
    set_text(out, "created", doc_text(doc_get(side->config, "created")));
    doc_set_int(out, "size", (int64_t)size);
    return out;
}

static struct doc *value_doc(const struct build_compare_value *v)
{
    struct doc *const out = doc_new_object();

    doc_set_text(out, "path", v->path);
    doc_set_text(out, "change", build_change_name(v->change));
    if (v->before != NULL)
        doc_set(out, "before", doc_copy(v->before));
    if (v->after != NULL)
        doc_set(out, "after", doc_copy(v->after));
    return out;
}

static struct doc *layer_doc(const struct build_compare_layer *l)
{
    struct doc *const out = doc_new_object();

    doc_set_text(out, "change", build_change_name(l->change));
    doc_set_text(out, "digest", digest_format(&l->blob).text);
    doc_set_text(out, "diffID", digest_format(&l->diff_id).text);
    doc_set_int(out, "size", (int64_t)l->size);
    set_text(out, "createdBy", l->created_by);
    return out;
}

struct doc *cli_diff_package_doc(const struct build_compare_package *p)
{
    struct doc *const out = doc_new_object();

    doc_set_text(out, "type", p->kind);
    doc_set_text(out, "name", p->name);
    set_text(out, "architecture", p->architecture);
    doc_set_text(out, "change", build_change_name(p->change));
    set_text(out, "before", p->before);
    set_text(out, "after", p->after);
    return out;
}

static struct doc *file_side_doc(const struct build_file_side *side)
{
    struct doc *const out = doc_new_object();
    CLEANUP(base_freep) char *mode = base_format("%04o", (unsigned)side->mode);

    doc_set_text(out, "type", cas_entry_type_name(side->type));
    doc_set_text(out, "mode", mode);
    doc_set_int(out, "uid", side->uid);
    doc_set_int(out, "gid", side->gid);
    if (side->type == CAS_ENTRY_FILE)
        doc_set_int(out, "size", (int64_t)side->size);
    if (side->type == CAS_ENTRY_SYMLINK)
        doc_set_view(out, "target", side->target);
    doc_set_text(out, "mtime", cli_format_time(side->mtime_s, 0).text);
    return out;
}

static struct doc *aspects_doc(unsigned aspects)
{
    static const struct {
        enum build_file_aspect aspect;
        const char *name;
    } names[] = {
        {BUILD_FILE_TYPE, "type"},     {BUILD_FILE_CONTENT, "content"},
        {BUILD_FILE_MODE, "mode"},     {BUILD_FILE_OWNER, "owner"},
        {BUILD_FILE_TARGET, "target"}, {BUILD_FILE_XATTRS, "xattrs"},
        {BUILD_FILE_DEVICE, "device"}, {BUILD_FILE_TIME, "time"},
    };
    struct doc *const out = doc_new_array();

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (aspects & names[i].aspect)
            doc_append_text(out, names[i].name);
    }
    return out;
}

static struct doc *file_doc(const struct build_compare_file *f)
{
    struct doc *const out = doc_new_object();
    CLEANUP(base_freep) char *path = base_format("/%s", f->path.data);

    doc_set_view(out, "path", view_of(path));
    doc_set_text(out, "change", build_change_name(f->change));
    if (f->change == BUILD_CHANGE_CHANGED)
        doc_set(out, "aspects", aspects_doc(f->aspects));
    if (f->change != BUILD_CHANGE_ADDED)
        doc_set(out, "before", file_side_doc(&f->before));
    if (f->change != BUILD_CHANGE_REMOVED)
        doc_set(out, "after", file_side_doc(&f->after));
    return out;
}

void cli_diff_report_json(const struct cli_compared sides[2], const struct build_compare *c)
{
    struct doc *const notes = doc_new_array();

    printf("{\"equal\":%s,\n\"a\":", build_compare_differs(c) ? "false" : "true");
    write_doc(side_doc(&sides[0]));
    fputs(",\n\"b\":", stdout);
    write_doc(side_doc(&sides[1]));
    fputs(",\n\"config\":[", stdout);
    for (size_t i = 0; i < c->value_count; i++)
        write_item(i, value_doc(&c->values[i]));
    fputs("],\n\"layers\":[", stdout);
    for (size_t i = 0; i < c->layer_count; i++)
        write_item(i, layer_doc(&c->layers[i]));
    fputs("],\n\"packages\":[", stdout);
    for (size_t i = 0; i < c->package_count; i++)
        write_item(i, cli_diff_package_doc(&c->packages[i]));
    fputs("],\n\"files\":[", stdout);
    for (size_t i = 0; i < c->file_count; i++)
        write_item(i, file_doc(&c->files[i]));
    printf("],\n\"filesWithOtherTimesOnly\":%zu,\n\"notes\":", c->time_only_count);
    for (size_t i = 0; i < c->note_count; i++)
        doc_append_text(notes, c->notes[i]);
    write_doc(notes);
    fputs("}\n", stdout);
}
