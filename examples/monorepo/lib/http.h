/* The least of an HTTP server: one request after the other, GET only. */
#pragma once

#include <stddef.h>

#define HTTP_ANSWER_MAX 512

/* Writes the answer to a request for `target`, a path with its query, as a C string to `out`.
 * Returns the status: 200, 404, ... */
typedef int http_handler(const char *target, char out[HTTP_ANSWER_MAX]);

/* The value of `name` in the query of `target`, decoded, cut at `size` - 1 bytes; NULL if it is
 * not there or badly encoded. */
const char *http_query(const char *target, const char *name, char *out, size_t size);

/* Serves on $PORT until the process is told to end; the exit status of the program. */
int http_serve(const char *service, http_handler *handle);
