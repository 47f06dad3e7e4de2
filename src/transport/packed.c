#include "transport/packed.h"

#include <bzlib.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
	PACKED_ROOM = 1 << 16,
	GZIP_WINDOW = 15 + 16, /* the largest, with gzip's header and trailer */
	GZIP_MEMORY = 8,
	BZIP2_BLOCKS = 9, /* of 100 000 octets */
};

/* One of the two; what both have under other names. */
struct stream {
	enum packing packing;
	bool open;
	z_stream gzip;
	bz_stream bzip2;
};

enum packing packing_of_magic(const uint8_t *octets, size_t length)
{
	if (length >= 3 && memcmp(octets, "BZh", 3) == 0)
		return PACKED_BZIP2;
	return length >= 2 && octets[0] == 0x1f && octets[1] == 0x8b ? PACKED_GZIP : PACKED_NOT;
}

enum packing packing_of_name(const char *name)
{
	const size_t length = strlen(name);

	if (length > 4 && strcmp(name + length - 4, ".bz2") == 0)
		return PACKED_BZIP2;
	return length > 3 && strcmp(name + length - 3, ".gz") == 0 ? PACKED_GZIP : PACKED_NOT;
}

struct packer {
	struct stream stream;
	packed_sink *sink;
	void *arg;
	uint8_t out[PACKED_ROOM];
};

static bool open_packer(struct stream *s)
{
	s->gzip = (z_stream){0};
	s->bzip2 = (bz_stream){0};
	s->open = s->packing == PACKED_GZIP
			  ? deflateInit2(&s->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
					 GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK
			  : BZ2_bzCompressInit(&s->bzip2, BZIP2_BLOCKS, 0, 0) == BZ_OK;
	return s->open;
}

static void close_packer(struct stream *s)
{
	if (s->open && s->packing == PACKED_GZIP)
		deflateEnd(&s->gzip);
	else if (s->open)
		BZ2_bzCompressEnd(&s->bzip2);
	s->open = false;
}

enum status packer_new(struct packer **out, enum packing packing, packed_sink *sink, void *arg)
{
	struct packer *p = calloc(1, sizeof *p);

	if (!p)
		return ERR_MEMORY;
	p->stream.packing = packing;
	p->sink = sink;
	p->arg = arg;
	if (!open_packer(&p->stream)) {
		free(p);
		return ERR_MEMORY;
	}
	*out = p;
	return OK;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	close_packer(&p->stream);
	free(p);
}

/* One call into the library: how much of `in` it took, how much it made; *ended: the member is complete. */
static void pack_some(struct packer *p, struct span *in, bool finish, size_t *made, bool *ended)
{
	struct stream *s = &p->stream;
	uint8_t *from = (uint8_t *)(uintptr_t)in->data; /* neither library writes there */
	size_t left;

	if (s->packing == PACKED_GZIP) {
		s->gzip.next_in = from;
		s->gzip.avail_in = (uInt)in->length;
		s->gzip.next_out = p->out;
		s->gzip.avail_out = PACKED_ROOM;
		*ended = deflate(&s->gzip, finish ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_END;
		left = s->gzip.avail_in;
		*made = PACKED_ROOM - s->gzip.avail_out;
	} else {
		s->bzip2.next_in = (char *)from;
		s->bzip2.avail_in = (unsigned)in->length;
		s->bzip2.next_out = (char *)p->out;
		s->bzip2.avail_out = PACKED_ROOM;
		*ended = BZ2_bzCompress(&s->bzip2, finish ? BZ_FINISH : BZ_RUN) == BZ_STREAM_END;
		left = s->bzip2.avail_in;
		*made = PACKED_ROOM - s->bzip2.avail_out;
	}
	in->data += in->length - left;
	in->length = left;
}

static enum status pack(struct packer *p, struct span in, bool finish, struct error *err)
{
	bool ended = false;
	size_t made;

	if (!p->stream.open && !open_packer(&p->stream))
		return error_set(err, ERR_MEMORY, "out of memory");
	while (in.length > 0 || (finish && !ended)) {
		pack_some(p, &in, finish, &made, &ended);
		const enum status st = made ? p->sink(p->arg, span_of(p->out, made), err) : OK;
		if (st != OK)
			return st;
	}
	if (ended)
		close_packer(&p->stream);
	return OK;
}

enum status packer_put(struct packer *p, struct span octets, struct error *err)
{
	return pack(p, octets, false, err);
}

enum status packer_finish(struct packer *p, struct error *err)
{
	return p->stream.open ? pack(p, (struct span){0}, true, err) : OK;
}

struct unpacker {
	struct stream stream;
	packed_source *read;
	void *arg;
	bool looked;  /* at the magic */
	bool between; /* members: the next one may begin, or the file end */
	bool end;     /* of what is read */
	size_t at, length;
	uint8_t in[PACKED_ROOM];
};

enum status unpacker_new(struct unpacker **out, packed_source *read, void *arg)
{
	struct unpacker *u = calloc(1, sizeof *u);

	if (!u)
		return ERR_MEMORY;
	u->read = read;
	u->arg = arg;
	*out = u;
	return OK;
}

static void close_unpacker(struct stream *s)
{
	if (s->open && s->packing == PACKED_GZIP)
		inflateEnd(&s->gzip);
	else if (s->open)
		BZ2_bzDecompressEnd(&s->bzip2);
	s->open = false;
}

void unpacker_free(struct unpacker *u)
{
	if (!u)
		return;
	close_unpacker(&u->stream);
	free(u);
}

static bool open_unpacker(struct stream *s)
{
	s->gzip = (z_stream){0};
	s->bzip2 = (bz_stream){0};
	s->open = s->packing == PACKED_GZIP ? inflateInit2(&s->gzip, GZIP_WINDOW) == Z_OK
					    : BZ2_bzDecompressInit(&s->bzip2, 0, 0) == BZ_OK;
	if (!s->open)
		errno = ENOMEM;
	return s->open;
}

/* At least `octets` in front of us, unless the file ends. false: reading failed. */
static bool need(struct unpacker *u, size_t octets)
{
	if (u->at > 0) {
		memmove(u->in, u->in + u->at, u->length - u->at);
		u->length -= u->at;
		u->at = 0;
	}
	while (!u->end && u->length < octets) {
		const ssize_t n = u->read(u->arg, u->in + u->length, sizeof u->in - u->length);

		if (n < 0)
			return false;
		u->end = n == 0;
		u->length += (size_t)n;
	}
	return true;
}

/* One call into the library. -1: damaged. */
static ssize_t unpack_some(struct unpacker *u, void *to, size_t size)
{
	struct stream *s = &u->stream;
	const size_t most = size < PACKED_ROOM ? size : PACKED_ROOM;
	bool good;

	if (s->packing == PACKED_GZIP) {
		s->gzip.next_in = u->in + u->at;
		s->gzip.avail_in = (uInt)(u->length - u->at);
		s->gzip.next_out = to;
		s->gzip.avail_out = (uInt)most;
		const int r = inflate(&s->gzip, Z_NO_FLUSH);
		good = r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR;
		u->between = r == Z_STREAM_END;
		u->at = u->length - s->gzip.avail_in;
		size = most - s->gzip.avail_out;
	} else {
		s->bzip2.next_in = (char *)u->in + u->at;
		s->bzip2.avail_in = (unsigned)(u->length - u->at);
		s->bzip2.next_out = to;
		s->bzip2.avail_out = (unsigned)most;
		const int r = BZ2_bzDecompress(&s->bzip2);
		good = r == BZ_OK || r == BZ_STREAM_END;
		u->between = r == BZ_STREAM_END;
		u->at = u->length - s->bzip2.avail_in;
		size = most - s->bzip2.avail_out;
	}
	if (u->between)
		close_unpacker(s);
	if (good)
		return (ssize_t)size;
	errno = EBADMSG;
	return -1;
}

/* Of a member. 0: it ended and nothing came of it, or there is none any more. */
static ssize_t read_packed(struct unpacker *u, void *to, size_t size)
{
	ssize_t n = 0;

	while (n == 0) {
		if (!need(u, u->between ? PACKED_MAGIC : 1))
			return -1;
		if (u->between && u->length == 0)
			return 0;
		if (u->between && packing_of_magic(u->in, u->length) != u->stream.packing) {
			errno = EBADMSG;
			return -1;
		}
		if (!u->stream.open && !open_unpacker(&u->stream))
			return -1;
		const bool cut = u->length == 0; /* what the library still holds comes first */
		n = unpack_some(u, to, size);
		if (cut && n == 0 && !u->between) {
			errno = EBADMSG;
			return -1;
		}
	}
	return n;
}

ssize_t unpacker_read(struct unpacker *u, void *to, size_t size)
{
	if (!u->looked) {
		if (!need(u, PACKED_MAGIC))
			return -1;
		u->looked = u->between = true;
		u->stream.packing = packing_of_magic(u->in, u->length);
	}
	if (u->stream.packing != PACKED_NOT)
		return size ? read_packed(u, to, size) : 0;
	const size_t left = u->length - u->at, part = left < size ? left : size;
	if (!part)
		return u->end ? 0 : u->read(u->arg, to, size);
	memcpy(to, u->in + u->at, part);
	u->at += part;
	return (ssize_t)part;
}
