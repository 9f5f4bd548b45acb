/*
 * The door between parser/yaml.c and the module libcooper-yaml.so, which is all that knows
 * libyaml. See base/module.h. It gives the same document as JSON text.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/view.h"

#define PARSER_YAML_MODULE_FILE    "libcooper-yaml.so"
#define PARSER_YAML_MODULE_SYMBOL  "parser_yaml_libyaml_module"
#define PARSER_YAML_MODULE_VERSION 1u

struct parser_yaml_module {
    unsigned version;
    /* Appends to `out`. ERROR_INVALID, ERROR_UNSUPPORTED, ERROR_LIMIT. */
    int (*to_json)(struct view text, struct buf *out, struct error *err);
};
