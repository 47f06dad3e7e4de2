/* interface_errors.h: how many frames WireGuard itself refused, by the error counters of its interfaces: what
 * exporters tell in options records.
 *
 * A frame from an address that is not the sending peer's (cryptokey routing) is dropped behind the
 * decryption, where no packet source sees it: the counter is all there is of it. Only the kernel's WireGuard
 * counts so. One thread. */
#pragma once

#include "base/error.h"
#include "observe/point.h"

struct interface_error_count {
	uint32_t point_id;       /* observationPointId */
	uint64_t received, sent; /* frames, since the interface was made */
};

/* The table that exporters read. */
struct interface_errors {
	int64_t wall_ms; /* when they were read; since 1970 */
	uint32_t count;
	struct interface_error_count at[POINT_MAX];
};

struct interface_errors_reader;

/* ERR_SYSTEM, ERR_MEMORY. */
MUST_CHECK enum status interface_errors_open(struct interface_errors_reader **out, struct error *err);
void interface_errors_close(struct interface_errors_reader *reader);

/* Read the counters of the points that are WireGuard of the kernel and up. The answer is the reader's and
 * stays where it is. */
const struct interface_errors *interface_errors_read(struct interface_errors_reader *reader,
						     const struct point_table *points);
