/*
 * What a build takes from outside, by name: the main context, --build-context directories,
 * layouts and images, images of the store and of registries. Each is opened once, when it
 * is first asked for. One thread at a time; what it hands out may be shared.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "builder/build.h"
#include "builder/context.h"
#include "builder/graph.h"
#include "builder/remote.h"
#include "registry/platform.h"

#include <stdbool.h>

struct build_inputs;
struct dockerfile_ignore;

/* `request` and `env` are borrowed. Checks the names and values of --build-context. */
MUST_CHECK struct build_inputs *build_inputs_new(const struct build_environment *env,
                                                 const struct build_request *request,
                                                 struct error *err);
void build_inputs_free(struct build_inputs *in);

/* The Dockerfile's text, the name that stands in messages, and whether .dockerignore beside
 * it (NAME.dockerignore) is to be used. */
MUST_CHECK int build_inputs_dockerfile(struct build_inputs *in,
                                       struct buf *text,
                                       const char **name,
                                       struct error *err);

/* What .dockerignore (or NAME.dockerignore beside the Dockerfile) leaves out of the main
 * context; *out is NULL if there is none. The caller owns it. Not before the Dockerfile. */
MUST_CHECK int build_inputs_ignore(struct build_inputs *in,
                                   struct dockerfile_ignore **out,
                                   struct error *err);

/* Of the main context, for who builds again; all malloc'ed, NULL where there is none. The
 * absolute path of a directory or archive, the URL without a password (of a repository with
 * the commit), "-" for standard input; */
char *build_inputs_origin(const struct build_inputs *in);
/* the Dockerfile's path, absolute for a directory, else within the context; */
char *build_inputs_dockerfile_path(const struct build_inputs *in);
/* the commit that the repository or the working tree is at. */
char *build_inputs_revision(const struct build_inputs *in);

/* The main context. ERROR_INVALID if the build has none. */
MUST_CHECK struct build_context *build_inputs_context(struct build_inputs *in,
                                                      struct error *err);

/* The file that stands in messages for what .dockerignore is: its name, or NULL. Borrowed.
 */
const char *build_inputs_ignore_name(const struct build_inputs *in);

/* A file or repository elsewhere; equal options give the same. Borrowed from `in`. */
MUST_CHECK struct build_remote *build_inputs_remote(
    struct build_inputs *in, const struct build_remote_options *options, struct error *err);

/* Asks for the keys of all of them at once, beside what the caller does next, where that is
 * a short question (does the copy at hand still count? which commit is it?). */
void build_inputs_ask_ahead(struct build_inputs *in);

/* The stage that --build-context NAME=target:STAGE puts in the place of `name`, or NULL. */
const char *build_inputs_target(struct build_inputs *in, const char *name);

/* The main context as if there were no .dockerignore, instead of build_inputs_context. */
MUST_CHECK struct build_context *build_inputs_whole_context(struct build_inputs *in,
                                                            struct error *err);

enum build_named { BUILD_NAMED_NONE, BUILD_NAMED_DIRECTORY, BUILD_NAMED_IMAGE };

/* What --build-context gives for `name` (a stage's name or an image reference), if
 * anything. */
MUST_CHECK int build_inputs_named(struct build_inputs *in,
                                  const char *name,
                                  const struct registry_platform *platform,
                                  enum build_named *kind,
                                  struct build_context **context,
                                  struct build_image **image,
                                  struct error *err);

/* The same image that build_inputs_named and build_inputs_image would give, if it can be
 * had without asking anybody: *out is NULL if not. The caller owns it (build_image_free).
 */
MUST_CHECK int build_inputs_find_image(struct build_inputs *in,
                                       const char *reference,
                                       const struct registry_platform *platform,
                                       struct build_image **out,
                                       struct error *err);

void build_image_free(struct build_image *image); /* NULL is fine */

/* An image by reference: from the store if it is there (and --pull does not ask otherwise),
 * else from its registry; manifest and config only. The caller owns it. */
MUST_CHECK struct build_image *build_inputs_image(struct build_inputs *in,
                                                  const char *reference,
                                                  const struct registry_platform *platform,
                                                  struct error *err);
