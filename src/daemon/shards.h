/* shards.h: several meters side by side, each in a thread of its own with its own flow table; packets are
 * shared out between them by their addresses (meter/shard.h).
 *
 * A meter encodes its records into rings of its own, one for each exporter. The thread that made the device
 * is the only one that knows exporters: it moves records from those rings to theirs. Nothing else of a packet
 * or a record is shared between two shards. */
#pragma once

#include "daemon/device.h"
#include "meter/shard.h"

struct shards;

/* As many as device->settings says, over the exporters that the device has. ERR_MEMORY and what meter_new
 * says. */
MUST_CHECK enum status shards_new(struct shards **out, struct device *device, struct error *err);
void shards_free(struct shards *shards);

/* Of all of them together; while none of them runs. */
void shards_statistics(const struct shards *shards, struct meter_statistics *out);

/* shards_file.c: meter a capture file to its end, and tell every open flow. The threads take turns in reading
 * a stretch of it and decode what they have read; each meter counts what all have decoded for it, stretch
 * after stretch. Records are queued in the order of stretches and shards, so that they are the same, and in
 * the same order, at every run. *packet_time: of the last packet. As device_run_capture. */
MUST_CHECK enum status shards_run_file(struct shards *shards, const char *path, struct mono_ns *packet_time,
				       struct error *err);
