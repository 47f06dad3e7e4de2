/* replay.c: the device over a capture file. */
#include <unistd.h>

#include "daemon/shards.h"
#include "observe/capture.h"

enum {
	PROGRESS_BATCHES = 1024, /* look at the clock once in so many batches */
	SERVICE_BATCHES = 8,     /* collectors are served once in so many full ones */
};

void device_show_progress(const struct device *device, const char *path, struct mono_ns started,
			  uint64_t done, uint64_t total, bool last)
{
	if (device->log.level < LOG_INFO || !isatty(STDERR_FILENO))
		return;
	const double seconds = (double)(mono_now().ns - started.ns) / NS_PER_S;
	if (seconds < 1)
		return;
	if (last)
		fprintf(stderr, "\r\033[K");
	else if (total)
		fprintf(stderr, "\r\033[K%s: %3.0f %%, %.0f MB/s", path, 100.0 * (double)done / (double)total,
			(double)done / seconds / 1e6);
	else
		fprintf(stderr, "\r\033[K%s: %.0f MB, %.0f MB/s", path, (double)done / 1e6,
			(double)done / seconds / 1e6);
}

static void show_progress(const struct device *device, const char *path, struct mono_ns started, bool last)
{
	uint64_t done, total;

	capture_progress(device->source[0], &done, &total);
	device_show_progress(device, path, started, done, total, last);
}

/* A file has its messages by packet time, so the exporter is to see all of it; a collector's timers are
 * real. */
static bool writes_files(const struct device *device)
{
	const struct exporter_options *o = &device->settings->exporter;

	for (uint32_t i = 0; i < o->collector_count; i++) {
		if (o->collector[i].type->default_port == 0)
			return true;
	}
	return false;
}

static enum status read_all(struct device *device, const char *path, struct mono_ns *packet_time,
			    struct error *err)
{
	struct packet_source *source = device->source[0];
	const struct packet_source_type *type = source->type;
	const struct mono_ns started = mono_now();
	const bool always = writes_files(device);
	struct mono_ns shown = started;
	struct packet_batch batch;
	enum status status;

	for (uint64_t n = 1; (status = type->read(source, &batch, err)) == OK; n++) {
		*packet_time = batch.packet[batch.count - 1].time;
		meter_observe(device->meter, &batch);
		type->release(source, &batch);
		if (always || n % SERVICE_BATCHES == 0 ||
		    batch.count < PACKET_BATCH_MAX) /* a pipe may wait */
			device_service(device, *packet_time, (struct wall_ns){packet_time->ns});
		if (n % PROGRESS_BATCHES == 0 && mono_now().ns - shown.ns > NS_PER_S / 5) {
			shown = mono_now();
			show_progress(device, path, started, false);
		}
	}
	show_progress(device, path, started, true);
	return status == END ? OK : status;
}

static enum status run_one(struct device *device, const char *path, struct mono_ns *packet_time,
			   struct error *err)
{
	const struct source_options options = {.spec = path, .points = &device->points, .log = &device->log};
	enum status status;

	status = capture_source.open(&device->source[0], &options, err);
	if (status != OK)
		return status;
	device->source_count = 1;
	device_interfaces_changed(device);
	status = read_all(device, path, packet_time, err);
	meter_flush(device->meter);
	return status;
}

enum status device_run_capture(struct device *device, const char *path, struct error *err)
{
	struct mono_ns packet_time = {0};
	enum status status, end;

	status = device->shards ? shards_run_file(device->shards, path, &packet_time, err)
				: run_one(device, path, &packet_time, err);
	if (device->source_count == 0) /* nothing could be read at all */
		return status;
	device_update_control(device);
	end = device_finish(device, packet_time, (struct wall_ns){packet_time.ns}, status == OK ? err : NULL);
	return status == OK ? end : status;
}
