/* nflog_message.h: one message of nfnetlink_log: a frame that a rule has logged. Codec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "observe/nflog.h"

struct nlmsghdr;

/* What the payload points to lies in the message. Host byte order. */
struct logged {
	const uint8_t *payload;
	uint32_t length;
	uint32_t in, out; /* ifindex; 0: none */
	uint32_t sequence;
	bool has_sequence;
	int64_t wall_ns; /* 0: not given */
	char prefix[DENIAL_RULE_MAX + DENIAL_PREFIX_MAX];
};

/* Of a message that lies whole in its buffer (mnl_nlmsg_ok). *out is zero before. False: it is no logged
 * frame, or malformed. */
bool nflog_message_read(const struct nlmsghdr *message, uint16_t *group, struct logged *out);
