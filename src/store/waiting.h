/* waiting.h: data sets that came before their template: kept for a while, within bounds, decoded when it
 * comes. No session can take more than a share, so that none can fill the room for all. */
#pragma once

#include "store/peer.h"

struct waiting_limits {
	uint32_t sets;       /* in all */
	uint64_t octets;     /* in all */
	uint32_t share;      /* a session may have one in so many of both */
	int64_t patience_ms; /* by the time of receipt; then they are given up */
};

struct waiting_set {
	struct waiting_set *next; /* later */
	struct peer *peer;
	struct message_header header;
	int64_t received_ms;
	uint16_t set_id;
	uint32_t length;
	uint8_t octets[];
};

struct waiting {
	struct waiting_limits limits;
	struct waiting_set *first, **last; /* in the order they came */
	uint32_t sets;
	uint64_t octets;
	bool changed; /* since somebody set it to false */
};

struct waiting_limits waiting_limits_default(void);
void waiting_init(struct waiting *w, const struct waiting_limits *limits);
void waiting_fini(struct waiting *w);

/* Keep a copy, or count it as without room. */
void waiting_put(struct waiting *w, struct peer *peer, const struct message_header *header,
		 const struct set *set, int64_t received_ms);

/* Called for each set of a peer whose template may be there now: OK or ERR_FORMAT: done with it. */
typedef enum status waiting_try(void *arg, const struct waiting_set *set);
void waiting_retry(struct waiting *w, struct peer *peer, waiting_try *try, void *arg);

/* Give up what came before `before_ms`. */
void waiting_expire(struct waiting *w, int64_t before_ms);

/* Let go of all sets of a peer that ends. */
void waiting_drop(struct waiting *w, struct peer *peer);
