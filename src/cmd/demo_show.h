/* demo_show.h: decoded flows as people read them: a table that is redrawn on a terminal, lines elsewhere, and
 * a summary at the end. */
#pragma once

#include <stdio.h>

#include "cmd/demo_receive.h"

enum { SHOW_ROWS = 512 }; /* flows remembered for the table */

struct show {
	FILE *out;
	bool terminal;
	const struct lab *lab;
	struct demo_flow row[SHOW_ROWS];  /* a ring, newest at count - 1 */
	uint64_t count;                   /* flows seen */
	uint64_t direction[2], family[2]; /* ingress, egress; IPv4, IPv6 */
	uint64_t tcp, udp, icmp, other;
	uint64_t packets, octets;
	uint64_t denied[2]; /* ingress, egress */
};

void show_init(struct show *show, FILE *out, const struct lab *lab);

/* A demo_flow_sink. */
void show_flow(void *show, const struct demo_flow *flow);

/* Draw the table anew; nothing when `out` is no terminal. `left_s`: seconds to go, -1 = no end. */
void show_redraw(const struct show *show, int64_t left_s);

/* What was seen, and whether it is complete. */
void show_summary(const struct show *show, const struct receiver *receiver);
