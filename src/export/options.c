#include "export/options.h"

#include <stdio.h>

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
	[OPTIONS_INTERFACE_ERRORS] = {"Frames that WireGuard itself refused, by its interfaces' counters",
				      2,
				      {SCOPE(observationPointId, point_id, 8),
				       SCOPE(flowDirection, refused_direction, 1),
				       VALUE(droppedPacketTotalCount, refused_packets, 8),
				       VALUE(observationTimeMilliseconds, refused_ms, 8)}},
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

const char *options_name(enum options_kind kind)
{
	return tables[kind].name;
}
