/* policy.h: a policy of our own for hosts that have none: who may open connections to whom over the overlay.
 *
 * One file serves all systems of an overlay: a rule names senders (who opens) and receivers, and is asked on
 * both sides, of each frame in the direction in which its connection was opened; answers pass. The first rule
 * that matches decides; without one a frame is refused. An allow rule may name Trust Requirements, which the
 * peer (the far end) must meet: named sets of peers that an outside check adds to and takes from.
 *
 * The file is JSON; its properties are the tables in read.c, and weir-policy(8) tells them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	POLICY_OCTETS_MAX = 1 << 20,
	POLICY_NAME_MAX = 48, /* of a rule, a peer, a requirement, with its NUL */
	POLICY_INTERFACES_MAX = 16,
	POLICY_INTERFACE_MAX = 16,
	POLICY_PEERS_MAX = 1024,
	POLICY_TRUST_MAX = 64,
	POLICY_RULES_MAX = 512,
	POLICY_PREFIXES_MAX = 1 << 16, /* of all lists together */
	POLICY_PORTS_MAX = 64,         /* of one rule */
	POLICY_PROTOCOLS_MAX = 8,      /* of one rule */
};

/* The rule of frames that no rule of the file matches; no other may have its name. */
#define POLICY_DEFAULT_RULE "default-deny"

struct policy_prefix {
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t length; /* bits; what is behind them is zero */
	uint8_t address[16];
};

/* A run of policy.prefix. None: no condition. */
struct prefix_run {
	uint32_t first, count;
};

struct policy_peer {
	char name[POLICY_NAME_MAX];
	struct prefix_run prefixes;
};

struct port_range {
	uint16_t first, last;
};

struct policy_rule {
	char name[POLICY_NAME_MAX];
	bool allow;
	bool icmp; /* ICMP over IPv4, ICMPv6 over IPv6; besides protocol[] */
	uint8_t protocol_count, port_count;
	uint8_t protocol[POLICY_PROTOCOLS_MAX];   /* IANA numbers; none, and no icmp: all */
	struct port_range port[POLICY_PORTS_MAX]; /* destination, ascending and apart; none: all */
	struct prefix_run senders, receivers;
	uint64_t trust; /* bit n: policy.trust[n] is required */
};

struct policy {
	uint16_t nflog_group;
	uint32_t interface_count, peer_count, trust_count, rule_count, prefix_count;
	char interface[POLICY_INTERFACES_MAX][POLICY_INTERFACE_MAX];
	char trust[POLICY_TRUST_MAX][POLICY_NAME_MAX];
	struct policy_peer *peer;
	struct policy_rule *rule;
	struct policy_prefix *prefix;
};

/* Read a file ("-": standard input). ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY; ERR_USAGE with a text
 * "FILE:LINE:COLUMN: what was seen; what is allowed". Caller owns *out and ends it with policy_free. */
MUST_CHECK enum status policy_load(struct policy **out, const char *path, struct error *err);

/* The same over text in memory; `name` stands for the file in messages. */
MUST_CHECK enum status policy_parse(struct policy **out, const char *name, const char *text, size_t length,
				    struct error *err);
void policy_free(struct policy *policy);

/* "10.0.0.1", "fd00::/8": the prefix, and false for anything else, also for bits behind the prefix. */
bool policy_prefix_parse(struct policy_prefix *out, const char *text);

/* Into at least 64 octets; a host without its length. */
void policy_prefix_text(const struct policy_prefix *prefix, char *out, size_t size);
bool policy_prefix_is_host(const struct policy_prefix *prefix);

/* A letter, then letters, digits, '-', '_', '.'; at most 47. */
bool policy_name_is_good(const char *name);
