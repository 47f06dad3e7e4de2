/* point.h: the Observation Points of a device (RFC 5470 section 2): interfaces by another name.
 *
 * The index of a point never changes while the program runs, also when its interface vanishes and returns
 * with another ifindex. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "observe/denial.h"
#include "observe/rules.h"

enum { POINT_MAX = 1024, POINT_NAME_MAX = 64, POINT_DOMAINS_MAX = 64 };

struct observation_point {
	uint32_t id;      /* observationPointId (138): index + 1 */
	uint32_t ifindex; /* the kernel's index; over a capture file, its interface number + 1; never 0 once
			     seen */
	uint32_t domain;  /* Observation Domain, where it has one of its own; 0: that of the device */
	bool up;          /* the interface is there and packets can come */
	char name[POINT_NAME_MAX];        /* "wg0"; UTF-8 */
	char description[POINT_NAME_MAX]; /* "wireguard", "tun", "capture file", … */
};

struct point_table {
	uint32_t count;
	uint32_t domain_count; /* points with a domain of their own, by name: filled in before the first point
				*/
	struct {
		char name[POINT_NAME_MAX];
		uint32_t domain;
	} domain[POINT_DOMAINS_MAX];
	struct observation_point point[POINT_MAX];
	struct denial_table denials; /* why frames were refused at them */
	struct rule_table rules;     /* how often the rules of this host were met */
};

/* The point with that name, made when it is new. -1 when the table is full. What is not printable UTF-8 in
 * either text becomes '?'; both are cut between characters to fit. A zeroed table is an empty one. */
int point_table_add(struct point_table *table, const char *name, const char *description);
