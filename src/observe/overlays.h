/* overlays.h: what kind of interface this is: an overlay's or not, and what its frames begin with. */
#pragma once

#include <stdbool.h>

#include "observe/interfaces.h"

/* The row of the table by which an interface counts as an overlay's. */
struct overlay_rule {
	const char *kind; /* IFLA_INFO_KIND; NULL: any */
	int type;         /* ARPHRD_…; -1: any */
	const char *name; /* pattern as of fnmatch(3); NULL: any */
	const char *reason;
};

/* NULL: it is not known as an overlay's interface. */
const struct overlay_rule *overlay_rule_of(const struct interface *interface);

/* enum link_layer of its frames in a packet ring (LINK_IP or LINK_ETHERNET); -1: not known. */
int interface_link_layer(const struct interface *interface);

/* One word for people: "wireguard", "tun", "veth", "loopback", "ether", …; valid as long as `interface`. */
const char *interface_description(const struct interface *interface);
