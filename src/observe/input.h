/* input.h: the octets of a capture file, in order. Private to observe/.
 *
 * File or pipe, it is read into one buffer of fixed size, which is refilled only when nobody holds a packet
 * in it; packets are handed out where they lie. No allocation after opening. Not mapped: that was no faster
 * (docs/performance.md), counts the file as our memory, and a file that gets shorter would end us by SIGBUS.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"

enum {
	INPUT_ROOM = 4 << 20,  /* the buffer */
	INPUT_READ = 64 << 10, /* one read */
	INPUT_NEED_MAX = 1 << 20,
};

struct input {
	const uint8_t *data; /* the window */
	size_t at, end;      /* next octet to read; octets in the window */
	uint64_t base;       /* offset of data[0] in the file */
	uint64_t total;      /* size of the file; 0: not known */
	uint64_t skip;       /* octets still to be thrown away after the window */
	uint8_t *buffer;     /* owned; NULL when the octets are borrowed */
	uint8_t *room;       /* where it reads into: `buffer`, or what input_use gave */
	bool pinned;         /* somebody holds packets in the window: no refill now */
	int fd;              /* owned; -1 when there is nothing more to read */
};

/* Open a file by name, "-" being standard input. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY. */
MUST_CHECK enum status input_open(struct input *input, const char *path, struct error *err);

/* Read borrowed octets as if they were a file. */
void input_over(struct input *input, struct span octets);

void input_close(struct input *input);

/* Go on in other room, of INPUT_ROOM octets, which the caller keeps: what was not read yet moves there, and
 * packets in the window of before stay where they are. Nothing for borrowed octets. */
void input_use(struct input *input, uint8_t *room);

MUST_CHECK enum status input_refill(struct input *input, size_t octets, struct error *err);

/* Make `octets` (at most INPUT_NEED_MAX) present at input_here. END: the file has fewer. AGAIN: it takes a
 * refill, which `pinned` forbids because a batch still points into the window. ERR_SYSTEM: reading failed. */
MUST_CHECK static inline enum status input_need(struct input *input, size_t octets, bool pinned,
						struct error *err)
{
	if (likely(input->end - input->at >= octets))
		return OK;
	if (input->fd < 0)
		return END;
	return pinned || input->pinned ? AGAIN : input_refill(input, octets, err);
}

static inline const uint8_t *input_here(const struct input *input)
{
	return input->data + input->at;
}

/* Where a record ends is only known from its header, so the processor cannot run ahead by itself: start the
 * cache misses of what comes a few records later. A third off the time of a large file
 * (tests/bench/decode.c). Past the end of the window it does nothing. */
static inline void input_prefetch(const struct input *input)
{
	enum { AHEAD = 1024, LINE = 64 };
	const uintptr_t ahead = (uintptr_t)input_here(input) + AHEAD;

	__builtin_prefetch((const void *)ahead);
	__builtin_prefetch((const void *)(ahead + LINE));
}

/* Octets present; with END from input_need, all that are left. */
static inline size_t input_left(const struct input *input)
{
	return input->end - input->at;
}

static inline uint64_t input_offset(const struct input *input)
{
	return input->base + input->at;
}

/* Pass over `octets`, which may be more than there are: END when the file is known to be shorter. */
MUST_CHECK static inline enum status input_skip(struct input *input, uint64_t octets)
{
	if (octets <= input_left(input)) {
		input->at += (size_t)octets;
		return OK;
	}
	if (input->fd < 0)
		return END;
	input->skip = octets - input_left(input);
	input->at = input->end;
	return OK;
}
