/* A file of a spool as somebody may have left it: its list of messages and its octets.
 *
 * Input: 2 octets big-endian, octets of the list; the list; the file. Checksums are put right first, so that
 * what lies behind them is reached. */
#include <stdlib.h>

#include "base/crc32c.h"
#include "export/spool_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_checksums_right(uint8_t *marks, size_t length, const uint8_t *file, size_t size)
{
	size_t begin = 0;

	for (size_t m = 0; m + SPOOL_MARK <= length; m += SPOOL_MARK) {
		const size_t end = get_be32(marks + m);

		if (end < begin || end > size)
			return;
		put_be32(marks + m + 4, crc32c(0, file + begin, end - begin));
		begin = end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct logger silent = {0};
	struct layout layouts[FLOW_LAYOUT_COUNT];
	const struct spool_options o = {.layout = layouts, .layout_count = FLOW_LAYOUT_COUNT, .log = &silent};
	struct spool_cursor cursor = {0};
	struct ring_view v;
	const char *fault;

	if (size < 2 || (size_t)get_be16(data) + 2 > size)
		return 0;
	const size_t length = get_be16(data);
	uint8_t *marks = malloc(length + 1);
	const struct span file = span_of(data + 2 + length, size - 2 - length);

	layout_make_flows(layouts, 0);
	memcpy(marks, data + 2, length);
	put_checksums_right(marks, length, file.data, file.length);
	const size_t good = spool_file_check(&o, file, span_of(marks, length), &fault);
	for (uint64_t last = 0; spool_cursor_peek(&o, span_of(file.data, good), &cursor, &v) == OK;) {
		if (v.next <= last || v.next > good || v.data + v.length != file.data + v.next)
			abort();
		last = v.next;
		cursor.at = (uint32_t)v.next;
	}
	free(marks);
	return 0;
}
