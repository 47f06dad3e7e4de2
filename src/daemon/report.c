#include <jansson.h>

#include "daemon/device.h"
#include "export/record_selection.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *selection_report(const struct device *device)
{
	struct selection_item item;
	json_t *list = json_array();

	for (uint32_t i = 0; selection_item(device->selection, i, &item); i++) {
		if (item.report != REPORT_STATISTICS)
			continue;
		json_t *o = json_object();
		json_object_set_new(o, "point", json_string(device->points.point[item.point].name));
		json_object_set_new(o, "selector", number(item.id));
		json_object_set_new(o, "observed", number(item.observed));
		json_object_set_new(o, "selected", number(item.selected));
		json_array_append_new(list, o);
	}
	return list;
}

/* Of the records of one Observation Domain. */
static void record_selection_report(json_t *list, const struct exporter *exporter, uint32_t domain)
{
	struct record_selector_item item;

	for (uint32_t i = 0; exporter_record_selector(exporter, i, &item); i++) {
		json_t *o = json_object();

		json_object_set_new(o, "observationDomainId", number(domain));
		json_object_set_new(o, "selector", number(item.id));
		json_object_set_new(o, "observed", number(item.observed));
		json_object_set_new(o, "selected", number(item.selected));
		json_array_append_new(list, o);
	}
}

static json_t *meter_report(const struct device *device)
{
	static const char *const reasons[] = {[END_IDLE] = "idle",
					      [END_ACTIVE] = "active",
					      [END_DETECTED] = "end",
					      [END_FORCED] = "forced",
					      [END_RESOURCES] = "resources"};
	struct meter_statistics m;
	json_t *o = json_object(), *frames = json_object(), *records = json_object();

	device_meter_statistics(device, &m);
	json_object_set_new(o, "packets", number(m.packets));
	json_object_set_new(o, "octets", number(m.octets));
	json_object_set_new(o, "filteredPackets", number(m.filtered_packets));
	json_object_set_new(o, "filteredOctets", number(m.filtered_octets));
	json_object_set_new(o, "shedPackets", number(m.shed_packets));
	if (device->selection)
		json_object_set_new(o, "selection", selection_report(device));
	for (int i = 0; i < DECODE_OUTCOME_COUNT; i++)
		json_object_set_new(frames, decode_outcome_names[i], number(m.outcome[i]));
	json_object_set_new(o, "frames", frames);
	json_object_set_new(o, "fragmentsJoined", number(m.fragments_joined));
	json_object_set_new(o, "fragmentsUnjoined", number(m.fragments_unjoined));
	json_object_set_new(o, "flows", number(m.flows_created));
	json_object_set_new(o, "activeFlows", number(m.active_flows));
	json_object_set_new(o, "evictedFlows", number(m.evicted));
	json_object_set_new(o, "clockSteps", number(m.clock_steps));
	for (int i = END_IDLE; i <= END_RESOURCES; i++)
		json_object_set_new(records, reasons[i], number(m.records[i]));
	json_object_set_new(o, "records", records);
	return o;
}

static json_t *source_report(const struct device *device, uint32_t i)
{
	struct source_statistics s;
	json_t *o = json_object();

	device_source_statistics(device, i, &s);
	json_object_set_new(o, "packets", number(s.packets));
	json_object_set_new(o, "octets", number(s.octets));
	json_object_set_new(o, "droppedPackets", number(s.dropped_packets));
	json_object_set_new(o, "excludedPackets", number(s.excluded_packets));
	return o;
}

static json_t *peers_report(const struct device *device)
{
	struct peer_check_statistics s;
	json_t *o = json_object();

	peer_check_statistics(device->peers, &s);
	json_object_set_new(o, "noPeerFrames", number(s.no_peer));
	json_object_set_new(o, "noEndpointFrames", number(s.no_endpoint));
	json_object_set_new(o, "noSessionFrames", number(s.no_session));
	json_object_set_new(o, "reads", number(s.reads));
	json_object_set_new(o, "failedReads", number(s.failed_reads));
	json_object_set_new(o, "peers", number(s.peers));
	return o;
}

static json_t *denied_report(const struct device *device)
{
	struct meter_statistics m;
	json_t *o = json_object(), *sources = json_object();

	device_meter_statistics(device, &m);
	json_object_set_new(o, "packets", number(m.denied_packets));
	json_object_set_new(o, "octets", number(m.denied_octets));
	json_object_set_new(o, "repeatedReports", number(m.denied_repeated));
	json_object_set_new(o, "overflowPackets", number(m.denied_overflow));
	json_object_set_new(o, "unmatchedPackets", number(m.denied_unmatched));
	json_object_set_new(o, "latePackets", number(m.denied_late));
	json_object_set_new(o, "withdrawnFlows", number(m.withdrawn_flows));
	json_object_set_new(o, "activeFlows", number(m.active_denied));
	for (uint32_t i = 1; i < device->source_count; i++)
		json_object_set_new(sources, device->source[i]->type->name, source_report(device, i));
	json_object_set_new(o, "sources", sources);
	if (device->peers)
		json_object_set_new(o, "peerCheck", peers_report(device));
	return o;
}

static uint32_t domain_of(const struct device *device, uint32_t exporter)
{
	return exporter ? device->of_domain[exporter - 1].domain : device->settings->exporter.domain;
}

static json_t *session_report(const struct exporter *exporter, uint32_t domain, uint32_t i)
{
	struct session_statistics s;
	char name[512];
	json_t *o = json_object();

	exporter_session_statistics(exporter, i, &s);
	endpoint_print(exporter_session_endpoint(exporter, i), name, sizeof name);
	json_object_set_new(o, "collector", json_string(name));
	json_object_set_new(o, "observationDomainId", number(domain));
	if (exporter_session_member(exporter, i, 1)) {
		json_t *members = json_array();
		const struct endpoint *e;

		for (uint32_t n = 0; (e = exporter_session_member(exporter, i, n)); n++) {
			endpoint_print(e, name, sizeof name);
			json_array_append_new(members, json_string(name));
		}
		json_object_set_new(o, "group", members);
		json_object_set_new(o, "switches", number(s.switches));
	}
	json_object_set_new(o, "messages", number(s.messages));
	json_object_set_new(o, "octets", number(s.octets));
	json_object_set_new(o, "dataRecords", number(s.data_records));
	json_object_set_new(o, "flowRecords", number(s.flow_records));
	json_object_set_new(o, "notSentFlows", number(s.not_sent_flows));
	json_object_set_new(o, "notSentPackets", number(s.not_sent_packets));
	json_object_set_new(o, "notSentOctets", number(s.not_sent_octets));
	json_object_set_new(o, "unsureFlows", number(s.unsure_flows));
	json_object_set_new(o, "errors", number(s.errors));
	json_object_set_new(o, "templateRefreshes", number(s.template_refreshes));
	json_object_set_new(o, "spooledFlows", number(s.spooled_flows));
	json_object_set_new(o, "replayedFlows", number(s.replayed_flows));
	json_object_set_new(o, "spoolOctets", number(s.spool_octets));
	json_object_set_new(o, "spoolFilesSetAside", number(s.spool_set_aside));
	json_object_set_new(o, "spoolFailures", number(s.spool_failures));
	return o;
}

void device_report(const struct device *device, FILE *out)
{
	json_t *o = json_object(), *collectors = json_array(), *records = json_array();

	json_object_set_new(o, "source", source_report(device, 0));
	json_object_set_new(o, "meter", meter_report(device));
	if (device->source_count > 1 || device->peers)
		json_object_set_new(o, "denied", denied_report(device));
	struct exporter *exporter;
	for (uint32_t n = 0; (exporter = device_exporter(device, n)); n++) {
		record_selection_report(records, exporter, domain_of(device, n));
		for (uint32_t i = 0; i < exporter_session_count(exporter); i++)
			json_array_append_new(collectors, session_report(exporter, domain_of(device, n), i));
	}
	if (json_array_size(records))
		json_object_set(o, "recordSelection", records);
	json_decref(records);
	json_object_set_new(o, "collectors", collectors);
	json_dumpf(o, out, JSON_COMPACT | JSON_PRESERVE_ORDER);
	fputc('\n', out);
	json_decref(o);
}
