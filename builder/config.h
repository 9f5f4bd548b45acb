/*
 * An image config while it is being built: the document of the specification, and the
 * accessors that the planner needs. Members that cooper does not know are kept.
 * Spec: OCI image-spec config.md; docker image-spec v1.2 (Healthcheck, Shell, OnBuild).
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/view.h"
#include "registry/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build_config {
    struct doc *root;          /* the whole config */
    size_t base_history_count; /* entries that came with the base image */
};

/* The config of an image without files: WorkingDir "/", PATH. */
void build_config_init_empty(struct build_config *c, const struct registry_platform *p);
/* From a base image's document, copied; created is dropped. */
void build_config_init_base(struct build_config *c, const struct doc *base);
void build_config_copy(struct build_config *to, const struct build_config *from);
void build_config_release(struct build_config *c); /* idempotent */

/* The "config" object, created if absent; borrowed. */
struct doc *build_config_inner(struct build_config *c);
/* A text member of "config"; "" where absent. */
const char *build_config_text(const struct build_config *c, const char *member);
/* "" removes the member. */
void build_config_set_text(struct build_config *c, const char *member, const char *text);
/* Replaces a member of "config" by a list of texts; NULL items: removes it. */
void build_config_set_list(struct build_config *c,
                           const char *member,
                           char *const *items,
                           size_t count);
/* Sets a key in an object member ("Labels": text value; "ExposedPorts", "Volumes": {}). */
void build_config_set_key(struct build_config *c,
                          const char *member,
                          const char *key,
                          const char *value);

/* Env: the first entry of that name is replaced in its place, else appended. */
void build_config_env_set(struct build_config *c, struct view name, struct view value);
bool build_config_env_get(const struct build_config *c,
                          struct view name,
                          struct view *value);

/* Appends a history entry (time filled in when the image is made). */
void build_config_history(struct build_config *c, const char *created_by, bool empty_layer);
