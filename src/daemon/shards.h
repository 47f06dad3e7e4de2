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

/* The meters; NULL: there are no more. Of all of them together: their counters. Both while none of them runs.
 */
struct meter *shards_meter(const struct shards *shards, uint32_t number);
void shards_statistics(const struct shards *shards, struct meter_statistics *out);

/* shards_file.c: meter a capture file to its end, and tell every open flow. The threads take turns in reading
 * a stretch of it and decode what they have read; each meter counts what all have decoded for it, stretch
 * after stretch. Records are queued in the order of stretches and shards, so that they are the same, and in
 * the same order, at every run. *packet_time: of the last packet. As device_run_capture. */
MUST_CHECK enum status shards_run_file(struct shards *shards, const char *path, struct mono_ns *packet_time,
				       struct error *err);

/* shards_live.c: meter what the lanes of a source have. */

/* What the source is to be opened with. */
void shards_lanes(const struct shards *shards, uint32_t *lanes, uint32_t *factor);

/* Make the threads, stopped. `tell` is called by any of them when the one that exports should come: it is to
 * call shards_move, and to look after the source when one asks for it. ERR_MEMORY, ERR_SYSTEM:
 * shards_end_live is still to be called. */
MUST_CHECK enum status shards_start_live(struct shards *shards, struct packet_source *source,
					 void (*tell)(void *arg), void *arg, struct error *err);

/* Between the two nobody else touches meters, source, points and exporters, and records that meters make come
 * to the exporters all the same. */
void shards_stop(struct shards *shards);
void shards_go(struct shards *shards);
bool shards_ask(struct shards *shards);

/* Records that were made so far go to the exporters. */
void shards_move(struct shards *shards);

/* Frames that were read by more than one; while stopped. */
void shards_foreign(const struct shards *shards, uint64_t *packets, uint64_t *octets);

/* While stopped: read what is left, tell every open flow, and end the threads. */
void shards_end_live(struct shards *shards);
