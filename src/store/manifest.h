/* manifest.h: STORE/manifest.json: what counts. Partitions, the loader's positions, its ledger and the name
 * of the file that holds its templates stand in one file, so they become true together: it is written under a
 * hidden name, brought to disk and renamed. Whoever reads it sees the store before a step or after it. */
#pragma once

#include <jansson.h>

#include "store/constants.h"
#include "store/input.h"
#include "store/partition.h"

enum {
	MANIFEST_LAYOUT = 2, /* of store and manifest, as it is written */
	MANIFEST_OLDEST = 1, /* that is read: every column is in its partition's file */
	MANIFEST_MAX = 256 << 20,
	REASON_MAX = 200,
};

struct aside {
	struct partition partition;
	char reason[REASON_MAX];
};

/* A file that no query should begin with any more. Some may be reading it: it is removed a while later. */
struct leaving {
	char path[PARTITION_PATH_MAX];
	int64_t since_ms;
	bool committed; /* a manifest that is on disk says so: only then may it go */
};

struct manifest {
	uint64_t serial;                                    /* grows with each commit */
	uint64_t next_name;                                 /* of partitions */
	struct input_position positions[INPUT_WORKERS_MAX]; /* by worker; all zero: nothing read yet */
	struct partition *partitions;
	uint32_t partition_count, partition_room;
	struct schema *layouts; /* the columns of partitions */
	uint32_t layout_count, layout_room;
	struct constants *constants; /* columns of one value: sets of them */
	uint32_t constants_count, constants_room;
	struct aside *aside;
	uint32_t aside_count, aside_room;
	struct leaving *leaving;
	uint32_t leaving_count, leaving_room;
	json_t *loader;     /* sessions, ledger, elements: the loader's (loader_state.c); may be NULL */
	char templates[64]; /* file that goes with it; "": none */
	uint64_t templates_checksum;
};

void manifest_fini(struct manifest *m);

/* END: there is none (an empty store); *out is one without anything. ERR_FORMAT: not ours, damaged, or of
 * another layout version: `err` says which. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY. */
MUST_CHECK enum status manifest_read(struct manifest *out, const char *store, struct error *err);

/* Make *m what counts, with the next serial. On failure the store is as it was; only when the folder could
 * not be brought to disk may it be either, whole in both cases. */
MUST_CHECK enum status manifest_commit(struct manifest *m, const char *store, struct error *err);

/* ERR_MEMORY. */
MUST_CHECK enum status manifest_add(struct manifest *m, const struct partition *p);
void manifest_remove(struct manifest *m, uint32_t partition);
MUST_CHECK enum status manifest_set_aside(struct manifest *m, uint32_t partition, const char *reason);
MUST_CHECK enum status manifest_leave(struct manifest *m, const char *path, int64_t now_ms);

/* The number of the layout with these columns, made if there is none. -1: no memory. */
int32_t manifest_layout(struct manifest *m, const struct schema *columns);

/* Which of a partition's columns are not in its file. */
const struct constants *manifest_constants(const struct manifest *m, const struct partition *p);

/* p->constants of a partition with these, which are copied; those that no partition has go at the next
 * commit. ERR_MEMORY. */
MUST_CHECK enum status manifest_set_constants(struct manifest *m, struct partition *p,
					      const struct constants *these);

/* A name for a new partition: by the day of its last record, a number that was not there before. */
void manifest_name(struct manifest *m, bool options, int64_t last_ms, char out[PARTITION_PATH_MAX]);
