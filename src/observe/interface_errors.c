#include "observe/interface_errors.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

enum { REPLY_OCTETS = 1 << 15, REQUEST_OCTETS = 64, REPLIES_MAX = 16 };

struct interface_errors_reader {
	struct mnl_socket *socket;
	uint32_t sequence;
	struct interface_errors table;
	uint8_t reply[REPLY_OCTETS] __attribute__((aligned(8)));
};

static bool ask(struct interface_errors_reader *r, uint32_t ifindex)
{
	uint8_t request[REQUEST_OCTETS] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *h = mnl_nlmsg_put_header(request);
	struct ifinfomsg *link;

	h->nlmsg_type = RTM_GETLINK;
	h->nlmsg_flags = NLM_F_REQUEST;
	h->nlmsg_seq = ++r->sequence;
	link = mnl_nlmsg_put_extra_header(h, sizeof *link);
	link->ifi_index = (int)ifindex;
	return mnl_socket_sendto(r->socket, h, h->nlmsg_len) >= 0;
}

static int take_counters(const struct nlattr *a, void *arg)
{
	struct interface_error_count *out = arg;
	struct rtnl_link_stats64 s;

	/* Kernels have appended to it: the beginning is enough. */
	if (mnl_attr_get_type(a) == IFLA_STATS64 &&
	    mnl_attr_get_payload_len(a) >= offsetof(struct rtnl_link_stats64, rx_dropped)) {
		memcpy(&s, mnl_attr_get_payload(a), offsetof(struct rtnl_link_stats64, rx_dropped));
		out->received = s.rx_errors;
		out->sent = s.tx_errors;
		return MNL_CB_STOP;
	}
	return MNL_CB_OK;
}

/* The answer is there when the question was sent. False: the interface is gone, or tells nothing. */
static bool receive(struct interface_errors_reader *r, struct interface_error_count *out)
{
	for (int i = 0; i < REPLIES_MAX; i++) {
		const ssize_t n = mnl_socket_recvfrom(r->socket, r->reply, sizeof r->reply);
		const struct nlmsghdr *h = (const struct nlmsghdr *)r->reply;

		if (n < 0)
			return false;
		for (int left = (int)n; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != r->sequence)
				continue;
			return h->nlmsg_type == RTM_NEWLINK &&
			       mnl_nlmsg_get_payload_len(h) >= sizeof(struct ifinfomsg) &&
			       mnl_attr_parse(h, sizeof(struct ifinfomsg), take_counters, out) == MNL_CB_STOP;
		}
	}
	return false;
}

const struct interface_errors *interface_errors_read(struct interface_errors_reader *r,
						     const struct point_table *points)
{
	struct interface_errors *t = &r->table;

	t->count = 0;
	for (uint32_t i = 0; i < points->count; i++) {
		const struct observation_point *p = &points->point[i];
		struct interface_error_count found = {.point_id = p->id};

		if (p->up && strcmp(p->description, "wireguard") == 0 && ask(r, p->ifindex) &&
		    receive(r, &found))
			t->at[t->count++] = found;
	}
	t->wall_ms = wall_ms(wall_now());
	return t;
}

enum status interface_errors_open(struct interface_errors_reader **out, struct error *err)
{
	struct interface_errors_reader *r = calloc(1, sizeof *r);

	*out = NULL;
	if (!r)
		return error_set(err, ERR_MEMORY, "no memory for interface counters");
	r->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!r->socket || mnl_socket_bind(r->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		const enum status status = error_errno(err, "interface counters: netlink socket");

		interface_errors_close(r);
		return status;
	}
	*out = r;
	return OK;
}

void interface_errors_close(struct interface_errors_reader *r)
{
	if (!r)
		return;
	if (r->socket)
		mnl_socket_close(r->socket);
	free(r);
}
