/* owed.h: refused frames whose observation is still to come.
 *
 * The packet ring sees a frame that arrives before a rule refuses it, but its news and the drop source's come
 * in either order. A refusal that comes first is written down here, and the frame, when it comes, is taken
 * for what it was already counted as. Frames of one flow and one size are as good as each other. The table is
 * fixed in size; what nobody asks for is forgotten after OWED_NS. */
#pragma once

#include "meter/hash.h"

/* A frame and its refusal are reported within this of each other. */
#define OWED_NS NS_PER_S

struct owed_table;

/* NULL: out of memory. The hasher is borrowed. */
struct owed_table *owed_table_new(const struct flow_hasher *hasher);
void owed_table_free(struct owed_table *table);

/* `facts` of a frame with this key (without KIND_DENIED) is to come. False: another one had to be forgotten
 * for it. */
bool owed_table_add(struct owed_table *table, const struct flow_key *key, const struct packet_facts *facts,
		    int64_t time);

/* A frame has come. True: it is one that was owed, and is no longer. *more: others with this key are. */
bool owed_table_take(struct owed_table *table, const struct flow_key *key, const struct packet_facts *facts,
		     int64_t time, bool *more);
