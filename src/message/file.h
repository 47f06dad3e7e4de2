/* file.h: cut a stream of octets into messages: an IPFIX File (RFC 5655) or a TCP connection (RFC 7011
 * section 10.4.3). No I/O: the caller reads, this says where messages begin and end, and finds the stream
 * again after damage (RFC 5655 section 10.3).
 *
 * The octets of the stream lie in a window that the caller owns. After FRAME_MORE the caller moves what is
 * left (frame->at … frame->length) to the front if it likes, reads on, and calls frame_more. */
#pragma once

#include <stdbool.h>

#include "message/reader.h"

enum frame_result {
	FRAME_MESSAGE, /* *out is one message by its length; message_open judges it */
	FRAME_DAMAGE,  /* *out was skipped: no message could be found in it */
	FRAME_MORE,    /* more octets are needed: a window of FRAME_WINDOW_MIN is always enough */
	FRAME_END,     /* the stream is at its end */
};

enum { FRAME_WINDOW_MIN = IPFIX_MESSAGE_MAX + 2 };

struct frame_reader {
	const uint8_t *window;
	size_t length;
	size_t at;      /* what lies before was handed out */
	bool final;     /* the stream ends with the window */
	bool searching; /* after damage: the next message must prove itself */
	size_t skipped; /* octets from `at` that are known to be damage */
};

/* The window now is this; `at` goes back to 0, so the first octet is the first that was not handed out. */
static inline void frame_more(struct frame_reader *r, const uint8_t *window, size_t length, bool final)
{
	r->window = window;
	r->length = length;
	r->final = final;
	r->at = 0;
}

/* Octets that were not handed out yet. */
static inline size_t frame_left(const struct frame_reader *r)
{
	return r->length - r->at;
}

enum frame_result frame_next(struct frame_reader *reader, struct span *out);
