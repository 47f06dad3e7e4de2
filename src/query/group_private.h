/* group_private.h: what group.c, group_chunk.c and group_table.c share. */
#pragma once

#include "query/group.h"
#include "query/texts.h"

/* Behind the words of the key. The last is only there when somebody asks for it. */
enum { OCTETS, OCTETS_HIGH, PACKETS, PACKETS_HIGH, FLOWS, DENIED, SUMS };

/* A group is one row of words, in as few cache lines as can be: which key columns are NULL (and which sums
 * have a value), the key, the sums.
 */
struct groups {
	struct {
		duckdb_type type;
		uint32_t width; /* octets: 1, 2, 4, 8, 16; a text's is that of its number */
		uint32_t at;    /* its word */
		struct texts *texts;
		char name[GROUPS_NAME_MAX];
	} columns[GROUPS_KEYS_MAX];
	uint32_t column_count;
	uint32_t sums; /* how many words of them there are */
	size_t octets_most;
	bool find_only;         /* no text is new */
	uint32_t words, stride; /* of a key; of a row */
	uint64_t *rows;
	uint32_t count, room;
	uint64_t *
		slots; /* high half of the hash, then 1 + index of the row; 0: free. A power of two of them */
	uint64_t mask, seed;
	uint64_t *keys, *hashes; /* of one chunk */
};

enum { HAS_OCTETS = 1 << 30, HAS_PACKETS = 1 << 29, NULLS = HAS_PACKETS - 1 };

static inline const uint64_t *groups_row(const struct groups *g, uint32_t group)
{
	return g->rows + (size_t)group * g->stride;
}
