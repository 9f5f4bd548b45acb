/* A tar is read to its end or refused; how the input is cut changes nothing; content comes
 * in order and within the size that was announced. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "base/limits.h"
#include "cas/tar_read.h"

#include <assert.h>
#include <string.h>

/* Everything that an archive says, as text to compare. */
struct summary {
    struct buf text;
    enum error_code code;
};

struct feeder {
    struct view rest;
    size_t step;
};

static void feed(struct tar_reader *r, struct feeder *in)
{
    const size_t size = in->rest.size < in->step ? in->rest.size : in->step;

    if (size == 0) {
        tar_reader_end_input(r);
        return;
    }
    tar_reader_feed(r, view_sub(in->rest, 0, size));
    in->rest = view_sub(in->rest, size, in->rest.size);
}

static void note_entry(struct summary *s, const struct tar_entry *e)
{
    assert(e->path.size > 0 && e->path.size < LIMIT_PATH_SIZE);
    assert(!memchr(e->path.data, '\0', e->path.size));
    assert(e->mode <= 07777 && e->mtime_ns < 1000000000);
    assert(e->size == 0 || e->type == TAR_FILE);
    for (size_t i = 1; i < e->xattr_count; i++)
        assert(view_compare(e->xattrs[i - 1].name, e->xattrs[i].name) < 0);
    buf_append_view(&s->text, e->path);
    buf_printf(&s->text, " %c %o %u %u %zu %jd\n", (char)e->type, e->mode, e->uid, e->gid,
               e->xattr_count, (intmax_t)e->size);
    buf_append_view(&s->text, e->link);
}

/* Returns where the next piece may begin. */
static uint64_t note_data(struct summary *s, const struct tar_reader *r, uint64_t from)
{
    uint64_t offset = 0;
    const struct view data = tar_reader_data(r, &offset);
    const struct tar_entry *e = tar_reader_entry(r);

    assert(data.size > 0 && offset >= from && offset <= e->size);
    assert(data.size <= e->size - offset);
    buf_append_view(&s->text, data);
    return offset + data.size;
}

static void read_tar(struct view tar, size_t step, struct summary *s)
{
    CLEANUP(tar_reader_freep) struct tar_reader *r = tar_reader_new();
    struct error err = ERROR_INIT;
    struct feeder in = {tar, step};
    enum tar_event event = TAR_MORE_INPUT;
    uint64_t at = 0;

    while (event != TAR_END) {
        if (tar_reader_step(r, &event, &err) < 0) {
            assert(err.code == ERROR_CORRUPT || err.code == ERROR_LIMIT ||
                   err.code == ERROR_UNSUPPORTED);
            break;
        }
        if (event == TAR_MORE_INPUT)
            feed(r, &in);
        if (event == TAR_ENTRY) {
            at = 0;
            note_entry(s, tar_reader_entry(r));
        }
        if (event == TAR_DATA)
            at = note_data(s, r, at);
    }
    s->code = err.code;
    error_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct view tar = {(const char *)data, size};
    struct summary whole = {.text = BUF_INIT(LIMIT_TEXT_SIZE)};
    struct summary cut = {.text = BUF_INIT(LIMIT_TEXT_SIZE)};

    if (size == 0)
        return 0;
    read_tar(tar, size, &whole);
    read_tar(tar, 1 + data[0] % 97, &cut);
    assert(whole.code == cut.code);
    assert(view_eq(buf_view(&whole.text), buf_view(&cut.text)));
    buf_release(&whole.text);
    buf_release(&cut.text);
    return 0;
}
