/* stream.h: one direction of a captured TCP connection -> its octets in order -> messages. Minimal: a bounded
 * window, no urgent data, the first copy of an octet wins. */
#pragma once

#include "message/file.h"

enum {
	STREAM_WINDOW = 1 << 18, /* octets that may wait for a missing segment or the end of a message */
	STREAM_PIECES_MAX = 64,  /* separate pieces that may wait */
};

struct stream_stats {
	uint64_t lost;    /* octets that never came */
	uint64_t damaged; /* octets in which no message was found */
};

struct stream {
	uint8_t *window; /* STREAM_WINDOW octets from the first segment on */
	uint32_t base;   /* sequence number of window[0] */
	size_t ready;    /* octets from there without a hole */
	struct {
		size_t from, to;
	} pieces[STREAM_PIECES_MAX]; /* behind the first hole, in order, apart from each other */
	unsigned piece_count;
	bool judged; /* the first octets have been seen */
	bool other;  /* they are no IPFIX: the rest is passed over */
	struct frame_reader frames;
};

/* The sequence number of the first octet. `anywhere`: the capture may begin inside a message. */
void stream_begin(struct stream *s, uint32_t sequence, bool anywhere);
void stream_fini(struct stream *s);

typedef void stream_message(void *arg, struct span message);

/* One segment; every message that is now complete goes to `sink`. ERR_MEMORY. */
MUST_CHECK enum status stream_segment(struct stream *s, uint32_t sequence, struct span octets,
				      struct stream_stats *stats, stream_message *sink, void *arg);
