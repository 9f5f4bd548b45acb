/*
 * Numbers as Go reads them: durations, booleans, sizes in memory. Private to parser/.
 */
#pragma once

#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

/* time.ParseDuration: "1h30m", "1.5s", "-2us", "0". False: malformed or out of range. */
bool dockerfile_duration_parse(struct view text, int64_t *ns);
/* strconv.ParseBool: 1 t T TRUE true True 0 f F FALSE false False. */
bool dockerfile_bool_parse(struct view text, bool *value);
/* go-units RAMInBytes: "64m", "1.5 GiB", "4096". False: malformed or out of range. */
bool dockerfile_size_parse(struct view text, int64_t *size);
/* strconv.ParseInt with base 10: an optional sign. */
bool dockerfile_int_parse(struct view text, int64_t *value);
/* strconv.ParseUint with base 8. */
bool dockerfile_octal_parse(struct view text, uint32_t *value);
