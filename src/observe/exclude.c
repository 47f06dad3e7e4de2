#include "observe/exclude.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "base/span.h"

/* Offsets from the network header. */
enum {
	IP4_FRAGMENT = 6,
	IP4_PROTOCOL = 9,
	IP4_SOURCE = 12,
	IP4_DESTINATION = 16,
	IP4_PORTS = 20,
	IP6_PROTOCOL = 6,
	IP6_SOURCE = 8,
	IP6_DESTINATION = 24,
	IP6_PORTS = 40,
	PORTS_OCTETS = 4,
};

/* ---- the list ---- */

static enum status read_address(const struct sockaddr *from, uint8_t *family, uint8_t address[16],
				uint8_t port[2])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memset(address, 0, 16);
	*family = (uint8_t)from->sa_family;
	if (from->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;

		memcpy(address, &in->sin_addr, 4);
		memcpy(port, &in->sin_port, 2);
	} else if (from->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;

		memcpy(port, &in6->sin6_port, 2);
		if (memcmp(&in6->sin6_addr, mapped, sizeof mapped) == 0) {
			*family = AF_INET;
			memcpy(address, in6->sin6_addr.s6_addr + sizeof mapped, 4);
		} else {
			memcpy(address, &in6->sin6_addr, 16);
		}
	} else {
		return ERR_USAGE;
	}
	return OK;
}

static bool is_zero(const uint8_t *octets, size_t length)
{
	uint8_t any = 0;

	for (size_t i = 0; i < length; i++)
		any |= octets[i];
	return any == 0;
}

static bool same_collector(const struct exclusion *a, const struct exclusion *b)
{
	return a->family == b->family && memcmp(a->remote, b->remote, sizeof a->remote) == 0 &&
	       memcmp(a->remote_port, b->remote_port, sizeof a->remote_port) == 0;
}

static bool same_conversation(const struct exclusion *a, const struct exclusion *b)
{
	return same_collector(a, b) && memcmp(a->local, b->local, sizeof a->local) == 0 &&
	       memcmp(a->local_port, b->local_port, sizeof a->local_port) == 0;
}

/* The row that `new` goes to: its own, that of the oldest with this collector, or a free one; NULL: full. */
static struct exclusion *place(struct exclusions *list, const struct exclusion *new)
{
	struct exclusion *oldest = NULL;
	uint32_t with_collector = 0;

	for (uint32_t i = 0; i < list->count; i++) {
		struct exclusion *row = &list->row[i];

		if (same_conversation(row, new))
			return row;
		if (!same_collector(row, new))
			continue;
		with_collector++;
		if (!oldest || row->serial < oldest->serial)
			oldest = row;
	}
	if (with_collector >= EXCLUDE_PER_COLLECTOR || list->count == EXCLUDE_MAX)
		return oldest;
	return &list->row[list->count++];
}

enum status exclusions_add(struct exclusions *list, const struct sockaddr *local,
			   const struct sockaddr *remote)
{
	struct exclusion new = {0}, *row;
	uint8_t local_family;
	enum status status = read_address(remote, &new.family, new.remote, new.remote_port);

	if (status == OK)
		status = read_address(local, &local_family, new.local, new.local_port);
	if (status != OK)
		return status;
	if (is_zero(new.remote, sizeof new.remote) || is_zero(new.remote_port, 2))
		return ERR_USAGE;
	if (local_family != new.family && !is_zero(new.local, sizeof new.local))
		return ERR_USAGE;
	row = place(list, &new);
	if (!row)
		return ERR_LIMIT;
	new.serial = ++list->serial;
	*row = new;
	return OK;
}

static bool is_end(const uint8_t *address, const uint8_t port[2], const uint8_t seen[16], uint16_t seen_port)
{
	return (is_zero(address, 16) || memcmp(address, seen, 16) == 0) &&
	       (is_zero(port, 2) || memcmp(port, &seen_port, 2) == 0);
}

bool exclusions_have(const struct exclusions *list, int family, uint8_t protocol, const uint8_t source[16],
		     const uint8_t destination[16], uint16_t source_port, uint16_t destination_port)
{
	if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP && protocol != IPPROTO_SCTP)
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct exclusion *e = &list->row[i];

		if (e->family != family)
			continue;
		if ((is_end(e->remote, e->remote_port, destination, destination_port) &&
		     is_end(e->local, e->local_port, source, source_port)) ||
		    (is_end(e->remote, e->remote_port, source, source_port) &&
		     is_end(e->local, e->local_port, destination, destination_port)))
			return true;
	}
	return false;
}

/* ---- the program ---- */

struct program {
	uint32_t link_octets;
	struct sock_filter *code;
	uint16_t count;
};

static void emit(struct program *p, uint16_t code, uint32_t k)
{
	p->code[p->count++] = (struct sock_filter){.code = code, .k = k};
}

/* Not by SKF_NET_OFF: that reaches only the linear part of a buffer, and a load that fails loses the packet.
 */
static void load(struct program *p, uint16_t size, uint32_t offset)
{
	emit(p, BPF_LD | BPF_ABS | size, p->link_octets + offset);
}

/* "Unless the value is k, go to the end of this row": the distance is filled in by end_row. */
static void require(struct program *p, uint32_t k)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k);
}

/* Every comparison of the row that began at `start` skips what is left of the row when it fails. */
static void end_row(struct program *p, uint16_t start)
{
	emit(p, BPF_RET | BPF_K, 0);
	for (uint16_t i = start; i < p->count; i++)
		if (p->code[i].code == (BPF_JMP | BPF_JEQ | BPF_K))
			p->code[i].jf = (uint8_t)(p->count - i - 1);
}

static void require_address(struct program *p, const uint8_t *address, size_t length, uint32_t offset)
{
	if (is_zero(address, length)) /* any */
		return;
	for (size_t i = 0; i < length; i += 4) {
		load(p, BPF_W, offset + (uint32_t)i);
		require(p, get_be32(address + i));
	}
}

/* One direction of one conversation. */
static void emit_row(struct program *p, const struct exclusion *row, bool outgoing)
{
	const bool v4 = row->family == AF_INET;
	const size_t length = v4 ? 4 : 16;
	const uint32_t source = v4 ? IP4_SOURCE : IP6_SOURCE;
	const uint32_t destination = v4 ? IP4_DESTINATION : IP6_DESTINATION;
	const uint32_t ports = v4 ? IP4_PORTS : IP6_PORTS;
	const uint16_t start = p->count;

	require_address(p, row->remote, length, outgoing ? destination : source);
	require_address(p, row->local, length, outgoing ? source : destination);
	load(p, BPF_H, ports + (outgoing ? 2 : 0));
	require(p, get_be16(row->remote_port));
	if (!is_zero(row->local_port, 2)) {
		load(p, BPF_H, ports + (outgoing ? 0 : 2));
		require(p, get_be16(row->local_port));
	}
	end_row(p, start);
}

static void emit_rows(struct program *p, const struct exclusions *list, uint8_t family)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (list->row[i].family != family)
			continue;
		emit_row(p, &list->row[i], true);
		emit_row(p, &list->row[i], false);
	}
}

/* Keep what has no ports to look at. */
static void emit_transport_check(struct program *p, uint32_t protocol_offset, uint32_t snap)
{
	load(p, BPF_B, protocol_offset);
	p->code[p->count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 3, 0);
	p->code[p->count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 0);
	p->code[p->count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_SCTP, 1, 0);
	emit(p, BPF_RET | BPF_K, snap);
}

/* A load beyond the end of a frame would end the program with "leave out", so short frames are kept first. */
static void emit_length_check(struct program *p, uint32_t least, uint32_t snap)
{
	emit(p, BPF_LD | BPF_W | BPF_LEN, 0);
	p->code[p->count++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, p->link_octets + least, 1, 0);
	emit(p, BPF_RET | BPF_K, snap);
}

/* Begin the part for one protocol of the network layer; answers where to put the distance to its end. */
static uint16_t begin_part(struct program *p, uint32_t ethertype)
{
	emit(p, BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
	p->code[p->count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ethertype, 1, 0);
	emit(p, BPF_JMP | BPF_JA, 0);
	return (uint16_t)(p->count - 1);
}

static void end_part(struct program *p, uint16_t jump)
{
	p->code[jump].k = (uint32_t)(p->count - jump - 1);
}

uint16_t exclusions_program(const struct exclusions *list, uint32_t link_octets, uint32_t snap,
			    struct sock_filter out[EXCLUDE_PROGRAM_MAX])
{
	struct program p = {.link_octets = link_octets, .code = out};
	uint16_t jump;

	if (list->count > 0) {
		jump = begin_part(&p, ETH_P_IP);
		emit_length_check(&p, IP4_PORTS + PORTS_OCTETS, snap);
		load(&p, BPF_B, 0);
		p.code[p.count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x45, 1, 0);
		emit(&p, BPF_RET | BPF_K, snap);
		load(&p, BPF_H, IP4_FRAGMENT); /* later fragments have no ports */
		p.code[p.count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 0, 1);
		emit(&p, BPF_RET | BPF_K, snap);
		emit_transport_check(&p, IP4_PROTOCOL, snap);
		emit_rows(&p, list, AF_INET);
		end_part(&p, jump);

		jump = begin_part(&p, ETH_P_IPV6);
		emit_length_check(&p, IP6_PORTS + PORTS_OCTETS, snap);
		emit_transport_check(&p, IP6_PROTOCOL, snap);
		emit_rows(&p, list, AF_INET6);
		end_part(&p, jump);
	}
	emit(&p, BPF_RET | BPF_K, snap);
	return p.count;
}
