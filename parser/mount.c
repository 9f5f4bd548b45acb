/*
 * RUN --mount, with its values expanded. Spec: BuildKit instructions/commands_runmount.go
 * parseMount.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "parser/csv.h"
#include "parser/dockerfile.h"
#include "parser/expand.h"
#include "parser/number.h"
#include "parser/suggest.h"

#include <ctype.h>
#include <stdlib.h>

static const char *const type_names[] = {
    [DOCKERFILE_MOUNT_BIND] = "bind",   [DOCKERFILE_MOUNT_CACHE] = "cache",
    [DOCKERFILE_MOUNT_TMPFS] = "tmpfs", [DOCKERFILE_MOUNT_SECRET] = "secret",
    [DOCKERFILE_MOUNT_SSH] = "ssh",
};

/* Without DOCKERFILE_SHARING_UNSET. */
static const char *const sharing_names[] = {"shared", "private", "locked"};

enum key {
    KEY_TYPE,
    KEY_FROM,
    KEY_SOURCE,
    KEY_SRC,
    KEY_TARGET,
    KEY_DST,
    KEY_DESTINATION,
    KEY_READONLY,
    KEY_RO,
    KEY_READWRITE,
    KEY_RW,
    KEY_ID,
    KEY_SHARING,
    KEY_REQUIRED,
    KEY_SIZE,
    KEY_MODE,
    KEY_UID,
    KEY_GID,
    KEY_ENV,
    KEY_COUNT,
};

static const char *const key_names[KEY_COUNT] = {
    [KEY_TYPE] = "type",
    [KEY_FROM] = "from",
    [KEY_SOURCE] = "source",
    [KEY_SRC] = "src",
    [KEY_TARGET] = "target",
    [KEY_DST] = "dst",
    [KEY_DESTINATION] = "destination",
    [KEY_READONLY] = "readonly",
    [KEY_RO] = "ro",
    [KEY_READWRITE] = "readwrite",
    [KEY_RW] = "rw",
    [KEY_ID] = "id",
    [KEY_SHARING] = "sharing",
    [KEY_REQUIRED] = "required",
    [KEY_SIZE] = "size",
    [KEY_MODE] = "mode",
    [KEY_UID] = "uid",
    [KEY_GID] = "gid",
    [KEY_ENV] = "env",
};

const char *dockerfile_mount_type_name(enum dockerfile_mount_type type)
{
    return type_names[type];
}

void dockerfile_mount_release(struct dockerfile_mount *mount)
{
    free(mount->from);
    free(mount->source);
    free(mount->target);
    free(mount->id);
    free(mount->env);
    *mount = (struct dockerfile_mount){.type = DOCKERFILE_MOUNT_BIND};
}

/* One field while it is read. */
struct field {
    struct view text; /* key=value, before expansion */
    struct view key;
    struct view value; /* expanded */
    struct dockerfile_mount *mount;
    bool *access_given; /* was there a ro or rw? */
    struct error *err;
};

static int invalid_value(const struct field *field)
{
    return error_set(field->err, ERROR_INVALID, "invalid value for %.*s: %.*s",
                     VIEW_ARG(field->key), VIEW_ARG(field->value));
}

static int unexpected_for_type(const struct field *field)
{
    return error_set(field->err, ERROR_INVALID, "unexpected key '%.*s' for mount type '%s'",
                     VIEW_ARG(field->key), type_names[field->mount->type]);
}

static int unknown_value(const struct field *field,
                         const char *what,
                         const char *const *names,
                         size_t count)
{
    CLEANUP(buf_release) struct buf hint = BUF_INIT(LIMIT_NAME_SIZE);

    dockerfile_suggest_append(&hint, field->value, names, count, false);
    return error_set(field->err, ERROR_INVALID, "unsupported %s \"%.*s\"%s", what,
                     VIEW_ARG(field->value), buf_text(&hint));
}

static bool can_be_required(const struct dockerfile_mount *mount)
{
    return mount->type == DOCKERFILE_MOUNT_SECRET || mount->type == DOCKERFILE_MOUNT_SSH;
}

/* A type may be given again. What was said for the one before, and means nothing for this
 * one, has no effect, as in BuildKit. */
static void take_type(struct dockerfile_mount *mount, enum dockerfile_mount_type type)
{
    mount->type = type;
    if (type != DOCKERFILE_MOUNT_TMPFS)
        mount->size = 0;
    if (!can_be_required(mount))
        mount->required = false;
}

static int set_type(const struct field *field)
{
    for (unsigned i = 0; i < ARRAY_COUNT(type_names); i++) {
        if (view_eq_nocase(field->value, type_names[i])) {
            take_type(field->mount, (enum dockerfile_mount_type)i);
            return 0;
        }
    }
    return unknown_value(field, "mount type", type_names, ARRAY_COUNT(type_names));
}

static int set_sharing(const struct field *field)
{
    for (unsigned i = 0; i < ARRAY_COUNT(sharing_names); i++) {
        if (view_eq_nocase(field->value, sharing_names[i])) {
            field->mount->sharing =
                (enum dockerfile_sharing)(DOCKERFILE_SHARING_SHARED + i);
            return 0;
        }
    }
    return unknown_value(field, "sharing value", sharing_names, ARRAY_COUNT(sharing_names));
}

static int set_text(const struct field *field, char **text)
{
    free(*text);
    *text = view_dup(field->value);
    return 0;
}

static int set_access(const struct field *field, bool read_only)
{
    bool value;

    if (!dockerfile_bool_parse(field->value, &value))
        return invalid_value(field);
    field->mount->read_only = value == read_only;
    *field->access_given = true;
    return 0;
}

static int set_required(const struct field *field)
{
    if (!can_be_required(field->mount))
        return unexpected_for_type(field);
    return dockerfile_bool_parse(field->value, &field->mount->required)
               ? 0
               : invalid_value(field);
}

static int set_size(const struct field *field)
{
    if (field->mount->type != DOCKERFILE_MOUNT_TMPFS)
        return unexpected_for_type(field);
    return dockerfile_size_parse(field->value, &field->mount->size) ? 0
                                                                    : invalid_value(field);
}

static int set_mode(const struct field *field)
{
    field->mount->has_mode = true;
    return dockerfile_octal_parse(field->value, &field->mount->mode) ? 0
                                                                     : invalid_value(field);
}

static int set_owner(const struct field *field, bool *has, uint32_t *id)
{
    uint64_t value;

    if (!view_to_u64(field->value, &value) || value > UINT32_MAX)
        return invalid_value(field);
    *has = true;
    *id = (uint32_t)value;
    return 0;
}

static bool find_key(struct view name, enum key *key)
{
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        if (view_eq_nocase(name, key_names[i])) {
            *key = (enum key)i;
            return true;
        }
    }
    return false;
}

static int set_key(const struct field *field, enum key key)
{
    struct dockerfile_mount *mount = field->mount;

    switch (key) {
    case KEY_TYPE:
        return set_type(field);
    case KEY_FROM:
        return set_text(field, &mount->from);
    case KEY_SOURCE:
    case KEY_SRC:
        return set_text(field, &mount->source);
    case KEY_TARGET:
    case KEY_DST:
    case KEY_DESTINATION:
        return set_text(field, &mount->target);
    case KEY_READONLY:
    case KEY_RO:
        return set_access(field, true);
    case KEY_READWRITE:
    case KEY_RW:
        return set_access(field, false);
    case KEY_ID:
        return set_text(field, &mount->id);
    case KEY_SHARING:
        return set_sharing(field);
    case KEY_REQUIRED:
        return set_required(field);
    case KEY_SIZE:
        return set_size(field);
    case KEY_MODE:
        return set_mode(field);
    case KEY_UID:
        return set_owner(field, &mount->has_uid, &mount->uid);
    case KEY_GID:
        return set_owner(field, &mount->has_gid, &mount->gid);
    case KEY_ENV:
        return set_text(field, &mount->env);
    case KEY_COUNT:
        break;
    }
    return unexpected_for_type(field);
}

/* `ro`, `rw`, `required`: what may stand without a value. */
static int read_word(const struct field *field)
{
    enum key key = KEY_COUNT;

    find_key(field->key, &key);
    switch ((unsigned)key) {
    case KEY_READONLY:
    case KEY_RO:
    case KEY_READWRITE:
    case KEY_RW:
        field->mount->read_only = key == KEY_READONLY || key == KEY_RO;
        *field->access_given = true;
        return 0;
    case KEY_REQUIRED:
        if (!can_be_required(field->mount))
            return unexpected_for_type(field);
        field->mount->required = true;
        return 0;
    default:
        return error_set(field->err, ERROR_INVALID,
                         "invalid field '%.*s' must be a key=value pair",
                         VIEW_ARG(field->text));
    }
}

static int read_field(struct field *field, const struct dockerfile_expand *expand)
{
    CLEANUP(buf_release) struct buf expanded = BUF_INIT(LIMIT_TEXT_SIZE);
    CLEANUP(buf_release) struct buf hint = BUF_INIT(LIMIT_NAME_SIZE);
    struct view value;
    enum key key;

    if (!view_cut(field->text, '=', &field->key, &value))
        return read_word(field);
    if (dockerfile_expand(value, expand, &expanded, field->err) < 0)
        return -1;
    field->value = (struct view){buf_text(&expanded), expanded.size};
    if (find_key(field->key, &key))
        return set_key(field, key);
    dockerfile_suggest_append(&hint, field->key, key_names, KEY_COUNT, false);
    return error_set(field->err, ERROR_INVALID, "unexpected key '%.*s' in '%.*s'%s",
                     VIEW_ARG(field->key), VIEW_ARG(field->text), buf_text(&hint));
}

/* --- What holds for all fields together -------------------------------------------------
 */

static bool is_empty(const char *text)
{
    return !text || !*text;
}

static int check_owner(const struct dockerfile_mount *mount, struct error *err)
{
    const char *which = mount->has_mode  ? "mode"
                        : mount->has_uid ? "uid"
                        : mount->has_gid ? "gid"
                                         : NULL;

    if (!which ||
        (mount->type != DOCKERFILE_MOUNT_BIND && mount->type != DOCKERFILE_MOUNT_TMPFS))
        return 0;
    return error_set(err, ERROR_INVALID, "%s not allowed for \"%s\" type mounts", which,
                     type_names[mount->type]);
}

static int check_secret(const struct dockerfile_mount *mount, struct error *err)
{
    if (mount->type != DOCKERFILE_MOUNT_SECRET)
        return 0;
    if (!is_empty(mount->from))
        return error_set(err, ERROR_INVALID, "secret mount should not have a from");
    if (mount->sharing != DOCKERFILE_SHARING_UNSET)
        return error_set(err, ERROR_INVALID, "secret mount should not define sharing");
    if (is_empty(mount->source) && is_empty(mount->target) && is_empty(mount->id))
        return error_set(err, ERROR_INVALID,
                         "invalid secret mount. one of source, target required");
    if (!is_empty(mount->source) && !is_empty(mount->id))
        return error_set(err, ERROR_INVALID, "both source and id can't be set");
    return 0;
}

static int check(const struct dockerfile_mount *mount, struct error *err)
{
    if (check_owner(mount, err) < 0 || check_secret(mount, err) < 0)
        return -1;
    if (mount->sharing != DOCKERFILE_SHARING_UNSET && mount->type != DOCKERFILE_MOUNT_CACHE)
        return error_set(err, ERROR_INVALID, "invalid cache sharing set for %s mount",
                         type_names[mount->type]);
    return 0;
}

static int read_fields(struct view text,
                       const struct dockerfile_expand *expand,
                       struct dockerfile_mount *mount,
                       struct error *err)
{
    CLEANUP(buf_release) struct buf space = BUF_INIT(LIMIT_DOCKERFILE_SIZE);
    bool access_given = false;
    size_t at = 0;

    for (bool more = true; more;) {
        struct field field = {.mount = mount, .access_given = &access_given, .err = err};
        if (dockerfile_csv_field(text, &at, &space, &field.text, &more, err) < 0 ||
            read_field(&field, expand) < 0)
            return -1;
    }
    if (!access_given)
        mount->read_only =
            mount->type != DOCKERFILE_MOUNT_CACHE && mount->type != DOCKERFILE_MOUNT_TMPFS;
    return check(mount, err);
}

int dockerfile_mount_parse(struct dockerfile_word value,
                           const struct dockerfile_expand *expand,
                           struct dockerfile_mount *mount,
                           struct error *err)
{
    *mount = (struct dockerfile_mount){.type = DOCKERFILE_MOUNT_BIND};
    if (read_fields(value.text, expand, mount, err) < 0)
        return error_locate(err, value.pos);
    return 0;
}
