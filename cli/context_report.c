#include "cli/context_report.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/limits.h"
#include "cli/format.h"
#include "cli/output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The report grows with the context, line by line. */
#define REPORT_MAX ((size_t)1 << 30)

/* A directory smaller than this part of everything is not opened up. */
#define OPEN_FROM 20

/* --- What is sent, summed up --- */

/* A line: a file, or all files below a directory: they lie side by side in the report. */
struct item {
    struct view path;
    size_t first; /* of the report's files */
    size_t end;
    uint64_t files;
    uint64_t size;
    bool is_dir;
};

struct items {
    struct item *list;
    size_t count;
    size_t capacity;
};

/* The part of `path` up to the end of the component that follows `depth` bytes. */
static struct view component_end(struct view path, size_t depth, bool *is_dir)
{
    const char *slash = memchr(path.data + depth, '/', path.size - depth);

    *is_dir = slash != NULL;
    return slash ? view_sub(path, 0, (size_t)(slash - path.data)) : path;
}

static bool is_in(struct view path, struct view dir)
{
    return path.size > dir.size && path.data[dir.size] == '/' &&
           memcmp(path.data, dir.data, dir.size) == 0;
}

/* Adds what is directly below `dir`, whose files are [first, end); counts only, without
 * `out`. */
static size_t children_of(const struct build_context_report *r,
                          const struct item *dir,
                          struct items *out)
{
    const size_t depth = dir->path.size > 0 ? dir->path.size + 1 : 0;
    size_t count = 0;

    for (size_t i = dir->first; i < dir->end;) {
        struct item child = {.first = i};

        child.path = component_end(r->files[i].path, depth, &child.is_dir);
        do {
            if (r->files[i].is_sent) {
                child.files++;
                child.size += r->files[i].size;
            }
            i++;
        } while (child.is_dir && i < dir->end && is_in(r->files[i].path, child.path));
        child.end = i;
        if (child.files == 0)
            continue;
        count++;
        if (!out)
            continue;
        out->list = base_grow(out->list, out->count, &out->capacity, sizeof *out->list);
        out->list[out->count++] = child;
    }
    return count;
}

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;

    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return view_compare(x->path, y->path);
}

/* The largest directory whose inside has room among the lines; NULL if none is worth it. */
static struct item *find_to_open(const struct build_context_report *r,
                                 struct items *items,
                                 size_t lines)
{
    struct item *best = NULL;

    for (size_t i = 0; i < items->count; i++) {
        struct item *item = &items->list[i];

        if (!item->is_dir)
            continue;
        /* A single file has a name of its own. */
        if (item->files == 1)
            return item;
        if (item->size < r->sent_size / OPEN_FROM || (best && item->size <= best->size))
            continue;
        if (items->count - 1 + children_of(r, item, NULL) <= lines)
            best = item;
    }
    return best;
}

static struct items sum_up(const struct build_context_report *r, size_t lines)
{
    const struct item all = {.path = VIEW_LIT(""), .end = r->count, .is_dir = true};
    struct items items = {0};
    struct item *open;

    (void)children_of(r, &all, &items);
    while ((open = find_to_open(r, &items, lines)) != NULL) {
        const struct item dir = *open;

        *open = items.list[--items.count];
        (void)children_of(r, &dir, &items);
    }
    if (items.count > 1)
        qsort(items.list, items.count, sizeof *items.list, compare_items);
    return items;
}

/* --- The table --- */

/* Control characters would tear the table or worse. */
static void append_path(struct buf *out, struct view path)
{
    for (size_t i = 0; i < path.size; i++) {
        const unsigned char c = (unsigned char)path.data[i];

        if (c < ' ' || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

static struct cli_text format_count(uint64_t count)
{
    struct cli_text out;

    (void)snprintf(out.text, sizeof out.text, "%" PRIu64, count);
    return out;
}

static void add_heads(struct cli_table *table, const char *const *heads, size_t count)
{
    cli_table_init(table, count);
    for (size_t i = 0; i < count; i++)
        cli_table_add(table, heads[i]);
}

static void add_item(struct cli_table *table, const struct item *item)
{
    CLEANUP(buf_release) struct buf path = BUF_INIT(REPORT_MAX);

    append_path(&path, item->path);
    if (item->is_dir)
        buf_append_char(&path, '/');
    cli_table_add(table, cli_format_size(item->size).text);
    cli_table_add(table, format_count(item->files).text);
    cli_table_add(table, buf_text(&path));
}

static void print_sent(const struct build_context_report *r, size_t lines, struct buf *out)
{
    static const char *const heads[] = {"SIZE", "FILES", "PATH"};
    CLEANUP(cli_table_release) struct cli_table table;
    struct items items = sum_up(r, lines);
    struct item rest = {0};

    add_heads(&table, heads, ARRAY_COUNT(heads));
    for (size_t i = 0; i < items.count; i++) {
        if (i < lines) {
            add_item(&table, &items.list[i]);
            continue;
        }
        rest.files += items.list[i].files;
        rest.size += items.list[i].size;
    }
    if (rest.files > 0) {
        cli_table_add(&table, cli_format_size(rest.size).text);
        cli_table_add(&table, format_count(rest.files).text);
        cli_table_add(&table, "(the rest)");
    }
    cli_table_write(&table, out);
    free(items.list);
}

static void print_totals(const struct build_context_report *r, struct buf *out)
{
    buf_printf(out, "%s: %" PRIu64 " file%s, %s", r->context, r->sent_files,
               r->sent_files == 1 ? "" : "s", cli_format_size(r->sent_size).text);
    if (r->ignore_name)
        buf_printf(out, "; %s leaves out %" PRIu64 " file%s, %s", r->ignore_name,
                   r->ignored_files, r->ignored_files == 1 ? "" : "s",
                   cli_format_size(r->ignored_size).text);
    else
        buf_append_text(out, "; there is no .dockerignore");
    buf_append_char(out, '\n');
}

/* A few of the paths, and how many more there are. */
static void name_paths(const struct build_context_rule *rule, struct buf *out)
{
    enum { SHOWN = 3 };
    size_t shown = 0;

    for (; shown < rule->top_count && shown < SHOWN; shown++) {
        if (shown > 0)
            buf_append_text(out, ", ");
        append_path(out, view_of(rule->tops[shown]));
    }
    if (rule->tops_in_all > shown)
        buf_printf(out, " and %" PRIu64 " more", rule->tops_in_all - shown);
}

static void print_rules(const struct build_context_report *r, struct buf *out)
{
    static const char *const heads[] = {"LINE",  "PATTERN", "DOES",
                                        "FILES", "SIZE",    "PATHS"};
    CLEANUP(cli_table_release) struct cli_table table;

    add_heads(&table, heads, ARRAY_COUNT(heads));
    for (size_t i = 0; i < r->rule_count; i++) {
        const struct build_context_rule *rule = &r->rules[i];
        CLEANUP(buf_release) struct buf pattern = BUF_INIT(REPORT_MAX);
        CLEANUP(buf_release) struct buf paths = BUF_INIT(REPORT_MAX);
        CLEANUP(base_freep)
        char *line = base_format("%s:%u", r->ignore_name, rule->rule.line);

        buf_append_text(&pattern, rule->rule.exception ? "!" : "");
        append_path(&pattern, rule->rule.pattern);
        name_paths(rule, &paths);
        cli_table_add(&table, line);
        cli_table_add(&table, buf_text(&pattern));
        cli_table_add(&table, rule->tops_in_all == 0 ? "nothing"
                              : rule->rule.exception ? "takes back"
                                                     : "leaves out");
        cli_table_add(&table, format_count(rule->files).text);
        cli_table_add(&table, cli_format_size(rule->size).text);
        cli_table_add(&table, buf_text(&paths));
    }
    cli_table_write(&table, out);
}

void cli_context_report_table(const struct build_context_report *r, size_t lines, bool why)
{
    CLEANUP(buf_release) struct buf out = BUF_INIT(REPORT_MAX);

    print_totals(r, &out);
    if (r->sent_files > 0) {
        buf_append_char(&out, '\n');
        print_sent(r, lines, &out);
    }
    if (why && r->rule_count > 0) {
        buf_append_char(&out, '\n');
        print_rules(r, &out);
    }
    cli_output_buf(&out);
}

/* --- JSON --- */

static const char *type_name(enum cas_entry_type type)
{
    switch (type) {
    case CAS_ENTRY_SYMLINK:
        return "symlink";
    case CAS_ENTRY_CHAR:
    case CAS_ENTRY_BLOCK:
        return "device";
    case CAS_ENTRY_FIFO:
        return "fifo";
    case CAS_ENTRY_FILE:
    case CAS_ENTRY_DIR:
    case CAS_ENTRY_HARDLINK:
    case CAS_ENTRY_WHITEOUT:
        break;
    }
    return "file";
}

static struct doc *totals_doc(uint64_t files, uint64_t size)
{
    struct doc *d = doc_new_object();

    doc_set_int(d, "files", (int64_t)files);
    doc_set_int(d, "size", (int64_t)size);
    return d;
}

static struct doc *file_doc(const struct build_context_report *r,
                            const struct build_context_file *file)
{
    struct doc *d = doc_new_object();

    doc_set_view(d, "path", file->path);
    doc_set_text(d, "type", type_name(file->type));
    doc_set_int(d, "size", (int64_t)file->size);
    doc_set_bool(d, "sent", file->is_sent);
    if (file->rule != BUILD_CONTEXT_NO_RULE)
        doc_set_int(d, "line", (int64_t)r->rules[file->rule].rule.line);
    return d;
}

static struct doc *rule_doc(const struct build_context_rule *rule)
{
    struct doc *d = totals_doc(rule->files, rule->size);
    struct doc *paths = doc_new_array();

    doc_set_int(d, "line", (int64_t)rule->rule.line);
    doc_set_view(d, "pattern", rule->rule.pattern);
    doc_set_bool(d, "exception", rule->rule.exception);
    for (size_t i = 0; i < rule->top_count; i++)
        doc_append_text(paths, rule->tops[i]);
    doc_set(d, "paths", paths);
    doc_set_int(d, "path_count", (int64_t)rule->tops_in_all);
    return d;
}

/* Largest first; what is left out after what is sent. */
static int compare_files(const void *a, const void *b)
{
    const struct build_context_file *const *x = a;
    const struct build_context_file *const *y = b;

    if ((*x)->is_sent != (*y)->is_sent)
        return (*x)->is_sent ? -1 : 1;
    if ((*x)->size != (*y)->size)
        return (*x)->size > (*y)->size ? -1 : 1;
    return view_compare((*x)->path, (*y)->path);
}

static struct doc *files_doc(const struct build_context_report *r)
{
    CLEANUP(base_freep)
    const struct build_context_file **order = base_alloc_array(r->count + 1, sizeof *order);
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < r->count; i++)
        order[i] = &r->files[i];
    if (r->count > 1)
        qsort(order, r->count, sizeof *order, compare_files);
    for (size_t i = 0; i < r->count; i++)
        doc_append(list, file_doc(r, order[i]));
    return list;
}

void cli_context_report_json(const struct build_context_report *r)
{
    CLEANUP(doc_unrefp) struct doc *d = doc_new_object();
    struct doc *rules = doc_new_array();

    doc_set_text(d, "context", r->context);
    if (r->ignore_name)
        doc_set_text(d, "ignore_file", r->ignore_name);
    doc_set(d, "sent", totals_doc(r->sent_files, r->sent_size));
    doc_set(d, "ignored", totals_doc(r->ignored_files, r->ignored_size));
    for (size_t i = 0; i < r->rule_count; i++)
        doc_append(rules, rule_doc(&r->rules[i]));
    doc_set(d, "rules", rules);
    doc_set(d, "files", files_doc(r));
    cli_output_doc(d, DOC_WRITE_COMPACT);
}
