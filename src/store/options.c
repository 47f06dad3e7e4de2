#include "store/options.h"

#include "ie/ie_ids.h"

/* What is looked for in one record. */
struct found {
	uint64_t seen; /* a bit for each of the words below */
	uint64_t selector, interval, packet_interval, packet_space, size, population, interface, init;
	uint64_t algorithm, time_interval, time_space;
	uint64_t pen, id, type;
	uint64_t reported[REPORTED_COUNT];
	double probability;
	struct span name, description, element_name;
};

enum {
	SEEN_SELECTOR = 1 << 0,
	SEEN_INTERVAL = 1 << 1,
	SEEN_PACKET_INTERVAL = 1 << 2,
	SEEN_PACKET_SPACE = 1 << 3,
	SEEN_SIZE = 1 << 4,
	SEEN_POPULATION = 1 << 5,
	SEEN_INTERFACE = 1 << 6,
	SEEN_INIT = 1 << 7,
	SEEN_PEN = 1 << 8,
	SEEN_ID = 1 << 9,
	SEEN_TYPE = 1 << 10,
	SEEN_PROBABILITY = 1 << 11,
	SEEN_ALGORITHM = 1 << 12,
	SEEN_TIME_INTERVAL = 1 << 13,
	SEEN_TIME_SPACE = 1 << 14,
	SEEN_OF_FLOWS = 1 << 15,
};

enum { PROPERTY_MATCH = 5 }; /* IANA's PSAMP selectorAlgorithm */

#define SEEN_REPORTED (UINT64_C(1) << 16) /* and the next bits */

static void note_number(struct found *f, uint16_t id, uint64_t v)
{
#define NOTE(element, bit, member)                                                                           \
	case element:                                                                                        \
		f->member = v;                                                                               \
		f->seen |= bit;                                                                              \
		break
	switch (id) {
		NOTE(IE_selectorId, SEEN_SELECTOR, selector);
		NOTE(IE_samplerId, SEEN_SELECTOR, selector);
		NOTE(IE_samplingInterval, SEEN_INTERVAL, interval);
		NOTE(IE_samplerRandomInterval, SEEN_INTERVAL, interval);
		NOTE(IE_samplingPacketInterval, SEEN_PACKET_INTERVAL, packet_interval);
		NOTE(IE_samplingPacketSpace, SEEN_PACKET_SPACE, packet_space);
		NOTE(IE_selectorAlgorithm, SEEN_ALGORITHM, algorithm);
		NOTE(IE_flowSelectorAlgorithm, SEEN_OF_FLOWS, algorithm);
		NOTE(IE_samplingTimeInterval, SEEN_TIME_INTERVAL, time_interval);
		NOTE(IE_samplingTimeSpace, SEEN_TIME_SPACE, time_space);
		NOTE(IE_samplingSize, SEEN_SIZE, size);
		NOTE(IE_samplingPopulation, SEEN_POPULATION, population);
		NOTE(IE_ingressInterface, SEEN_INTERFACE, interface);
		NOTE(IE_egressInterface, SEEN_INTERFACE, interface);
		NOTE(IE_privateEnterpriseNumber, SEEN_PEN, pen);
		NOTE(IE_informationElementId, SEEN_ID, id);
		NOTE(IE_informationElementDataType, SEEN_TYPE, type);
		NOTE(IE_ignoredPacketTotalCount, SEEN_REPORTED << REPORTED_IGNORED_PACKETS,
		     reported[REPORTED_IGNORED_PACKETS]);
		NOTE(IE_ignoredOctetTotalCount, SEEN_REPORTED << REPORTED_IGNORED_OCTETS,
		     reported[REPORTED_IGNORED_OCTETS]);
		NOTE(IE_notSentFlowTotalCount, SEEN_REPORTED << REPORTED_NOT_SENT_FLOWS,
		     reported[REPORTED_NOT_SENT_FLOWS]);
		NOTE(IE_notSentPacketTotalCount, SEEN_REPORTED << REPORTED_NOT_SENT_PACKETS,
		     reported[REPORTED_NOT_SENT_PACKETS]);
		NOTE(IE_notSentOctetTotalCount, SEEN_REPORTED << REPORTED_NOT_SENT_OCTETS,
		     reported[REPORTED_NOT_SENT_OCTETS]);
	default: break;
	}
#undef NOTE
}

static void note_field(struct found *f, const struct template_field *field, struct span octets)
{
	struct value v;

	if (field->pen != 0 || !field->ie)
		return;
	value_decode(&v, (enum ie_type)field->ie->type, octets);
	if (v.kind == VALUE_UNSIGNED) {
		note_number(f, field->id, v.u);
	} else if (v.kind == VALUE_STRING) {
		if (field->id == IE_interfaceName)
			f->name = v.octets;
		else if (field->id == IE_interfaceDescription)
			f->description = v.octets;
		else if (field->id == IE_informationElementName)
			f->element_name = v.octets;
	} else if (v.kind == VALUE_TIME && field->id == IE_systemInitTimeMilliseconds) {
		f->init = (uint64_t)v.time.seconds * 1000 + v.time.nanoseconds / 1000000;
		f->seen |= SEEN_INIT;
	} else if (v.kind == VALUE_FLOAT && field->id == IE_samplingProbability) {
		f->probability = v.f;
		f->seen |= SEEN_PROBABILITY;
	}
}

static bool has(const struct found *f, uint64_t bits)
{
	return (f->seen & bits) == bits;
}

/* 305 and 306: so many packets selected, so many passed over (RFC 5477 section 8.2); 307 and 308: the same in
 * microseconds; 309 and 310: so many of so many; 311: a probability; 34 and 50: one in so many. A filter (304
 * is 5) selects what was asked for: nothing is missing. */
static void take_sampling(struct origin *o, const struct found *f)
{
	if (has(f, SEEN_OF_FLOWS)) /* records are left out, not packets (RFC 7014) */
		return;
	if (has(f, SEEN_PACKET_INTERVAL | SEEN_PACKET_SPACE))
		origin_set_sampling(o, f->selector, f->packet_interval + f->packet_space, f->packet_interval);
	else if (has(f, SEEN_TIME_INTERVAL | SEEN_TIME_SPACE))
		origin_set_sampling(o, f->selector, f->time_interval + f->time_space, f->time_interval);
	else if (has(f, SEEN_SIZE | SEEN_POPULATION))
		origin_set_sampling(o, f->selector, f->population, f->size);
	else if (has(f, SEEN_PROBABILITY) && f->probability > 1e-9 && f->probability <= 1)
		origin_set_sampling(o, f->selector, (uint64_t)(1 / f->probability * 1000 + 0.5), 1000);
	else if (has(f, SEEN_INTERVAL))
		origin_set_sampling(o, f->selector, f->interval, 1);
	else if (has(f, SEEN_SELECTOR | SEEN_ALGORITHM) && f->algorithm == PROPERTY_MATCH)
		origin_set_sampling(o, f->selector, 1, 1);
}

static void take(struct origin *o, struct elements *elements, const struct found *f)
{
	take_sampling(o, f);
	if (has(f, SEEN_INIT))
		o->init_ms = (int64_t)f->init;
	if (has(f, SEEN_INTERFACE) && f->interface <= UINT32_MAX)
		origin_set_interface(o, (uint32_t)f->interface, f->name.length ? f->name : f->description);
	for (unsigned i = 0; i < REPORTED_COUNT; i++)
		if (has(f, SEEN_REPORTED << i))
			origin_report(o, (enum reported)i, f->reported[i]);
	if (has(f, SEEN_PEN | SEEN_ID | SEEN_TYPE) && f->element_name.length && f->pen <= UINT32_MAX &&
	    f->type < IE_TYPE_COUNT)
		elements_learn(elements, (uint32_t)f->pen, (uint16_t)(f->id & 0x7fff), (uint8_t)f->type,
			       (const char *)f->element_name.data, f->element_name.length);
}

void options_understand(struct origin *origin, struct elements *elements, const struct template *t,
			struct span records, struct field_place *places)
{
	struct record_reader reader = record_reader_over(t, records);
	struct span record;

	while (record_next(&reader, &record, places) == OK) {
		struct found found = {0};

		for (uint16_t i = 0; i < t->field_count; i++)
			note_field(&found, &t->fields[i], record_field(t, record, places, i));
		take(origin, elements, &found);
	}
}
