/* page.h: a page's header, and its content out of zstd. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a dictionary's page or of one of data; what is not there is -1. `content` is behind the header and has
 * `packed` octets, all of them there. */
struct page {
	int64_t type, unpacked, packed;
	int64_t values, encoding, nulls, rows, levels, repetitions;
	bool compressed;
	const uint8_t *content;
};

/* False: it is damaged, or is none of these two. */
bool page_parse(struct page *page, const uint8_t *from, size_t length);
