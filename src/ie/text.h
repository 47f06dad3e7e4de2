/* text.h: append text to a buffer that somebody else owns, and hand it on when it is full.
 *
 * With `flush` the buffer is emptied through it whenever the next piece has no room, so the text as a whole
 * has no limit. Without, text that does not fit is left out and `full` is set. Nothing here allocates. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

enum { TEXT_PIECE_MAX = 256 }; /* the most that text_reserve may be asked for */

struct text {
	char *data;
	size_t used;
	size_t capacity;                                           /* at least TEXT_PIECE_MAX */
	bool full;                                                 /* something was left out */
	void (*flush)(void *arg, const char *data, size_t length); /* NULL: none */
	void *flush_arg;
};

/* Hand on what is there. Without `flush` nothing happens. */
static inline void text_flush(struct text *t)
{
	if (!t->flush)
		return;
	if (t->used)
		t->flush(t->flush_arg, t->data, t->used);
	t->used = 0;
}

/* Make room for `n` <= TEXT_PIECE_MAX more. False: there is none, the caller leaves its piece out. */
static inline bool text_reserve(struct text *t, size_t n)
{
	if (likely(t->capacity - t->used >= n))
		return true;
	text_flush(t);
	if (t->capacity - t->used >= n)
		return true;
	t->full = true;
	return false;
}

/* For the caller who has reserved. */
static inline void text_push(struct text *t, char c)
{
	t->data[t->used++] = c;
}

static inline void text_char(struct text *t, char c)
{
	if (text_reserve(t, 1))
		text_push(t, c);
}

static inline void text_put(struct text *t, const char *s, size_t length)
{
	while (length) {
		const size_t n = length < TEXT_PIECE_MAX ? length : TEXT_PIECE_MAX;

		if (!text_reserve(t, n))
			return;
		memcpy(t->data + t->used, s, n);
		t->used += n;
		s += n;
		length -= n;
	}
}

static inline void text_string(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

void text_unsigned(struct text *t, uint64_t v);
void text_signed(struct text *t, int64_t v);

/* "0x" and two digits an octet, in quotes; no octets give "". */
void text_hex(struct text *t, const uint8_t *octets, size_t length);
