/* domains.c: the Exporting Processes of a device, one for each Observation Domain (RFC 5470 section 5.4).
 * Each has Transport Sessions, templates and sequences of its own. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/device.h"

struct exporter *device_exporter(const struct device *device, uint32_t number)
{
	if (number == 0)
		return device->exporter;
	return number <= device->domain_count ? device->of_domain[number - 1].exporter : NULL;
}

void device_service(struct device *device, struct mono_ns now, struct wall_ns wall)
{
	struct exporter *e;

	for (uint32_t n = 0; (e = device_exporter(device, n)); n++)
		exporter_service(e, now, wall);
}

bool device_busy(const struct device *device)
{
	struct exporter *e;

	for (uint32_t n = 0; (e = device_exporter(device, n)); n++)
		if (exporter_busy(e))
			return true;
	return false;
}

void device_interfaces_changed(struct device *device)
{
	struct exporter *e;

	for (uint32_t n = 0; (e = device_exporter(device, n)); n++)
		exporter_interfaces_changed(e);
}

enum status device_finish(struct device *device, struct mono_ns now, struct wall_ns wall, struct error *err)
{
	enum status result = OK;
	struct exporter *e, *waits;

	for (uint32_t n = 0; (e = device_exporter(device, n)); n++)
		exporter_finish_begin(e, now, wall);
	do { /* side by side */
		waits = NULL;
		for (uint32_t n = 0; (e = device_exporter(device, n)); n++)
			waits = exporter_finish_turn(e) ? waits : e;
		if (waits)
			exporter_finish_wait(waits);
	} while (waits);
	for (uint32_t n = 0; (e = device_exporter(device, n)); n++) {
		const enum status st = exporter_finish(e, now, wall, result == OK ? err : NULL);

		result = result == OK ? st : result;
	}
	return result;
}

/* The flow sink of a device with several domains. */
static void put(void *arg, const struct flow_record *record)
{
	const struct device *device = arg;
	const uint32_t domain = device->points.point[record->key.point % POINT_MAX].domain;
	struct exporter *exporter = device->exporter;

	for (uint32_t i = 0; domain && i < device->domain_count; i++)
		if (device->of_domain[i].domain == domain)
			exporter = device->of_domain[i].exporter;
	exporter_put(exporter, record);
}

/* A file is one Transport Session (RFC 5655), so each domain has its own. */
static enum status name_files(struct exporter_options *o, struct error *err)
{
	for (uint32_t i = 0; i < o->collector_count; i++) {
		struct endpoint *to = &o->collector[i];
		const size_t used = strlen(to->host);

		if (to->type->default_port != 0)
			continue;
		if (snprintf(to->host + used, sizeof to->host - used, ".domain-%" PRIu32, o->domain) >=
		    (int)(sizeof to->host - used))
			return error_set(err, ERR_LIMIT, "the path of a file is longer than %zu octets",
					 sizeof to->host - 1);
	}
	return OK;
}

/* Of a domain, from those of the device. */
static enum status options_of(struct exporter_options *out, const struct exporter_options *options,
			      uint32_t domain, struct error *err)
{
	*out = *options;
	out->domain = out->point_domain = domain;
	return name_files(out, err);
}

enum status device_reload_exporters(struct device *device, const struct exporter_options *options,
				    struct error *err)
{
	enum status st = exporter_reload(device->exporter, options, err);

	for (uint32_t i = 0; i < device->domain_count && st == OK; i++) {
		struct exporter_options own;

		st = options_of(&own, options, device->of_domain[i].domain, err);
		if (st == OK)
			st = exporter_reload(device->of_domain[i].exporter, &own, err);
	}
	return st;
}

static enum status add_domain(struct device *device, const struct settings *settings, uint32_t domain,
			      struct error *err)
{
	struct exporter_options options;

	for (uint32_t i = 0; i < device->domain_count; i++)
		if (device->of_domain[i].domain == domain)
			return OK;
	enum status st = options_of(&options, &settings->exporter, domain, err);
	if (st != OK)
		return st;
	device->of_domain[device->domain_count].domain = domain;
	st = exporter_new(&device->of_domain[device->domain_count].exporter, &options, &device->points,
			  &device->log, err);
	device->domain_count += st == OK;
	return st;
}

enum status device_domains(struct device *device, const struct settings *settings, flow_sink **sink,
			   void **sink_arg, struct error *err)
{
	struct point_table *points = &device->points;
	enum status st = exporter_new(&device->exporter, &settings->exporter, points, &device->log, err);

	*sink = exporter_put;
	*sink_arg = device->exporter;
	for (uint32_t i = 0; i < settings->of_point_count && st == OK; i++) {
		const struct point_settings *p = &settings->of_point[i];

		if (p->domain == 0 || p->domain == settings->exporter.domain)
			continue;
		memcpy(points->domain[points->domain_count].name, p->name, sizeof p->name);
		points->domain[points->domain_count++].domain = p->domain;
		st = add_domain(device, settings, p->domain, err);
		*sink = put;
		*sink_arg = device;
	}
	return st;
}

/* ---- overload ---- */

enum { CALM_SECONDS = 5 };

void device_overload(struct device *device, uint64_t dropped)
{
	const unsigned before = device->shed_log2;
	struct meter *meter;

	if (!device->settings->shed)
		return;
	if (dropped > 0 && device->shed_log2 < SHED_MOST)
		device->shed_log2++;
	device->calm_s = dropped > 0 ? 0 : device->calm_s + 1;
	if (device->calm_s >= CALM_SECONDS && device->shed_log2 > 0) {
		device->shed_log2--;
		device->calm_s = 0;
	}
	if (device->shed_log2 == before)
		return;
	for (uint32_t i = 0; (meter = device_meter(device, i)); i++)
		meter_shed(meter, device->shed_log2);
	if (device->shed_log2 == 0)
		log_info(&device->log, "overload is over: every packet is looked at again");
	else
		log_warn(&device->log,
			 "overload: one packet in %u is looked at, the others are counted as ignored",
			 1U << device->shed_log2);
}
