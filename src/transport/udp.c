/* IPFIX over UDP (RFC 7011 section 10.3): one connected, non-blocking socket per collector for as long as the
 * process lives. An ICMP error is read and counted; it never closes the socket, and its port stays the same,
 * because collectors tell Transport Sessions apart by it.
 *
 * Host names: looked up when the transport opens (waiting at most OPEN_WAIT_NS, so that a working resolver
 * costs no records), again every LOOKUP_PERIOD_NS and sooner after errors, in a thread beside the loop
 * (transport/lookup.h). The address in use is kept for as long as the name has it; so a rotating DNS answer
 * does not move the session. Addresses are never looked up. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "base/time.h"
#include "transport/lookup.h"
#include "transport/transport.h"

#define OPEN_WAIT_NS     (1 * NS_PER_S)
#define CONNECT_RETRY_NS (1 * NS_PER_S)   /* no route: the routing table is asked again */
#define LOOKUP_FIRST_NS  (5 * NS_PER_S)   /* a failed look-up is tried again, each time later … */
#define LOOKUP_PERIOD_NS (300 * NS_PER_S) /* … up to this, which is also how often a good one is checked */
#define LOOKUP_ERROR_NS  (30 * NS_PER_S)  /* after an error the name may have moved: this often at most */
#define MTU_PERIOD_NS    (60 * NS_PER_S)  /* the kernel forgets a lowered path MTU after some minutes */
#define LOG_QUIET_NS     (60 * NS_PER_S)  /* one line about trouble per collector in this time */

enum {
	UNKNOWN_PACKET = 512, /* RFC 7011 10.3.3: octets of a packet when the path MTU is not known */
	IPV4_HEADERS = 20 + 8,
	IPV6_HEADERS = 40 + 8,
	SEND_TRIES = 4,   /* an error of an earlier datagram is reported in place of sending this one */
	ERRORS_READ = 64, /* of the error queue in one go: bounded work */
	SEND_BUFFER = 1 << 20,
	SEGMENTS_MAX = 64, /* of one call: the least that any kernel which has it takes */
};

struct udp_transport {
	struct transport transport;
	const struct logger *log;
	int fd; /* -1: no address yet */
	bool connected;
	bool segments;       /* the kernel cuts one call's octets into datagrams (UDP_SEGMENT) … */
	bool refused;        /* … but not on this route */
	uint16_t port;       /* destination */
	uint16_t local_port; /* network byte order; 0: none yet. Ours for good once we have it */
	uint16_t max_message;
	uint32_t generation;
	int path_mtu; /* of IP packets; 0: unknown */
	bool named;   /* the host is a name */
	struct sockaddr_storage remote;
	struct lookup *lookup; /* under way */
	int64_t looked_at, lookup_at, lookup_backoff;
	int64_t connect_at, mtu_at;
	int64_t log_at;
	const char *scheme; /* as the endpoint has it: Udp, or what stands on it */
	char host[sizeof((struct endpoint *)0)->host];
};

static struct udp_transport *self(struct transport *t)
{
	return (struct udp_transport *)t;
}

static socklen_t address_length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	return a->ss_family == b->ss_family && memcmp(a, b, address_length(a)) == 0;
}

/* Trouble is logged once a minute at most; all of it is counted. */
static void trouble(struct udp_transport *u, const char *what, int number)
{
	const int64_t now = mono_now().ns;

	u->transport.errors++;
	if (now < u->log_at)
		return;
	u->log_at = now + LOG_QUIET_NS;
	log_warn(u->log, "collector %s/%s:%u: %s%s%s; export goes on", u->scheme, u->host, u->port, what,
		 number ? ": " : "", number ? strerror(number) : "");
}

static void read_path_mtu(struct udp_transport *u)
{
	const bool v6 = u->remote.ss_family == AF_INET6;
	socklen_t length = sizeof u->path_mtu;

	u->mtu_at = mono_now().ns + MTU_PERIOD_NS;
	if (getsockopt(u->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &u->path_mtu, &length) <
	    0)
		u->path_mtu = 0;
}

static void set_options(int fd, sa_family_t family)
{
	const bool v6 = family == AF_INET6;
	const int yes = 1, size = SEND_BUFFER, find = v6 ? IPV6_PMTUDISC_DO : IP_PMTUDISC_DO;

	/* A kernel that lacks one of these still sends; checksums are on unless SO_NO_CHECK is asked for. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &yes, sizeof yes);
	setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &find,
		   sizeof find);
}

static int make_socket(sa_family_t family)
{
	const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

	if (fd >= 0)
		set_options(fd, family);
	return fd;
}

/* Let go of route and source address, keep the port. An unconnected socket without a bound port loses it, so
 * it is bound to the number it had. */
static void dissolve(struct udp_transport *u)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage any = {.ss_family = u->remote.ss_family};

	if (connect(u->fd, &nobody, sizeof nobody) < 0 || !u->local_port)
		return;
	if (any.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&any)->sin6_port = u->local_port;
	else
		((struct sockaddr_in *)&any)->sin_port = u->local_port;
	/* Fails when it is bound for good already, which is what we want. */
	(void)!bind(u->fd, (const struct sockaddr *)&any, address_length(&any));
}

static uint16_t port_of(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)a)->sin6_port
					: ((const struct sockaddr_in *)a)->sin_port;
}

static bool attach(struct udp_transport *u)
{
	struct sockaddr_storage local;
	socklen_t length = sizeof local;

	if (connect(u->fd, (const struct sockaddr *)&u->remote, address_length(&u->remote)) < 0)
		return false;
	if (!u->local_port && getsockname(u->fd, (struct sockaddr *)&local, &length) == 0)
		u->local_port = port_of(&local);
	return true;
}

static void try_connect(struct udp_transport *u)
{
	const int no_segments =
		0; /* none unless a call asks for them: an older kernel does not know the option */

	u->connect_at = mono_now().ns + CONNECT_RETRY_NS;
	u->segments = setsockopt(u->fd, IPPROTO_UDP, UDP_SEGMENT, &no_segments, sizeof no_segments) == 0;
	u->refused = false;
	dissolve(u);
	u->connected = attach(u);
	if (!u->connected) {
		trouble(u, "cannot be reached", errno);
		return;
	}
	u->generation++;
	read_path_mtu(u);
}

/* The collector is at another address: the same socket unless the address family changed. */
static void use_address(struct udp_transport *u, const struct sockaddr_storage *address)
{
	if (u->fd >= 0 && u->remote.ss_family != address->ss_family) {
		close(u->fd);
		u->fd = -1;
	}
	u->remote = *address;
	u->connected = false;
	u->path_mtu = 0;
	if (u->fd < 0)
		u->fd = make_socket(address->ss_family);
	if (u->fd >= 0)
		try_connect(u);
}

static const struct sockaddr_storage *choose(const struct udp_transport *u, const struct lookup_result *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		if (u->fd >= 0 && same_address(&r->address[i], &u->remote))
			return &r->address[i];
	}
	for (uint32_t i = 0; i < r->count; i++) {
		if (u->fd >= 0 && r->address[i].ss_family == u->remote.ss_family)
			return &r->address[i];
	}
	return &r->address[0];
}

static void take_lookup(struct udp_transport *u, int64_t wait_ns)
{
	struct lookup_result result;

	if (!u->lookup || !lookup_finished(u->lookup, wait_ns, &result))
		return;
	lookup_free(u->lookup);
	u->lookup = NULL;
	if (result.count == 0) {
		u->lookup_at = mono_now().ns + u->lookup_backoff;
		u->lookup_backoff =
			2 * u->lookup_backoff < LOOKUP_PERIOD_NS ? 2 * u->lookup_backoff : LOOKUP_PERIOD_NS;
		trouble(u, result.reason, 0);
		return;
	}
	u->lookup_at = mono_now().ns + LOOKUP_PERIOD_NS;
	u->lookup_backoff = LOOKUP_FIRST_NS;
	const struct sockaddr_storage *address = choose(u, &result);
	if (u->fd < 0 || !same_address(address, &u->remote))
		use_address(u, address);
}

static void start_lookup(struct udp_transport *u)
{
	u->looked_at = mono_now().ns;
	u->lookup_at = u->looked_at + u->lookup_backoff;
	u->lookup = lookup_start(u->host, u->port);
}

static enum status udp_open(struct transport **out, const struct endpoint *to,
			    const struct transport_options *options, struct error *err)
{
	struct udp_transport *u = calloc(1, sizeof *u);
	struct sockaddr_storage address = {0};

	if (!u)
		return error_set(err, ERR_MEMORY, "Udp/%s: out of memory", to->host);
	u->transport.type = &udp_transport;
	u->scheme = to->type->scheme;
	u->log = options->log;
	u->fd = -1;
	u->port = to->port;
	u->max_message = options->max_message;
	u->lookup_backoff = LOOKUP_FIRST_NS;
	snprintf(u->host, sizeof u->host, "%s", to->host);
	u->named = !lookup_numeric(to->host, to->port, &address);
	if (u->named) {
		start_lookup(u);
		take_lookup(u, OPEN_WAIT_NS);
	} else {
		use_address(u, &address);
		if (u->fd < 0) {
			const enum status st = error_errno(err, "Udp/%s: cannot make a socket", to->host);

			free(u);
			return st;
		}
	}
	*out = &u->transport;
	return OK;
}

/* Perhaps the collector moved: ask for its name sooner than planned. */
static void look_again(struct udp_transport *u)
{
	if (u->lookup_at > u->looked_at + LOOKUP_ERROR_NS)
		u->lookup_at = u->looked_at + LOOKUP_ERROR_NS;
}

/* Read what ICMP said. Nothing of ours is lost by it: the datagram it speaks of was sent long ago. */
static void read_errors(struct udp_transport *u)
{
	for (int i = 0; i < ERRORS_READ; i++) {
		union {
			struct cmsghdr align;
			char octets[256];
		} control;
		struct msghdr m = {.msg_control = control.octets, .msg_controllen = sizeof control.octets};
		const struct sock_extended_err *e = NULL;

		if (recvmsg(u->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
				e = (const struct sock_extended_err *)CMSG_DATA(c);
		}
		u->generation++;
		if (e && e->ee_errno == EMSGSIZE)
			read_path_mtu(u);
		else
			trouble(u, "the network answers", e ? (int)e->ee_errno : ECONNREFUSED);
		look_again(u);
	}
}

static void udp_service(struct transport *t)
{
	struct udp_transport *u = self(t);
	const int64_t now = mono_now().ns;

	if (u->fd >= 0)
		read_errors(u);
	if (u->fd >= 0 && !u->connected && now >= u->connect_at)
		try_connect(u);
	if (u->connected && now >= u->mtu_at)
		read_path_mtu(u);
	if (!u->named)
		return;
	take_lookup(u, 0);
	if (!u->lookup && now >= u->lookup_at)
		start_lookup(u);
}

static size_t udp_message_limit(struct transport *t)
{
	const struct udp_transport *u = self(t);
	const bool v4 = u->fd >= 0 && u->remote.ss_family == AF_INET;
	const size_t headers = v4 ? IPV4_HEADERS : IPV6_HEADERS;
	size_t packet = u->path_mtu > 0 ? (size_t)u->path_mtu : UNKNOWN_PACKET;

	if (packet > UINT16_MAX)
		packet = UINT16_MAX;
	if (packet < headers)
		return 0;
	packet -= headers;
	return u->max_message && packet > u->max_message ? u->max_message : packet;
}

/* The kernel has no way to the collector: ask again in a while, and look whether the name moved. */
static enum status lost_route(struct udp_transport *u, int number, struct error *err)
{
	u->connected = false;
	u->connect_at = mono_now().ns + CONNECT_RETRY_NS;
	look_again(u);
	trouble(u, "cannot be reached", number);
	return error_set(err, AGAIN, "Udp/%s: %s", u->host, strerror(number));
}

static enum status too_long(struct udp_transport *u, struct span message, struct error *err)
{
	return error_set(err, ERR_LIMIT, "Udp/%s: message of %zu octets, the path takes %zu", u->host,
			 message.length, udp_message_limit(&u->transport));
}

/* One datagram, or with `each` several. */
static ssize_t hand_over(const struct udp_transport *u, struct span octets, size_t each)
{
	const uint16_t segment = (uint16_t)each;
	union {
		struct cmsghdr header;
		char octets[CMSG_SPACE(sizeof segment)];
	} control = {.header = {.cmsg_level = IPPROTO_UDP,
				.cmsg_type = UDP_SEGMENT,
				.cmsg_len = CMSG_LEN(sizeof segment)}};
	struct iovec all = {.iov_base = (void *)(uintptr_t)octets.data, .iov_len = octets.length};
	const struct msghdr m = {.msg_iov = &all,
				 .msg_iovlen = 1,
				 .msg_control = control.octets,
				 .msg_controllen = sizeof control.octets};

	if (!each)
		return send(u->fd, octets.data, octets.length, MSG_DONTWAIT | MSG_NOSIGNAL);
	memcpy(CMSG_DATA(&control.header), &segment, sizeof segment);
	return sendmsg(u->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* IPsec, or a device without checksums of its own; or the path takes less than was thought. */
static bool is_about_segments(int number)
{
	return number == EINVAL || number == EIO || number == EOPNOTSUPP || number == EMSGSIZE;
}

static enum status udp_send_many(struct transport *t, struct span messages, size_t each, struct error *err)
{
	struct udp_transport *u = self(t);
	int number = 0;

	if (u->fd < 0 || !u->connected)
		return error_set(err, AGAIN, "Udp/%s: no %s yet", u->host, u->fd < 0 ? "address" : "route");
	for (int i = 0; i < SEND_TRIES; i++) {
		if (each > udp_message_limit(t))
			return too_long(u, span_of(messages.data, each), err);
		if (hand_over(u, messages, each) >= 0)
			return OK;
		number = errno;
		if (number == EAGAIN || number == ENOBUFS || number == ENOMEM)
			return error_set(err, AGAIN, "Udp/%s: %s", u->host, strerror(number));
		read_errors(u);
		if (!is_about_segments(number))
			continue;
		read_path_mtu(u);
		if (each <= udp_message_limit(t))
			break;
	}
	if (number == ECONNREFUSED)
		return error_set(err, AGAIN, "Udp/%s: %s", u->host, strerror(number));
	/* One by one, by which it shows what is wrong. Asked again with the next route. */
	u->refused = true;
	return error_set(err, ERR_UNSUPPORTED, "Udp/%s: messages go one by one", u->host);
}

static uint32_t udp_many(const struct transport *t)
{
	const struct udp_transport *u = (const struct udp_transport *)t;

	return u->segments && !u->refused ? SEGMENTS_MAX : 1;
}

static enum status udp_send(struct transport *t, struct span message, struct error *err)
{
	struct udp_transport *u = self(t);
	int number = 0;

	if (u->fd < 0 || !u->connected)
		return error_set(err, AGAIN, "Udp/%s: no %s yet", u->host, u->fd < 0 ? "address" : "route");
	for (int i = 0; i < SEND_TRIES; i++) {
		if (message.length > udp_message_limit(t))
			return too_long(u, message, err);
		if (hand_over(u, message, 0) >= 0)
			return OK;
		number = errno;
		if (number == EAGAIN || number == ENOBUFS || number == ENOMEM)
			return error_set(err, AGAIN, "Udp/%s: %s", u->host, strerror(number));
		/* Most often the answer to an earlier datagram: take it in, then send this one. */
		read_errors(u);
		if (number == EMSGSIZE)
			read_path_mtu(u);
	}
	if (number == EMSGSIZE) { /* the kernel refuses what its own figure allows */
		u->path_mtu = 0;
		return message.length > udp_message_limit(t) ? too_long(u, message, err) : AGAIN;
	}
	if (number == ECONNREFUSED) /* a flood of refusals: the next turn is soon enough */
		return error_set(err, AGAIN, "Udp/%s: %s", u->host, strerror(number));
	return lost_route(u, number, err);
}

static uint32_t udp_generation(const struct transport *t)
{
	return ((const struct udp_transport *)t)->generation;
}

static int udp_poll_fd(const struct transport *t)
{
	return ((const struct udp_transport *)t)->fd;
}

static bool udp_addresses(const struct transport *t, struct sockaddr_storage *local,
			  struct sockaddr_storage *remote)
{
	const struct udp_transport *u = (const struct udp_transport *)t;
	socklen_t length = sizeof *local;

	memset(local, 0, sizeof *local);
	if (u->fd < 0 || !u->connected || getsockname(u->fd, (struct sockaddr *)local, &length) < 0)
		return false;
	*remote = u->remote;
	return true;
}

static enum status udp_receive(struct transport *t, void *out, size_t size, size_t *length)
{
	const struct udp_transport *u = self(t);
	const ssize_t n = u->fd >= 0 ? recv(u->fd, out, size, MSG_DONTWAIT) : -1;

	if (n <= 0) /* an error waits in the queue that service reads */
		return AGAIN;
	*length = (size_t)n;
	return OK;
}

/* A peer may know our port for an association of before: go on from another one. */
static void udp_disconnect(struct transport *t)
{
	struct udp_transport *u = self(t);
	const int fd = u->fd >= 0 ? make_socket(u->remote.ss_family) : -1;

	if (fd < 0)
		return;
	close(u->fd);
	u->fd = fd;
	u->connected = false;
	u->local_port = 0;
	try_connect(u);
}

static const struct lower udp_lower = {.receive = udp_receive, .disconnect = udp_disconnect};

static void udp_close(struct transport *t)
{
	struct udp_transport *u = t ? self(t) : NULL;

	if (!u)
		return;
	lookup_free(u->lookup);
	if (u->fd >= 0)
		close(u->fd);
	free(u);
}

const struct transport_type udp_transport = {
	.scheme = "Udp",
	.usage = "Udp/HOST[:PORT]",
	.default_port = 4739,
	.open = udp_open,
	.service = udp_service,
	.message_limit = udp_message_limit,
	.send = udp_send,
	.send_many = udp_send_many,
	.many = udp_many,
	.generation = udp_generation,
	.poll_fd = udp_poll_fd,
	.addresses = udp_addresses,
	.close = udp_close,
	.lower = &udp_lower,
};
