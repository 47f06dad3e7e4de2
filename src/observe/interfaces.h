/* interfaces.h: the network interfaces of this network namespace, followed by rtnetlink.
 *
 * Needs no privilege. When the kernel had to drop notifications, all interfaces are read again and what was
 * missed is told then, so the listener's picture is always brought up to the kernel's. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { INTERFACE_KIND_MAX = 24 };

struct interface {
	uint32_t ifindex;
	uint16_t type; /* ARPHRD_… of net/if_arp.h */
	bool up;       /* IFF_UP: what its owner set; the carrier is not asked for */
	char name[IFNAMSIZ];
	char kind[INTERFACE_KIND_MAX]; /* IFLA_INFO_KIND: "wireguard", "tun", …; "" for hardware and loopback
					*/
};

enum interface_change { INTERFACE_NEW, INTERFACE_CHANGED, INTERFACE_GONE };

/* One change of one interface. `now` is what is known of it (for INTERFACE_GONE: what it last was), `before`
 * what it was until now (NULL unless INTERFACE_CHANGED). Both are borrowed for the call. */
typedef void interface_sink(void *arg, enum interface_change change, const struct interface *now,
			    const struct interface *before);

struct interfaces;

/* Subscribe, and tell every interface there is as INTERFACE_NEW. ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status interfaces_open(struct interfaces **out, interface_sink *sink, void *sink_arg,
				       struct error *err);
void interfaces_close(struct interfaces *interfaces);

/* Readable when interfaces_read has something to do. */
int interfaces_fd(const struct interfaces *interfaces);

/* Take in what the kernel has said and tell the sink; does not block; bounded work per call. */
MUST_CHECK enum status interfaces_read(struct interfaces *interfaces, struct error *err);

/* Tell every interface that is known as INTERFACE_NEW once more. */
void interfaces_tell_all(const struct interfaces *interfaces);

/* The interface with this index is known to be another one than we believe (its packet socket lost its
 * device): drop what is known and read all again. The sink is not told that it is gone. */
MUST_CHECK enum status interfaces_forget(struct interfaces *interfaces, uint32_t ifindex, struct error *err);
