/* SIGHUP: other settings for a device that runs. */
#include <stdlib.h>

#include "config/property.h"
#include "daemon/device.h"

enum { VALUE_TEXT = 4096, NAMES_TEXT = 400 };

static bool is_same(const struct property *p, const struct settings *a, const struct settings *b)
{
	char x[VALUE_TEXT], y[VALUE_TEXT];

	if (p->type == PROPERTY_OBJECT || property_in_list(p))
		return true;
	property_print(p, a, x, sizeof x);
	property_print(p, b, y, sizeof y);
	return strcmp(x, y) == 0;
}

static bool has_one_value(const struct property *p)
{
	return p->type == PROPERTY_FLAG || p->type == PROPERTY_NUMBER || p->type == PROPERTY_WORD;
}

static void take_list(const struct property *p, const struct settings *from, struct settings *to)
{
	const struct exporter_options *a = &from->exporter;
	struct exporter_options *b = &to->exporter;

	if (p->type == PROPERTY_COLLECTORS) {
		memcpy(b->collector, a->collector, sizeof b->collector);
		memcpy(b->group, a->group, sizeof b->group);
		b->collector_count = a->collector_count;
	} else if (p->type == PROPERTY_ALLOWED) {
		memcpy(b->tls.allowed, a->tls.allowed, sizeof b->tls.allowed);
		b->tls.allowed_count = a->tls.allowed_count;
	}
}

/* From what is asked to what is in force: the properties that can change. The changed ones are counted, and
 * those that wait for the next start named. */
static uint32_t settle(const struct device *device, struct settings *asked, struct settings *next)
{
	char names[NAMES_TEXT] = "";
	uint32_t changed = 0;
	size_t used = 0;

	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];

		if (p->live && has_one_value(p))
			property_set(p, next, property_get(p, asked));
		else if (p->live && p->type == PROPERTY_TEXT)
			memcpy(property_text(p, next), property_text(p, asked), p->size);
		else if (p->live)
			take_list(p, asked, next);
		if (is_same(p, asked, &device->asked))
			continue;
		changed++;
		if (!p->live && used < sizeof names)
			used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
						 p->name);
	}
	if (*names)
		log_warn(&device->log, "the profile has changed in %s: that takes effect at the next start",
			 names);
	return changed;
}

/* One would say what all say. */
static bool change_meters(struct device *device, const struct meter_options *after)
{
	struct meter *meter;
	bool taken = true;

	for (uint32_t i = 0; (meter = device_meter(device, i)); i++)
		taken &= meter_change(meter, after);
	return taken;
}

static void change_meter(struct device *device, struct settings *next)
{
	const struct meter_options *before = &device->settings->meter;
	struct meter_options *after = &next->meter;

	if (change_meters(device, after))
		return;
	log_warn(&device->log,
		 "IdleTimeout or Interval would become 0, or was 0: timeouts take effect at the "
		 "next start");
	after->idle_ns = before->idle_ns;
	after->interval_ns = before->interval_ns;
	after->linger_ns = before->linger_ns;
	(void)change_meters(device, after);
}

static void take(struct device *device, struct settings *asked, struct settings *next)
{
	struct exporter_options *o = &next->exporter;
	const uint32_t changed = settle(device, asked, next);
	struct error err = {""};

	device_prepare_settings(next, &device->log);
	if (!next->enabled)
		o->collector_count = 0;
	if (device_reload_exporters(device, o, &err) != OK) {
		log_error(&device->log, "the profile is not taken, the one of before stays in force: %s",
			  err.text);
		return;
	}
	change_meter(device, next);
	*device->settings = *next;
	device->asked = *asked;
	if (o->collector_count == 0)
		log_warn(&device->log, "the exporter is off: %s",
			 next->enabled ? "no collector is named" : "Enabled is false");
	log_info(&device->log, "the profile is taken: %u properties changed", changed);
}

void device_reload(struct device *device)
{
	struct settings *asked = calloc(2, sizeof *asked);

	if (!device->reader)
		log_warn(&device->log, "SIGHUP: there is no profile to read again");
	else if (!asked)
		log_error(&device->log, "SIGHUP: no memory; the profile of before stays in force");
	else if (!device->reader(device->reader_arg, asked))
		log_error(&device->log, "the profile of before stays in force");
	else {
		asked[1] = *device->settings;
		take(device, &asked[0], &asked[1]);
	}
	free(asked);
}
