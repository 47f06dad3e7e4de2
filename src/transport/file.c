/* An IPFIX File (RFC 5655): messages one after another; compressed (section 10) where the name ends in .bz2
 * or .gz.
 *
 * There is no buffer of our own: a message of MESSAGE_OCTETS is one, so that a message is either in the file,
 * whole, or the caller knows that it is not. Of a compressed file that cannot be written on all later
 * messages are refused: its readers get what was before. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "transport/packed.h"
#include "transport/transport.h"

enum { MESSAGE_OCTETS = 32768 };

struct file_transport {
	struct transport transport;
	int fd;
	bool owned;            /* not standard output */
	bool regular;          /* can be cut back to the last whole message */
	off_t whole;           /* octets of whole messages in a regular file */
	struct packer *packer; /* NULL: as it is */
	bool cut;              /* it could not be written on */
	uint16_t max_message;
	char path[sizeof((struct endpoint *)0)->host];
};

static enum status write_packed(void *arg, struct span octets, struct error *err);

static enum status file_open(struct transport **out, const struct endpoint *to,
			     const struct transport_options *options, struct error *err)
{
	const bool standard_output = strcmp(to->host, "-") == 0;
	struct file_transport *f = calloc(1, sizeof *f);
	struct stat about;

	if (!f)
		return error_set(err, ERR_MEMORY, "%s: out of memory", to->host);
	f->transport.type = &file_transport;
	f->max_message = options->max_message;
	const enum packing packing = packing_of_name(to->host);
	if (packing != PACKED_NOT && packer_new(&f->packer, packing, write_packed, f) != OK) {
		free(f);
		return error_set(err, ERR_MEMORY, "%s: out of memory", to->host);
	}
	f->owned = !standard_output;
	snprintf(f->path, sizeof f->path, "%s", standard_output ? "standard output" : to->host);
	f->fd = standard_output ? STDOUT_FILENO
				: open(to->host, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0640);
	if (f->fd < 0) {
		const enum status st = error_errno(err, "%s: cannot open for writing", to->host);

		packer_free(f->packer);
		free(f);
		return st;
	}
	f->regular = f->owned && fstat(f->fd, &about) == 0 && S_ISREG(about.st_mode);
	*out = &f->transport;
	return OK;
}

static size_t file_message_limit(struct transport *t)
{
	const struct file_transport *f = (struct file_transport *)t;

	return f->max_message && f->max_message < MESSAGE_OCTETS ? f->max_message : MESSAGE_OCTETS;
}

/* A pipe that somebody made non-blocking is waited for: half a message cannot be taken back from it. */
static bool wait_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

static enum status write_whole(struct file_transport *f, struct span message, struct error *err)
{
	size_t done = 0;

	while (done < message.length) {
		const ssize_t n = write(f->fd, message.data + done, message.length - done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n < 0 && (errno == EAGAIN ? !wait_writable(f->fd) : errno != EINTR)) {
			const enum status st = error_errno(err, "%s: cannot write %zu octets at offset %lld",
							   f->path, message.length, (long long)f->whole);

			f->transport.errors++;
			/* A reader must not find half a message and take what follows for its rest. */
			if (done && f->regular && ftruncate(f->fd, f->whole) == 0)
				lseek(f->fd, f->whole, SEEK_SET);
			return st == ERR_PERMISSION ? ERR_SYSTEM : st;
		}
	}
	f->whole += (off_t)message.length;
	return OK;
}

static enum status write_packed(void *arg, struct span octets, struct error *err)
{
	struct file_transport *f = arg;
	const enum status st = write_whole(f, octets, err);

	f->cut |= st != OK;
	return st;
}

static enum status file_send(struct transport *t, struct span message, struct error *err)
{
	struct file_transport *f = (struct file_transport *)t;

	if (!f->packer)
		return write_whole(f, message, err);
	if (f->cut)
		return error_set(err, ERR_SYSTEM, "%s: it could not be written on", f->path);
	return packer_put(f->packer, message, err);
}

static enum status file_flush(struct transport *t, struct error *err)
{
	struct file_transport *f = (struct file_transport *)t;
	const enum status st = f->packer && !f->cut ? packer_finish(f->packer, err) : OK;

	if (st != OK)
		return st;

	/* A failed fsync is not tried again: the kernel may have thrown the pages away and would answer
	 * success. */
	if (f->regular && fsync(f->fd) < 0) {
		t->errors++;
		return error_errno(err, "%s: cannot bring to disk", f->path);
	}
	return OK;
}

static uint32_t file_generation(const struct transport *t)
{
	return 0;
}

static int file_poll_fd(const struct transport *t)
{
	return -1;
}

static bool file_addresses(const struct transport *t, struct sockaddr_storage *local,
			   struct sockaddr_storage *remote)
{
	return false;
}

static void file_close(struct transport *t)
{
	struct file_transport *f = (struct file_transport *)t;

	if (!f)
		return;
	if (f->packer && !f->cut)
		(void)!packer_finish(f->packer, NULL);
	packer_free(f->packer);
	if (f->owned)
		close(f->fd);
	free(f);
}

const struct transport_type file_transport = {
	.scheme = "File",
	.usage = "File/PATH",
	.default_port = 0,
	.reliable = true,
	.open = file_open,
	.message_limit = file_message_limit,
	.send = file_send,
	.flush = file_flush,
	.generation = file_generation,
	.poll_fd = file_poll_fd,
	.addresses = file_addresses,
	.close = file_close,
};
