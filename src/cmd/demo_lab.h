/* demo_lab.h: three systems on a WireGuard overlay, each in a network namespace that only we and our children
 * hold: when the last of us ends, the kernel takes it all back.
 *
 *     [ada]──┐            underlay 198.51.100.0/24 (RFC 5737), IPv4
 *     [bob]──┼── br0      overlay  10.77.0.0/24 and fd77::/64, a full mesh
 *     [cyd]──┘            br0 holds 198.51.100.254, where the collector listens */
#pragma once

#include <stdint.h>

#include "cmd/demo_children.h"

enum { LAB_HOSTS = 3 };

#define LAB_COLLECTOR "198.51.100.254"

struct lab;

struct lab_host {
	const struct lab *lab;
	const char *name;
	int netns;           /* descriptor */
	int key;             /* memory file with the private key */
	char device[16];     /* the overlay interface; unique on this machine */
	char public_key[48]; /* base64 */
};

struct lab {
	struct children *children;
	int home, fabric; /* descriptors of our own namespace and of the one with the bridge */
	struct lab_host host[LAB_HOSTS];
	bool kernel_wireguard;
	bool *broken; /* set when a tunnel ends by itself */
};

/* Build it all. `broken` outlives the children. ERR_PERMISSION, or ERR_SYSTEM with what failed; END when the
 * user left meanwhile. lab_close in every case. */
MUST_CHECK enum status lab_open(struct lab *lab, struct children *children, bool *broken, struct error *err);

/* After the children have ended. */
void lab_close(struct lab *lab);

/* `line` with {n} = the host's number, {name}, {dev} = its overlay interface, {ns} and {key} = paths, and
 * with {m} and {peer} = number and public key of the host `other`. -1: it does not fit. */
int lab_fill(const struct lab *lab, int host, int other, const char *line, char *out, size_t size);

/* A socket that stands in a namespace of the lab (descriptor). -1 and errno. */
int lab_socket(const struct lab *lab, int netns, int family, int type);
