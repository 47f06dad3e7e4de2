/* frames.h: one refused frame, told by several rules or sources, is one frame.
 *
 * A rule tells of a frame once. So of the reports of equal frames within FRAME_NS, as many are different
 * frames as the rule with the most reports has made. The table is fixed in size; the oldest give way. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "observe/packet.h"

#define FRAME_NS (NS_PER_S / 2)

struct frame_table;

/* NULL: out of memory. */
struct frame_table *frame_table_new(void);
void frame_table_free(struct frame_table *table);

/* What a frame is told from others by: its first octets without those that change on its way through a
 * host. `secret` keeps others from choosing equal ones. */
uint64_t frame_fingerprint(const struct packet *packet, uint64_t secret);

/* True: this report is of a frame that another `denial` was told for already. */
bool frame_table_repeats(struct frame_table *table, uint64_t fingerprint, uint16_t denial, int64_t time);
