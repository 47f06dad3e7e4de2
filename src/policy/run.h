/* run.h: one run of the program nft. */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* Run it with these words (ends with NULL) and `input` (NULL: none) on its standard input. *output (NULL: not
 * wanted) gets its standard output, with a NUL behind, and is freed by the caller. ERR_SYSTEM with the first
 * line of what it wrote on standard error; ERR_UNSUPPORTED: it is not installed. */
MUST_CHECK enum status nft_run(const char *const *words, const char *input, size_t length, char **output,
			       struct error *err);
