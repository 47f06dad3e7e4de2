/* fragments.h: ports for the fragments that carry none.
 *
 * Only the first fragment of an IP packet has the transport header. The table remembers its ports under
 * {observation point, direction, addresses, protocol, identification} and gives them to the later ones. It
 * keeps no packets: a fragment that arrives before its first one is metered without ports, in a flow of its
 * own. The table is fixed in size; in a flood the oldest entries give way. */
#pragma once

#include "meter/hash.h"

struct fragment_table;

/* NULL: out of memory. The hasher is borrowed. */
struct fragment_table *fragment_table_new(const struct flow_hasher *hasher);
void fragment_table_free(struct fragment_table *table);

/* A first fragment (facts->fragment has FRAGMENT_FIRST) passes by. */
void fragment_table_remember(struct fragment_table *table, const struct flow_key *key,
			     const struct packet_facts *facts);

/* A later fragment: complete its key. False: its first one is not known, the key is as it was. */
bool fragment_table_join(const struct fragment_table *table, struct flow_key *key,
			 const struct packet_facts *facts);
