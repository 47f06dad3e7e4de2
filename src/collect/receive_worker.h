/* receive_worker.h: what a listener sees of its worker. One thread; nothing here locks but session_admit and
 * session_leave, which run once per connection. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "collect/receive.h"

enum { DATAGRAM_MAX = 65535 };

struct worker;
struct listener;

struct listener_type {
	const char *scheme;
	const char *usage;
	uint16_t default_port;
	bool secure; /* needs receiver_options.tls */

	/* Make a socket at `address` (scheme's port or the one given), and add it to the worker's epoll. */
	enum status (*open)(struct listener **out, struct worker *worker,
			    const struct sockaddr_storage *address, socklen_t length, struct error *err);
	void (*tick)(struct listener *); /* each second: deadlines, the kernel's counters */
	/* At the end, until nothing comes: what the kernel holds. */
	void (*drain)(struct listener *);
	/* End the sessions, close the sockets; the counters stay. */
	void (*close)(struct listener *);
	void (*free)(struct listener *);
};

/* First member of every listener. */
struct listener {
	const struct listener_type *type;
	struct worker *worker;
	int fd;
	uint16_t port;        /* host byte order */
	struct mono_ns spoke; /* the last log line about strangers: one a minute */
	_Atomic uint64_t counters[LISTENER_COUNTERS];
	_Atomic uint32_t open_sessions, receive_buffer;
};

/* What epoll's data.ptr points to. */
struct event_source {
	void (*ready)(struct event_source *, uint32_t events);
};

/* Connections at a time, over all workers. */
struct session_limits {
	pthread_mutex_t lock;
	uint32_t total, most, most_per_source, sources;
	struct source_count {
		struct in6_addr address;
		uint32_t count;
	} * source; /* `most` of them, `sources` in use */
};

enum listener_counter session_admit(struct session_limits *limits, const struct in6_addr *address);
void session_leave(struct session_limits *limits, const struct in6_addr *address);

/* One IPv4 address, or one IPv6 /64. */
bool same_source(const struct in6_addr *a, const struct in6_addr *b);

struct worker {
	const struct receiver_options *options; /* defaults put in */
	struct session_limits *limits;
	struct journal_writer *journal;
	uint32_t number;
	int epoll, wake;
	pthread_t thread;
	struct listener *listener[RECEIVER_LISTENS];
	uint32_t listeners;

	struct mono_ns now; /* read once a turn */
	struct wall_ns wall;
	uint32_t taken;  /* messages of this turn */
	bool more;       /* a listener left something behind */
	uint32_t nap_ns; /* in which no socket's buffer can overflow */
	struct journal_message batch[JOURNAL_BATCH];
	uint32_t batched;
};

static inline void listener_count(struct listener *l, enum listener_counter counter, uint64_t n)
{
	atomic_store_explicit(&l->counters[counter],
			      atomic_load_explicit(&l->counters[counter], memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Which counter refuses a message that begins with these octets, LISTENER_COUNTERS when none does. Whether
 * its Length fits is the caller's question. */
enum listener_counter message_refusal(const uint8_t *octets, size_t length);

/* One line a minute about senders that do not speak IPFIX. */
void say_refused(struct listener *l, enum listener_counter why, const struct journal_session *from);

/* The same in two steps, for a line with more in it. */
bool may_speak(struct listener *l);
void say_why(struct listener *l, enum listener_counter why, const struct journal_session *from,
	     const char *more);

/* Put a message into the batch; the octets and the peer must stay until worker_flush. Flushes a full batch.
 */
void worker_take(struct worker *w, struct listener *l, struct span octets, struct journal_peer *peer);
void worker_flush(struct worker *w);
/* Received, but not for the journal: of a session with a gap (journal.h). */
void worker_refuse(struct worker *w, struct listener *l, struct span octets, struct journal_peer *peer);

/* False with errno. */
bool worker_watch(struct worker *w, int fd, struct event_source *source);

/* The exporter's part of a session, from the address the kernel gave. */
void session_from(struct journal_session *out, const struct sockaddr_storage *address);
void session_print(const struct journal_session *session, char out[80]);

/* That a socket is bound to, host byte order. */
uint16_t port_of(int fd);

enum status worker_start(struct worker *w, struct error *err);

/* A datagram socket at `address`, in the listener; its buffer as the options want it; the kernel's drops,
 * counted
 * (`told`: as they stood before). */
enum status datagram_open(struct listener *l, const struct sockaddr_storage *address, socklen_t length,
			  struct error *err);
void datagram_enlarge_buffer(struct listener *l);
void datagram_count_drops(struct listener *l, uint32_t *told);

extern const struct listener_type udp_listener, tcp_listener, tls_listener, dtls_listener, sctp_listener,
	dtls_sctp_listener;
