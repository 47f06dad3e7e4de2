/* texts.h: each different text once, with a number. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

struct texts;

#define TEXTS_NONE UINT32_MAX

struct texts *texts_new(size_t octets_most); /* NULL: no memory */
void texts_free(struct texts *texts);

/* The number of a text, from 0. TEXTS_NONE: it is not there, and `add` was false or there is no room for it.
 */
uint32_t texts_number(struct texts *texts, struct span text, bool add);

/* Borrowed until the next texts_number. */
struct span texts_at(const struct texts *texts, uint32_t number);
