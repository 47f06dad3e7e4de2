/* keep.h: the house in order: leftovers, retention, small partitions, damaged ones. The manifest changes
 * first, files go a while later, so that no query finds a name without its file. */
#pragma once

#include "store/loader_state.h"

enum {
	LEAVING_MS = 60 * 1000, /* queries that began with an older manifest are done by then */
	COMPACT_SMALL = 250000, /* partitions with fewer records are put together */
	COMPACT_FULL = 1000000, /* up to so many */
	COMPACT_FILES = 16,     /* when there are so many of a kind */
	COMPACT_MOST = 256,     /* at a time */
};

/* At a writer's start: remove files of steps that did not end: hidden ones, and partitions and templates that
 * the manifest does not name. */
MUST_CHECK enum status keep_swept(struct loader *l, struct error *err);

/* After a flush, or instead of one when nothing came. Failures are logged and tried again later. */
void keep_house(struct loader *l, int64_t now_ms);

/* Look at every partition; `whole`: read it for its checksum. Damaged ones are set aside; what cannot be read
 * now stays. */
MUST_CHECK enum status keep_checked(struct loader *l, bool whole, uint32_t *set_aside, struct error *err);
