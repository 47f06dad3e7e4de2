#include "export/options.h"

#include <stdio.h>
#include <string.h>

#include "ie/ie.h"
#include "message/writer.h"

enum { ROWS_MAX = 8 };

/* SCOPE rows come first; a row's element, member of struct options_facts, octets on the wire. */
#define SCOPE(name, member, length)                                                                          \
	FIELD_ROW(struct options_facts, name, member, length, FORM_NUMBER, true, FOR_ALL)
#define VALUE(name, member, length)                                                                          \
	FIELD_ROW(struct options_facts, name, member, length, FORM_NUMBER, false, FOR_ALL)
#define STRING(name, member)                                                                                 \
	FIELD_ROW(struct options_facts, name, member, FIELD_VARIABLE, FORM_TEXT, false, FOR_ALL)
/* A scope that is an element of our own. */
#define OUR_SCOPE(name, member, octets, how)                                                                 \
	{                                                                                                    \
		.element = IE_##name, .length = (octets), .pen = WEIR_PEN,                                   \
		.offset = offsetof(struct options_facts, member),                                            \
		.size = sizeof(((struct options_facts *)0)->member), .form = (how), .key = true,             \
		.applies = FOR_ALL                                                                           \
	}

#define SEQUENCE_ROWS   SCOPE(selectionSequenceId, sequence, 8), VALUE(observationPointId, point_id, 8)
#define SELECTOR(i)     VALUE(selectorId, selector[i], 8)

#define RECORD_SELECTOR SCOPE(selectorId, selector[0], 8), VALUE(flowSelectorAlgorithm, algorithm, 2)
#define RECORDS_SELECTED                                                                                     \
	VALUE(selectorIDTotalFlowsObserved, observed, 8), VALUE(selectorIDTotalFlowsSelected, selected, 8)

static const struct {
	const char *name;
	uint8_t scopes;
	struct field row[ROWS_MAX];
} tables[OPTIONS_COUNT] = {
	[OPTIONS_METERING_STATISTICS] = {"Metering Process Statistics (RFC 7011 4.1)",
					 2,
					 {SCOPE(observationDomainId, domain, 4),
					  SCOPE(meteringProcessId, metering_process, 4),
					  VALUE(exportedMessageTotalCount, exported_messages, 8),
					  VALUE(exportedFlowRecordTotalCount, exported_flows, 8),
					  VALUE(exportedOctetTotalCount, exported_octets, 8)}},
	[OPTIONS_METERING_RELIABILITY] = {"Metering Process Reliability Statistics (RFC 7011 4.2)",
					  2,
					  {SCOPE(observationDomainId, domain, 4),
					   SCOPE(meteringProcessId, metering_process, 4),
					   VALUE(ignoredPacketTotalCount, ignored_packets, 8),
					   VALUE(ignoredOctetTotalCount, ignored_octets, 8),
					   VALUE(observationTimeMilliseconds, first_ignored_ms, 8),
					   VALUE(observationTimeMilliseconds, last_ignored_ms, 8)}},
	[OPTIONS_EXPORTING_RELIABILITY] = {"Exporting Process Reliability Statistics (RFC 7011 4.3)",
					   1,
					   {SCOPE(exportingProcessId, exporting_process, 4),
					    VALUE(notSentFlowTotalCount, not_sent_flows, 8),
					    VALUE(notSentPacketTotalCount, not_sent_packets, 8),
					    VALUE(notSentOctetTotalCount, not_sent_octets, 8),
					    VALUE(observationTimeMilliseconds, first_not_sent_ms, 8),
					    VALUE(observationTimeMilliseconds, last_not_sent_ms, 8)}},
	[OPTIONS_EXPORTER] = {"Start and timeouts",
			      1,
			      {SCOPE(exportingProcessId, exporting_process, 4),
			       VALUE(systemInitTimeMilliseconds, started_ms, 8),
			       VALUE(flowActiveTimeout, active_timeout_s, 2),
			       VALUE(flowIdleTimeout, idle_timeout_s, 2)}},
	[OPTIONS_FLOW_KEYS] = {"Flow Keys (RFC 7011 4.4)",
			       1,
			       {SCOPE(templateId, template_id, 2), VALUE(flowKeyIndicator, key_bits, 8)}},
	[OPTIONS_INTERFACES] = {"Interfaces, one per Observation Point",
				1,
				{SCOPE(ingressInterface, interface, 4),
				 VALUE(observationPointId, point_id, 8), STRING(interfaceName, name),
				 STRING(interfaceDescription, description)}},
	[OPTIONS_ELEMENTS] = {"Types of our own elements (RFC 5610)",
			      2,
			      {SCOPE(privateEnterpriseNumber, enterprise, 4),
			       SCOPE(informationElementId, element, 2),
			       VALUE(informationElementDataType, element_type, 1),
			       VALUE(informationElementSemantics, element_semantics, 1),
			       VALUE(informationElementUnits, element_units, 2),
			       VALUE(informationElementRangeBegin, element_begin, 8),
			       VALUE(informationElementRangeEnd, element_end, 8),
			       STRING(informationElementName, name)}},
	[OPTIONS_RULES] = {"Rules of this host, and what they met",
			   4,
			   {OUR_SCOPE(ruleAction, rule_action, 1, FORM_NUMBER),
			    OUR_SCOPE(ruleName, rule, FIELD_VARIABLE, FORM_TEXT),
			    SCOPE(flowDirection, rule_direction, 1),
			    OUR_SCOPE(ruleCountSource, rule_source, 1, FORM_NUMBER),
			    VALUE(packetTotalCount, rule_packets, 8), VALUE(octetTotalCount, rule_octets, 8),
			    VALUE(observationTimeMilliseconds, rule_ms, 8)}},
	[OPTIONS_SELECTOR_COUNT] = {"Selector: systematic, count-based (RFC 5476 6.5.2.1)",
				    1,
				    {SCOPE(selectorId, selector[0], 8),
				     VALUE(selectorAlgorithm, algorithm, 2),
				     VALUE(samplingPacketInterval, take, 4),
				     VALUE(samplingPacketSpace, space, 4)}},
	[OPTIONS_SELECTOR_TIME] = {"Selector: systematic, time-based (RFC 5476 6.5.2.2)",
				   1,
				   {SCOPE(selectorId, selector[0], 8), VALUE(selectorAlgorithm, algorithm, 2),
				    VALUE(samplingTimeInterval, take, 4),
				    VALUE(samplingTimeSpace, space, 4)}},
	[OPTIONS_SELECTOR_RANDOM] = {"Selector: random, n out of N (RFC 5476 6.5.2.3)",
				     1,
				     {SCOPE(selectorId, selector[0], 8),
				      VALUE(selectorAlgorithm, algorithm, 2), VALUE(samplingSize, take, 4),
				      VALUE(samplingPopulation, of, 4)}},
	[OPTIONS_SELECTOR_PROBABILITY] = {"Selector: uniform probabilistic (RFC 5476 6.5.2.4)",
					  1,
					  {SCOPE(selectorId, selector[0], 8),
					   VALUE(selectorAlgorithm, algorithm, 2),
					   VALUE(samplingProbability, probability, 8)}},
	[OPTIONS_SELECTOR_FILTER] = {"Selector: filter (RFC 5476 6.5.2.5)",
				     1,
				     {SCOPE(selectorId, selector[0], 8),
				      VALUE(selectorAlgorithm, algorithm, 2),
				      STRING(selectorName, expression)}},
	[OPTIONS_SEQUENCE_1] = {"Selection Sequence of one selector (RFC 5476 6.5.1)",
				1,
				{SEQUENCE_ROWS, SELECTOR(0)}},
	[OPTIONS_SEQUENCE_2] = {"Selection Sequence of two selectors",
				1,
				{SEQUENCE_ROWS, SELECTOR(0), SELECTOR(1)}},
	[OPTIONS_SEQUENCE_3] = {"Selection Sequence of three selectors",
				1,
				{SEQUENCE_ROWS, SELECTOR(0), SELECTOR(1), SELECTOR(2)}},
	[OPTIONS_SEQUENCE_4] = {"Selection Sequence of four selectors",
				1,
				{SEQUENCE_ROWS, SELECTOR(0), SELECTOR(1), SELECTOR(2), SELECTOR(3)}},
	[OPTIONS_SELECTION_STATISTICS] = {"Selection Sequence Statistics, by selector (RFC 5476 6.5.3)",
					  2,
					  {SCOPE(selectionSequenceId, sequence, 8),
					   SCOPE(selectorId, selector[0], 8),
					   VALUE(selectorIdTotalPktsObserved, observed, 8),
					   VALUE(selectorIdTotalPktsSelected, selected, 8)}},
	[OPTIONS_INTERFACE_ERRORS] = {"Frames that WireGuard itself refused, by its interfaces' counters",
				      2,
				      {SCOPE(observationPointId, point_id, 8),
				       SCOPE(flowDirection, refused_direction, 1),
				       VALUE(droppedPacketTotalCount, refused_packets, 8),
				       VALUE(observationTimeMilliseconds, refused_ms, 8)}},
	[OPTIONS_RECORD_SELECTOR_COUNT] = {"Selector of flow records: systematic, count-based (RFC 7014)",
					   1,
					   {RECORD_SELECTOR, VALUE(samplingFlowInterval, take, 8),
					    VALUE(samplingFlowSpacing, space, 8), RECORDS_SELECTED}},
	[OPTIONS_RECORD_SELECTOR_RANDOM] = {"Selector of flow records: random, n out of N",
					    1,
					    {RECORD_SELECTOR, VALUE(samplingSize, take, 4),
					     VALUE(samplingPopulation, of, 4), RECORDS_SELECTED}},
	[OPTIONS_RECORD_SELECTOR_PROBABILITY] = {"Selector of flow records: uniform probabilistic",
						 1,
						 {RECORD_SELECTOR, VALUE(samplingProbability, probability, 8),
						  RECORDS_SELECTED}},
	[OPTIONS_RECORD_SELECTOR_MATCH] = {"Selector of flow records: property match",
					   1,
					   {RECORD_SELECTOR, STRING(selectorName, expression),
					    RECORDS_SELECTED}},
};

void options_make(struct layout out[static OPTIONS_COUNT])
{
	for (uint32_t kind = 0; kind < OPTIONS_COUNT; kind++) {
		size_t rows = 0;

		while (rows < ROWS_MAX && tables[kind].row[rows].element)
			rows++;
		layout_make(&out[kind], (uint16_t)(OPTIONS_TEMPLATE_FIRST + kind), tables[kind].scopes,
			    tables[kind].row, rows, FOR_ALL);
	}
}

bool options_describe(struct options_facts *facts, uint32_t index)
{
	for (size_t i = 0; i < ie_registry_count; i++) {
		const struct information_element *ie = &ie_registry[i];

		if (ie->pen != WEIR_PEN || index-- > 0)
			continue;
		facts->element = ie->id;
		facts->element_type = ie->type;
		facts->element_semantics = ie->semantics;
		facts->element_units = ie->units;
		facts->element_begin = ie->range_begin;
		facts->element_end = ie->range_end;
		snprintf(facts->name, sizeof facts->name, "%s", ie->name);
		return true;
	}
	return false;
}

static enum options_kind describe_selector(const struct selector *s, struct options_facts *facts)
{
	facts->algorithm = s->algorithm;
	facts->take = s->take;
	facts->of = s->of;
	facts->space = s->of - s->take;
	memcpy(&facts->probability, &s->probability, sizeof facts->probability);
	snprintf(facts->expression, sizeof facts->expression, "%.*s", (int)sizeof facts->expression - 1,
		 s->text);
	switch ((enum selector_algorithm)s->algorithm) {
	case SELECTOR_COUNT: return OPTIONS_SELECTOR_COUNT;
	case SELECTOR_TIME: return OPTIONS_SELECTOR_TIME;
	case SELECTOR_RANDOM: return OPTIONS_SELECTOR_RANDOM;
	case SELECTOR_PROBABILITY: return OPTIONS_SELECTOR_PROBABILITY;
	case SELECTOR_FILTER:
	default: return OPTIONS_SELECTOR_FILTER;
	}
}

static enum options_kind describe_record_selector(const struct record_selector_item *item,
						  struct options_facts *facts)
{
	describe_selector(item->selector, facts);
	facts->selector[0] = item->id;
	facts->observed = item->observed;
	facts->selected = item->selected;
	switch ((enum selector_algorithm)item->selector->algorithm) {
	case SELECTOR_COUNT: return OPTIONS_RECORD_SELECTOR_COUNT;
	case SELECTOR_RANDOM: return OPTIONS_RECORD_SELECTOR_RANDOM;
	case SELECTOR_PROBABILITY: return OPTIONS_RECORD_SELECTOR_PROBABILITY;
	case SELECTOR_TIME:
	case SELECTOR_FILTER:
	default: return OPTIONS_RECORD_SELECTOR_MATCH;
	}
}

static uint32_t packet_items(const struct selection *selection)
{
	struct selection_item item;
	uint32_t count = 0;

	while (selection && selection_item(selection, count, &item))
		count++;
	return count;
}

/* Items of packets come first, those of records behind them. */
static bool item_of_records(const struct selections *s, uint32_t index, struct record_selector_item *out)
{
	return record_selection_item(s->records, index - packet_items(s->packets), out);
}

/* A sequence is known by the number of its point. */
static enum options_kind describe_item(const struct selections *s, const struct selection_item *item,
				       struct options_facts *facts)
{
	facts->selector[0] = item->id;
	if (item->report == REPORT_SELECTOR)
		return describe_selector(&item->selector, facts);
	facts->sequence = facts->point_id = s->points->point[item->point].id;
	if (item->report == REPORT_SEQUENCE) {
		memcpy(facts->selector, item->ids, sizeof facts->selector);
		return OPTIONS_SEQUENCE_1 + (item->id_count - 1);
	}
	facts->observed = item->observed;
	facts->selected = item->selected;
	return OPTIONS_SELECTION_STATISTICS;
}

bool options_of_selection(const struct selections *s, uint32_t *index, struct options_facts *facts,
			  enum options_kind *kind)
{
	struct selection_item item;
	struct record_selector_item of_records;

	while (s->packets && s->points && selection_item(s->packets, *index, &item)) {
		(*index)++;
		if (item.report != REPORT_SELECTOR && s->points->point[item.point].domain != s->domain)
			continue;
		*kind = describe_item(s, &item, facts);
		return true;
	}
	if (!item_of_records(s, (*index)++, &of_records))
		return false;
	*kind = describe_record_selector(&of_records, facts);
	return true;
}

uint32_t options_selection_kinds(const struct selections *s)
{
	struct options_facts facts;
	struct selection_item item;
	struct record_selector_item of_records;
	uint32_t kinds = 0;

	for (uint32_t i = 0; s->packets && selection_item(s->packets, i, &item); i++)
		kinds |= item.report == REPORT_SELECTOR   ? 1U << describe_selector(&item.selector, &facts)
			 : item.report == REPORT_SEQUENCE ? 1U << (OPTIONS_SEQUENCE_1 + (item.id_count - 1))
							  : 1U << OPTIONS_SELECTION_STATISTICS;
	for (uint32_t i = 0; record_selection_item(s->records, i, &of_records); i++)
		kinds |= 1U << describe_record_selector(&of_records, &facts);
	return kinds;
}

uint32_t options_free_selector(const struct selection *packets)
{
	struct selection_item item;
	uint32_t most = 0;

	for (uint32_t i = 0; packets && selection_item(packets, i, &item); i++)
		if (item.report == REPORT_SELECTOR && item.id > most)
			most = item.id;
	return most + 1;
}

const char *options_name(enum options_kind kind)
{
	return tables[kind].name;
}
