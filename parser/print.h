/*
 * The syntax tree as JSON, for people's own tools (`cooper parse --format json`).
 *
 * Schema. A WORD is {"text", "line", "column"}; lines and columns count from one, columns
 * in bytes. Members in [brackets] are left out where the file does not have the thing;
 * lists are there even if empty. Bytes that are not UTF-8 appear as U+FFFD.
 *
 *   file         {"source", "escape", "directives": [directive], "instructions":
 * [instruction], "stages": [stage]} directive    {"name": "syntax" | "escape" | "check",
 * "value": WORD} stage        {["name"], "image": WORD, "from": index, "end": index}
 * instructions from `from` (its FROM) up to, without, `end`; those before the first are
 * global instruction  {"kind": "RUN", "name": "run", "line", "column", "line_end",
 * "original", "flags": [WORD], "comments": [WORD], and by kind:} ADD, COPY "sources":
 * [WORD], "heredocs": [heredoc], "dest": WORD, "link",
 *                        ["from", "chown", "chmod", "checksum": WORD], "excludes": [WORD],
 *                        "parents", ["keep_git_dir", "unpack": bool]
 *     ARG, ENV, LABEL    "pairs": [{"name": WORD, ["value": WORD], "legacy"}]
 *     CMD, ENTRYPOINT,   "form": "exec" | "shell", "args": [WORD]
 *     SHELL
 *     EXPOSE, VOLUME     "args": [WORD]
 *     FROM               "image": WORD, ["platform": WORD, "as": WORD, "stage": "name"]
 *     HEALTHCHECK        "none": true, or "form", "args" and
 *                        "interval_ns", "timeout_ns", "start_period_ns",
 * "start_interval_ns", "retries" (0: inherited) MAINTAINER, STOPSIGNAL, USER, WORKDIR
 * "value": WORD ONBUILD            "trigger": WORD, "expression" RUN                "form":
 * "exec" | "shell" | "script", "args": [WORD], "script", "heredocs": [heredoc], "mounts":
 * [{"value": WORD, ["from"]}], "devices": [{"name": WORD, "required"}], "network":
 * "default" | "none" | "host", "insecure" heredoc      {"name": WORD, "content", "line",
 * "expand", "strip_tabs", "descriptor"}
 */
#pragma once

struct buf;
struct dockerfile;

/* Appends the tree, indented, with a newline at its end. */
void dockerfile_print_json(const struct dockerfile *file, struct buf *out);

/* The same without "line", "column", and "name", "original", "line_end" and "as" of
 * instructions: equal for files that mean the same but are laid out otherwise. */
void dockerfile_print_meaning(const struct dockerfile *file, struct buf *out);
