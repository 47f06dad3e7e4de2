#include "collect/journal_watermark.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crc32c.h"

static const uint8_t magic[8] = {'W', 'E', 'I', 'R', 'M', 'A', 'R', 'K'};

enum { SECTOR = 512, CRC_AT = SECTOR - 4, HOLES_AT = 48, HOLE_OCTETS = 20 };

_Static_assert(HOLES_AT + JOURNAL_HOLES * HOLE_OCTETS <= CRC_AT, "the holes fit into a slot");

static off_t slot_at(uint32_t worker, uint64_t serial)
{
	return (off_t)SECTOR * (1 + 2 * (off_t)worker + (off_t)(serial & 1));
}

static bool read_sector(int fd, uint8_t sector[SECTOR], off_t at)
{
	ssize_t n;

	do
		n = pread(fd, sector, SECTOR, at);
	while (n < 0 && errno == EINTR);
	return n == SECTOR;
}

static bool write_sector(int fd, const uint8_t sector[SECTOR], off_t at)
{
	ssize_t n;

	do
		n = pwrite(fd, sector, SECTOR, at);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && n < SECTOR)
		errno = ENOSPC;
	return n == SECTOR;
}

bool watermark_get_store(int fd, uint8_t store[STORE_ID])
{
	uint8_t sector[SECTOR];

	if (!read_sector(fd, sector, 0) || memcmp(sector, magic, sizeof magic) != 0)
		return false;
	if (get_be32(sector + CRC_AT) != crc32c(0, sector, CRC_AT))
		return false;
	memcpy(store, sector + sizeof magic, STORE_ID);
	return true;
}

enum status watermark_put_store(int fd, const uint8_t store[STORE_ID], struct error *err)
{
	uint8_t sector[SECTOR] = {0};

	memcpy(sector, magic, sizeof magic);
	memcpy(sector + sizeof magic, store, STORE_ID);
	put_be32(sector + CRC_AT, crc32c(0, sector, CRC_AT));
	if (!write_sector(fd, sector, 0) || fdatasync(fd) < 0)
		return error_errno(err, "watermark: cannot write the identity of the store");
	return OK;
}

enum status watermark_reserve(int fd, uint32_t workers, struct error *err)
{
	static const uint8_t zeros[SECTOR];
	struct stat now;

	if (fstat(fd, &now) < 0)
		return error_errno(err, "watermark");
	/* A file that ends inside a sector was damaged; that sector is made anew. */
	for (off_t at = now.st_size / SECTOR * SECTOR; at < slot_at(workers, 0); at += SECTOR) {
		if (!write_sector(fd, zeros, at))
			return error_errno(err, "watermark: cannot reserve %u slots", 2 * workers);
	}
	return OK;
}

static bool get_slot(int fd, const uint8_t store[STORE_ID], uint32_t worker, uint64_t which,
		     struct journal_watermark *out)
{
	uint8_t sector[SECTOR];

	if (!read_sector(fd, sector, slot_at(worker, which)))
		return false;
	if (get_be32(sector + CRC_AT) != crc32c(crc32c(0, store, STORE_ID), sector, CRC_AT) ||
	    get_be32(sector + 8) != worker || get_be32(sector + 24) > JOURNAL_HOLES)
		return false;
	*out = (struct journal_watermark){
		.accepted = {worker, get_be32(sector + 12), get_be64(sector + 16)},
		.serial = get_be64(sector),
		.holes = get_be32(sector + 24),
	};
	for (uint32_t i = 0; i < out->holes; i++) {
		const uint8_t *hole = sector + HOLES_AT + (size_t)i * HOLE_OCTETS;
		out->hole[i] = (struct journal_hole){get_be32(hole), get_be64(hole + 4), get_be64(hole + 12)};
	}
	return true;
}

bool watermark_get(int fd, const uint8_t store[STORE_ID], uint32_t worker, struct journal_watermark *out)
{
	struct journal_watermark a, b;
	const bool good_a = get_slot(fd, store, worker, 0, &a), good_b = get_slot(fd, store, worker, 1, &b);

	if (good_a && (!good_b || a.serial > b.serial))
		*out = a;
	else if (good_b)
		*out = b;
	return good_a || good_b;
}

bool watermark_put(int fd, const uint8_t store[STORE_ID], struct journal_watermark *mark)
{
	uint8_t sector[SECTOR] = {0};

	put_be64(sector, mark->serial + 1);
	put_be32(sector + 8, mark->accepted.worker);
	put_be32(sector + 12, mark->accepted.segment);
	put_be64(sector + 16, mark->accepted.offset);
	put_be32(sector + 24, mark->holes);
	for (uint32_t i = 0; i < mark->holes; i++) {
		uint8_t *hole = sector + HOLES_AT + (size_t)i * HOLE_OCTETS;
		put_be32(hole, mark->hole[i].segment);
		put_be64(hole + 4, mark->hole[i].from);
		put_be64(hole + 12, mark->hole[i].to);
	}
	put_be32(sector + CRC_AT, crc32c(crc32c(0, store, STORE_ID), sector, CRC_AT));
	if (!write_sector(fd, sector, slot_at(mark->accepted.worker, mark->serial + 1)))
		return false;
	mark->serial++;
	return true;
}

void watermark_add_hole(struct journal_watermark *mark, struct journal_hole hole)
{
	if (mark->holes == JOURNAL_HOLES) {
		memmove(mark->hole, mark->hole + 1, sizeof mark->hole - sizeof mark->hole[0]);
		mark->holes--;
	}
	mark->hole[mark->holes++] = hole;
}

bool journal_is_accepted(const struct journal_watermark *mark, struct journal_position position)
{
	if (journal_position_compare(position, mark->accepted) >= 0)
		return false;
	for (uint32_t i = 0; i < mark->holes; i++) {
		const struct journal_hole *hole = &mark->hole[i];
		if (hole->segment == position.segment && position.offset >= hole->from &&
		    position.offset < hole->to)
			return false;
	}
	return true;
}

enum status journal_watermark_read(const char *store, uint32_t worker, struct journal_watermark *out,
				   struct error *err)
{
	uint8_t id[STORE_ID];
	auto_fd folder = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return error_errno(err, "%s", store);
	auto_fd fd = openat(folder, "watermark", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return END;
	if (fd < 0)
		return error_errno(err, "%s/watermark", store);
	if (worker >= JOURNAL_WORKERS || !watermark_get_store(fd, id) || !watermark_get(fd, id, worker, out))
		return END;
	return OK;
}
