/* capture.h: what a capture file offers beyond a packet source. */
#pragma once

#include "base/span.h"
#include "observe/source.h"

/* How far a source made by capture_source has read: octets of the file. *total is 0 when its size is not
 * known (a pipe). */
void capture_progress(const struct packet_source *source, uint64_t *done, uint64_t *total);

/* As capture_source.open, over octets in memory, which the caller keeps until the source is closed.
 * options->spec is only its name in messages. */
MUST_CHECK enum status capture_open_memory(struct packet_source **out, struct span octets,
					   const struct source_options *options, struct error *err);
