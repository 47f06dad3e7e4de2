/* Which source sees the frames of live interfaces: the ring, or the kernel that counts by itself. */
#include "daemon/device.h"
#include "observe/source.h"

/* What asks for packets one by one, in the words of the profile; NULL: nothing does. */
static const char *find_obstacle(const struct device *device)
{
	const struct settings *s = device->settings;

	if (s->nflog_count > 0)
		return "NflogGroups";
	if (s->trace_rules)
		return "TraceRules";
	if (s->drop_reasons)
		return "DropReasons";
	if (s->peer_check)
		return "PeerCheck";
	if (device->selection)
		return "Selection";
	if (s->biflows)
		return "Biflows";
	if (s->totals)
		return "TotalCounters";
	if (s->field_ttl || s->field_mac || s->field_vlan)
		return "ExtraFields";
	if (s->shed)
		return "Overload";
	return s->meter.idle_ns == 0 ? "IdleTimeout 0" : NULL;
}

enum status device_open_capture(struct device *device, const struct source_options *options,
				struct error *err)
{
	const char *obstacle = find_obstacle(device);
	struct source_options counted = *options;
	struct error why;
	const bool chooses = device->settings->capture == CAPTURE_AUTO;

	if (device->settings->capture == CAPTURE_RING)
		return afpacket_source.open(&device->source[0], options, err);
	if (obstacle) {
		log_line(&device->log, chooses ? LOG_INFO : LOG_WARN,
			 "Capture: %s does not go with %s: packet rings are used", chooses ? "auto" : "ebpf",
			 obstacle);
		return afpacket_source.open(&device->source[0], options, err);
	}
	counted.may_count = chooses;
	counted.dscp_key = device->settings->meter.dscp_key;
	counted.idle_ns = device->settings->meter.idle_ns;
	switch (ebpf_source.open(&device->source[0], &counted, &why)) {
	case OK:
		log_info(&device->log, "packets are %s in the kernel (tcx)",
			 chooses ? "taken, and counted where that is cheaper," : "counted");
		return OK;
	case ERR_USAGE: return error_set(err, ERR_USAGE, "%s", why.text);
	default: break;
	}
	log_warn(&device->log, "packets are not counted in the kernel, packet rings are used: %s", why.text);
	return afpacket_source.open(&device->source[0], options, err);
}
