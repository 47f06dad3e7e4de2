#include "policy/own_session.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { ENVIRONMENT_MAX = 1 << 17, ANCESTORS_MAX = 64, REPLY_OCTETS = 8192 };

static const char variable[] = "SSH_CONNECTION=";

bool own_session_parse(struct policy_frame *out, const char *text)
{
	char client[INET6_ADDRSTRLEN + 1], server[INET6_ADDRSTRLEN + 1];
	unsigned client_port, server_port;

	*out = (struct policy_frame){.protocol = IPPROTO_TCP};
	if (sscanf(text, "%46s %5u %46s %5u", client, &client_port, server, &server_port) != 4 ||
	    server_port > 65535 || !policy_prefix_parse(&out->source, client) ||
	    !policy_prefix_parse(&out->destination, server))
		return false;
	out->port = (uint16_t)server_port;
	return true;
}

static pid_t parent_of(pid_t process)
{
	char path[64], line[512];
	int parent = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
	auto_file file = fopen(path, "re");
	if (!file || !fgets(line, sizeof line, file))
		return 0;
	const char *behind = strrchr(line, ')'); /* the name may hold anything */
	return behind && sscanf(behind + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool find_in(pid_t process, struct policy_frame *out)
{
	auto_free char *text = malloc(ENVIRONMENT_MAX + 1);
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/environ", (int)process);
	auto_file file = fopen(path, "re");
	if (!text || !file)
		return false;
	const size_t n = fread(text, 1, ENVIRONMENT_MAX, file);
	text[n] = 0;
	for (size_t at = 0; at < n; at += strlen(text + at) + 1)
		if (strncmp(text + at, variable, sizeof variable - 1) == 0)
			return own_session_parse(out, text + at + sizeof variable - 1);
	return false;
}

bool own_session_find(struct policy_frame *out)
{
	const char *own = getenv("SSH_CONNECTION");
	pid_t process = getpid();

	if (own)
		return own_session_parse(out, own);
	for (int i = 0; i < ANCESTORS_MAX && process > 1; i++, process = parent_of(process))
		if (find_in(process, out))
			return true;
	return false;
}

/* ---- which interface ---- */

static bool is_named(const struct policy *policy, const char *interface)
{
	for (uint32_t i = 0; i < policy->interface_count; i++)
		if (strcmp(policy->interface[i], interface) == 0)
			return true;
	return false;
}

static bool has_address(const struct policy *policy, const struct policy_prefix *host)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next) {
		if (!a->ifa_addr || a->ifa_addr->sa_family != host->family || !is_named(policy, a->ifa_name))
			continue;
		found = host->family == AF_INET6
				? memcmp(&((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr,
					 host->address, 16) == 0
				: memcmp(&((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr,
					 host->address, 4) == 0;
	}
	freeifaddrs(all);
	return found;
}

static int read_oif(const struct nlattr *a, void *interface)
{
	if (mnl_attr_get_type(a) == RTA_OIF && mnl_attr_get_payload_len(a) == 4)
		*(uint32_t *)interface = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

/* The interface by which a host is reached; 0: not known. */
static uint32_t route_to(const struct policy_prefix *host)
{
	uint8_t buffer[REPLY_OCTETS] __attribute__((aligned(8)));
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	uint32_t interface = 0;

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST;
	struct rtmsg *route = mnl_nlmsg_put_extra_header(h, sizeof *route);
	route->rtm_family = host->family;
	route->rtm_dst_len = host->length;
	mnl_attr_put(h, RTA_DST, host->family == AF_INET6 ? 16 : 4, host->address);
	if (s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(s, h, h->nlmsg_len) >= 0) {
		const ssize_t n = mnl_socket_recvfrom(s, buffer, sizeof buffer);

		h = (struct nlmsghdr *)buffer;
		if (n > 0 && mnl_nlmsg_ok(h, (int)n) && h->nlmsg_type == RTM_NEWROUTE &&
		    mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg))
			(void)mnl_attr_parse(h, sizeof(struct rtmsg), read_oif, &interface);
	}
	if (s)
		mnl_socket_close(s);
	return interface;
}

bool own_session_is_over(const struct policy *policy, const struct policy_frame *session)
{
	const uint32_t interface = route_to(&session->source);
	char name[IF_NAMESIZE];

	if (interface && if_indextoname(interface, name) && is_named(policy, name))
		return true;
	return has_address(policy, &session->destination);
}
