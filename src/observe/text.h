/* text.h: names from outside (interfaces, rules) that end up in logs, JSON and records. */
#pragma once

#include <stddef.h>

/* Copy what is printable UTF-8, put '?' for the rest, cut between characters; what is left of `out` is zero.
 */
void copy_clean(char *out, size_t size, const char *text);
