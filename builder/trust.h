/*
 * Certificate authorities that are trusted besides the public ones: --ca. Programs find
 * them by variables and in the bundles of distributions; both are known here.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/view.h"

#include <stddef.h>

/* ERROR_INVALID unless the text has a PEM certificate and no private key. */
MUST_CHECK int build_trust_check(struct view pem, struct error *err);

/* Where distributions keep the bundle that their programs trust; NULL past the last. */
const char *build_trust_bundle_at(size_t index);
/* Variables that name a bundle; NULL past the last. */
const char *build_trust_variable_at(size_t index);

/* This machine's own bundle; empty where it has none. */
void build_trust_system(struct buf *out);
/* A bundle, and what is trusted besides, as one text. */
void build_trust_join(struct view bundle, struct view ca, struct buf *out);
