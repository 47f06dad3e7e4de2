/* device.h: an IPFIX Device (RFC 5470 section 2): observation points, one Metering Process, one Exporting
 * Process, put together and run until the end of its packets or until it is told to stop. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "config/settings.h"
#include "export/exporter.h"
#include "meter/meter.h"
#include "observe/interface_errors.h"
#include "observe/point.h"
#include "observe/rule_counters.h"
#include "observe/source.h"
#include "overlay/peer_check.h"

enum { DEVICE_SOURCES_MAX = 4 };

struct shards;

/* Where new settings come from: fill *out, which is complete then. false: they are not good, and the log says
 * why. */
typedef bool settings_reader(void *arg, struct settings *out);

struct device {
	struct settings *settings; /* borrowed; a reload changes them */
	struct settings asked;     /* … as they were before the device made its choices */
	struct logger log;
	struct point_table points;
	struct selection *selection; /* NULL: every packet is metered */
	struct meter *meter;         /* NULL: there are shards */
	struct shards *shards;       /* several meters, each in a thread of its own; NULL: one */
	struct exporter *exporter;   /* of points without an Observation Domain of their own */
	uint32_t domain_count;       /* of the others: an Exporting Process each */
	struct {
		uint32_t domain;
		struct exporter *exporter;
	} of_domain[POINT_DOMAINS_MAX];
	unsigned shed_log2; /* overload: one frame in 2^n is looked at */
	uint32_t calm_s;    /* seconds since the kernel last dropped packets, while frames are left out */
	uint32_t source_count;
	struct packet_source *source[DEVICE_SOURCES_MAX]; /* the first sees all frames; the others tell of
							     refused ones */
	struct peer_check *peers;                         /* NULL: not asked for */
	settings_reader *reader;                          /* NULL: settings cannot be read again */
	void *reader_arg;
	struct rule_counters *rule_counters;              /* of our own policy; NULL: they are not told */
	struct interface_errors_reader *interface_errors; /* NULL: they are not told */
	int domain_hold;                                  /* see domain_claim */
	uint64_t reported_drops[DEVICE_SOURCES_MAX];      /* what the log has already told */
};

/* The selection of packets that the settings ask for; *out is NULL when they ask for none. Also for who only
 * wants to know whether its filters make sense. `points` may be an empty table. */
MUST_CHECK enum status device_selection(struct selection **out, const struct settings *settings,
					const struct point_table *points, struct error *err);

/* Make the meter and the exporter of `settings` (which must outlive the device). A domain of 0 is chosen
 * here. `settings` has at least one collector. */
MUST_CHECK enum status device_init(struct device *device, struct settings *settings, const struct logger *log,
				   struct error *err);
void device_fini(struct device *device);

/* Meter a capture file to its end ("-": standard input); packet time drives all timers, so the records are
 * the same at every run. ERR_FORMAT: the file is damaged or cut short; what was whole before has been metered
 * and exported all the same. */
MUST_CHECK enum status device_run_capture(struct device *device, const char *path, struct error *err);

/* `done` of `total` octets (0: not known) of a file were read: one line that rewrites itself, only for a
 * person at a terminal and only after a second. `last`: take it away. */
void device_show_progress(const struct device *device, const char *path, struct mono_ns started,
			  uint64_t done, uint64_t total, bool last);

/* Meter live interfaces until SIGTERM or SIGINT, then export every open flow. SIGHUP: read the profile again.
 */
MUST_CHECK enum status device_run_live(struct device *device, struct error *err);

/* Make the exporters; *sink and *sink_arg are what the meter is to be given. */
MUST_CHECK enum status device_domains(struct device *device, const struct settings *settings,
				      flow_sink **sink, void **sink_arg, struct error *err);

/* Open the source that sees all frames, source[0], as `Capture` asks for it, or the ring where that is not
 * possible, which the log says. `options` as for the ring. */
MUST_CHECK enum status device_open_capture(struct device *device, const struct source_options *options,
					   struct error *err);

/* The exporters: number 0, and those of points with a domain of their own. NULL: there are no more. */
struct exporter *device_exporter(const struct device *device, uint32_t number);

/* The following do for all of them what exporter.h says. */
void device_service(struct device *device, struct mono_ns now, struct wall_ns wall);
bool device_busy(const struct device *device);
void device_interfaces_changed(struct device *device);
MUST_CHECK enum status device_reload_exporters(struct device *device, const struct exporter_options *options,
					       struct error *err);
MUST_CHECK enum status device_finish(struct device *device, struct mono_ns now, struct wall_ns wall,
				     struct error *err);

/* Once a second: the kernel has dropped so many packets more, because we were late (RFC 5470 6.4). */
void device_overload(struct device *device, uint64_t dropped);
/* Take new settings while running: what can change does, the flow table and the sessions that did not change
 * stay; properties that wait for the next start are named in the log. Settings that are not good change
 * nothing. */
void device_reload(struct device *device);

/* What differs between settings of one device and its log; between device.c and reload.c. */
void device_prepare_settings(struct settings *settings, const struct logger *log);

/* The meter is number 0, or they are those of the shards, while none of these runs. NULL: there are no more.
 */
struct meter *device_meter(const struct device *device, uint32_t number);

/* Counters of the meter, or of all of them; of a source, or zero when there is none. */
void device_meter_statistics(const struct device *device, struct meter_statistics *out);
void device_source_statistics(const struct device *device, uint32_t number, struct source_statistics *out);

/* Hand the counters of meter and source to the exporter, for its options records. */
void device_update_control(struct device *device);

/* All counters as one JSON object on one line. */
void device_report(const struct device *device, FILE *out);

/* Observation Domain ID for a process that was given none: the smallest number from 1 up that no other
 * running weir in this network namespace holds, so that two of them on one host never share a sequence (RFC
 * 7011 section 3.1). *hold keeps it until it is closed; -1 when no number could be held (then 1 is answered).
 */
uint32_t domain_claim(int *hold);
