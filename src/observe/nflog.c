/* Frames that rules of a packet filter log to NFLOG groups (nfnetlink_log): what was refused, by which rule.
 *
 * Rules log what they like; denial_prefixes tells which prefixes mean a refusal. Frames come from layer 3 on.
 * One that came in at an observation point is ingress there; one that was to leave by one, egress. The groups
 * must have no other listener. */
#include "observe/nflog.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

#include "observe/nflog_message.h"
#include "observe/refused.h"
#include "observe/source.h"

enum {
	QUEUE_FRAMES = 512,     /* the kernel sends so many in one go … */
	QUEUE_CENTISECONDS = 5, /* … or what it has after this time */
	KERNEL_OCTETS = 131072, /* the most it puts into one */
	MESSAGE_OCTETS = KERNEL_OCTETS + 32768,
	RECEIVE_OCTETS = 64 << 20, /* a second of 200 000 frames a second; used only when they come */
	DATAGRAMS_PER_READ = 16,
	SNAP_DEFAULT = 128, /* IPv6 with a few extension headers, and a TCP header */
	REPLIES_MAX = 4096, /* messages that may come before the answer to a request */
};

#define TIMESTAMP_OFF_NS (10 * NS_PER_S)

struct group {
	uint16_t number;
	bool counting;
	uint32_t next; /* sequence number of the next frame */
};

struct nflog {
	struct packet_source base;
	struct mnl_socket *socket;
	struct point_table *points;
	const struct denial_prefixes *prefixes;
	uint32_t group_count;
	struct group group[NFLOG_GROUPS_MAX];
	struct source_statistics counted;
	const struct nlmsghdr *next; /* of what was received, the first message that is not handed over */
	int left;                    /* octets from there on */
	uint32_t sequence;           /* of requests */
	bool overrun;                /* the kernel has lost some, and no gap has shown how many */
	uint8_t message[MESSAGE_OCTETS] __attribute__((aligned(8)));
};

/* ---- requests ---- */

static struct nlmsghdr *begin_request(struct nflog *s, uint8_t *buffer, uint16_t group)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *g;

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = ++s->sequence;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(group);
	return h;
}

/* Send, and wait for the answer: 0, or the error. It is there when sendto is back; frames may stand before
 * it, which are let go. */
static int request(struct nflog *s, const struct nlmsghdr *h)
{
	if (mnl_socket_sendto(s->socket, h, h->nlmsg_len) < 0)
		return errno;
	for (int n = 0; n < REPLIES_MAX; n++) {
		const ssize_t length = mnl_socket_recvfrom(s->socket, s->message, sizeof s->message);
		const struct nlmsghdr *reply = (const struct nlmsghdr *)s->message;

		if (length < 0 && errno != ENOBUFS)
			return errno;
		if (length < 0 || !mnl_nlmsg_ok(reply, (int)length) || reply->nlmsg_type != NLMSG_ERROR ||
		    reply->nlmsg_seq != h->nlmsg_seq ||
		    mnl_nlmsg_get_payload_len(reply) < sizeof(struct nlmsgerr))
			continue;
		return -((const struct nlmsgerr *)mnl_nlmsg_get_payload(reply))->error;
	}
	return ETIMEDOUT;
}

static int bind_group(struct nflog *s, uint16_t group, uint32_t snap)
{
	const struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
	const struct nfulnl_msg_config_mode mode = {.copy_range = htonl(snap),
						    .copy_mode = NFULNL_COPY_PACKET};
	uint8_t buffer[512] __attribute__((aligned(8)));
	struct nlmsghdr *h = begin_request(s, buffer, group);
	int error;

	mnl_attr_put(h, NFULA_CFG_CMD, sizeof bind, &bind);
	error = request(s, h);
	if (error != 0)
		return error;
	h = begin_request(s, buffer, group);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof mode, &mode);
	mnl_attr_put_u32(h, NFULA_CFG_NLBUFSIZ, htonl(KERNEL_OCTETS));
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(QUEUE_FRAMES));
	mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(QUEUE_CENTISECONDS));
	mnl_attr_put_u16(h, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	return request(s, h);
}

/* ---- frames ---- */

static void count_gap(struct nflog *s, uint16_t number, const struct logged *f)
{
	for (uint32_t i = 0; i < s->group_count; i++) {
		struct group *g = &s->group[i];

		if (g->number != number || !f->has_sequence)
			continue;
		if (g->counting && f->sequence != g->next) {
			s->counted.dropped_packets += f->sequence - g->next;
			s->overrun = false;
		}
		g->counting = true;
		g->next = f->sequence + 1;
	}
}

/* On its way out a frame has no time stamp: then it is when it is read. */
static int64_t frame_time(const struct logged *f, int64_t now, int64_t to_wall)
{
	const int64_t time = f->wall_ns - to_wall;

	return f->wall_ns != 0 && time <= now && now - time < TIMESTAMP_OFF_NS ? time : now;
}

/* False: no refusal at one of our points. */
static bool make_packet(struct nflog *s, const struct logged *f, int64_t now, int64_t to_wall,
			struct packet *out)
{
	enum flow_direction direction;
	const int point = refused_point(s->points, f->in, f->out, &direction);

	if (point < 0 || !f->payload)
		return false;
	const uint16_t denial = denial_prefixes_match(s->prefixes, f->prefix, &s->points->denials);
	if (denial == DENIAL_NONE)
		return false;
	*out = (struct packet){
		.data = f->payload,
		.captured = f->length,
		.length = refused_length(f->payload, f->length),
		.time = {frame_time(f, now, to_wall)},
		.point = (uint16_t)point,
		.link = LINK_IP,
		.direction = (uint8_t)direction,
		.denial = denial,
	};
	return true;
}

static void note_overrun(struct nflog *s)
{
	const int64_t now = wall_ms(wall_now());

	s->overrun = true;
	s->counted.last_drop_wall_ms = now;
	if (s->counted.first_drop_wall_ms == 0)
		s->counted.first_drop_wall_ms = now;
}

/* One datagram. AGAIN: there is none. */
static enum status receive(struct nflog *s, struct error *err)
{
	for (;;) {
		const ssize_t n = mnl_socket_recvfrom(s->socket, s->message, sizeof s->message);

		if (n >= 0) {
			s->next = (const struct nlmsghdr *)s->message;
			s->left = (int)n;
			return OK;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return AGAIN;
		if (errno == ENOBUFS)
			note_overrun(s);
		else if (errno != EINTR && errno != ENOSPC) /* ENOSPC: cut short; cannot be */
			return error_errno(err, "NFLOG");
	}
}

static void take_messages(struct nflog *s, struct packet_batch *batch, int64_t now)
{
	while (batch->count < PACKET_BATCH_MAX && mnl_nlmsg_ok(s->next, s->left)) {
		struct logged f = {0};
		uint16_t group;

		if (nflog_message_read(s->next, &group, &f)) {
			count_gap(s, group, &f);
			if (make_packet(s, &f, now, batch->to_wall, &batch->packet[batch->count])) {
				s->counted.octets += batch->packet[batch->count].length;
				batch->count++;
			}
		}
		s->next = mnl_nlmsg_next(s->next, &s->left);
	}
	if (!mnl_nlmsg_ok(s->next, s->left))
		s->left = 0;
}

static enum status nflog_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct nflog *s = (struct nflog *)source;
	const int64_t now = mono_now().ns;

	batch->count = 0;
	batch->to_wall = wall_now().ns - now;
	for (int n = 0; batch->count == 0; n++) {
		if (s->left == 0) {
			if (n == DATAGRAMS_PER_READ) /* of others' logs: the rest waits for its turn */
				return AGAIN;

			const enum status status = receive(s, err);

			if (status != OK)
				return status;
		}
		take_messages(s, batch, now);
	}
	s->counted.packets += batch->count;
	return OK;
}

static void nflog_release(struct packet_source *source, struct packet_batch *batch)
{
	batch->count = 0;
}

static void nflog_statistics(struct packet_source *source, struct source_statistics *out)
{
	const struct nflog *s = (const struct nflog *)source;

	*out = s->counted;
	out->dropped_packets += s->overrun; /* at least */
}

static int nflog_poll_fd(const struct packet_source *source)
{
	return mnl_socket_get_fd(((const struct nflog *)source)->socket);
}

/* ---- open ---- */

static void nflog_close(struct packet_source *source)
{
	struct nflog *s = (struct nflog *)source;

	if (!s)
		return;
	if (s->socket)
		mnl_socket_close(s->socket); /* which unbinds the groups */
	free(s);
}

static enum status bind_groups(struct nflog *s, const char *spec, uint32_t snap, struct error *err)
{
	for (const char *at = spec; *at;) {
		char *end;
		const unsigned long number = strtoul(at, &end, 10);

		if (end == at || number > UINT16_MAX || (*end && *end != ','))
			return error_set(err, ERR_USAGE, "NFLOG groups '%s': numbers from 0 to 65535 allowed",
					 spec);
		if (s->group_count == NFLOG_GROUPS_MAX)
			return error_set(err, ERR_LIMIT, "more than %d NFLOG groups", NFLOG_GROUPS_MAX);
		s->group[s->group_count++] = (struct group){.number = (uint16_t)number};
		const int error = bind_group(s, (uint16_t)number, snap);
		if (error == EPERM)
			return error_set(err, ERR_PERMISSION,
					 "NFLOG group %lu: CAP_NET_ADMIN is missing, or another program "
					 "listens to it",
					 number); /* the kernel answers both alike */
		if (error != 0)
			return error_set(err, ERR_SYSTEM, "NFLOG group %lu: %s", number, strerror(error));
		at = *end ? end + 1 : end;
	}
	return OK;
}

static enum status nflog_open(struct packet_source **out, const struct source_options *options,
			      struct error *err)
{
	const int room = RECEIVE_OCTETS;
	struct nflog *s = calloc(1, sizeof *s);
	enum status status;

	*out = NULL;
	if (!s)
		return error_set(err, ERR_MEMORY, "NFLOG: no memory");
	s->base.type = &nflog_source;
	s->points = options->points;
	s->prefixes = options->prefixes ? options->prefixes : &denial_prefixes_standard;
	s->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!s->socket || mnl_socket_bind(s->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		status = error_errno(err, "NFLOG: netlink socket");
	} else {
		const int fd = mnl_socket_get_fd(s->socket);

		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
			(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
		status = bind_groups(s, options->spec,
				     options->snap_octets ? options->snap_octets : SNAP_DEFAULT, err);
	}
	if (status == OK)
		*out = &s->base;
	else
		nflog_close(&s->base);
	return status;
}

const struct packet_source_type nflog_source = {
	.name = "nflog",
	.description = "frames that rules refuse and log to NFLOG groups; GROUP[,GROUP]...",
	.open = nflog_open,
	.poll_fd = nflog_poll_fd,
	.read = nflog_read,
	.release = nflog_release,
	.statistics = nflog_statistics,
	.close = nflog_close,
};
