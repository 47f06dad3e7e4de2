#include "observe/interfaces.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	MESSAGE_OCTETS = 32768,      /* the kernel fills dump messages up to this size */
	MESSAGES_PER_READ = 64,      /* the rest waits for the next turn of the loop */
	RECEIVE_OCTETS = 1024 * 1024 /* room for the notifications of about a thousand changes */
};

struct known {
	struct interface link;
	uint32_t round; /* of the last dump that listed it */
};

struct interfaces {
	struct mnl_socket *socket;
	interface_sink *sink;
	void *sink_arg;
	struct known *known;
	uint32_t count, capacity;
	uint32_t round;
	bool dumping;     /* a dump was asked for and has not ended */
	bool interrupted; /* … and will not be consistent */
	bool dump_again;  /* ask for another when it has ended */
	uint8_t message[MESSAGE_OCTETS] __attribute__((aligned(8)));
};

static enum status start_dump(struct interfaces *i, struct error *err)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(i->message);
	struct ifinfomsg *info;

	if (i->dumping) {
		i->dump_again = true;
		return OK;
	}
	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(header, sizeof *info);
	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_u32(header, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (mnl_socket_sendto(i->socket, header, header->nlmsg_len) < 0)
		return error_errno(err, "interfaces: asking the kernel for all of them");
	i->round++;
	i->dumping = true;
	i->interrupted = i->dump_again = false;
	return OK;
}

static struct known *find(struct interfaces *i, uint32_t ifindex)
{
	for (uint32_t n = 0; n < i->count; n++)
		if (i->known[n].link.ifindex == ifindex)
			return &i->known[n];
	return NULL;
}

static void remove_known(struct interfaces *i, struct known *known, bool tell)
{
	const struct interface last = known->link;

	*known = i->known[--i->count];
	if (tell)
		i->sink(i->sink_arg, INTERFACE_GONE, &last, NULL);
}

static enum status add_known(struct interfaces *i, const struct interface *link, struct error *err)
{
	if (i->count == i->capacity) {
		const uint32_t capacity = i->capacity ? i->capacity * 2 : 32;
		struct known *grown = realloc(i->known, capacity * sizeof *grown);

		if (!grown)
			return error_set(err, ERR_MEMORY, "interfaces: no memory for %u of them", capacity);
		i->known = grown;
		i->capacity = capacity;
	}
	i->known[i->count++] = (struct known){.link = *link, .round = i->round};
	i->sink(i->sink_arg, INTERFACE_NEW, link, NULL);
	return OK;
}

static enum status update(struct interfaces *i, const struct interface *link, bool has_kind,
			  struct error *err)
{
	struct known *known = find(i, link->ifindex);
	struct interface before, now = *link;

	if (!known)
		return add_known(i, link, err);
	before = known->link;
	if (!has_kind) /* some notifications carry only what changed */
		memcpy(now.kind, before.kind, sizeof now.kind);
	known->round = i->round;
	if (before.type == now.type && before.up == now.up && strcmp(before.name, now.name) == 0 &&
	    strcmp(before.kind, now.kind) == 0)
		return OK;
	known->link = now;
	i->sink(i->sink_arg, INTERFACE_CHANGED, &now, &before);
	return OK;
}

/* What the attributes of one message say. */
struct described {
	struct interface link;
	bool has_kind;
};

static int read_link_info(const struct nlattr *attribute, void *arg)
{
	struct described *d = arg;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) {
		strncpy(d->link.kind, mnl_attr_get_str(attribute), sizeof d->link.kind - 1);
		d->has_kind = true;
	}
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *attribute, void *arg)
{
	struct described *d = arg;

	if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
		strncpy(d->link.name, mnl_attr_get_str(attribute), sizeof d->link.name - 1);
	else if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
		return mnl_attr_parse_nested(attribute, read_link_info, d);
	return MNL_CB_OK;
}

static enum status read_link(struct interfaces *i, const struct nlmsghdr *header, struct error *err)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	struct described d = {0};

	/* A bridge also sends its ports' own news, under its own family: a port that leaves is not gone. */
	if (header->nlmsg_len < mnl_nlmsg_size(sizeof *info) || info->ifi_family != AF_UNSPEC)
		return OK;
	if (header->nlmsg_type == RTM_DELLINK) {
		struct known *known = find(i, (uint32_t)info->ifi_index);

		if (known)
			remove_known(i, known, true);
		return OK;
	}
	d.link.ifindex = (uint32_t)info->ifi_index;
	d.link.type = info->ifi_type;
	d.link.up = info->ifi_flags & IFF_UP;
	if (mnl_attr_parse(header, sizeof *info, read_attribute, &d) < 0 || !d.link.name[0])
		return OK;
	return update(i, &d.link, d.has_kind, err);
}

static enum status end_dump(struct interfaces *i, struct error *err)
{
	i->dumping = false;
	if (i->interrupted || i->dump_again)
		return start_dump(i, err);
	for (uint32_t n = i->count; n-- > 0;)
		if (i->known[n].round != i->round)
			remove_known(i, &i->known[n], true);
	return OK;
}

static enum status read_message(struct interfaces *i, int octets, struct error *err)
{
	enum status status = OK;

	for (const struct nlmsghdr *header = (const struct nlmsghdr *)i->message;
	     status == OK && mnl_nlmsg_ok(header, octets); header = mnl_nlmsg_next(header, &octets)) {
		if (i->dumping && header->nlmsg_flags & NLM_F_DUMP_INTR)
			i->interrupted = true;
		if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK)
			status = read_link(i, header, err);
		else if (header->nlmsg_type == NLMSG_ERROR)
			return error_set(err, ERR_SYSTEM, "interfaces: the kernel refuses to list them");
		else if (header->nlmsg_type == NLMSG_DONE && i->dumping)
			return end_dump(i, err); /* may use the buffer again */
	}
	return status;
}

enum status interfaces_read(struct interfaces *i, struct error *err)
{
	enum status status = OK;

	for (int n = 0; n < MESSAGES_PER_READ && status == OK; n++) {
		const ssize_t octets = mnl_socket_recvfrom(i->socket, i->message, sizeof i->message);

		if (octets > 0)
			status = read_message(i, (int)octets, err);
		else if (octets == 0 || errno == EAGAIN)
			return OK;
		else if (errno == ENOBUFS || errno == ENOSPC) /* news was lost */
			status = start_dump(i, err);
		else if (errno != EINTR)
			return error_errno(err, "interfaces: reading from the kernel");
	}
	return status;
}

enum status interfaces_forget(struct interfaces *i, uint32_t ifindex, struct error *err)
{
	struct known *known = find(i, ifindex);

	if (known)
		remove_known(i, known, false);
	return start_dump(i, err);
}

void interfaces_tell_all(const struct interfaces *i)
{
	for (uint32_t n = 0; n < i->count; n++)
		i->sink(i->sink_arg, INTERFACE_NEW, &i->known[n].link, NULL);
}

int interfaces_fd(const struct interfaces *i)
{
	return mnl_socket_get_fd(i->socket);
}

static enum status first_dump(struct interfaces *i, struct error *err)
{
	enum status status = start_dump(i, err);

	while (status == OK && i->dumping) {
		struct pollfd ready = {.fd = interfaces_fd(i), .events = POLLIN};

		if (poll(&ready, 1, 5000) == 0)
			return error_set(err, ERR_SYSTEM, "interfaces: the kernel does not answer");
		status = interfaces_read(i, err);
	}
	return status;
}

enum status interfaces_open(struct interfaces **out, interface_sink *sink, void *sink_arg, struct error *err)
{
	struct interfaces *i = calloc(1, sizeof *i);
	const int room = RECEIVE_OCTETS;
	enum status status;

	*out = NULL;
	if (!i)
		return error_set(err, ERR_MEMORY, "interfaces: no memory");
	i->sink = sink;
	i->sink_arg = sink_arg;
	i->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!i->socket || mnl_socket_bind(i->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0) {
		status = error_errno(err, "interfaces: rtnetlink socket");
		interfaces_close(i);
		return status;
	}
	/* Only a wish: when it is refused, lost news costs a dump. */
	(void)setsockopt(interfaces_fd(i), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	status = first_dump(i, err);
	if (status != OK) {
		interfaces_close(i);
		return status;
	}
	*out = i;
	return OK;
}

void interfaces_close(struct interfaces *i)
{
	if (!i)
		return;
	if (i->socket)
		mnl_socket_close(i->socket);
	free(i->known);
	free(i);
}
