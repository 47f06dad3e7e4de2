#include "store/file_input.h"

#include <stdlib.h>

enum { WINDOW = 1 << 20 };

static void read_on(struct file_input *f)
{
	const size_t left = frame_left(&f->frames);
	size_t n = 1;

	memmove(f->window, f->window + f->frames.at, left);
	f->length = left;
	while (n && f->length < WINDOW)
		f->length += n = fread(f->window + f->length, 1, WINDOW - f->length, f->file);
	f->final = n == 0;
	frame_more(&f->frames, f->window, f->length, f->final);
}

static enum status next(void *arg, struct input_message *out, struct error *err)
{
	struct file_input *f = arg;
	struct span part;

	for (;;) {
		const enum frame_result result = frame_next(&f->frames, &part);

		if (result == FRAME_END || (result == FRAME_MORE && f->final))
			return ferror(f->file) ? error_errno(err, "%s: read", f->name) : END;
		if (result == FRAME_MORE) {
			read_on(f);
			continue;
		}
		f->offset += part.length;
		if (result == FRAME_DAMAGE)
			return error_set(err, ERR_FORMAT, "%s: no message in %zu octets before octet %llu",
					 f->name, part.length, (unsigned long long)f->offset);
		*out = (struct input_message){.octets = part,
					      .received = f->received,
					      .peer = f->peer,
					      .next = {f->worker, 1, f->offset}};
		if (!out->received.ns)
			out->received.ns = get_be32(part.data + 4) * NS_PER_S;
		return OK;
	}
}

enum status file_input_init(struct file_input *f, FILE *file, const char *name, const struct input_peer *peer,
			    struct input *input)
{
	*f = (struct file_input){.file = file, .name = name, .peer = *peer, .window = malloc(WINDOW)};
	if (!f->window)
		return ERR_MEMORY;
	read_on(f);
	*input = (struct input){.arg = f, .next = next};
	return OK;
}

void file_input_fini(struct file_input *f)
{
	free(f->window);
	f->window = NULL;
}
