#include "observe/overlays.h"

#include <fnmatch.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <string.h>

#include "observe/packet.h"

#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif

/* Kinds first: they are what the kernel says, while names are only what programs are used to choose. A TAP
 * device has kind "tun" too, but most TAPs belong to virtual machines, so for those the name decides. */
static const struct overlay_rule overlay_rules[] = {
	{"wireguard", -1, NULL, "WireGuard in the kernel; NetBird, Netmaker, Innernet use it too"},
	{"amneziawg", -1, NULL, "AmneziaWG, a WireGuard fork"},
	{"ovpn", -1, NULL, "OpenVPN data channel in the kernel since Linux 6.16"},
	{"ovpn-dco", -1, NULL, "OpenVPN data channel, the module before that"},
	{"tun", ARPHRD_NONE, NULL,
	 "TUN: wireguard-go, Tailscale, Nebula, OpenVPN and most others in user space"},
	{NULL, -1, "wg*", "wg-quick's names, whatever is behind them"},
	{NULL, -1, "tailscale*", "Tailscale, Headscale: tailscale0"},
	{NULL, -1, "wt[0-9]*", "NetBird: wt0"},
	{NULL, -1, "nebula*", "Nebula: nebula1, also as TAP"},
	{NULL, -1, "zt*", "ZeroTier: TAP devices, zt and ten letters made from the network's number"},
	{NULL, -1, "tun[0-9]*", "OpenVPN and others: tun0"},
	{NULL, -1, "utun*", "names carried over from macOS clients"},
	{NULL, -1, "netmaker*", "Netmaker: netmaker"},
	{NULL, -1, "nm-*", "Netmaker before 0.20: nm- and the network's name"},
	{NULL, -1, "enclave*", "Enclave, when it was given its own name"},
	{"tun", ARPHRD_ETHER, "tap0", "Enclave on Linux, OpenVPN in bridging mode"},
};

/* Devices without a link header hand the ring an IP packet in both directions: PPP takes its header off
 * before and puts it on after the tap. */
static const struct {
	int type;
	enum link_layer link;
	const char *description;
} link_types[] = {
	{ARPHRD_ETHER, LINK_ETHERNET, "ether"}, {ARPHRD_LOOPBACK, LINK_ETHERNET, "loopback"},
	{ARPHRD_NONE, LINK_IP, "ip"},           {ARPHRD_RAWIP, LINK_IP, "rawip"},
	{ARPHRD_PPP, LINK_IP, "ppp"},           {ARPHRD_TUNNEL, LINK_IP, "tunnel"},
	{ARPHRD_TUNNEL6, LINK_IP, "tunnel6"},   {ARPHRD_SIT, LINK_IP, "sit"},
};

enum { OVERLAY_RULES = sizeof overlay_rules / sizeof overlay_rules[0] };
enum { LINK_TYPES = sizeof link_types / sizeof link_types[0] };

const struct overlay_rule *overlay_rule_of(const struct interface *interface)
{
	for (int i = 0; i < OVERLAY_RULES; i++) {
		const struct overlay_rule *rule = &overlay_rules[i];

		if ((!rule->kind || strcmp(rule->kind, interface->kind) == 0) &&
		    (rule->type < 0 || rule->type == interface->type) &&
		    (!rule->name || fnmatch(rule->name, interface->name, 0) == 0))
			return rule;
	}
	return NULL;
}

int interface_link_layer(const struct interface *interface)
{
	for (int i = 0; i < LINK_TYPES; i++)
		if (link_types[i].type == interface->type)
			return (int)link_types[i].link;
	return -1;
}

const char *interface_description(const struct interface *interface)
{
	if (interface->kind[0])
		return interface->kind;
	for (int i = 0; i < LINK_TYPES; i++)
		if (link_types[i].type == interface->type)
			return link_types[i].description;
	return "unknown";
}
