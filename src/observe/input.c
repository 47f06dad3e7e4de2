#include "observe/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much there will be, and that it comes in order. A pipe does not know. */
static void measure(struct input *input)
{
	struct stat file;

	if (fstat(input->fd, &file) != 0 || !S_ISREG(file.st_mode))
		return;
	const off_t start = lseek(input->fd, 0, SEEK_CUR);
	input->total = (uint64_t)file.st_size;
	input->base = start > 0 ? (uint64_t)start : 0;
	posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

enum status input_open(struct input *input, const char *path, struct error *err)
{
	*input = (struct input){.fd = -1};
	if (strcmp(path, "-") == 0)
		input->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		input->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (input->fd < 0)
		return error_errno(err, "%s", path);
	measure(input);
	input->buffer = malloc(INPUT_ROOM);
	if (!input->buffer) {
		input_close(input);
		return error_set(err, ERR_MEMORY, "%s: no memory for a buffer of %d octets", path,
				 INPUT_ROOM);
	}
	input->data = input->room = input->buffer;
	return OK;
}

void input_over(struct input *input, struct span octets)
{
	*input = (struct input){.data = octets.data, .end = octets.length, .total = octets.length, .fd = -1};
}

void input_use(struct input *input, uint8_t *room)
{
	if (!input->buffer)
		return;
	const size_t left = input_left(input);
	memmove(room, input_here(input), left);
	input->data = input->room = room;
	input->base += input->at;
	input->at = 0;
	input->end = left;
}

void input_close(struct input *input)
{
	if (input->fd >= 0)
		close(input->fd);
	free(input->buffer);
	*input = (struct input){.fd = -1};
}

/* One read(), no larger than the second-level cache holds: a packet is looked at before it has left it. END:
 * the file is at its end. */
static enum status read_more(struct input *input, struct error *err)
{
	const size_t room = INPUT_ROOM - input->end;
	const size_t wanted = room < INPUT_READ ? room : INPUT_READ;
	ssize_t got;

	do
		got = read(input->fd, input->room + input->end, wanted);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_errno(err, "reading failed");
	if (got == 0) {
		close(input->fd);
		input->fd = -1;
		return END;
	}
	input->end += (size_t)got;
	return OK;
}

enum status input_refill(struct input *input, size_t octets, struct error *err)
{
	if (octets > INPUT_NEED_MAX)
		return error_set(err, ERR_LIMIT, "%zu octets at once are more than %d", octets,
				 INPUT_NEED_MAX);
	const size_t left = input_left(input);
	memmove(input->room, input->room + input->at, left);
	input->base += input->at;
	input->at = 0;
	input->end = left;
	while (input->skip > 0 || input->end < octets) {
		const enum status status = read_more(input, err);
		if (status != OK)
			return status;
		if (input->skip > 0) { /* nothing else is in the window then */
			const size_t now = input->skip < input->end ? (size_t)input->skip : input->end;
			memmove(input->room, input->room + now, input->end - now);
			input->end -= now;
			input->base += now;
			input->skip -= now;
		}
	}
	return OK;
}
