/* link.h: a connection of the kernel's, one at a time, for the transports that have such (tcp.c, sctp.c):
 * made when dial.h says so, watched while it comes up, counted, waited for at its end.
 *
 * struct link is the first member of the transport's own state, so that what stands here can be its row in
 * struct transport_type as it is. What differs from kind to kind is a const struct link_kind. */
#pragma once

#include "transport/dial.h"

#define LINK_ENDING_NS (5 * NS_PER_S) /* for the last acknowledgement, when the peer ends it */

enum { LINK_MESSAGE_MAX = 65535 };

enum link_state { LINK_IDLE, LINK_CONNECTING, LINK_UP, LINK_ENDING };

struct link;

struct link_kind {
	int protocol;                 /* of the socket */
	const char *name;             /* "connection" */
	const char *is_up;            /* "connected" */
	bool (*prepare)(int fd);      /* options that connecting needs; false with errno */
	void (*begin)(struct link *); /* it is up: nothing of the one before counts any more */
	/* Bring `delivery` and `window` up to date; also when it has just ended. */
	void (*count)(struct link *);
	/* It ended after it was up, with this errno or 0: has the peer read all that was sent? */
	bool (*is_read)(const struct link *, int number);
	/* If not, how much of what is confirmed it may not have read. */
	uint64_t (*unread)(const struct link *);
};

struct link {
	struct transport transport;
	const struct link_kind *kind;
	struct dial dial;
	int fd; /* -1 when idle */
	enum link_state state;
	bool quiet;     /* somebody else has said why it ends */
	bool finishing; /* the end is ours: no other connection follows */
	uint16_t max_message;
	uint32_t generation;
	int64_t until;                                 /* mono ns: of connecting, of ending */
	int64_t patience, finish_until;                /* ns, mono ns: of finishing */
	uint64_t moved_octets, moved_window;           /* … when something moved last */
	uint64_t window;                               /* octets that the peer had room for */
	struct delivery delivery;                      /* in octets */
	size_t (*question)(void *, uint8_t *, size_t); /* of struct transport_options */
	void *question_arg;
	struct sockaddr_storage remote;
};

void link_init(struct link *l, const struct transport_type *type, const struct link_kind *kind,
	       const struct endpoint *to, const struct transport_options *options);
void link_fini(struct link *l); /* closes it, as the kernel does by itself */

/* While LINK_IDLE and LINK_CONNECTING: one step. */
void link_connect(struct link *l);

/* A message without sets; its octets, 0: there is none. */
size_t link_question(const struct link *l, uint8_t *out, size_t size);

/* It is gone: count what is known of its messages, close it, and say so. `number`: errno; 0: in order. */
void link_broken(struct link *l, const char *what, int number);
void link_let_go(struct link *l); /* likewise, without a word, and nothing is unsure */

/* Our end of it begins: nothing new is taken. true: there is nothing to wait for. */
bool link_finish(struct link *l, int64_t patience_ns);
/* true: the peer neither acknowledged nor read anything for as long as the patience is. */
bool link_is_stuck(struct link *l);

/* send's answer when it is no time for a message. */
enum status link_not_now(const struct link *l, const char *why, struct error *err);

/* Of struct transport_type. */
uint32_t link_generation(const struct transport *t);
struct delivery link_delivery(struct transport *t);
int link_poll_fd(const struct transport *t);
bool link_addresses(const struct transport *t, struct sockaddr_storage *local,
		    struct sockaddr_storage *remote);
