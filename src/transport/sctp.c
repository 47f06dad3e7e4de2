/* IPFIX over SCTP (RFC 7011 section 10.2): the kernel's, one-to-one style, one association at a time. A
 * kernel without SCTP is answered at open with what to do about it.
 *
 * Everything goes over stream 0, in order: a sequence number counts one stream (RFC 7011 3.1), and so no
 * record overtakes its template. Messages with templates are fully reliable. Those of data alone may have a
 * lifetime, after which they are given up (PR-SCTP, RFC 3758); by default they have none.
 *
 * The kernel says when everything was acknowledged (SENDER_DRY), and hands back what was not when it gives up
 * a message or an association (SEND_FAILED). A message that it had sent and then gave up because of its
 * lifetime is not handed back: its records count as sent, and only the sequence tells the collector. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/sctp.h>

#include "base/time.h"
#include "transport/dial.h"

#define CONNECT_WAIT_NS (20 * NS_PER_S)
#define ENDING_WAIT_NS  (5 * NS_PER_S)

enum {
	MESSAGE_MAX = 65535,
	LOST_MAX = 64, /* messages given up that nobody asked for yet; the rest count as sent */
	EVENT_OCTETS = 2048,
	EVENTS_READ = 256, /* in one go: bounded work */
	SET_DATA_MIN = 256,
};

enum sctp_progress { SCTP_IDLE, SCTP_CONNECTING, SCTP_UP, SCTP_ENDING };

struct sctp_transport {
	struct transport transport;
	struct dial dial;
	int fd; /* -1 when idle */
	enum sctp_progress state;
	bool broken; /* COMM_LOST: what fails from here on is not given up but sent again */
	uint16_t max_message;
	uint32_t lifetime_ms; /* 0: none */
	uint32_t generation;
	int64_t until;
	struct delivery delivery; /* in messages; the low 32 bits are the context the kernel keeps for us */
	uint64_t first_failed;    /* of those handed back when it broke; 0: none */
	uint32_t lost_count;
	uint64_t lost[LOST_MAX];
	struct sockaddr_storage remote;
};

static struct sctp_transport *self(struct transport *t)
{
	return (struct sctp_transport *)t;
}

static void let_go(struct sctp_transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->state = SCTP_IDLE;
}

static void broken(struct sctp_transport *t, const char *what, int number)
{
	const bool was_up = t->state >= SCTP_UP;

	let_go(t);
	dial_trouble(&t->dial, &t->transport, "%s: %s; tries are %lld s apart",
		     was_up ? "the association ended" : "cannot connect", number ? strerror(number) : what,
		     (long long)(t->dial.interval / NS_PER_S));
}

static bool want_event(int fd, uint16_t type)
{
	const struct sctp_event event = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = type, .se_on = 1};

	return setsockopt(fd, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof event) == 0;
}

static bool set_options(int fd)
{
	const struct sctp_initmsg streams = {.sinit_num_ostreams = 1, .sinit_max_instreams = 1};
	const struct sctp_assoc_value partial = {.assoc_id = SCTP_FUTURE_ASSOC, .assoc_value = 1};
	const int yes = 1;

	setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams);
	setsockopt(fd, IPPROTO_SCTP, SCTP_PR_SUPPORTED, &partial, sizeof partial);
	setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &yes, sizeof yes);
	return want_event(fd, SCTP_ASSOC_CHANGE) && want_event(fd, SCTP_SHUTDOWN_EVENT) &&
	       want_event(fd, SCTP_SENDER_DRY_EVENT) && want_event(fd, SCTP_SEND_FAILED_EVENT);
}

static void connected(struct sctp_transport *t)
{
	t->state = SCTP_UP;
	t->broken = false;
	t->delivery = (struct delivery){0};
	t->first_failed = 0;
	t->lost_count = 0;
	t->generation++;
	dial_well(&t->dial);
	log_info(t->dial.log, "collector %s/%s:%u: associated", t->dial.scheme, t->dial.host, t->dial.port);
}

static void start_connect(struct sctp_transport *t, const struct sockaddr_storage *to)
{
	t->remote = *to;
	t->state = SCTP_CONNECTING;
	t->until = mono_now().ns + CONNECT_WAIT_NS;
	t->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_SCTP);
	if (t->fd < 0 || !set_options(t->fd))
		broken(t, "", errno);
	else if (connect(t->fd, (const struct sockaddr *)to, dial_length(to)) == 0)
		connected(t);
	else if (errno != EINPROGRESS)
		broken(t, "", errno);
}

static void check_connect(struct sctp_transport *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int number = 0;

	if (poll(&p, 1, 0) == 1) {
		if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &number, &length) < 0)
			number = errno;
		if (number || p.revents & POLLHUP)
			broken(t, "the collector refuses", number);
		else
			connected(t);
	} else if (mono_now().ns >= t->until) {
		broken(t, "", ETIMEDOUT);
	}
}

/* Message numbers are longer than what the kernel keeps of them: the nearest one at or below the last. */
static uint64_t number_of(const struct sctp_transport *t, uint32_t context)
{
	return t->delivery.taken - (uint32_t)((uint32_t)t->delivery.taken - context);
}

static void take_failed(struct sctp_transport *t, uint64_t number)
{
	if (!t->broken && t->lost_count < LOST_MAX)
		t->lost[t->lost_count++] = number;
	/* Of an association that is gone the first one handed back ends what was acknowledged. */
	if (t->broken && (!t->first_failed || number < t->first_failed)) {
		t->first_failed = number;
		t->delivery.confirmed = number - 1;
	}
}

static void take_change(struct sctp_transport *t, uint16_t state)
{
	switch (state) {
	case SCTP_COMM_LOST: t->broken = true; break;
	case SCTP_SHUTDOWN_COMP: t->delivery.confirmed = t->delivery.taken; break;
	default: break;
	}
}

static void take_event(struct sctp_transport *t, const union sctp_notification *n, size_t length)
{
	if (length < sizeof n->sn_header)
		return;
	switch (n->sn_header.sn_type) {
	case SCTP_ASSOC_CHANGE:
		if (length >= offsetof(struct sctp_assoc_change, sac_error))
			take_change(t, n->sn_assoc_change.sac_state);
		break;
	case SCTP_SHUTDOWN_EVENT:
		if (t->state == SCTP_UP) {
			t->state = SCTP_ENDING;
			t->until = mono_now().ns + ENDING_WAIT_NS;
		}
		break;
	case SCTP_SENDER_DRY_EVENT: t->delivery.confirmed = t->delivery.taken; break;
	case SCTP_SEND_FAILED_EVENT:
		if (length >= sizeof n->sn_send_failed_event)
			take_failed(t, number_of(t, n->sn_send_failed_event.ssfe_info.snd_context));
		break;
	default: break;
	}
}

/* What the kernel has to tell; data of a collector is thrown away. */
static void read_events(struct sctp_transport *t)
{
	union {
		union sctp_notification event;
		uint8_t octets[EVENT_OCTETS];
	} buffer;
	bool inside = false; /* the rest of an event that was longer than the buffer */

	for (int i = 0; i < EVENTS_READ; i++) {
		struct iovec v = {.iov_base = &buffer, .iov_len = sizeof buffer};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		const ssize_t n = recvmsg(t->fd, &m, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			broken(t, t->broken ? "the association was lost" : "the collector closed it",
			       n < 0 ? errno : 0);
			return;
		}
		if (m.msg_flags & MSG_NOTIFICATION && !inside)
			take_event(t, &buffer.event, (size_t)n);
		inside = !(m.msg_flags & MSG_EOR);
	}
}

static void sctp_service(struct transport *transport)
{
	struct sctp_transport *t = self(transport);
	const struct sockaddr_storage *to;

	switch (t->state) {
	case SCTP_IDLE:
		to = dial_next(&t->dial, transport);
		if (to)
			start_connect(t, to);
		break;
	case SCTP_CONNECTING: check_connect(t); break;
	case SCTP_UP:
	case SCTP_ENDING:
		read_events(t);
		if (t->state == SCTP_ENDING && mono_now().ns >= t->until)
			broken(t, "the collector closed it", 0);
		break;
	}
}

static enum status sctp_open(struct transport **out, const struct endpoint *to,
			     const struct transport_options *options, struct error *err)
{
	const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
	const int64_t lifetime_ms = options->lifetime_ns / NS_PER_MS;
	struct sctp_transport *t;

	if (probe < 0 && (errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT))
		return error_set(
			err, ERR_UNSUPPORTED,
			"this kernel has no SCTP; load its module (modprobe sctp), or use Tcp or Tls");
	if (probe < 0)
		return error_errno(err, "cannot make an SCTP socket");
	close(probe);
	t = calloc(1, sizeof *t);
	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->transport.type = &sctp_transport;
	t->fd = -1;
	t->max_message = options->max_message;
	t->lifetime_ms = lifetime_ms < UINT32_MAX ? (uint32_t)lifetime_ms : UINT32_MAX;
	dial_init(&t->dial, to, options);
	*out = &t->transport;
	return OK;
}

static size_t sctp_message_limit(struct transport *transport)
{
	const struct sctp_transport *t = self(transport);

	return t->max_message ? t->max_message : MESSAGE_MAX; /* SCTP fragments (RFC 7011 10.2.3) */
}

/* Only Data Sets: what is older than its lifetime may be given up. */
static bool is_data(struct span message)
{
	size_t at = 16;

	while (at + 4 <= message.length) {
		const uint16_t length = get_be16(message.data + at + 2);

		if (get_be16(message.data + at) < SET_DATA_MIN || length < 4)
			return false;
		at += length;
	}
	return true;
}

static void add_control(struct msghdr *m, struct cmsghdr *c, int type, const void *data, size_t length)
{
	c->cmsg_level = IPPROTO_SCTP;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(length);
	memcpy(CMSG_DATA(c), data, length);
	m->msg_controllen += CMSG_SPACE(length);
}

static ssize_t send_message(const struct sctp_transport *t, struct span message)
{
	union {
		struct cmsghdr align;
		uint8_t octets[CMSG_SPACE(sizeof(struct sctp_sndinfo)) +
			       CMSG_SPACE(sizeof(struct sctp_prinfo))];
	} control = {0};
	const struct sctp_sndinfo info = {.snd_context = (uint32_t)(t->delivery.taken + 1)};
	const struct sctp_prinfo partial = {.pr_policy = SCTP_PR_SCTP_TTL, .pr_value = t->lifetime_ms};
	struct iovec v = {.iov_base = (void *)(uintptr_t)message.data, .iov_len = message.length};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};

	add_control(&m, &control.align, SCTP_SNDINFO, &info, sizeof info);
	if (t->lifetime_ms && is_data(message))
		add_control(&m, (struct cmsghdr *)(void *)(control.octets + CMSG_SPACE(sizeof info)),
			    SCTP_PRINFO, &partial, sizeof partial);
	return sendmsg(t->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static enum status sctp_send(struct transport *transport, struct span message, struct error *err)
{
	struct sctp_transport *t = self(transport);

	if (t->state != SCTP_UP)
		return error_set(err, AGAIN, "Sctp/%s: no association", t->dial.host);
	if (send_message(t, message) >= 0) {
		t->delivery.taken++;
		return OK;
	}
	if (errno == EMSGSIZE)
		return error_set(err, ERR_LIMIT, "Sctp/%s: message of %zu octets is refused", t->dial.host,
				 message.length);
	/* An association that is gone is taken in by service, with what it hands back. */
	return error_set(err, AGAIN, "Sctp/%s: %s", t->dial.host, strerror(errno));
}

static struct delivery sctp_delivery(struct transport *transport)
{
	struct sctp_transport *t = self(transport);
	struct delivery d = t->delivery;

	d.lost = t->lost_count ? t->lost[--t->lost_count] : 0;
	return d;
}

static uint32_t sctp_generation(const struct transport *t)
{
	return ((const struct sctp_transport *)t)->generation;
}

static enum transport_state sctp_state(const struct transport *transport)
{
	const struct sctp_transport *t = (const struct sctp_transport *)transport;

	if (t->state < SCTP_UP)
		return TRANSPORT_DOWN;
	return t->state == SCTP_UP ? TRANSPORT_UP : TRANSPORT_ENDING;
}

static int sctp_poll_fd(const struct transport *t)
{
	return ((const struct sctp_transport *)t)->fd;
}

static bool sctp_addresses(const struct transport *transport, struct sockaddr_storage *local,
			   struct sockaddr_storage *remote)
{
	const struct sctp_transport *t = (const struct sctp_transport *)transport;
	socklen_t length = sizeof *local;

	memset(local, 0, sizeof *local);
	if (t->fd < 0 || getsockname(t->fd, (struct sockaddr *)local, &length) < 0)
		return false;
	*remote = t->remote;
	return true;
}

/* close shuts the association down behind what was sent (RFC 7011 10.2.4). */
static void sctp_close(struct transport *transport)
{
	struct sctp_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	let_go(t);
	dial_fini(&t->dial);
	free(t);
}

const struct transport_type sctp_transport = {
	.scheme = "Sctp",
	.usage = "Sctp/HOST[:PORT]",
	.default_port = 4739,
	.reliable = true,
	.open = sctp_open,
	.service = sctp_service,
	.message_limit = sctp_message_limit,
	.send = sctp_send,
	.generation = sctp_generation,
	.delivery = sctp_delivery,
	.state = sctp_state,
	.poll_fd = sctp_poll_fd,
	.addresses = sctp_addresses,
	.close = sctp_close,
};
