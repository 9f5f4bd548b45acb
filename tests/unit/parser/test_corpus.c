/*
 * Every Dockerfile of the conformance corpus: what BuildKit parses, we parse; what its
 * parser refuses, we refuse, at the line that it names.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "parser/dockerfile.h"

#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct doc *load(const char *dir, const char *name)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(buf_release) struct buf text = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(base_freep) char *path = base_format("%s/%s", dir, name);

    assert_int_equal(fs_read_file_at(AT_FDCWD, path, &text, &err), 0);
    struct doc *doc = doc_parse(buf_view(&text), &err);
    if (!doc)
        fail_msg("%s: %s", path, error_text(&err));
    return doc;
}

/* Does BuildKit refuse the case while parsing? Other errors of the corpus come later. */
static bool is_syntax_error(const char *message)
{
    return strncmp(message, "dockerfile parse error", 22) == 0 ||
           strstr(message, "Syntax error - ") || strstr(message, "unterminated heredoc") ||
           strstr(message, "file with no instructions") ||
           strstr(message, "parser directive") ||
           strstr(message, "arrays must be comprised of strings only");
}

/* The message names a line of its own ("the first is on line 1") or the position does. */
static bool names_line(const struct error *err, int64_t line)
{
    CLEANUP(base_freep) char *text = base_format("line %d", (int)line);

    return (err->pos.line <= line && line <= err->pos.line_end) ||
           strstr(error_text(err), text) != NULL;
}

static bool check_case(const char *dir)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    CLEANUP(doc_unrefp) struct doc *input = load(dir, "case.json");
    CLEANUP(doc_unrefp) struct doc *expected = load(dir, "expected.json");
    const struct view text = doc_view(doc_get(input, "dockerfile"));
    const char *message = doc_text(doc_get(expected, "message"));
    int64_t line;

    if (!text.data)
        return false;
    CLEANUP(dockerfile_freep)
    struct dockerfile *file = dockerfile_parse(text, "Dockerfile", NULL, &err);
    if (message && is_syntax_error(message)) {
        if (file)
            fail_msg("%s: accepted, not: %s", dir, message);
        assert_int_equal(err.code, ERROR_INVALID);
        if (doc_int(doc_get(expected, "line"), &line) && !names_line(&err, line))
            fail_msg("%s: line %u, not %d: %s", dir, err.pos.line, (int)line,
                     error_text(&err));
    } else if (!file) {
        fail_msg("%s: line %u: %s", dir, err.pos.line, error_text(&err));
    }
    return true;
}

static void test_corpus_parses_as_buildkit(void **state)
{
    CLEANUP(base_freep) char *root = base_strdup(__FILE__);
    glob_t found;
    unsigned count = 0;

    (void)state;
    *strstr(root, "unit/parser") = '\0';
    CLEANUP(base_freep) char *pattern = base_format("%sconformance/cases/*/*", root);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        count += check_case(found.gl_pathv[i]);
    globfree(&found);
    printf("%u Dockerfiles\n", count);
    assert_true(count > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus_parses_as_buildkit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
