/* capture.h: what a capture file offers beyond a packet source. */
#pragma once

#include "base/span.h"
#include "observe/source.h"

/* How far a source made by capture_source has read: octets of the file. *total is 0 when its size is not
 * known (a pipe). */
void capture_progress(const struct packet_source *source, uint64_t *done, uint64_t *total);

/* A longer stretch of a file, which stays readable while others read on: its packets lie in `room`. */
enum { CHUNK_BATCHES = 16, CHUNK_PACKETS = CHUNK_BATCHES * PACKET_BATCH_MAX };

struct capture_chunk {
	uint32_t batches;
	struct packet_batch batch[CHUNK_BATCHES];
	uint8_t *room;
};

/* NULL: out of memory. One chunk for each thread that reads. */
struct capture_chunk *capture_chunk_new(void);
void capture_chunk_free(struct capture_chunk *chunk);

/* As `read` of the source, several batches at once. The packets are good until the same chunk is given again.
 * One thread at a time. */
MUST_CHECK enum status capture_read_chunk(struct packet_source *source, struct capture_chunk *chunk,
					  struct error *err);

/* As capture_source.open, over octets in memory, which the caller keeps until the source is closed.
 * options->spec is only its name in messages. */
MUST_CHECK enum status capture_open_memory(struct packet_source **out, struct span octets,
					   const struct source_options *options, struct error *err);
