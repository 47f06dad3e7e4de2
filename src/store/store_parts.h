/* store_parts.h: what a look at a store found, for reading.c. */
#pragma once

#include "store/manifest.h"
#include "store/rows.h"
#include "store/store.h"

/* Records without a scope. Borrowed from the store until its next look. */
struct store_parts {
	const char *store;
	const struct manifest *manifest;
	const uint32_t *partitions; /* of the manifest: those that end last in front */
	uint32_t partition_count;
	struct rows *tails[2]; /* sealed; NULL: none */
};

void store_parts(const struct store *store, struct store_parts *out);
