/*
 * YAML documents, read as the JSON document that they stand for: mappings with scalar keys,
 * sequences, scalars by the core schema of YAML 1.2 (with 0777 an octal number, as YAML 1.1
 * and Go's readers have it). One document a text; no aliases, no tags. libyaml does the
 * work, in a module that is loaded when the first document is read.
 */
#pragma once

#include "base/doc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

/*
 * Ownership: the document is the caller's.
 * Errors:    ERROR_INVALID with line and column in the message; ERROR_UNSUPPORTED for what
 *            is not read here, or if the module is missing.
 */
MUST_CHECK struct doc *yaml_doc_parse(struct view text, struct error *err);
