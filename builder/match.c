#include "builder/match.h"

#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>

/* Past so many pairs only what is equal at both ends is matched: hundreds of steps on both
 * sides stay far below. */
#define PAIRS_MAX ((size_t)1 << 20)

enum {
    SCORE_TEXT = 100,   /* the instruction as it is written */
    SCORE_MOVED = 80,   /* the same in another stage */
    SCORE_SIMILAR = 60, /* times the part of the text that both have */
    SCORE_LEAST = 15,   /* less alike than this is another step */
};

static struct view text_of(const struct doc *d, const char *key)
{
    return doc_view(doc_get(d, key));
}

/* Of the longer text, what both begin or end with. */
static unsigned similarity(struct view a, struct view b)
{
    const size_t least = a.size < b.size ? a.size : b.size;
    const size_t most = a.size < b.size ? b.size : a.size;
    size_t head = 0;
    size_t tail = 0;

    while (head < least && a.data[head] == b.data[head])
        head++;
    while (tail < least - head && a.data[a.size - 1 - tail] == b.data[b.size - 1 - tail])
        tail++;
    return most == 0 ? SCORE_SIMILAR : (unsigned)((head + tail) * SCORE_SIMILAR / most);
}

static unsigned score(const struct doc *a, const struct doc *b)
{
    const bool same_stage = view_eq(text_of(a, "stage"), text_of(b, "stage"));
    const struct view x = text_of(a, "text");
    const struct view y = text_of(b, "text");
    unsigned alike;

    if (!view_eq(text_of(a, "op"), text_of(b, "op")))
        return 0;
    if (view_eq(x, y))
        return !same_stage ? SCORE_MOVED : SCORE_TEXT;
    alike = similarity(x, y) / (same_stage ? 1 : 2);
    return alike < SCORE_LEAST ? 0 : alike;
}

static bool is_same(const struct doc *a, const struct doc *b)
{
    return score(a, b) >= SCORE_TEXT;
}

/*
 * best[i][j]: the most that old steps from i on and new ones from j on have in common. Of
 * equal alignments the one that pairs early steps wins.
 */
static void align(const struct doc *was,
                  size_t from,
                  size_t old_count,
                  struct doc *const *is,
                  size_t new_count,
                  const struct doc **out)
{
    const size_t width = new_count + 1;
    unsigned *best = base_alloc_array((old_count + 1) * width, sizeof *best);
    size_t i, j;

    for (i = old_count; i-- > 0;) {
        for (j = new_count; j-- > 0;) {
            const unsigned pair = score(doc_at(was, from + i), is[j]);
            const unsigned both = pair ? pair + best[(i + 1) * width + j + 1] : 0;
            const unsigned skip_old = best[(i + 1) * width + j];
            const unsigned skip_new = best[i * width + j + 1];
            const unsigned skip = skip_old > skip_new ? skip_old : skip_new;

            best[i * width + j] = both > skip ? both : skip;
        }
    }
    for (i = 0, j = 0; i < old_count && j < new_count;) {
        const unsigned here = best[i * width + j];

        if (here == best[(i + 1) * width + j]) {
            i++;
        } else if (here == best[i * width + j + 1]) {
            j++;
        } else {
            out[j++] = doc_at(was, from + i++);
        }
    }
    free(best);
}

void build_match(const struct doc *was,
                 struct doc *const *is,
                 size_t count,
                 const struct doc **out)
{
    const size_t old_count = doc_count(was);
    size_t head = 0;
    size_t tail = 0;
    size_t pairs;

    for (size_t i = 0; i < count; i++)
        out[i] = NULL;
    for (; head < count && head < old_count && is_same(doc_at(was, head), is[head]); head++)
        out[head] = doc_at(was, head);
    for (; tail < count - head && tail < old_count - head &&
           is_same(doc_at(was, old_count - 1 - tail), is[count - 1 - tail]);
         tail++)
        out[count - 1 - tail] = doc_at(was, old_count - 1 - tail);
    if (size_mul(old_count - head - tail + 1, count - head - tail + 1, &pairs) &&
        pairs <= PAIRS_MAX)
        align(was, head, old_count - head - tail, is + head, count - head - tail,
              out + head);
}
