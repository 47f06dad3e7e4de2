/* nft_event.h: one message of the kernel's trace of nftables. Codec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "observe/nft_table.h"

struct nlmsghdr;

/* Headers point into the message; names are cut to fit. Host byte order. */
struct nft_event {
	uint32_t id, type, verdict, in, out;
	uint64_t handle;
	uint8_t family;
	bool has_verdict;
	char table[NFT_NAME_SIZE], chain[NFT_NAME_SIZE];
	const uint8_t *network, *transport;
	uint32_t network_length, transport_length;
};

/* Of a message that lies whole in its buffer (mnl_nlmsg_ok). *out is zero before. False: it is none, or
 * malformed. */
bool nft_event_read(const struct nlmsghdr *message, struct nft_event *out);
