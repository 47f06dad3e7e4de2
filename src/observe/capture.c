/* Capture files as a packet source. The formats are read here and not by libpcap for two reasons: this
 * way needs no copy and no call per packet, and a damaged file is to be reported with the packet and the
 * offset at which it broke, after everything whole before it was metered. */
#include "observe/capture_format.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
	uint16_t number; /* LINKTYPE_… */
	uint8_t link;
	const char *name;
} link_types[] = {
	{0, LINK_NULL, "NULL"},         {1, LINK_ETHERNET, "ETHERNET"}, {9, LINK_PPP, "PPP"},
	{12, LINK_IP, "RAW"}, /* as most systems numbered it in their files; OpenBSD's is 14 */
	{14, LINK_IP, "RAW"},           {50, LINK_PPP, "PPP_HDLC"},     {51, LINK_PPPOE, "PPP_ETHER"},
	{101, LINK_IP, "RAW"},          {104, LINK_PPP, "C_HDLC"},      {108, LINK_NULL, "LOOP"},
	{113, LINK_SLL, "LINUX_SLL"},   {228, LINK_IP, "IPV4"},         {229, LINK_IP, "IPV6"},
	{276, LINK_SLL2, "LINUX_SLL2"},
};

uint8_t capture_link(uint32_t link_type)
{
	for (size_t i = 0; i < sizeof link_types / sizeof link_types[0]; i++)
		if (link_types[i].number == link_type)
			return link_types[i].link;
	return LINK_COUNT;
}

enum status capture_link_unsupported(uint32_t link_type, struct error *err)
{
	char list[300] = "";
	size_t used = 0;

	for (size_t i = 0; i < sizeof link_types / sizeof link_types[0]; i++)
		used += (size_t)snprintf(list + used, sizeof list - used, "%s%s %u", i ? ", " : "",
					 link_types[i].name, link_types[i].number);
	return error_set(err, ERR_UNSUPPORTED, "link type %u is not supported; supported are %s", link_type,
			 list);
}

enum status capture_cut(const struct capture *capture, const char *what, uint64_t octets, struct error *err)
{
	const struct input *input = &capture->input;

	if (input->skip > 0)
		return error_set(err, ERR_FORMAT, "cut short: %llu octets of a block are missing",
				 (unsigned long long)input->skip);
	if (input_left(input) == 0)
		return END;
	return error_set(err, ERR_FORMAT, "cut short: %s of %llu octets, %zu are there", what,
			 (unsigned long long)octets, input_left(input));
}

enum status capture_point(struct capture *capture, const char *name, uint16_t *out, struct error *err)
{
	const int index = point_table_add(capture->points, name, "capture file");

	if (index < 0)
		return error_set(err, ERR_LIMIT, "more than %d observation points", POINT_MAX);
	struct observation_point *point = &capture->points->point[index];
	if (point->ifindex == 0)
		point->ifindex = ++capture->point_count;
	if (!point->up) /* others may be reading what is known of it */
		point->up = true;
	*out = (uint16_t)index;
	return OK;
}

static enum status begin(struct capture *capture, struct error *err)
{
	const enum status status = input_need(&capture->input, 4, false, err);
	uint32_t magic;

	if (status == END)
		return error_set(err, ERR_FORMAT, "too short for a capture file: %zu octets",
				 input_left(&capture->input));
	if (status != OK)
		return status;
	const uint8_t *first = input_here(&capture->input);
	memcpy(&magic, first, sizeof magic);
	if (pcapng_magic(magic))
		return pcapng_begin(capture, err);
	if (pcap_magic(magic))
		return pcap_begin(capture, err);
	if (first[0] == 0x1f && first[1] == 0x8b)
		return error_set(err, ERR_FORMAT,
				 "compressed with gzip; unpack it first (zcat FILE | weir probe -r -)");
	return error_set(err, ERR_FORMAT, "neither pcap nor pcapng: it begins with %02x %02x %02x %02x",
			 first[0], first[1], first[2], first[3]);
}

static void capture_close(struct packet_source *source)
{
	struct capture *capture = (struct capture *)source;

	input_close(&capture->input);
	free(capture->name);
	free(capture);
}

/* Take over an open input, whatever comes. */
static enum status capture_start(struct packet_source **out, struct input *input, const char *name,
				 const struct source_options *options, struct error *err)
{
	struct capture *capture = calloc(1, sizeof *capture);

	if (!capture) {
		input_close(input);
		return error_set(err, ERR_MEMORY, "%s: no memory", name);
	}
	capture->source.type = &capture_source;
	capture->input = *input;
	capture->points = options->points;
	capture->name = strdup(name);
	enum status status = capture->name ? begin(capture, err) : error_set(err, ERR_MEMORY, "no memory");
	if (status == END)
		status = error_set(err, ERR_FORMAT, "empty");
	if (status != OK) {
		capture_close(&capture->source);
		return error_prefix(err, status, "%s", name);
	}
	*out = &capture->source;
	return OK;
}

static enum status capture_open(struct packet_source **out, const struct source_options *options,
				struct error *err)
{
	struct input input;

	if (!options->spec)
		return error_set(err, ERR_USAGE, "a capture file needs a name");
	const enum status status = input_open(&input, options->spec, err);
	if (status != OK)
		return status;
	const char *name = strcmp(options->spec, "-") == 0 ? "stdin" : options->spec;
	return capture_start(out, &input, name, options, err);
}

enum status capture_open_memory(struct packet_source **out, struct span octets,
				const struct source_options *options, struct error *err)
{
	struct input input;

	input_over(&input, octets);
	return capture_start(out, &input, options->spec ? options->spec : "memory", options, err);
}

static int capture_poll_fd(const struct packet_source *source)
{
	return -1;
}

/* The status that ended the file, with the place. */
static enum status ended(struct capture *capture, enum status status, struct error *err)
{
	capture->ended = status;
	if (status == END)
		return END;
	error_set(&capture->error, status, "%s: packet %llu at offset %llu: %.300s; metered what is whole",
		  capture->name, (unsigned long long)capture->statistics.packets + 1,
		  (unsigned long long)capture->record_at, err->text);
	return status;
}

static enum status capture_read(struct packet_source *source, struct packet_batch *batch, struct error *err)
{
	struct capture *capture = (struct capture *)source;
	struct error why = {""};

	batch->count = 0;
	batch->to_wall = 0;
	if (capture->ended == OK) {
		const enum status status = capture->fill(capture, batch, &why);
		capture->statistics.packets += batch->count;
		if (status != OK && status != AGAIN)
			ended(capture, status, &why);
		if (batch->count > 0)
			return OK;
	}
	if (err)
		*err = capture->error;
	return capture->ended;
}

struct capture_chunk *capture_chunk_new(void)
{
	struct capture_chunk *chunk = malloc(sizeof *chunk);
	uint8_t *room = malloc(INPUT_ROOM);

	if (!chunk || !room) {
		free(chunk);
		free(room);
		return NULL;
	}
	chunk->batches = 0;
	chunk->room = room;
	return chunk;
}

void capture_chunk_free(struct capture_chunk *chunk)
{
	if (chunk)
		free(chunk->room);
	free(chunk);
}

enum status capture_read_chunk(struct packet_source *source, struct capture_chunk *chunk, struct error *err)
{
	struct capture *capture = (struct capture *)source;
	enum status status = capture->ended;
	struct error why = {""};

	chunk->batches = 0;
	input_use(&capture->input, chunk->room);
	while (status == OK && chunk->batches < CHUNK_BATCHES) {
		struct packet_batch *batch = &chunk->batch[chunk->batches];

		batch->count = 0;
		batch->to_wall = 0;
		status = capture->fill(capture, batch, &why);
		capture->statistics.packets += batch->count;
		chunk->batches += batch->count > 0;
		capture->input.pinned = chunk->batches > 0;
	}
	capture->input.pinned = false;
	if (capture->ended == OK && status != OK && status != AGAIN)
		ended(capture, status, &why);
	if (chunk->batches > 0)
		return OK;
	if (err)
		*err = capture->error;
	return capture->ended;
}

static void capture_release(struct packet_source *source, struct packet_batch *batch)
{
	batch->count = 0;
}

static void capture_statistics(struct packet_source *source, struct source_statistics *out)
{
	*out = ((struct capture *)source)->statistics;
}

void capture_progress(const struct packet_source *source, uint64_t *done, uint64_t *total)
{
	const struct capture *capture = (const struct capture *)source;

	*done = input_offset(&capture->input);
	*total = capture->input.total;
}

const struct packet_source_type capture_source = {
	.name = "capture",
	.description = "a pcap or pcapng file, or - for standard input",
	.open = capture_open,
	.poll_fd = capture_poll_fd,
	.read = capture_read,
	.release = capture_release,
	.statistics = capture_statistics,
	.close = capture_close,
};
