#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "overlay/wireguard.h"

enum { MESSAGE_OCTETS = 32768 };

struct wireguard_netlink {
	struct mnl_socket *socket;
	uint16_t family;
	uint32_t sequence;
	uint8_t message[MESSAGE_OCTETS] __attribute__((aligned(8)));
};

/* ---- what the kernel tells ---- */

struct prefix_told {
	uint16_t family;
	const uint8_t *address;
	uint16_t octets;
	uint8_t length;
	bool has_length;
};

static int take_prefix_part(const struct nlattr *a, void *prefix)
{
	struct prefix_told *p = prefix;
	const uint16_t octets = mnl_attr_get_payload_len(a);
	const uint8_t *at = mnl_attr_get_payload(a);

	switch (mnl_attr_get_type(a)) {
	case WGALLOWEDIP_A_FAMILY:
		if (octets == sizeof p->family)
			memcpy(&p->family, at, sizeof p->family);
		break;
	case WGALLOWEDIP_A_IPADDR:
		p->address = at;
		p->octets = octets;
		break;
	case WGALLOWEDIP_A_CIDR_MASK:
		p->has_length = octets == 1;
		p->length = p->has_length ? *at : 0;
		break;
	}
	return MNL_CB_OK;
}

static int take_prefix(const struct nlattr *a, void *table)
{
	struct prefix_told p = {0};

	(void)mnl_attr_parse_nested(a, take_prefix_part, &p);
	if (p.has_length && p.family == AF_INET && p.octets == 4)
		peer_table_allow(table, 4, p.address, p.length);
	else if (p.has_length && p.family == AF_INET6 && p.octets == 16)
		peer_table_allow(table, 6, p.address, p.length);
	else
		((struct peer_table *)table)->incomplete = true;
	return MNL_CB_OK;
}

struct peer_told {
	const uint8_t *key;
	const struct nlattr *prefixes;
	bool has_endpoint, has_handshake;
	int64_t handshake_s;
};

static int take_peer_part(const struct nlattr *a, void *peer)
{
	struct peer_told *p = peer;
	const uint16_t octets = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case WGPEER_A_PUBLIC_KEY: p->key = octets == PEER_KEY_SIZE ? mnl_attr_get_payload(a) : NULL; break;
	case WGPEER_A_ENDPOINT: p->has_endpoint = true; break;
	case WGPEER_A_LAST_HANDSHAKE_TIME:
		p->has_handshake = octets >= sizeof p->handshake_s;
		if (p->has_handshake)
			memcpy(&p->handshake_s, mnl_attr_get_payload(a), sizeof p->handshake_s);
		break;
	case WGPEER_A_ALLOWEDIPS: p->prefixes = a; break;
	}
	return MNL_CB_OK;
}

static int take_peer(const struct nlattr *a, void *table)
{
	struct peer_table *t = table;
	struct peer_told p = {0};

	(void)mnl_attr_parse_nested(a, take_peer_part, &p);
	struct peer *peer = p.key ? peer_table_add(t, p.key) : NULL;
	if (!peer) {
		t->incomplete = true;
		return MNL_CB_OK;
	}
	/* A peer's later pieces have only its key and more prefixes. */
	peer->has_endpoint |= p.has_endpoint;
	if (p.has_handshake)
		peer->handshake_s = p.handshake_s;
	if (p.prefixes)
		(void)mnl_attr_parse_nested(p.prefixes, take_prefix, t);
	return MNL_CB_OK;
}

static int take_device_part(const struct nlattr *a, void *table)
{
	if (mnl_attr_get_type(a) == WGDEVICE_A_PEERS)
		(void)mnl_attr_parse_nested(a, take_peer, table);
	return MNL_CB_OK;
}

void wireguard_take_message(const struct nlmsghdr *message, struct peer_table *table)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
		table->incomplete = true;
	else
		(void)mnl_attr_parse(message, sizeof(struct genlmsghdr), take_device_part, table);
}

/* ---- asking ---- */

static struct nlmsghdr *begin_request(struct wireguard_netlink *n, uint16_t type, uint16_t flags,
				      uint8_t command, uint8_t version)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(n->message);
	struct genlmsghdr *g;

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++n->sequence;
	g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	g->cmd = command;
	g->version = version;
	return h;
}

typedef void message_taker(const struct nlmsghdr *message, void *arg);

/* Send, and hand over the answer up to its end: 0, or the error; EINTR: the answer does not hang together.
 * The kernel answers while it is asked, so this waits for nobody. */
static int ask(struct wireguard_netlink *n, const struct nlmsghdr *request, message_taker *take, void *arg)
{
	const uint32_t sequence = request->nlmsg_seq;
	bool interrupted = false;

	if (mnl_socket_sendto(n->socket, request, request->nlmsg_len) < 0)
		return errno;
	for (;;) {
		const ssize_t length = mnl_socket_recvfrom(n->socket, n->message, sizeof n->message);
		const struct nlmsghdr *h = (const struct nlmsghdr *)n->message;

		if (length < 0)
			return errno;
		for (int left = (int)length; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != sequence)
				continue;
			interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr)
					       ? EPROTO
					       : -((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
			if (h->nlmsg_type == NLMSG_DONE)
				return interrupted ? EINTR : 0;
			take(h, arg);
		}
	}
}

static int take_family_part(const struct nlattr *a, void *family)
{
	if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID && mnl_attr_get_payload_len(a) == sizeof(uint16_t))
		*(uint16_t *)family = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static void take_family(const struct nlmsghdr *message, void *family)
{
	if (mnl_nlmsg_get_payload_len(message) >= sizeof(struct genlmsghdr))
		(void)mnl_attr_parse(message, sizeof(struct genlmsghdr), take_family_part, family);
}

static enum status find_family(struct wireguard_netlink *n, struct error *err)
{
	struct nlmsghdr *h = begin_request(n, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1);

	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
	const int error = ask(n, h, take_family, &n->family);
	if (error == 0 && n->family != 0)
		return OK;
	if (error == ENOENT || error == 0)
		return error_set(err, ERR_UNSUPPORTED, "the kernel has no WireGuard, or has not loaded it");
	return error_set(err, ERR_SYSTEM, "asking the kernel for WireGuard: %s", strerror(error));
}

static void take_device(const struct nlmsghdr *message, void *table)
{
	wireguard_take_message(message, table);
}

enum status wireguard_netlink_read(struct wireguard_netlink *n, uint32_t ifindex, struct peer_table *table,
				   struct error *err)
{
	struct nlmsghdr *h =
		begin_request(n, n->family, NLM_F_ACK | NLM_F_DUMP, WG_CMD_GET_DEVICE, WG_GENL_VERSION);

	peer_table_clear(table);
	mnl_attr_put_u32(h, WGDEVICE_A_IFINDEX, ifindex);
	const int error = ask(n, h, take_device, table);
	explicit_bzero(n->message, sizeof n->message);
	if (error == EPERM)
		return error_set(err, ERR_PERMISSION, "CAP_NET_ADMIN is missing");
	if (error == EOPNOTSUPP)
		return error_set(err, ERR_UNSUPPORTED, "not an interface of WireGuard");
	if (error != 0 && error != EINTR)
		return error_set(err, ERR_SYSTEM, "%s", strerror(error));
	table->incomplete |= error == EINTR;
	return peer_table_complete(table) == OK ? OK : error_set(err, ERR_MEMORY, "no memory for its peers");
}

enum status wireguard_netlink_open(struct wireguard_netlink **out, struct error *err)
{
	struct wireguard_netlink *n = calloc(1, sizeof *n);
	enum status status;

	*out = NULL;
	if (!n)
		return error_set(err, ERR_MEMORY, "no memory");
	n->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		status = error_errno(err, "generic netlink");
	else
		status = find_family(n, err);
	if (status == OK)
		*out = n;
	else
		wireguard_netlink_close(n);
	return status;
}

void wireguard_netlink_close(struct wireguard_netlink *n)
{
	if (!n)
		return;
	if (n->socket)
		mnl_socket_close(n->socket);
	free(n);
}
