/* Any octets as a compressed file: an end or an error, in bounded time and memory, and never more than fits.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/packed.h"

enum { ROOM = 4096, MOST = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t give(void *arg, void *to, size_t size)
{
	struct span *left = arg;
	const size_t n = left->length < size ? left->length : size;

	if (n)
		memcpy(to, left->data, n);
	left->data += n;
	left->length -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span left = span_of(data, size);
	struct unpacker *u = NULL;
	uint8_t out[ROOM];
	ssize_t n;

	if (unpacker_new(&u, give, &left) != OK)
		return 0;
	for (size_t all = 0; all < MOST && (n = unpacker_read(u, out, sizeof out)) != 0; all += (size_t)n) {
		if (n > ROOM || (n < 0 && errno != EBADMSG && errno != ENOMEM))
			abort();
		if (n < 0)
			break;
	}
	unpacker_free(u);
	return 0;
}
