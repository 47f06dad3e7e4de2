#include "daemon/device.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/shards.h"
#include "export/layout.h"

/* Nobody else's sequence can be mixed up with ours in a file of our own. */
static bool only_files(const struct exporter_options *options)
{
	for (uint32_t i = 0; i < options->collector_count; i++)
		if (options->collector[i].type->default_port != 0)
			return false;
	return true;
}

/* A frame and its refusal are told within a second of each other: no flow may end sooner. */
void device_prepare_settings(struct settings *settings, const struct logger *log)
{
	struct meter_options *m = &settings->meter;

	if (settings->nflog_count == 0 && !settings->trace_rules && !settings->drop_reasons &&
	    !settings->peer_check)
		return;
	m->max_denied = settings->max_denied;
	if (m->idle_ns < NS_PER_S || m->linger_ns < NS_PER_S)
		log_warn(log,
			 "IdleTimeout and TcpLinger are at least 1000 ms where refused frames are told of");
	m->idle_ns = m->idle_ns < NS_PER_S ? NS_PER_S : m->idle_ns;
	m->linger_ns = m->linger_ns < NS_PER_S ? NS_PER_S : m->linger_ns;
}

enum status device_selection(struct selection **out, const struct settings *settings,
			     const struct point_table *points, struct error *err)
{
	struct selection_options options = {.count = 1, .of[0].chain = &settings->selection};
	uint32_t wanted = settings->selection.count;
	uint64_t seed;

	*out = NULL;
	for (uint32_t i = 0; i < settings->of_point_count; i++) {
		const struct point_settings *p = &settings->of_point[i];

		if (!p->own)
			continue;
		options.of[options.count].point = p->name;
		options.of[options.count++].chain = &p->selection;
		wanted += p->selection.count;
	}
	if (wanted == 0)
		return OK;
	if (getrandom(&seed, sizeof seed, 0) < 0)
		return error_errno(err, "no random octets for the selection of packets");
	return selection_new(out, &options, points, seed, err);
}

/* What was asked for goes to the meter, which selects, and to the exporter, which tells of it. */
static enum status select_packets(struct device *device, struct settings *settings, struct error *err)
{
	const enum status status = device_selection(&device->selection, settings, &device->points, err);

	settings->meter.selection = device->selection;
	settings->exporter.selection = device->selection;
	if (device->selection)
		settings->exporter.forms |= FORM_SELECTION;
	return status;
}

/* Which forms the settings ask for, in the words of meter and exporter. */
static void choose_forms(struct settings *s, const struct logger *log)
{
	uint32_t *forms = &s->exporter.forms, *extras = &s->meter.extras;

	if (s->biflows && (s->meter.max_denied > 0 || s->meter.directions != DIRECTIONS_BOTH)) {
		log_warn(log, "Biflows goes neither with refused frames nor with one Direction; each "
			      "direction is a flow");
		s->biflows = false;
	}
	*forms |= (s->totals ? FORM_TOTALS : 0) | (s->microseconds ? FORM_MICROSECONDS : 0) |
		  (s->field_ttl ? FORM_TTL : 0) | (s->field_mac ? FORM_MAC : 0) |
		  (s->field_vlan ? FORM_VLAN : 0) | (s->biflows ? FORM_BIFLOW : 0);
	*extras |= (s->microseconds ? EXTRA_MICROSECONDS : 0) | (s->totals ? EXTRA_TOTALS : 0) |
		   (s->biflows ? EXTRA_BIFLOWS : 0) |
		   (*forms & (FORM_TTL | FORM_MAC | FORM_VLAN) ? EXTRA_PACKETS : 0);
}

/* What has to see all packets in their order, or all refusals, is in one place. */
static void choose_shards(struct settings *s, const struct logger *log)
{
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	const char *reason = NULL;

	if (s->shards == 0)
		s->shards = processors < 1 ? 1 : processors < SHARD_MAX ? (uint32_t)processors : SHARD_MAX;
	if (s->shards == 1)
		return;
	for (uint32_t i = 0; i < s->of_point_count; i++)
		if (s->of_point[i].own && s->of_point[i].selection.count > 0)
			reason = "packets are selected";
	if (s->selection.count > 0)
		reason = "packets are selected";
	else if (s->exporter.records.count > 0)
		reason = "records are selected";
	else if (s->nflog_count || s->trace_rules || s->drop_reasons || s->peer_check)
		reason = "refused frames are told of";
	else if (!s->exporter.packet_time && s->capture != CAPTURE_RING)
		reason = "Capture is not ring";
	if (!reason)
		return;
	log_warn(log, "Shards is 1, because %s", reason);
	s->shards = 1;
}

enum status device_init(struct device *device, struct settings *settings, const struct logger *log,
			struct error *err)
{
	enum status status;
	flow_sink *sink;
	void *sink_arg;

	memset(device, 0, sizeof *device);
	device->settings = settings;
	device->log = *log;
	device->domain_hold = -1;
	device->asked = *settings;
	device_prepare_settings(settings, log);
	choose_forms(settings, log);
	choose_shards(settings, log);
	if (settings->exporter.domain == 0)
		settings->exporter.domain =
			only_files(&settings->exporter) ? 1 : domain_claim(&device->domain_hold);
	if (getrandom(settings->meter.hash_key, sizeof settings->meter.hash_key, 0) < 0)
		return error_errno(err, "no random octets for the hash key");
	status = select_packets(device, settings, err);
	if (status == OK)
		status = device_domains(device, settings, &sink, &sink_arg, err);
	if (status == OK)
		status = settings->shards > 1 ? shards_new(&device->shards, device, err)
					      : meter_new(&device->meter, &settings->meter, &device->points,
							  sink, sink_arg, err);
	if (status != OK)
		device_fini(device);
	return status;
}

void device_fini(struct device *device)
{
	while (device->source_count > 0) {
		struct packet_source *source = device->source[--device->source_count];

		source->type->close(source);
	}
	rule_counters_close(device->rule_counters);
	peer_check_free(device->peers);
	device->peers = NULL;
	shards_free(device->shards);
	meter_free(device->meter);
	selection_free(device->selection);
	while (device->domain_count > 0)
		exporter_free(device->of_domain[--device->domain_count].exporter);
	exporter_free(device->exporter);
	interface_errors_close(device->interface_errors);
	device->interface_errors = NULL;
	if (device->domain_hold >= 0)
		close(device->domain_hold);
	device->meter = NULL;
	device->shards = NULL;
	device->selection = NULL;
	device->rule_counters = NULL;
	device->exporter = NULL;
	device->domain_hold = -1;
}

void device_meter_statistics(const struct device *device, struct meter_statistics *out)
{
	if (device->shards)
		shards_statistics(device->shards, out);
	else
		meter_statistics(device->meter, out);
}

struct meter *device_meter(const struct device *device, uint32_t number)
{
	if (device->shards)
		return shards_meter(device->shards, number);
	return number == 0 ? device->meter : NULL;
}

void device_source_statistics(const struct device *device, uint32_t number, struct source_statistics *out)
{
	uint64_t packets = 0, octets = 0;

	*out = (struct source_statistics){0};
	if (number >= device->source_count)
		return;
	device->source[number]->type->statistics(device->source[number], out);
	if (number == 0 && device->shards)
		shards_foreign(device->shards, &packets, &octets);
	out->packets -= packets;
	out->octets -= octets;
}

void device_update_control(struct device *device)
{
	struct exporter_control control = {
		.idle_ns = device->settings->meter.idle_ns,
		.interval_ns = device->settings->meter.interval_ns,
	};

	device_meter_statistics(device, &control.meter);
	device_source_statistics(device, 0, &control.source); /* what others lose was seen by this one */
	if (device->rule_counters)
		rule_counters_read(device->rule_counters, &device->points.rules);
	device->points.rules.wall_ms = wall_ms(wall_now());
	if (device->interface_errors)
		control.errors = interface_errors_read(device->interface_errors, &device->points);
	struct exporter *exporter;
	for (uint32_t i = 0; (exporter = device_exporter(device, i)); i++)
		exporter_control(exporter, &control);
}
