/* Any octets as a capture file: in memory, and through a pipe where one holds them; both must say the same.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "observe/capture.h"

enum { PIPE_HOLDS = 65536, PIPE_EVERY = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum status status;
	uint64_t packets, sum;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct outcome drain(struct packet_source *source)
{
	struct packet_batch *batch = malloc(sizeof *batch);
	struct outcome outcome = {OK, 0, 0};
	struct error err;

	check(batch != NULL);
	while ((outcome.status = capture_source.read(source, batch, &err)) == OK) {
		check(batch->count > 0 && batch->count <= PACKET_BATCH_MAX);
		for (uint32_t i = 0; i < batch->count; i++) {
			const struct packet *packet = &batch->packet[i];
			check(packet->length >= packet->captured && packet->link < LINK_COUNT &&
			      packet->time.ns >= 0);
			for (uint32_t j = 0; j < packet->captured; j++)
				outcome.sum += packet->data[j];
			outcome.sum += (uint64_t)packet->time.ns + packet->point + packet->direction;
		}
		outcome.packets += batch->count;
		capture_source.release(source, batch);
	}
	check(outcome.status != AGAIN);
	capture_source.close(source);
	free(batch);
	return outcome;
}

static struct outcome read_memory(const uint8_t *data, size_t size)
{
	struct point_table *points = calloc(1, sizeof *points);
	const struct source_options options = {.spec = "fuzz", .points = points};
	struct outcome outcome = {OK, 0, 0};
	struct packet_source *source;
	struct error err;

	check(points != NULL);
	outcome.status = capture_open_memory(&source, span_of(data, size), &options, &err);
	if (outcome.status == OK)
		outcome = drain(source);
	free(points);
	return outcome;
}

static struct outcome read_pipe(const uint8_t *data, size_t size)
{
	struct point_table *points = calloc(1, sizeof *points);
	char spec[32];
	const struct source_options options = {.spec = spec, .points = points};
	struct outcome outcome = {OK, 0, 0};
	struct packet_source *source;
	struct error err;
	int ends[2];

	check(points != NULL && pipe(ends) == 0);
	check(size == 0 || write(ends[1], data, size) == (ssize_t)size);
	close(ends[1]);
	snprintf(spec, sizeof spec, "/dev/fd/%d", ends[0]);
	outcome.status = capture_source.open(&source, &options, &err);
	if (outcome.status == OK)
		outcome = drain(source);
	close(ends[0]);
	free(points);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct outcome memory = read_memory(data, size);

	check(memory.packets <= size / 16);
	if (size <= PIPE_HOLDS && size % PIPE_EVERY == 0) {
		const struct outcome piped = read_pipe(data, size);
		check(piped.status == memory.status && piped.packets == memory.packets &&
		      piped.sum == memory.sum);
	}
	return 0;
}
