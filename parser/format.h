/*
 * A Dockerfile in canonical layout (`cooper fmt`): instructions in upper case at the start
 * of their line, one blank after their name, no white space at line ends, no empty lines
 * within an instruction and never two between, LF line ends. Comments, line breaks, the
 * indentation of continued lines and the content of heredocs stay. What the file means does
 * not change: dockerfile_print_meaning of the result is the same; formatting it again
 * changes nothing.
 */
#pragma once

struct buf;
struct dockerfile;

void dockerfile_format(const struct dockerfile *file, struct buf *out);
