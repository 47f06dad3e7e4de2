/* input.h: where a loader's messages come from: the journal of a collector, or a file. */
#pragma once

#include <netinet/in.h>

#include "base/error.h"
#include "base/span.h"
#include "base/time.h"

enum { INPUT_WORKERS_MAX = 256 };

/* Where a message lies. Positions of one worker are ordered. */
struct input_position {
	uint32_t worker;
	uint32_t segment;
	uint64_t offset;
};

/* The Transport Session it came by. No octets between the members, and the last is zero: compared as octets.
 */
struct input_peer {
	struct in6_addr address; /* of the exporter; IPv4 as ::ffff:a.b.c.d */
	uint64_t number;         /* of the connection; 0 over UDP */
	uint32_t scope;          /* interface index of a link-local address, else 0 */
	uint16_t port;           /* of the exporter, host byte order */
	uint16_t local_port;
	uint8_t transport; /* enum input_transport */
	uint8_t unused[7];
};

/* Numbers as the journal has them. */
enum input_transport {
	INPUT_UDP = 1,
	INPUT_TCP = 2,
	INPUT_SCTP = 3,
	INPUT_TLS = 4,
	INPUT_DTLS = 5,
	INPUT_FILE = 6,
	INPUT_DTLS_SCTP = 7,
};

struct input_message {
	struct span octets; /* good until the next call */
	struct wall_ns received;
	struct input_peer peer;
	struct input_position next; /* behind it */
};

struct input {
	void *arg;
	/* OK; END: nothing more now; ERR_FORMAT: something damaged was stepped over, `err` names it, go on;
	 * else: it failed. */
	enum status (*next)(void *arg, struct input_message *out, struct error *err);
	/* What lies before is in partitions now and may go; NULL: nobody cares. */
	enum status (*release)(void *arg, struct input_position position, struct error *err);
};
