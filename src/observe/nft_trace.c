/* What the rules of other programs do with frames, by the kernel's trace of nftables (also of iptables-nft).
 *
 * A table of our own (nft_table.h) marks some frames a second of each observation point; the kernel tells of
 * every rule that such a frame meets. A drop makes a refused frame: rule "table/chain#handle comment". An
 * accept counts as a hit of its rule. Not every frame is traced, so this source tells which rules refuse, and
 * not how often. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "observe/nft_event.h"
#include "observe/nft_table.h"
#include "observe/refused.h"
#include "observe/source.h"

enum {
	MESSAGE_OCTETS = 1 << 16,
	RECEIVE_OCTETS = 4 << 20,
	MESSAGES_PER_READ = 2048,
	FRAMES_MAX = 1024, /* that are being traced; a power of two */
	RULES_MAX = 512,   /* of others that are remembered */
	HEADER_MAX = 60,   /* network and transport header, as the kernel tells them */
	RATE = 500,        /* frames a second, for each interface and direction */
};

/* A frame whose verdict is to come. */
struct traced {
	uint32_t id;
	uint32_t in, out; /* ifindex */
	uint32_t length;
	uint8_t header[HEADER_MAX];
};

struct rule {
	uint64_t handle; /* 0: the policy of a chain */
	uint8_t family;
	char table[NFT_NAME_SIZE], chain[NFT_NAME_SIZE];
	char text[DENIAL_RULE_MAX];
};

struct nft_trace {
	struct packet_source base;
	struct nft_table *table;
	struct mnl_socket *socket;
	struct point_table *points;
	const struct logger *log;
	struct source_statistics counted;
	uint32_t rules;
	uint32_t watched_count, watched[POINT_MAX]; /* ifindex, as our rules have them */
	struct traced frame[FRAMES_MAX];
	struct rule rule[RULES_MAX];
	uint8_t payload[PACKET_BATCH_MAX][HEADER_MAX];
	uint8_t message[MESSAGE_OCTETS] __attribute__((aligned(8)));
};

/* ---- frames and rules ---- */

/* The kernel makes the number of a frame from its address, flow and interface: frames of one flow, one after
 * the other, have the same. The header comes with the first event in each chain of a hook, so a new one is
 * kept. */
static void remember(struct nft_trace *s, const struct nft_event *e)
{
	struct traced *f = &s->frame[e->id % FRAMES_MAX];
	uint32_t n = e->network_length < HEADER_MAX ? e->network_length : HEADER_MAX;

	if (f->id != e->id)
		*f = (struct traced){.id = e->id};
	f->in = e->in ? e->in : f->in;
	f->out = e->out ? e->out : f->out;
	if (!e->network)
		return;
	memcpy(f->header, e->network, n);
	f->length = n;
	n = e->transport_length < HEADER_MAX - n ? e->transport_length : HEADER_MAX - n;
	if (e->transport)
		memcpy(f->header + f->length, e->transport, n);
	f->length += e->transport ? n : 0;
}

static void forget(struct nft_trace *s, uint32_t id)
{
	s->frame[id % FRAMES_MAX] = (struct traced){0};
}

static void describe(struct nft_trace *s, struct rule *r, const struct nft_event *e)
{
	char comment[RULE_COMMENT_MAX] = "";

	if (r->handle == 0)
		snprintf(r->text, sizeof r->text, "%.50s/%.50s policy", e->table, e->chain);
	else if (nft_table_comment(s->table, r->family, e->table, e->chain, r->handle, comment))
		snprintf(r->text, sizeof r->text, "%.24s/%.32s#%llu %s", e->table, e->chain,
			 (unsigned long long)r->handle, comment);
	else
		snprintf(r->text, sizeof r->text, "%.40s/%.50s#%llu", e->table, e->chain,
			 (unsigned long long)r->handle);
}

/* NULL: more rules than are remembered. */
static struct rule *rule_of(struct nft_trace *s, const struct nft_event *e)
{
	const uint64_t handle = e->type == NFT_TRACETYPE_POLICY ? 0 : e->handle;

	for (uint32_t i = 0; i < s->rules; i++) {
		struct rule *r = &s->rule[i];

		if (r->handle == handle && r->family == e->family && strcmp(r->chain, e->chain) == 0 &&
		    strcmp(r->table, e->table) == 0)
			return r;
	}
	if (s->rules == RULES_MAX)
		return NULL;
	struct rule *r = &s->rule[s->rules++];
	*r = (struct rule){.handle = handle, .family = e->family};
	memcpy(r->table, e->table, sizeof r->table);
	memcpy(r->chain, e->chain, sizeof r->chain);
	describe(s, r, e);
	return r;
}

static void add_refused(struct nft_trace *s, const struct nft_event *e, struct packet_batch *batch,
			int64_t now)
{
	const struct traced *f = &s->frame[e->id % FRAMES_MAX];
	const struct rule *r = rule_of(s, e);
	enum flow_direction direction;
	const int point = refused_point(s->points, f->in, f->out, &direction);

	if (f->id != e->id || f->length == 0 || point < 0)
		return;
	memcpy(s->payload[batch->count], f->header, sizeof f->header);
	batch->packet[batch->count] = (struct packet){
		.data = s->payload[batch->count],
		.captured = f->length,
		.length = refused_length(f->header, f->length),
		.time = {now},
		.point = (uint16_t)point,
		.link = LINK_IP,
		.direction = (uint8_t)direction,
		.denial =
			denial_table_add(&s->points->denials, REASON_DROPPED, CLASS_OTHER, r ? r->text : ""),
	};
	s->counted.octets += batch->packet[batch->count].length;
	batch->count++;
}

/* A rule that let a frame through. */
static void count_hit(struct nft_trace *s, const struct nft_event *e)
{
	const struct traced *f = &s->frame[e->id % FRAMES_MAX];
	const struct rule *r = rule_of(s, e);
	enum flow_direction direction;
	const int point = refused_point(s->points, f->in, f->out, &direction);

	if (!r || f->id != e->id || point < 0)
		return;
	struct rule_count *c = rule_table_find(&s->points->rules, RULE_ALLOW, SOURCE_TRACE,
					       direction == DIRECTION_EGRESS, r->text);
	if (c) {
		c->packets++;
		c->octets += refused_length(f->header, f->length);
	}
}

static void take(struct nft_trace *s, const struct nlmsghdr *h, struct packet_batch *batch, int64_t now)
{
	struct nft_event e = {0};

	if (!nft_event_read(h, &e))
		return;
	remember(s, &e);
	if (!e.has_verdict || strcmp(e.table, nft_table_name(s->table)) == 0)
		return;
	if (e.verdict == NF_DROP) {
		add_refused(s, &e, batch, now);
		forget(s, e.id);
	} else if (e.verdict == NF_ACCEPT && e.type == NFT_TRACETYPE_RULE) {
		count_hit(s, &e);
	}
}

/* ---- the source ---- */

static enum status trace_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct nft_trace *s = (struct nft_trace *)source;
	const int64_t now = mono_now().ns;

	batch->count = 0;
	batch->to_wall = wall_now().ns - now;
	for (int i = 0; i < MESSAGES_PER_READ && batch->count < PACKET_BATCH_MAX; i++) {
		const ssize_t n = mnl_socket_recvfrom(s->socket, s->message, sizeof s->message);
		const struct nlmsghdr *h = (const struct nlmsghdr *)s->message;

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 && errno == ENOBUFS)
			s->counted.dropped_packets++; /* at least */
		else if (n < 0 && errno != EINTR)
			return error_errno(err, "nft trace");
		for (int left = (int)n; n > 0 && batch->count < PACKET_BATCH_MAX && mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left))
			take(s, h, batch, now);
	}
	s->counted.packets += batch->count;
	return batch->count > 0 ? OK : AGAIN;
}

/* No events of its own; it is where the rules follow the interfaces. */
static int trace_next_event(struct packet_source *source, struct point_event *event)
{
	struct nft_trace *s = (struct nft_trace *)source;
	uint32_t count = 0;
	bool changed = false;
	struct error err;

	for (uint32_t i = 0; i < s->points->count; i++) {
		const struct observation_point *p = &s->points->point[i];

		if (!p->up)
			continue;
		changed |= count >= s->watched_count || s->watched[count] != p->ifindex;
		s->watched[count++] = p->ifindex;
	}
	changed |= count != s->watched_count;
	s->watched_count = count;
	if (changed && nft_table_trace(s->table, s->watched, count, RATE, &err) != OK)
		log_warn(s->log, "rules of other programs are not traced: %s", err.text);
	return 0;
}

static void trace_release(struct packet_source *source, struct packet_batch *batch)
{
	batch->count = 0;
}

static void trace_statistics(struct packet_source *source, struct source_statistics *out)
{
	*out = ((const struct nft_trace *)source)->counted;
}

static int trace_poll_fd(const struct packet_source *source)
{
	return mnl_socket_get_fd(((const struct nft_trace *)source)->socket);
}

static void trace_close(struct packet_source *source)
{
	struct nft_trace *s = (struct nft_trace *)source;

	if (!s)
		return;
	if (s->socket)
		mnl_socket_close(s->socket);
	nft_table_close(s->table);
	free(s);
}

static enum status subscribe(struct nft_trace *s, struct error *err)
{
	const int room = RECEIVE_OCTETS;
	int group = NFNLGRP_NFTRACE;

	s->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!s->socket || mnl_socket_bind(s->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(s->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
		return error_errno(err, "nft trace: netlink socket");
	if (setsockopt(mnl_socket_get_fd(s->socket), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		(void)setsockopt(mnl_socket_get_fd(s->socket), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	return OK;
}

static enum status trace_open(struct packet_source **out, const struct source_options *options,
			      struct error *err)
{
	struct nft_trace *s = calloc(1, sizeof *s);
	enum status status;

	*out = NULL;
	if (!s)
		return error_set(err, ERR_MEMORY, "nft trace: no memory");
	s->base.type = &nft_trace_source;
	s->points = options->points;
	s->log = options->log;
	status = subscribe(s, err);
	if (status == OK)
		status = nft_table_open(&s->table, err);
	if (status == OK)
		*out = &s->base;
	else
		trace_close(&s->base);
	return status;
}

const struct packet_source_type nft_trace_source = {
	.name = "nft-trace",
	.description = "frames that rules of other programs refuse, by the kernel's trace of nftables",
	.open = trace_open,
	.poll_fd = trace_poll_fd,
	.read = trace_read,
	.release = trace_release,
	.next_event = trace_next_event,
	.statistics = trace_statistics,
	.close = trace_close,
};
