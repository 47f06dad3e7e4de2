/* run.h: many messages in one call to the transport (send_many of transport.h).
 *
 * One call takes messages of one length, and records of several templates do not make those. So where many
 * records wait, a window of the ring is sent template by template: messages of one template each, all of them
 * full, and a shorter one at the end. Records of one template keep their order; those of two do not, for
 * which IPFIX has no order anyway. Few records wait for nobody: they go as before, in mixed messages.
 *
 * What one call sends is on its way all at once, so a receiver's buffer sees it at once, too. Over a live
 * interface calls are therefore small, and no faster one after the other than messages by themselves would
 * be: what is saved is time of the processor, not of the network. A capture file goes as fast as it can, as
 * it always did.
 *
 * A window may take several turns. While some of its records are not sent, its session's positions in the
 * ring stay where it begins, and nothing else is sent from the ring. */
#pragma once

#include "export/layout.h"
#include "export/ring.h"

enum {
	RUN_RECORDS = 1 << 13,
	RUN_OCTETS = 65507,  /* of all messages of one call: the most that a datagram can have */
	RUN_LEAST = 1 << 16, /* octets of the ring; less is not worth messages that are not full */
	RUN_LEAST_RECORDS = 1 << 7,
	RUN_LIVE = 16,      /* messages of one call over a live interface */
	RUN_LIVE_NS = 2500, /* … for each of which the next call waits */
	RUN_MOST = 1 << 18, /* … and of one window, or an eighth of the ring: they are still in a cache
				 when they are copied, and are given up together */
};

/* A record of the window. */
struct run_entry {
	const uint8_t *data; /* in the ring */
	uint32_t offset;     /* of its position, from the window's begin */
	uint16_t length;
	uint16_t next; /* the next one of its layout; RUN_RECORDS: none */
};

struct run {
	uint64_t begin, end; /* ring positions */
	uint32_t left;       /* records that are not sent; 0: there is no window */
	int64_t pause_until; /* mono ns */
	uint16_t first[FLOW_LAYOUT_COUNT], last[FLOW_LAYOUT_COUNT]; /* of those; RUN_RECORDS: none */
	struct run_entry entry[RUN_RECORDS];
	uint8_t buffer[RUN_OCTETS];
};

struct session;
struct session_context;
struct moment;

/* There is a window, or enough waits for one. `last`: what waits at the end over a live interface goes as
 * before. */
bool run_is_due(const struct session *s, const struct session_context *context, bool last);

/* The receiver is to have its time first. */
bool run_is_early(const struct session *s);

/* One call's worth of messages; *messages: how many went. OK: they are gone, one way or the other. AGAIN: the
 * transport takes nothing now. END: no window, records go the other way now (a template has to go first). */
MUST_CHECK enum status run_send(struct session *s, const struct session_context *context, struct moment t,
				uint32_t *messages);

/* Give up what is left of the window. */
void run_give_up(struct session *s, const struct session_context *context, struct wall_ns wall);
