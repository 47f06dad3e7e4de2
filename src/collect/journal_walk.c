#include "collect/journal_walk.h"

#include <errno.h>
#include <unistd.h>

#include "base/crc32c.h"

/* As much as there is, up to `length`; -1 with errno. */
static ssize_t read_at(int fd, uint8_t *buffer, size_t length, uint64_t at)
{
	size_t held = 0;

	while (held < length) {
		const ssize_t n = pread(fd, buffer + held, length - held, (off_t)(at + held));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return held > 0 ? (ssize_t)held : -1;
		if (n == 0)
			break;
		held += (size_t)n;
	}
	return (ssize_t)held;
}

void side_walk_back(struct side_walk *walk, uint64_t at)
{
	walk->at = at;
	walk->held = 0;
}

enum status side_walk_next(struct side_walk *walk, struct side_record *out)
{
	size_t ahead = walk->held > 0 ? (size_t)(walk->at - walk->buffer_at) : 0;

	if (walk->held < ahead + SIDE_PEER) { /* enough for either kind */
		const ssize_t n = read_at(walk->fd, walk->buffer, WALK_OCTETS, walk->at);
		if (n < 0)
			return ERR_SYSTEM;
		walk->buffer_at = walk->at;
		walk->held = (size_t)n;
		ahead = 0;
	}
	if (walk->held < ahead + SIDE_UNIT)
		return END;
	walk->at += side_get(span_of(walk->buffer + ahead, walk->held - ahead), walk->seed, walk->at, out);
	return OK;
}

static bool holds(const struct side_record *record, const uint8_t *message)
{
	return crc32c(0, message, record->length) == record->message_crc;
}

enum status data_window_message(struct data_window *window, const struct side_record *record,
				struct span *out)
{
	const uint64_t from = record->offset;

	if (record->length < MESSAGE_MIN)
		return ERR_FORMAT;
	if (from >= window->at && from + record->length <= window->at + window->held) {
		*out = span_of(window->buffer + (from - window->at), record->length);
		if (holds(record, out->data))
			return OK;
	}
	const ssize_t n = read_at(window->fd, window->buffer, WINDOW_OCTETS, from);
	window->at = from;
	window->held = n < 0 ? 0 : (size_t)n;
	if (n < 0)
		return ERR_SYSTEM;
	if (window->held < record->length) { /* the end of the file, or of what can be read */
		uint8_t next;

		return read_at(window->fd, &next, 1, from + window->held) < 0 ? ERR_SYSTEM : ERR_FORMAT;
	}
	*out = span_of(window->buffer, record->length);
	return holds(record, out->data) ? OK : ERR_FORMAT;
}
