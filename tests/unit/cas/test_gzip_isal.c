/* link: -lz */
#include "cas/gzip_isal.h"

#include "base/alloc.h"
#include "cas/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

/* Small blocks whose first bytes come again: one in 260 of them compresses differently
 * where ISA-L's stream lies at an address with another hash. */
#define SENSITIVE_SIZE  256
#define SENSITIVE_COUNT 6000u
#define ENCODERS        24

static const char child_variable[] = "TEST_GZIP_ISAL_CHILD";

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void sensitive(unsigned char *out, uint64_t seed)
{
    uint64_t state = seed * 2654435761u + 1;

    for (size_t i = 0; i < SENSITIVE_SIZE; i++)
        out[i] = (unsigned char)next_random(&state);
    memcpy(out + SENSITIVE_SIZE / 2, out, 24);
}

static struct gzip_isal *isal(void)
{
    struct error err = ERROR_INIT;
    struct gzip_isal *z = gzip_isal_new(&err);

    if (!z)
        fail_msg("%s", error_text(&err));
    return z;
}

/* What all sensitive blocks become, as one digest. */
static struct digest sensitive_digest(struct gzip_isal *z)
{
    CLEANUP(hasher_freep) struct hasher *h = hasher_new(DIGEST_SHA256);
    unsigned char in[SENSITIVE_SIZE];
    unsigned char out[2 * SENSITIVE_SIZE + 2048];
    struct digest d;

    for (unsigned i = 0; i < SENSITIVE_COUNT; i++) {
        sensitive(in, i);
        const size_t size =
            gzip_isal_block(z, (struct view){(char *)in, sizeof in}, out, sizeof out);
        assert_true(size > 0);
        hasher_update(h, out, size);
    }
    hasher_final(h, &d);
    return d;
}

static void test_streams_side_by_side_give_the_same_bytes(void **state)
{
    (void)state;
    struct gzip_isal *z[ENCODERS];

    for (size_t i = 0; i < ENCODERS; i++)
        z[i] = isal();
    const struct digest first = sensitive_digest(z[0]);
    for (size_t i = 1; i < ENCODERS; i++) {
        const struct digest other = sensitive_digest(z[i]);
        assert_true(digest_eq(&first, &other));
    }
    for (size_t i = 0; i < ENCODERS; i++)
        gzip_isal_free(z[i]);
}

/* --- Other address spaces --- */

static int child(void)
{
    struct error err = ERROR_INIT;
    struct gzip_isal *z = gzip_isal_new(&err);

    if (!z)
        return 1;
    const struct digest d = sensitive_digest(z);
    const char *text = digest_format(&d).text;
    gzip_isal_free(z);
    return write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1;
}

/* The same program again, with another layout of its address space. */
static void run_child(bool randomised, char *out, size_t size)
{
    int pipe_fds[2];
    size_t used = 0;
    int status;

    assert_int_equal(pipe(pipe_fds), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *argv[] = {(char[]){"test"}, NULL};
        if (!randomised)
            personality(ADDR_NO_RANDOMIZE);
        dup2(pipe_fds[1], STDOUT_FILENO);
        setenv(child_variable, "1", 1);
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    close(pipe_fds[1]);
    for (ssize_t n;
         used + 1 < size && (n = read(pipe_fds[0], out + used, size - used - 1)) > 0;)
        used += (size_t)n;
    out[used] = '\0';
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_every_process_gives_the_same_bytes(void **state)
{
    struct gzip_isal *z = isal();
    const struct digest here = sensitive_digest(z);
    const struct digest_text want = digest_format(&here);
    char got[200];

    (void)state;
    gzip_isal_free(z);
    for (unsigned i = 0; i < 12; i++) {
        run_child(i % 4 != 0, got, sizeof got);
        assert_string_equal(got, want.text);
    }
}

static void test_what_was_compressed_before_does_not_matter(void **state)
{
    struct gzip_isal *fresh = isal();
    struct gzip_isal *used = isal();
    const size_t size = (size_t)1 << 20;
    CLEANUP(base_freep) char *noise = base_alloc(size);
    CLEANUP(base_freep) char *a = base_alloc(2 * size);
    CLEANUP(base_freep) char *b = base_alloc(2 * size);
    uint64_t random = 5;

    (void)state;
    for (size_t i = 0; i < size; i++)
        noise[i] = (char)(next_random(&random) % 7);
    assert_true(gzip_isal_block(used, (struct view){noise, size}, a, 2 * size) > 0);
    for (unsigned i = 0; i < 200; i++) {
        const struct view in = {noise + i * 1000, 3000};
        const size_t na = gzip_isal_block(used, in, a, 2 * size);
        const size_t nb = gzip_isal_block(fresh, in, b, 2 * size);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        gzip_isal_free(fresh);
        fresh = isal();
    }
    gzip_isal_free(fresh);
    gzip_isal_free(used);
}

static void test_blocks_join_into_one_stream(void **state)
{
    struct gzip_isal *z = isal();
    unsigned char in[3][SENSITIVE_SIZE];
    unsigned char joined[8192];
    unsigned char out[4 * SENSITIVE_SIZE];
    size_t size = 0;
    z_stream s = {0};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        sensitive(in[i], i);
        size += gzip_isal_block(z, (struct view){(char *)in[i], SENSITIVE_SIZE},
                                joined + size, 2048);
    }
    joined[size++] = 3;
    joined[size++] = 0;
    assert_int_equal(inflateInit2(&s, -15), Z_OK);
    s.next_in = joined;
    s.avail_in = (uInt)size;
    s.next_out = out;
    s.avail_out = sizeof out;
    assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    assert_int_equal(s.total_out, sizeof in);
    assert_memory_equal(out, in, sizeof in);
    inflateEnd(&s);
    gzip_isal_free(z);
}

static void test_too_little_room_is_noticed(void **state)
{
    struct gzip_isal *z = isal();
    unsigned char in[SENSITIVE_SIZE];
    unsigned char out[SENSITIVE_SIZE / 2];

    (void)state;
    sensitive(in, 1);
    assert_int_equal(
        gzip_isal_block(z, (struct view){(char *)in, sizeof in}, out, sizeof out), 0);
    gzip_isal_free(z);
}

static void test_crc_is_that_of_zlib(void **state)
{
    unsigned char in[SENSITIVE_SIZE];

    (void)state;
    for (unsigned size = 0; size < SENSITIVE_SIZE; size++) {
        sensitive(in, size);
        assert_int_equal(gzip_crc32(0, in, size), crc32(0, in, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_side_by_side_give_the_same_bytes),
        cmocka_unit_test(test_every_process_gives_the_same_bytes),
        cmocka_unit_test(test_what_was_compressed_before_does_not_matter),
        cmocka_unit_test(test_blocks_join_into_one_stream),
        cmocka_unit_test(test_too_little_room_is_noticed),
        cmocka_unit_test(test_crc_is_that_of_zlib),
    };

    if (getenv(child_variable))
        return child();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
