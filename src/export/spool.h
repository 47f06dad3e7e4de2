/* spool.h: records that wait on disk while their collector is away, bounded, in order.
 *
 * A folder of IPFIX Files (RFC 5655), "00000001.ipfix" and so on; each begins with the templates it needs, so
 * that any reader of IPFIX understands it. Beside each lies a list of where its messages end and of their
 * checksums: 8 octets a message, big-endian, end offset and CRC-32C; and one file "position" says what has
 * arrived. A message without its checksum is what a sudden end has torn: it is cut. A file that is damaged,
 * or whose templates are not those of this program, is set aside under the name "….bad": nothing of it is
 * sent.
 *
 * Writes go to the kernel, so what was taken outlives the process, also when it is killed; files are brought
 * to the disk when the spool is closed. Over the bound the oldest file goes. One process at a time: the
 * folder is locked. */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "export/layout.h"
#include "export/ring.h"

struct spool;

struct spool_options {
	const char *folder;          /* of this spool alone; made when it is not there */
	uint64_t size;               /* octets at most, all files together */
	const struct layout *layout; /* of flow records; borrowed, like the log */
	uint32_t layout_count;
	uint32_t domain;
	const struct logger *log;
};

/* What records stand for, to count those that are dropped. */
struct spool_count {
	uint64_t flows, packets, octets;
};

struct spool_statistics {
	uint64_t written;   /* flow records, since the start */
	uint64_t octets;    /* of files now */
	uint64_t set_aside; /* files */
	uint64_t failures;  /* writes that failed: a full disk */
};

/* ERR_SYSTEM, ERR_PERMISSION with the path; ERR_LIMIT: another process has it. Caller owns *out. */
MUST_CHECK enum status spool_open(struct spool **out, const struct spool_options *options, struct error *err);
void spool_close(struct spool *spool);

/* Nothing that was not confirmed. */
bool spool_is_empty(const struct spool *spool);
void spool_statistics(const struct spool *spool, struct spool_statistics *out);

/* Put a record into the message under way. OK: it is kept once spool_flush, or a later put, says *kept that
 * it is so: records put since the last message was written are still the caller's. ERR_SYSTEM: the message
 * under way could not be written and is forgotten; so are its records, which are still the caller's. */
MUST_CHECK enum status spool_put(struct spool *spool, uint32_t layout, struct span record,
				 uint32_t export_time, bool *kept, struct error *err);
MUST_CHECK enum status spool_flush(struct spool *spool, uint32_t export_time, struct error *err);

/* What was dropped since the last call: over the bound, or in files that were set aside. */
struct spool_count spool_take_dropped(struct spool *spool);

/* The oldest record that was not read yet; `next` of the view is its position. END: none. Borrowed until the
 * next call of any function here. */
MUST_CHECK enum status spool_peek(struct spool *spool, struct ring_view *out);
void spool_advance(struct spool *spool); /* past the record that was peeked at */

/* Records up to and with this position have arrived: they are not read again, also not after a restart. */
void spool_confirm(struct spool *spool, uint64_t position);

/* Records that were read and not confirmed are to be read again; those that were read since the mark. */
void spool_rewind(struct spool *spool);
void spool_mark(struct spool *spool);
void spool_return(struct spool *spool);

/* The position up to which all is confirmed or dropped. */
uint64_t spool_confirmed(const struct spool *spool);
