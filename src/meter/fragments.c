#include "meter/fragments.h"

#include <stdlib.h>

#include "meter/store.h"

enum { SETS = 256, WAYS = 4 };

/* Fragments of one packet follow each other within milliseconds, and an identification comes back after
 * 65536 packets: long enough for a slow path, too short for most repetitions. */
static const uint64_t lifetime_ns = 5 * NS_PER_S;

struct entry {
	struct flow_key name; /* of the packet: the identification stands where a flow has its ports */
	uint16_t source_port, destination_port;
	uint8_t kind;
	bool filled;
	int64_t time;
};

struct fragment_table {
	const struct flow_hasher *hasher;
	struct entry entry[SETS][WAYS];
};

struct fragment_table *fragment_table_new(const struct flow_hasher *hasher)
{
	struct fragment_table *table = calloc(1, sizeof *table);

	if (table)
		table->hasher = hasher;
	return table;
}

void fragment_table_free(struct fragment_table *table)
{
	free(table);
}

static struct flow_key name_of(const struct flow_key *key, const struct packet_facts *facts)
{
	struct flow_key name = *key;

	name.source_port = (uint16_t)(facts->fragment_id >> 16);
	name.destination_port = (uint16_t)facts->fragment_id;
	name.kind &= (uint8_t)~KIND_PORTS;
	return name;
}

static uint32_t set_of(const struct fragment_table *table, const struct flow_key *name)
{
	return flow_hash(table->hasher, name) % SETS;
}

/* Also an entry from the future is stale: the clock has stepped. */
static bool fresh(const struct entry *e, int64_t now)
{
	const int64_t slack = NS_PER_S; /* packets of two processors come slightly out of order */

	return e->filled &&
	       (uint64_t)now - (uint64_t)e->time + (uint64_t)slack < lifetime_ns + (uint64_t)slack;
}

void fragment_table_remember(struct fragment_table *table, const struct flow_key *key,
			     const struct packet_facts *facts)
{
	const struct flow_key name = name_of(key, facts);
	struct entry *set = table->entry[set_of(table, &name)];
	struct entry *use = &set[0];

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].filled && flow_key_equal(&set[i].name, &name)) {
			use = &set[i];
			break;
		}
		if (use->filled && (!set[i].filled || set[i].time < use->time))
			use = &set[i];
	}
	*use = (struct entry){
		.name = name,
		.source_port = key->source_port,
		.destination_port = key->destination_port,
		.kind = key->kind,
		.filled = true,
		.time = facts->time.ns,
	};
}

bool fragment_table_join(const struct fragment_table *table, struct flow_key *key,
			 const struct packet_facts *facts)
{
	const struct flow_key name = name_of(key, facts);
	const struct entry *set = table->entry[set_of(table, &name)];

	for (unsigned i = 0; i < WAYS; i++) {
		if (!fresh(&set[i], facts->time.ns) || !flow_key_equal(&set[i].name, &name))
			continue;
		key->source_port = set[i].source_port;
		key->destination_port = set[i].destination_port;
		key->kind = set[i].kind;
		return true;
	}
	return false;
}
