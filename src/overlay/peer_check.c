#include "overlay/peer_check.h"

#include <stdlib.h>
#include <string.h>

#include "overlay/wireguard.h"

#define READ_EVERY_NS (1 * NS_PER_S)
#define READ_AGAIN_NS (NS_PER_S / 20)
#define STALE_NS      (10 * NS_PER_S) /* what could not be read anew for so long proves nothing */
#define RETRY_NS      (30 * NS_PER_S)

enum { COST_SHARE = 20, CARRIED_MAX = 1024, IPV4_HEADER = 20, IPV6_HEADER = 40 };

/* How the peers of an interface can be had. */
enum way { WAY_NONE, WAY_NETLINK, WAY_SOCKET };

struct checked {
	uint32_t ifindex;
	enum way way;
	bool known, told; /* the table is good; a failure was logged */
	int64_t read_ns, cost_ns, due_ns;
	struct peer_table table, next;
};

struct peer_check {
	struct point_table *points;
	const struct logger *log;
	struct wireguard_netlink *netlink; /* NULL: not yet, or there is none */
	int64_t netlink_due_ns;
	bool told_netlink;
	struct peer_check_statistics counted;
	uint16_t denial[REASON_COUNT];
	struct checked *point[POINT_MAX]; /* those that have been of WireGuard; owned */
};

/* ---- judging ---- */

static bool has_session(const struct peer *p, int64_t wall_ns)
{
	return p->handshake_s != 0 && wall_ns / NS_PER_S - p->handshake_s < PEER_SESSION_S;
}

static enum denial_reason judge_session(struct peer *p, int64_t read_ns, int64_t time, int64_t to_wall)
{
	if (has_session(p, time + to_wall)) {
		p->asked_ns = 0;
		return REASON_UNKNOWN;
	}
	if (p->asked_ns == 0 || time - p->last_ns > PEER_GIVE_UP_NS)
		p->asked_ns = time;
	p->last_ns = time;
	return read_ns - p->asked_ns >= PEER_PATIENCE_NS ? REASON_NO_SESSION : REASON_UNKNOWN;
}

enum denial_reason peer_judge(struct peer_table *table, int64_t read_ns, uint8_t version,
			      const uint8_t *address, int64_t time, int64_t to_wall)
{
	const bool multicast = version == 4 ? address[0] >= 224 : address[0] == 0xff;
	struct peer *p = multicast || table->incomplete ? NULL : peer_table_find(table, version, address);

	if (multicast || table->incomplete)
		return REASON_UNKNOWN;
	if (!p)
		return REASON_NO_PEER;
	if (!p->has_endpoint)
		return REASON_NO_ENDPOINT;
	return judge_session(p, read_ns, time, to_wall);
}

/* ---- reading ---- */

static void open_netlink(struct peer_check *c, int64_t now)
{
	struct error err;

	if (c->netlink || now < c->netlink_due_ns)
		return;
	c->netlink_due_ns = now + RETRY_NS;
	if (wireguard_netlink_open(&c->netlink, &err) != OK && !c->told_netlink) {
		log_warn(c->log, "WireGuard's peers are not known: %s", err.text);
		c->told_netlink = true;
	}
}

/* Who was asked for and has not answered. */
static void carry_over(const struct peer_table *from, struct peer_table *to)
{
	uint32_t carried = 0;

	for (uint32_t i = 0; i < from->count && carried < CARRIED_MAX; i++) {
		const struct peer *p = &from->peer[i];
		uint32_t n = 0;

		if (p->asked_ns == 0)
			continue;
		carried++;
		for (; n < to->count; n++) {
			struct peer *q = &to->peer[(i + n) % to->count]; /* mostly where it was */

			if (memcmp(p->key, q->key, sizeof p->key) != 0)
				continue;
			q->asked_ns = p->asked_ns;
			q->last_ns = p->last_ns;
			break;
		}
	}
}

static enum status read_into(struct peer_check *c, struct checked *k, const struct observation_point *p,
			     struct error *err)
{
	if (k->way == WAY_SOCKET)
		return wireguard_socket_read(p->name, &k->next, err);
	if (!c->netlink)
		return END;
	return wireguard_netlink_read(c->netlink, k->ifindex, &k->next, err);
}

static void read_peers(struct peer_check *c, uint32_t point)
{
	const struct observation_point *p = &c->points->point[point];
	struct checked *k = c->point[point];
	const int64_t began = mono_now().ns;
	struct error err;
	const enum status status = read_into(c, k, p, &err);
	const int64_t now = mono_now().ns;

	k->cost_ns = now - began;
	k->due_ns = now + READ_EVERY_NS;
	if (status == OK) {
		struct peer_table old = k->table;

		carry_over(&old, &k->next);
		k->table = k->next;
		k->next = old;
		k->read_ns = began;
		k->known = true;
		k->told = false;
		c->counted.reads++;
		return;
	}
	k->known &= now - k->read_ns < STALE_NS && status != END;
	if (status == END)
		return;
	k->due_ns = now + (k->way == WAY_SOCKET ? RETRY_NS : READ_EVERY_NS);
	c->counted.failed_reads++;
	if (!k->told)
		log_warn(c->log, "interface %s: its peers cannot be read: %s", p->name, err.text);
	k->told = true;
}

static enum way way_of(const struct observation_point *p)
{
	if (!p->up)
		return WAY_NONE;
	if (strcmp(p->description, "wireguard") == 0)
		return WAY_NETLINK;
	return strcmp(p->description, "tun") == 0 ? WAY_SOCKET : WAY_NONE;
}

/* What is known of the point that is there now; NULL: nothing. */
static struct checked *follow(struct peer_check *c, uint32_t point)
{
	const struct observation_point *p = &c->points->point[point];
	const enum way way = way_of(p);
	struct checked *k = c->point[point];

	if (way == WAY_NONE || (!k && !(k = c->point[point] = calloc(1, sizeof *k))))
		return NULL;
	if (k->ifindex != p->ifindex || k->way != way) { /* another interface by that name */
		k->ifindex = p->ifindex;
		k->way = way;
		k->known = false;
		k->due_ns = 0;
		peer_table_clear(&k->table);
	}
	return k;
}

void peer_check_tick(struct peer_check *c)
{
	const int64_t now = mono_now().ns;

	for (uint32_t i = 0; i < c->points->count; i++) {
		struct checked *k = follow(c, i);

		if (!k || now < k->due_ns)
			continue;
		if (k->way == WAY_NETLINK)
			open_netlink(c, now);
		read_peers(c, i);
	}
}

/* ---- frames ---- */

static bool may_read_again(const struct checked *k, int64_t now)
{
	const int64_t pause = k->cost_ns * COST_SHARE;

	return now - k->read_ns >= (pause > READ_AGAIN_NS ? pause : READ_AGAIN_NS);
}

static enum denial_reason judge_frame(struct peer_check *c, struct checked *k, const struct packet *packet,
				      int64_t to_wall)
{
	const uint8_t version = packet->captured > 0 ? packet->data[0] >> 4 : 0;
	const uint8_t *address = packet->data + (version == 4 ? 16 : 24);
	const int64_t time = packet->time.ns;

	if ((version != 4 || packet->captured < IPV4_HEADER) &&
	    (version != 6 || packet->captured < IPV6_HEADER))
		return REASON_UNKNOWN;
	enum denial_reason reason = peer_judge(&k->table, k->read_ns, version, address, time, to_wall);
	if (reason == REASON_UNKNOWN || k->read_ns >= time || !may_read_again(k, mono_now().ns))
		return reason;
	read_peers(c, packet->point);
	return k->known ? peer_judge(&k->table, k->read_ns, version, address, time, to_wall) : REASON_UNKNOWN;
}

void peer_check_batch(struct peer_check *c, struct packet_batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		struct packet *packet = &batch->packet[i];
		struct checked *k = packet->point < POINT_MAX ? c->point[packet->point] : NULL;

		if (!k || !k->known || packet->direction != DIRECTION_EGRESS || packet->link != LINK_IP ||
		    packet->denial != DENIAL_NONE)
			continue;
		const enum denial_reason reason = judge_frame(c, k, packet, batch->to_wall);
		if (reason == REASON_UNKNOWN)
			continue;
		packet->denial = c->denial[reason];
		c->counted.no_peer += reason == REASON_NO_PEER;
		c->counted.no_endpoint += reason == REASON_NO_ENDPOINT;
		c->counted.no_session += reason == REASON_NO_SESSION;
	}
}

void peer_check_statistics(const struct peer_check *c, struct peer_check_statistics *out)
{
	*out = c->counted;
	for (uint32_t i = 0; i < c->points->count; i++)
		out->peers += c->point[i] && c->point[i]->known ? c->point[i]->table.count : 0;
}

/* ---- the check ---- */

enum status peer_check_new(struct peer_check **out, struct point_table *points, const struct logger *log,
			   struct error *err)
{
	static const enum denial_reason told[] = {REASON_NO_PEER, REASON_NO_ENDPOINT, REASON_NO_SESSION};
	struct peer_check *c = calloc(1, sizeof *c);

	*out = c;
	if (!c)
		return error_set(err, ERR_MEMORY, "no memory to check peers");
	c->points = points;
	c->log = log;
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
		c->denial[told[i]] = denial_table_add(&points->denials, told[i], CLASS_OTHER, "");
	peer_check_tick(c);
	return OK;
}

void peer_check_free(struct peer_check *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < POINT_MAX; i++) {
		if (!c->point[i])
			continue;
		peer_table_fini(&c->point[i]->table);
		peer_table_fini(&c->point[i]->next);
		free(c->point[i]);
	}
	wireguard_netlink_close(c->netlink);
	free(c);
}
