/* What the kernel tells of refused frames and of WireGuard's peers, and what WireGuard's socket says: any
 * octets. The first one says which. */
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "observe/nflog_message.h"
#include "observe/nft_event.h"
#include "overlay/wireguard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NFLOG, NFT, PEERS, TEXT, KINDS };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Every octet is there. */
static void touch(const uint8_t *at, uint32_t length)
{
	volatile uint8_t sum = 0;

	for (uint32_t i = 0; at && i < length; i++)
		sum = (uint8_t)(sum + at[i]);
}

static void take(uint8_t kind, const struct nlmsghdr *h, struct peer_table *peers)
{
	struct logged logged = {0};
	struct nft_event event = {0};
	uint16_t group;

	switch (kind) {
	case NFLOG:
		if (nflog_message_read(h, &group, &logged))
			touch(logged.payload, logged.length);
		check(memchr(logged.prefix, 0, sizeof logged.prefix) != NULL);
		break;
	case NFT:
		if (nft_event_read(h, &event)) {
			touch(event.network, event.network_length);
			touch(event.transport, event.transport_length);
		}
		check(memchr(event.table, 0, sizeof event.table) &&
		      memchr(event.chain, 0, sizeof event.chain));
		break;
	case PEERS: wireguard_take_message(h, peers); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer_table peers = {0};
	struct wireguard_text text = {.table = &peers};

	if (size == 0 || size > UINT16_MAX)
		return 0;
	const uint8_t kind = data[0] % KINDS;
	uint8_t *copy = malloc(size); /* aligned, as received messages are */
	check(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	const struct nlmsghdr *h = (const struct nlmsghdr *)copy;
	if (kind == TEXT)
		(void)wireguard_take_text(&text, (const char *)copy, size - 1);
	for (int left = (int)size - 1; kind != TEXT && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		take(kind, h, &peers);
	check(peer_table_complete(&peers) == OK);
	for (uint32_t i = 0; i < peers.prefix_count && !peers.incomplete; i++)
		check(peer_table_find(&peers, peers.prefix[i].version, peers.prefix[i].address) != NULL);
	peer_table_fini(&peers);
	free(copy);
	return 0;
}
