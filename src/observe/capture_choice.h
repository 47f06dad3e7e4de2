/* capture_choice.h: does it pay to let the kernel count the packets of an interface into flows, or are they
 * better taken one by one? Both give the same records; which is cheaper is a matter of how many packets a
 * flow has between two takings. No I/O, no clock.
 *
 * Either way is kept until the other would have been better for a while: some periods in a row, and more of
 * them after each change that did not last. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	CHOICE_BITS_LOG2 = 16,
	CHOICE_PERIODS_LEAST = 4,  /* in a row, before a change */
	CHOICE_PERIODS_MOST = 256, /* … when changes do not last */
	CHOICE_PAYS = 6,           /* packets a flow and period from which counting begins … */
	CHOICE_PAYS_NOT = 3,       /* … and below which it ends */
	CHOICE_FRAMES_LEAST = 200, /* frames a period from which on it matters … */
	CHOICE_FRAMES_FEW = 50,    /* … and below which it does not */
};

/* Zeroed: packets are taken one by one. */
struct capture_choice {
	bool counting;
	uint32_t agreeing; /* periods in a row that were for a change */
	uint32_t hold;     /* periods that are needed; 0: CHOICE_PERIODS_LEAST */
	uint32_t lasted;   /* periods since the last change */
	uint64_t taken;    /* in this period: flows, as often as they came out */
	uint32_t distinct; /* bits that are set: flows, each once, but for those that share a bit */
	uint64_t seen[1 << (CHOICE_BITS_LOG2 - 6)];
};

/* One flow came out, by its key (five words). */
void capture_choice_flow(struct capture_choice *c, const uint64_t *key);

/* A period ends in which `frames` have passed. True: `counting` has changed. */
bool capture_choice_period(struct capture_choice *c, uint64_t frames);
