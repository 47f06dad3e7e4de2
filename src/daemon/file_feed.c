#include "daemon/file_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "message/file.h"
#include "transport/packed.h"

enum { WINDOW = 1 << 20, AHEAD_OCTETS = 32 << 20 };

struct file_feed {
	const char *const *files;
	uint32_t count;
	struct journal_writer *writer;
	const struct board *board;
	const struct logger *log;
	pthread_t thread;
	_Atomic bool stop, done;
	uint8_t *window;
	uint64_t octets; /* handed to the journal */
	/* The first failure; read when done is true. */
	enum status status;
	struct error error;
};

static void failed(struct file_feed *f, enum status status, const char *name, const char *what)
{
	log_error(f->log, "%s: %s", name, what);
	if (f->status == OK)
		f->status = error_set(&f->error, status, "%s: %s", name, what);
}

static void pause_ms(int64_t ms)
{
	const struct timespec t = {.tv_nsec = ms * NS_PER_MS};

	nanosleep(&t, NULL);
}

/* The roles must not fall behind further than the buffer of a collector without a store allows. */
static bool is_ahead(const struct file_feed *f)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		const struct role_board *r = &f->board->role[i];

		if (i != ROLE_ASKER && r->wanted && f->octets > atomic_load(&r->octets) + AHEAD_OCTETS)
			return true;
	}
	return false;
}

static void put(struct file_feed *f, struct span octets, struct journal_peer *peer)
{
	const struct journal_message m = {.octets = octets, .received = wall_now(), .peer = peer};

	while (!atomic_load(&f->stop) && (is_ahead(f) || journal_append(f->writer, &m, 1, mono_now()) == 0))
		pause_ms(is_ahead(f) ? 5 : 500);
	f->octets += octets.length;
}

/* Every message in the window; the framing passes over what is none. Answers the damaged octets. */
static uint64_t take_window(struct file_feed *f, struct frame_reader *frames, struct journal_peer *peer)
{
	uint64_t damaged = 0;
	struct span part;
	enum frame_result r;

	while (!atomic_load(&f->stop) && (r = frame_next(frames, &part)) != FRAME_MORE && r != FRAME_END) {
		if (r == FRAME_MESSAGE && part.length >= IPFIX_HEADER_LENGTH)
			put(f, part, peer);
		else
			damaged += part.length;
	}
	return damaged;
}

static ssize_t read_from(void *arg, void *to, size_t size)
{
	const int *fd = arg;
	ssize_t n;

	do
		n = read(*fd, to, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static void read_file(struct file_feed *f, const char *name)
{
	struct journal_peer peer = {.session = {.address = IN6ADDR_ANY_INIT, .transport = JOURNAL_FILE}};
	struct frame_reader frames = {0};
	uint64_t damaged = 0;
	size_t have = 0;
	ssize_t n = 1;
	int number = 0;
	auto_fd fd = open(name, O_RDONLY | O_CLOEXEC);
	struct unpacker *unpacker = NULL;

	if (fd < 0) {
		failed(f, errno == EACCES ? ERR_PERMISSION : ERR_SYSTEM, name, strerror(errno));
		return;
	}
	if (unpacker_new(&unpacker, read_from, &fd) != OK) {
		failed(f, ERR_MEMORY, name, "out of memory");
		return;
	}
	peer.session.number = journal_session_number(f->writer);
	while (n > 0 && !atomic_load(&f->stop)) {
		n = unpacker_read(unpacker, f->window + have, WINDOW - have);
		number = n < 0 ? errno : 0;
		have += n > 0 ? (size_t)n : 0;
		frame_more(&frames, f->window, have, n <= 0);
		damaged += take_window(f, &frames, &peer);
		have = frame_left(&frames);
		memmove(f->window, f->window + frames.at, have);
	}
	if (number)
		failed(f, number == EBADMSG ? ERR_FORMAT : ERR_SYSTEM, name,
		       number == EBADMSG ? "what it is compressed with is damaged or cut off; read to there"
					 : strerror(number));
	unpacker_free(unpacker);
	if (damaged) {
		char what[64];

		snprintf(what, sizeof what, "%" PRIu64 " octets are no IPFIX messages", damaged);
		failed(f, ERR_FORMAT, name, what);
	}
}

static void *read_all(void *arg)
{
	struct file_feed *f = arg;

	for (uint32_t i = 0; i < f->count && !atomic_load(&f->stop); i++)
		read_file(f, f->files[i]);
	atomic_store(&f->done, true);
	return NULL;
}

enum status file_feed_start(struct file_feed **out, const char *const *files, uint32_t count,
			    struct journal_writer *writer, const struct board *board,
			    const struct logger *log, struct error *err)
{
	struct file_feed *f = calloc(1, sizeof *f);
	sigset_t all, before;

	if (!f || !(f->window = malloc(WINDOW))) {
		free(f);
		return error_set(err, ERR_MEMORY, "no memory to read files with");
	}
	f->files = files;
	f->count = count;
	f->writer = writer;
	f->board = board;
	f->log = log;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&f->thread, NULL, read_all, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errno) {
		const enum status st = error_errno(err, "a thread to read files");

		free(f->window);
		free(f);
		return st;
	}
	*out = f;
	return OK;
}

enum status file_feed_state(struct file_feed *f, struct error *err)
{
	if (!atomic_load(&f->done))
		return AGAIN;
	return f->status == OK ? OK : error_set(err, f->status, "%s", f->error.text);
}

void file_feed_free(struct file_feed *f)
{
	if (!f)
		return;
	atomic_store(&f->stop, true);
	pthread_join(f->thread, NULL);
	free(f->window);
	free(f);
}
