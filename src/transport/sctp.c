/* IPFIX over SCTP (RFC 7011 section 10.2): the kernel's, one-to-one style, one association at a time. A
 * kernel without SCTP is answered at open with what to do about it.
 *
 * Everything goes over stream 0, in order: a sequence number counts one stream (RFC 7011 3.1), and so no
 * record overtakes its template. Messages with templates are fully reliable. Those of data alone may have a
 * lifetime, after which they are given up (PR-SCTP, RFC 3758); by default they have none.
 *
 * How far messages came: of an association that stands the kernel tells how much it holds, an upper bound of
 * what is not acknowledged; when one is aborted it hands back every message that was not (SEND_FAILED). The
 * peer's receive window was told whole at the beginning, so what is missing of it is what the collector had
 * not read yet. What no look showed as read is unsure after an abort (delivery.unread). A message that was
 * sent and then given up because of its lifetime is not handed back: its records count as sent, and only the
 * sequence tells the collector.
 *
 * A window that opens may be the last word of a process that is gone: Linux throws away what it had not read,
 * tells the room this makes, and aborts then, all under one lock. So what a look showed counts once something
 * that was sent after it is acknowledged, or an abort had long enough to come.
 *
 * SCTP knows no half-closed association, and a kernel whose process is gone acknowledges and throws away:
 *  - a SHUTDOWN of the peer's makes unsure what it acknowledges afterwards;
 *  - SHUTDOWN of ours is answered by the peer's kernel alone. So at our end (finish) the window has to show
 *    first that all was read. It is told with each acknowledgement, and in steps: an empty message (question)
 *    is sent to hear of the last octets. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/sctp.h>
#include <linux/sock_diag.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "transport/link.h"
#include "transport/sctp.h"
#include "transport/sctp_auth.h"

#define MARK_EVERY_NS (100 * NS_PER_MS)
#define PROOF_NS      (3 * NS_PER_S) /* an abort that follows the last window is here by then */

enum {
	/* Fragments are the kernel's affair (RFC 7011 10.2.3), but a window must hold a few messages, and
	 * what is unsure is counted by the message. */
	MESSAGE_USUAL = 1 << 14,
	LOST_MAX = 1024, /* messages given up that nobody asked for yet; the rest count as sent */
	EVENT_OCTETS = 2048,
	EVENTS_READ = 256, /* in one go: bounded work */
	SET_DATA_MIN = 256,
	MARK_MAX = 128, /* octets: a message header, also one that a transport above has wrapped */
};

/* A look at the window. */
struct look {
	uint64_t read, behind; /* so much of delivery.confirmed was read; delivery.taken at that time */
	int64_t at;            /* mono ns; 0: none */
};

struct sctp_transport {
	struct link link;
	bool stacked; /* what the collector says is for the transport above */
	bool inside;  /* the rest of a message or an event that was longer than the buffer */
	size_t (*last_word)(void *, uint8_t *, size_t); /* of struct transport_options */
	bool lost_all;         /* COMM_LOST: what fails from here on is not given up but sent again */
	bool over;             /* … or SHUTDOWN is complete: no event follows those that wait */
	bool peer_ended;       /* SHUTDOWN came: what is acknowledged from here on may be thrown away */
	uint32_t lifetime_ms;  /* 0: none */
	uint64_t sent_again;   /* chunks, at the last look */
	uint64_t heard;        /* acknowledgements: behind so many the window is known again */
	uint64_t read;         /* so much has been read for certain; of delivery.confirmed */
	struct look look;      /* not for certain yet */
	struct look whole;     /* likewise, when the window was whole at our end */
	uint64_t first_failed; /* of those handed back when it broke; 0: none */
	uint64_t gone; /* so much the kernel holds no longer: acknowledged, or given up, as its events tell */
	uint32_t lost_count;
	uint64_t lost[LOST_MAX];
	int64_t mark_at;
	size_t marks;            /* sent: octets */
	uint64_t largest_window; /* ever on this association */
};

static struct sctp_transport *self(struct transport *t)
{
	return (struct sctp_transport *)t;
}

static struct sctp_transport *of_link(struct link *l)
{
	return (struct sctp_transport *)l;
}

static bool want_event(int fd, uint16_t type)
{
	const struct sctp_event event = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = type, .se_on = 1};

	return setsockopt(fd, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof event) == 0;
}

static bool prepare(int fd)
{
	const struct sctp_initmsg streams = {.sinit_num_ostreams = 1, .sinit_max_instreams = 1};
	const struct sctp_assoc_value partial = {.assoc_id = SCTP_FUTURE_ASSOC, .assoc_value = 1};
	const int yes = 1;

	setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof streams);
	setsockopt(fd, IPPROTO_SCTP, SCTP_PR_SUPPORTED, &partial, sizeof partial);
	setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &yes, sizeof yes);
	return want_event(fd, SCTP_ASSOC_CHANGE) && want_event(fd, SCTP_SHUTDOWN_EVENT) &&
	       want_event(fd, SCTP_SEND_FAILED_EVENT);
}

/* For a transport above that needs authenticated chunks. The event is to have service called. */
static bool prepare_secured(int fd)
{
	return sctp_auth_prepare(fd) && sctp_want_dry_event(fd) && prepare(fd);
}

/* Octets of the window that the peer's kernel holds; a chunk more may have come when there was no room. */
static uint64_t waiting_there(const struct sctp_transport *t, uint32_t chunk)
{
	return t->largest_window - t->link.window + (t->link.window < chunk ? chunk : 0);
}

/* The kernel keeps the window as it was told, less what is under way; but after a timeout it adds what it
 * sends again, until the next acknowledgement. */
static bool window_is_told(struct sctp_transport *t)
{
	struct sctp_assoc_stats stats = {0};
	socklen_t length = sizeof stats;

	if (getsockopt(t->link.fd, IPPROTO_SCTP, SCTP_GET_ASSOC_STATS, &stats, &length) < 0)
		return false;
	if (stats.sas_rtxchunks != t->sent_again)
		t->heard = stats.sas_isacks + 1;
	t->sent_again = stats.sas_rtxchunks;
	return stats.sas_isacks >= t->heard;
}

static void prove(struct sctp_transport *t)
{
	if (t->look.at && t->look.read > t->read)
		t->read = t->look.read;
	t->look.at = 0;
}

static void take_look(struct sctp_transport *t, uint64_t read)
{
	const struct delivery *d = &t->link.delivery;
	const int64_t now = mono_now().ns;

	if (t->look.at && (d->confirmed > t->look.behind || now - t->look.at >= PROOF_NS))
		prove(t);
	if (!t->look.at && read > t->read)
		t->look = (struct look){.read = read, .behind = d->taken, .at = now};
}

/* First what the kernel holds, then the window: what the window tells is of then or later. And the state last
 * of all: what was acknowledged while the association stood is not of a kernel that throws away. */
static void sctp_count(struct link *l)
{
	struct sctp_transport *t = of_link(l);
	struct sctp_status status = {0};
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof memory, status_length = sizeof status;

	if (t->lost_all || t->peer_ended || l->state != LINK_UP ||
	    getsockopt(l->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0 ||
	    getsockopt(l->fd, IPPROTO_SCTP, SCTP_STATUS, &status, &status_length) < 0 ||
	    status.sstat_state != SCTP_ESTABLISHED)
		return;
	const uint64_t held = memory[SK_MEMINFO_WMEM_QUEUED];
	if (held < l->delivery.taken && l->delivery.taken - held > t->gone)
		t->gone = l->delivery.taken - held;
	if (!t->lifetime_ms && t->gone > l->delivery.confirmed)
		l->delivery.confirmed = t->gone;
	if (!window_is_told(t))
		return;
	l->window = status.sstat_rwnd;
	if (l->window > t->largest_window)
		t->largest_window = l->window;
	const uint64_t waiting = waiting_there(t, status.sstat_fragmentation_point);
	take_look(t, l->delivery.confirmed > waiting ? l->delivery.confirmed - waiting : 0);
}

static bool sctp_is_read(const struct link *l, int number)
{
	return false; /* sctp_unread knows */
}

static uint64_t sctp_unread(const struct link *l)
{
	const struct sctp_transport *t = (const struct sctp_transport *)l;

	return l->delivery.confirmed > t->read ? l->delivery.confirmed - t->read : 0;
}

static void sctp_begin(struct link *l)
{
	struct sctp_transport *t = of_link(l);

	t->lost_all = t->over = t->peer_ended = t->inside = false;
	t->read = t->first_failed = t->gone = 0;
	t->look = t->whole = (struct look){0};
	t->sent_again = t->heard = 0;
	t->lost_count = 0;
	t->marks = 0;
	t->largest_window = 0;
	sctp_count(l); /* the whole window */
}

#define ASSOCIATION(how)                                                                                     \
	{                                                                                                    \
		.protocol = IPPROTO_SCTP, .name = "association", .is_up = "associated", .prepare = how,      \
		.begin = sctp_begin, .count = sctp_count, .is_read = sctp_is_read, .unread = sctp_unread,    \
	}
static const struct link_kind association = ASSOCIATION(prepare), secured = ASSOCIATION(prepare_secured);

/* Marks are longer than what the kernel keeps of them: the nearest one at or below the last. */
static uint64_t number_of(const struct sctp_transport *t, uint32_t context)
{
	const uint64_t taken = t->link.delivery.taken;

	return taken - (uint32_t)((uint32_t)taken - context);
}

static void take_failed(struct sctp_transport *t, uint64_t number)
{
	if (t->lost_all) {
		if (!t->first_failed || number < t->first_failed)
			t->first_failed = number;
	} else if (t->lost_count < LOST_MAX && (!t->lost_count || t->lost[t->lost_count - 1] != number)) {
		t->lost[t->lost_count++] = number; /* once, however many fragments it had */
	}
}

static void take_change(struct sctp_transport *t, uint16_t state)
{
	t->lost_all |= state == SCTP_COMM_LOST;
	t->over |= state == SCTP_COMM_LOST || state == SCTP_SHUTDOWN_COMP;
}

static void take_event(struct sctp_transport *t, const void *octets, size_t length)
{
	union sctp_notification n;

	memcpy(&n, octets, length < sizeof n ? length : sizeof n);
	if (length < sizeof n.sn_header)
		return;
	switch (n.sn_header.sn_type) {
	case SCTP_ASSOC_CHANGE:
		if (length >= offsetof(struct sctp_assoc_change, sac_error))
			take_change(t, n.sn_assoc_change.sac_state);
		break;
	case SCTP_SHUTDOWN_EVENT:
		prove(t); /* no abort, then */
		t->peer_ended = true;
		if (t->link.state == LINK_UP) {
			t->link.state = LINK_ENDING;
			t->link.until = mono_now().ns + LINK_ENDING_NS;
		}
		break;
	case SCTP_SEND_FAILED_EVENT:
		if (length >= sizeof n.sn_send_failed_event)
			take_failed(t, number_of(t, n.sn_send_failed_event.ssfe_info.snd_context));
		break;
	default: break;
	}
}

/* It is over, and the kernel has said all: what it did not hand back was acknowledged. */
static void conclude(struct sctp_transport *t, int number)
{
	struct delivery *d = &t->link.delivery;

	if (!t->first_failed)
		d->confirmed = d->taken;
	else if (t->first_failed > d->confirmed)
		d->confirmed = t->first_failed - 1;
	if (t->link.finishing && !t->lost_all && t->read == d->taken)
		link_let_go(&t->link);
	else
		link_broken(&t->link, t->lost_all ? "the association was lost" : "the collector closed it",
			    number);
}

/* The next message of the collector's; events are taken in on the way to it. One that is cut, by the kernel
 * or because it is longer than `size`, is left out: there is nothing of that length to be said. AGAIN: none
 * now. END: the association ends, or is no more. */
static enum status read_message(struct sctp_transport *t, void *out, size_t size, size_t *length)
{
	for (int i = 0; i < EVENTS_READ; i++) {
		struct iovec v = {.iov_base = out, .iov_len = size};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
		const ssize_t n = recvmsg(t->link.fd, &m, MSG_DONTWAIT);
		const bool first = !t->inside, last = m.msg_flags & MSG_EOR;

		if (n <= 0) {
			const bool none = n < 0 && (errno == EAGAIN || errno == EINTR);

			if (t->over || !(none || t->peer_ended))
				conclude(t, n < 0 && !none ? errno : 0);
			else if (none && t->gone > t->link.delivery.confirmed)
				t->link.delivery.confirmed = t->gone;
			break;
		}
		t->inside = !last;
		if (first && m.msg_flags & MSG_NOTIFICATION) {
			take_event(t, out, (size_t)n);
		} else if (first && last) {
			*length = (size_t)n;
			return OK;
		}
	}
	return t->link.state == LINK_UP ? AGAIN : END;
}

/* What the kernel has to tell; data of a collector is thrown away. */
static void read_events(struct sctp_transport *t)
{
	uint8_t ignored[EVENT_OCTETS];
	size_t length;

	for (int i = 0; i < EVENTS_READ && t->link.state >= LINK_UP; i++) {
		if (read_message(t, ignored, sizeof ignored, &length) != OK)
			return;
	}
}

bool sctp_is_data(struct span message)
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

static ssize_t send_message(const struct sctp_transport *t, struct span message, uint16_t flags,
			    bool expendable)
{
	union {
		struct cmsghdr align;
		uint8_t octets[CMSG_SPACE(sizeof(struct sctp_sndinfo)) +
			       CMSG_SPACE(sizeof(struct sctp_prinfo))];
	} control = {0};
	const struct sctp_sndinfo info = {
		.snd_flags = flags,
		.snd_context = (uint32_t)(t->link.delivery.taken + message.length),
	};
	const struct sctp_prinfo partial = {.pr_policy = SCTP_PR_SCTP_TTL, .pr_value = t->lifetime_ms};
	struct iovec v = {.iov_base = (void *)(uintptr_t)message.data, .iov_len = message.length};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};

	add_control(&m, &control.align, SCTP_SNDINFO, &info, sizeof info);
	if (t->lifetime_ms && expendable)
		add_control(&m, (struct cmsghdr *)(void *)(control.octets + CMSG_SPACE(sizeof info)),
			    SCTP_PRINFO, &partial, sizeof partial);
	return sendmsg(t->link.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* It is waited for no longer: end it at once, and learn what was not acknowledged. */
static void abort_it(struct sctp_transport *t, const char *why)
{
	(void)send_message(t, span_of(NULL, 0), SCTP_ABORT, false);
	read_events(t);
	if (t->link.state >= LINK_UP)
		link_broken(&t->link, why, 0);
}

/* Once all is acknowledged the collector holds what is missing of its window; marks come behind all else, and
 * one that is sent when all seems read proves it. */
static bool all_is_read(struct sctp_transport *t)
{
	const struct link *l = &t->link;
	const int64_t now = mono_now().ns;

	sctp_count(&t->link);
	if (l->delivery.confirmed != l->delivery.taken || t->largest_window - l->window > t->marks)
		return false;
	if (!t->whole.at) {
		t->whole = (struct look){.read = l->delivery.taken, .behind = l->delivery.taken, .at = now};
		t->mark_at = now;
	}
	if (l->question && l->delivery.confirmed == t->whole.behind && now - t->whole.at < PROOF_NS)
		return false;
	t->read = l->delivery.taken;
	return true;
}

static void send_mark(struct sctp_transport *t)
{
	const int64_t now = mono_now().ns;
	uint8_t mark[MARK_MAX];

	if (now < t->mark_at || t->link.delivery.confirmed != t->link.delivery.taken)
		return;
	t->mark_at = now + MARK_EVERY_NS;
	const size_t length = link_question(&t->link, mark, sizeof mark);
	if (!length || send_message(t, span_of(mark, length), 0, false) < 0)
		return;
	t->marks += length;
	t->link.delivery.taken += length;
}

/* It is of no matter to anybody whether that is read. */
static void say_last_word(struct sctp_transport *t)
{
	uint8_t word[MARK_MAX];
	const size_t length = t->last_word ? t->last_word(t->link.question_arg, word, sizeof word) : 0;

	if (!length || send_message(t, span_of(word, length), 0, false) < 0)
		return;
	t->link.delivery.taken += length;
	t->read += length;
}

static void serve_finish(struct sctp_transport *t)
{
	if (t->link.state >= LINK_UP)
		read_events(t);
	if (t->link.state == LINK_UP && all_is_read(t)) {
		say_last_word(t);
		shutdown(t->link.fd, SHUT_WR);
		t->link.state = LINK_ENDING;
		t->link.until = mono_now().ns + t->link.patience;
		read_events(t);
	} else if (t->link.state == LINK_UP) {
		send_mark(t);
	}
	if (t->link.state >= LINK_UP && link_is_stuck(&t->link))
		abort_it(t, "the collector did not read all of it");
}

static void sctp_service(struct transport *transport)
{
	struct sctp_transport *t = self(transport);

	if (t->link.finishing) {
		serve_finish(t);
		return;
	}
	link_connect(&t->link);
	if (t->link.state == LINK_ENDING || (t->link.state == LINK_UP && !t->stacked))
		read_events(t);
	if (t->link.state == LINK_ENDING && mono_now().ns >= t->link.until)
		abort_it(t, "the collector closed it");
}

static enum status sctp_open(struct transport **out, const struct endpoint *to,
			     const struct transport_options *options, struct error *err)
{
	auto_fd probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
	const int64_t lifetime_ms = options->lifetime_ns / NS_PER_MS;
	struct sctp_transport *t;

	if (probe < 0 && (errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT))
		return error_set(
			err, ERR_UNSUPPORTED,
			"this kernel has no SCTP; load its module (modprobe sctp), or use Tcp or Tls");
	if (probe < 0)
		return error_errno(err, "cannot make an SCTP socket");
	if (options->stacked && !sctp_auth_prepare(probe))
		return error_set(err, ERR_UNSUPPORTED,
				 "this kernel does not authenticate chunks of SCTP (RFC 4895); use Tls");
	t = calloc(1, sizeof *t);
	if (!t)
		return error_set(err, ERR_MEMORY, "%s/%s: out of memory", to->type->scheme, to->host);
	t->lifetime_ms = lifetime_ms < UINT32_MAX ? (uint32_t)lifetime_ms : UINT32_MAX;
	t->stacked = options->stacked;
	t->last_word = options->last_word;
	link_init(&t->link, &sctp_transport, t->stacked ? &secured : &association, to, options);
	*out = &t->link.transport;
	return OK;
}

static size_t sctp_message_limit(struct transport *transport)
{
	const struct sctp_transport *t = self(transport);

	return t->link.max_message ? t->link.max_message : MESSAGE_USUAL;
}

enum status sctp_send_wrapped(struct transport *transport, struct span message, bool expendable,
			      struct error *err)
{
	struct sctp_transport *t = self(transport);

	if (t->link.state != LINK_UP || t->link.finishing)
		return link_not_now(&t->link, "no association", err);
	if (send_message(t, message, 0, expendable) >= 0) {
		t->link.delivery.taken += message.length;
		return OK;
	}
	if (errno == EMSGSIZE)
		return error_set(err, ERR_LIMIT, "%s/%s: message of %zu octets is refused",
				 t->link.dial.scheme, t->link.dial.host, message.length);
	/* An association that is gone is taken in by service, with what it hands back. */
	return link_not_now(&t->link, strerror(errno), err);
}

static enum status sctp_send(struct transport *transport, struct span message, struct error *err)
{
	return sctp_send_wrapped(transport, message, sctp_is_data(message), err);
}

static enum status sctp_receive(struct transport *transport, void *out, size_t size, size_t *length)
{
	struct sctp_transport *t = self(transport);

	return t->link.state == LINK_UP ? read_message(t, out, size, length) : END;
}

/* In order: what was taken goes out first, an alert that says why among it. */
static void sctp_disconnect(struct transport *transport)
{
	struct sctp_transport *t = self(transport);

	if (t->link.state < LINK_UP) {
		link_let_go(&t->link);
		return;
	}
	t->link.quiet = true;
	if (t->link.state == LINK_ENDING)
		return;
	shutdown(t->link.fd, SHUT_WR);
	t->link.state = LINK_ENDING;
	t->link.until = mono_now().ns + LINK_ENDING_NS;
}

static struct delivery sctp_delivery(struct transport *transport)
{
	struct sctp_transport *t = self(transport);
	struct delivery d = link_delivery(transport);

	d.lost = t->lost_count ? t->lost[--t->lost_count] : 0;
	return d;
}

static enum transport_state sctp_state(const struct transport *transport)
{
	const struct link *l = (const struct link *)transport;

	if (l->state < LINK_UP || (l->finishing && !l->delivery.taken))
		return TRANSPORT_DOWN;
	return l->state == LINK_UP && !l->finishing ? TRANSPORT_UP : TRANSPORT_ENDING;
}

static void sctp_finish(struct transport *transport, int64_t patience_ns)
{
	self(transport)->stacked = false; /* what the collector still says is of no interest */
	(void)link_finish(&self(transport)->link, patience_ns);
}

/* close shuts the association down behind what was sent (RFC 7011 10.2.4). */
static void sctp_close(struct transport *transport)
{
	struct sctp_transport *t = transport ? self(transport) : NULL;

	if (!t)
		return;
	link_fini(&t->link);
	free(t);
}

static const struct lower sctp_lower = {.receive = sctp_receive, .disconnect = sctp_disconnect};

const struct transport_type sctp_transport = {
	.scheme = "Sctp",
	.usage = "Sctp/HOST[:PORT]",
	.default_port = 4739,
	.reliable = true,
	.open = sctp_open,
	.service = sctp_service,
	.message_limit = sctp_message_limit,
	.send = sctp_send,
	.generation = link_generation,
	.delivery = sctp_delivery,
	.state = sctp_state,
	.finish = sctp_finish,
	.poll_fd = link_poll_fd,
	.addresses = link_addresses,
	.close = sctp_close,
	.lower = &sctp_lower,
};
