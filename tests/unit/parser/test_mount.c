#include "base/alloc.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool look_up(void *context, struct view name, struct view *value)
{
    (void)context;
    *value = VIEW_LIT("a,b=c");
    return view_eq_text(name, "COMMA");
}

static const struct dockerfile_expand how = {.lookup = look_up};

static int parse(const char *text, struct dockerfile_mount *mount, struct error *err)
{
    const struct dockerfile_word word = {view_of(text), {"Dockerfile", 3, 5, 3}};

    return dockerfile_mount_parse(word, &how, mount, err);
}

static void parse_ok(const char *text, struct dockerfile_mount *mount)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;

    if (parse(text, mount, &err) < 0)
        fail_msg("%s: %s", text, error_text(&err));
}

static void test_all_options_of_a_cache(void **state)
{
    CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;

    (void)state;
    parse_ok(
        "type=CACHE,id=x,dst=/c,src=sub,from=base,Sharing=Locked,mode=1770,uid=1,gid=2,ro",
        &mount);
    assert_int_equal(mount.type, DOCKERFILE_MOUNT_CACHE);
    assert_int_equal(mount.sharing, DOCKERFILE_SHARING_LOCKED);
    assert_string_equal(mount.id, "x");
    assert_string_equal(mount.target, "/c");
    assert_string_equal(mount.source, "sub");
    assert_string_equal(mount.from, "base");
    assert_true(mount.has_mode && mount.has_uid && mount.has_gid && mount.read_only);
    assert_int_equal(mount.mode, 01770);
    assert_int_equal(mount.uid, 1);
    assert_int_equal(mount.gid, 2);
}

static void test_a_type_given_again_forgets_what_only_the_one_before_takes(void **state)
{
    CLEANUP(dockerfile_mount_release) struct dockerfile_mount sized;
    CLEANUP(dockerfile_mount_release) struct dockerfile_mount required;

    (void)state;
    parse_ok("type=tmpfs,size=666,type=cache,target=/c", &sized);
    assert_int_equal(sized.type, DOCKERFILE_MOUNT_CACHE);
    assert_int_equal(sized.size, 0);
    parse_ok("type=ssh,required,type=bind,target=/c", &required);
    assert_int_equal(required.type, DOCKERFILE_MOUNT_BIND);
    assert_false(required.required);
}

static void test_defaults_depend_on_the_type(void **state)
{
    static const struct {
        const char *text;
        bool read_only;
    } cases[] = {
        {"target=/x", true},
        {"type=bind,target=/x,rw", false},
        {"type=bind,target=/x,readonly=false", false},
        {"type=cache,target=/x", false},
        {"type=cache,target=/x,rw=0", true},
        {"type=tmpfs,target=/x", false},
        {"type=secret,id=s", true},
        {"type=ssh", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;
        parse_ok(cases[i].text, &mount);
        assert_int_equal(mount.read_only, cases[i].read_only);
    }
}

static void test_fields_are_split_before_expansion(void **state)
{
    CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;

    (void)state;
    parse_ok("source=$COMMA,\"target=/q,r\"", &mount);
    assert_string_equal(mount.source, "a,b=c");
    assert_string_equal(mount.target, "/q,r");
    assert_null(mount.from);
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t size;
    } cases[] = {
        {"4096", 4096},
        {"64m", 64 << 20},
        {"64MiB", 64 << 20},
        {"1.5 gb", 1610612736},
        {".5k", 512},
        {"1b", 1},
        {"1x", -1},
        {"", -1},
        {"-1", -1},
        {"1kbb", -1},
        {"99999999999999p", -1},
        {"1mi", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;
        CLEANUP(base_freep)
        char *text = base_format("type=tmpfs,target=/x,size=%s", cases[i].text);
        const int result = parse(text, &mount, &err);
        if ((result < 0) != (cases[i].size < 0) ||
            (result == 0 && mount.size != cases[i].size))
            fail_msg("%s: %d %jd", cases[i].text, result, (intmax_t)mount.size);
    }
}

static void test_wrong_mounts_are_refused_at_the_flag(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"type=magic", "unsupported mount type \"magic\""},
        {"type=cach", "unsupported mount type \"cach\" (did you mean cache?)"},
        {"type=cache,sharing=no", "unsupported sharing value \"no\""},
        {"targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"},
        {"target", "invalid field 'target' must be a key=value pair"},
        {"required", "unexpected key 'required' for mount type 'bind'"},
        {"type=cache,size=1", "unexpected key 'size' for mount type 'cache'"},
        {"mode=0755,target=/x", "mode not allowed for \"bind\" type mounts"},
        {"type=tmpfs,uid=1", "uid not allowed for \"tmpfs\" type mounts"},
        {"type=cache,mode=8", "invalid value for mode: 8"},
        {"type=cache,uid=-1", "invalid value for uid: -1"},
        {"ro=maybe", "invalid value for ro: maybe"},
        {"type=secret", "invalid secret mount. one of source, target required"},
        {"type=secret,id=a,src=b", "both source and id can't be set"},
        {"type=secret,id=a,from=b", "secret mount should not have a from"},
        {"type=secret,id=a,sharing=shared", "secret mount should not define sharing"},
        {"sharing=shared", "invalid cache sharing set for bind mount"},
        {"source=a\"b", "bare \" in non-quoted-field"},
        {"\"source=a", "extraneous or missing \" in quoted-field"},
        {"source=${X:?unset}", "failed to process \"${X:?unset}\": X: unset"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        CLEANUP(dockerfile_mount_release) struct dockerfile_mount mount;
        assert_int_equal(parse(cases[i].text, &mount, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(err.pos.line, 3);
        assert_string_equal(error_text(&err), cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_options_of_a_cache),
        cmocka_unit_test(test_a_type_given_again_forgets_what_only_the_one_before_takes),
        cmocka_unit_test(test_defaults_depend_on_the_type),
        cmocka_unit_test(test_fields_are_split_before_expansion),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_wrong_mounts_are_refused_at_the_flag),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
