/* shards_state.h: the inside of struct shards, for shards.c and shards_file.c. */
#pragma once

#include <pthread.h>

#include "daemon/shards.h"
#include "export/ring.h"
#include "observe/capture.h"

enum {
	EXPORTERS_MAX = 1 + POINT_DOMAINS_MAX,
	SHARD_RING = 1 << 20, /* octets */
	SLOTS = 8,            /* stretches that are read, decoded or counted at a time */
	MARKS = 64,           /* stretches that the meters may be ahead of the exporters */
};

/* How far a shard's rings were filled when it had counted a stretch. */
struct mark {
	uint64_t head[EXPORTERS_MAX];
};

struct shard {
	struct shards *all;
	uint32_t number;
	struct meter *meter;
	struct ring *ring[EXPORTERS_MAX];
	void *ring_memory[EXPORTERS_MAX];
	struct decoder decoder;
	struct capture_chunk *chunk;
	struct mark mark[MARKS];
	pthread_t thread;
	bool started;
	/* Live. */
	struct packet_source *lane; /* borrowed */
	struct packet_batch *batch;
	int64_t due_ns;                           /* then it looks at the clock */
	uint64_t foreign_packets, foreign_octets; /* read, and left to another one */
	/* Under the lock of all. */
	uint64_t counted; /* stretches */
	bool full;        /* waits until records were moved */
	bool parked;      /* live: does nothing, and goes on only when nobody pauses it */
	bool asks;        /* live: waits for someone to look after the source */
};

/* A stretch of the file. */
struct slot {
	uint64_t decoded;    /* its number + 1, when it is; under the lock */
	uint32_t left;       /* shards that have not counted it; under the lock. 0: free */
	struct mono_ns time; /* of its last packet */
	uint64_t octets;     /* read up to its end */
	uint32_t points;     /* known at its end */
	uint32_t pace_count;
	uint32_t pace[CHUNK_PACKETS]; /* packets that all meters look at their clocks before */
	struct decoded part[SHARD_MAX];
};

/* What a thread waits for. */
struct shards {
	struct device *device;
	struct point_table *points; /* as the reader of a file has them, or those of the device; the meters
				       read it, too */
	uint32_t count, exporter_count;
	struct shard *shard[SHARD_MAX];

	pthread_mutex_t lock;
	pthread_cond_t work; /* something for a shard to do */
	pthread_cond_t told; /* … for the thread of the exporters */

	/* A file; under the lock, but for the source, which is whose turn it is to read. */
	struct packet_source *source;
	struct pacer pacer;
	bool reading, ended;
	enum status status; /* END, or what was wrong */
	struct error error;
	uint64_t total;    /* octets of the file; 0: not known */
	uint64_t read;     /* stretches */
	uint64_t exported; /* … all before were moved to the exporters */
	struct mono_ns time[MARKS];
	uint64_t octets[MARKS];
	uint32_t point_count[MARKS];
	struct slot *slot;

	/* Live. */
	void (*tell)(void *arg); /* the thread of the exporters should come; NULL: it is told by `told` */
	void *tell_arg;
	bool pause;   /* written under the lock; threads look at it between batches */
	bool stopped; /* all are parked, and stay it */
	bool over;
};

/* A thread for each, that gets the shard. ERR_SYSTEM, and all that were started are told that it has ended.
 */
MUST_CHECK enum status shards_start_threads(struct shards *shards, void *(*run)(void *), struct error *err);
void shards_join(struct shards *shards);

/* Move what lies before the mark to the exporters. */
void shard_move(struct shard *shard, const struct mark *until);
/* … and wake the shard, if it waits for room. */
void shard_make_room(struct shard *shard, const struct mark *until);

/* How far its rings are filled. */
void shard_mark(const struct shard *shard, struct mark *out);

/* A ring is half full: the exporters' thread should come. */
bool shard_is_filling(const struct shard *shard);
