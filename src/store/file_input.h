/* file_input.h: an IPFIX File (RFC 5655) as a loader's input. */
#pragma once

#include <stdio.h>

#include "message/file.h"
#include "store/input.h"

struct file_input {
	FILE *file;
	const char *name;
	struct input_peer peer;
	uint32_t worker;         /* whose positions: octets in the file, segment 1 */
	struct wall_ns received; /* of every message; 0: its Export Time */
	uint8_t *window;
	size_t length;
	uint64_t offset;
	bool final;
	struct frame_reader frames;
};

/* Read `file`, which stays the caller's, from where it stands; `name` is for error texts. ERR_MEMORY. */
MUST_CHECK enum status file_input_init(struct file_input *f, FILE *file, const char *name,
				       const struct input_peer *peer, struct input *input);
void file_input_fini(struct file_input *f);
