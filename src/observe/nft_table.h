/* nft_table.h: a table of our own in nftables that asks the kernel to trace frames, and look-ups of what
 * others have written in theirs.
 *
 * The table has an owner: the kernel removes it with our socket, whatever ends us. It marks frames for
 * tracing and does nothing else; nothing of another table is touched. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "observe/point.h"

enum { RULE_COMMENT_MAX = 64, NFT_NAME_SIZE = 64 };

struct nft_table;

/* ERR_PERMISSION (CAP_NET_ADMIN), ERR_UNSUPPORTED (no nftables, or none with owners: before Linux 5.12),
 * ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status nft_table_open(struct nft_table **out, struct error *err);
void nft_table_close(struct nft_table *table);

const char *nft_table_name(const struct nft_table *table);

/* Trace frames of these interfaces from now on, and of no others; at most `rate` a second for each interface
 * and direction. */
MUST_CHECK enum status nft_table_trace(struct nft_table *table, const uint32_t *ifindex, uint32_t count,
				       uint32_t rate, struct error *err);

/* The comment of a rule of any table; false: it has none, or there is no such rule any more. A question to
 * the kernel: ask once. */
bool nft_table_comment(struct nft_table *table, uint8_t family, const char *of, const char *chain,
		       uint64_t handle, char comment[RULE_COMMENT_MAX]);
