/* packed.h: compressed IPFIX Files (RFC 5655 section 10): bzip2 and gzip. Streams: memory does not grow with
 * the file. Members one behind the other are one file, as bzip2(1) and gzip(1) have it. No I/O. */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"

enum packing { PACKED_NOT, PACKED_BZIP2, PACKED_GZIP };

enum { PACKED_MAGIC = 3 };

/* By the first octets (RFC 5655 10.2), PACKED_MAGIC of them if there are; by the end of the name: .bz2, .gz.
 */
enum packing packing_of_magic(const uint8_t *octets, size_t length);
enum packing packing_of_name(const char *name);

struct packer;

/* Takes packed octets. A status other than OK ends the call that made them, with it. */
typedef enum status packed_sink(void *arg, struct span octets, struct error *err);

/* ERR_MEMORY. */
MUST_CHECK enum status packer_new(struct packer **out, enum packing packing, packed_sink *sink, void *arg);
void packer_free(struct packer *packer);

/* What does not fill a block stays inside. */
MUST_CHECK enum status packer_put(struct packer *packer, struct span octets, struct error *err);

/* All of it, and the end of the member; what is put afterwards begins another one. */
MUST_CHECK enum status packer_finish(struct packer *packer, struct error *err);

struct unpacker;

/* Answers as read(2). */
typedef ssize_t packed_source(void *arg, void *to, size_t size);

/* Octets that are not packed come through as they are. ERR_MEMORY. */
MUST_CHECK enum status unpacker_new(struct unpacker **out, packed_source *read, void *arg);
void unpacker_free(struct unpacker *unpacker);

/* As read(2). -1 with EBADMSG: what follows is damaged, or the file ends in the middle. */
ssize_t unpacker_read(struct unpacker *unpacker, void *to, size_t size);
