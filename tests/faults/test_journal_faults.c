/* What the disk can refuse, call by call, without a disk: the answers of the system calls are ours
 * (-Wl,--wrap). */
#include <errno.h>
#include <sys/uio.h>

#include "../unit/collect/journal_support.h"

int __real_fdatasync(int fd);
int __real_ftruncate64(int fd, off_t length);
ssize_t __real_pread64(int fd, void *octets, size_t length, off_t at);
ssize_t __real_pwrite64(int fd, const void *octets, size_t length, off_t at);
ssize_t __real_pwritev64(int fd, const struct iovec *iov, int count, off_t at);
int __real_openat64(int folder, const char *name, int flags, ...);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate64(int fd, off_t length);
ssize_t __wrap_pread64(int fd, void *octets, size_t length, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *octets, size_t length, off_t at);
ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t at);
int __wrap_openat64(int folder, const char *name, int flags, mode_t mode);

/* What is to go wrong next. -1: nothing. */
static struct {
	int sync, cut, make;    /* errno of every such call, 0: works */
	int syncs;              /* calls seen */
	ssize_t data_room;      /* octets that the next pwritev still takes, then `fault`; -1: all */
	ssize_t side_room;      /* of the next pwrite to a side file */
	int fault, interrupted; /* errno; how many EINTR before */
	int reads, unreadable;  /* calls seen; which of them fails, from 1; 0: none */
	bool for_ever;          /* and all after it */
} disk;

static void heal(void)
{
	memset(&disk, 0, sizeof disk);
	disk.data_room = disk.side_room = -1;
}

int __wrap_fdatasync(int fd)
{
	disk.syncs++;
	errno = disk.sync;
	return disk.sync ? -1 : __real_fdatasync(fd);
}

int __wrap_ftruncate64(int fd, off_t length)
{
	errno = disk.cut;
	return disk.cut ? -1 : __real_ftruncate64(fd, length);
}

int __wrap_openat64(int folder, const char *name, int flags, mode_t mode)
{
	if (disk.make && (flags & O_CREAT)) {
		errno = disk.make;
		return -1;
	}
	return __real_openat64(folder, name, flags, mode);
}

ssize_t __wrap_pread64(int fd, void *octets, size_t length, off_t at)
{
	disk.reads++;
	if (disk.unreadable &&
	    (disk.reads == disk.unreadable || (disk.for_ever && disk.reads > disk.unreadable))) {
		errno = EIO;
		return -1;
	}
	return __real_pread64(fd, octets, length, at);
}

static ssize_t refuse(ssize_t *room)
{
	if (disk.interrupted > 0) {
		disk.interrupted--;
		errno = EINTR;
		return -1;
	}
	if (*room != 0)
		return 0;
	errno = disk.fault;
	return -1;
}

ssize_t __wrap_pwrite64(int fd, const void *octets, size_t length, off_t at)
{
	if (length == 512 && at % 512 == 0) /* a slot of the watermark */
		return __real_pwrite64(fd, octets, length, at);
	if (refuse(&disk.side_room) < 0)
		return -1;
	if (disk.side_room > 0 && (size_t)disk.side_room < length)
		length = (size_t)disk.side_room;
	const ssize_t n = __real_pwrite64(fd, octets, length, at);
	if (disk.side_room > 0)
		disk.side_room -= n;
	return n;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
	struct iovec part[64];
	size_t left = disk.data_room > 0 ? (size_t)disk.data_room : 0;

	if (refuse(&disk.data_room) < 0)
		return -1;
	if (disk.data_room < 0)
		return __real_pwritev64(fd, iov, count, at);
	int n = 0;
	for (; n < count && left > 0; n++) {
		part[n] = iov[n];
		if (part[n].iov_len > left)
			part[n].iov_len = left;
		left -= part[n].iov_len;
	}
	const ssize_t done = __real_pwritev64(fd, part, n, at);
	disk.data_room -= done;
	return done;
}

enum { N = 20 };

static struct journal_peer peers[2];

static struct journal_writer *begin(char **store, struct journal **journal)
{
	heal();
	*store = test_store_new();
	*journal = open_journal(*store, 1 << 20, NULL);
	peers[0] = test_peer(1000);
	peers[1] = test_peer(1001);
	return journal_writer_of(*journal, 0);
}

/* Messages 0 .. stored - 1 and `later` more from 100 on are there, nothing else, and nothing is damaged. */
static void finish(char *store, struct journal *journal, uint32_t stored, uint32_t later)
{
	uint32_t seen[200];

	heal();
	journal_close(journal);
	for (int recovered = 0; recovered < 2; recovered++) {
		assert_int_equal(read_all(store, seen, 200), 0);
		for (uint32_t i = 0; i < 200; i++)
			assert_int_equal(seen[i], i < stored || (i >= 100 && i < 100 + later));
		journal_close(open_journal(store, 0, NULL));
	}
	test_store_free(store);
}

static size_t length_of(uint32_t messages)
{
	uint8_t octets[128];
	size_t length = 0;

	for (uint32_t i = 0; i < messages; i++)
		length += numbered_message(octets, i);
	return length;
}

/* Every size that a short write can have, in either file: whole messages or nothing. */
static void short_writes_of_every_size(void **state)
{
	static const struct {
		const char *what;
		int fault, cut;
		enum journal_reason reason;
	} cases[] = {
		{"ENOSPC", ENOSPC, 0, JOURNAL_NO_SPACE},
		{"EDQUOT", EDQUOT, 0, JOURNAL_NO_SPACE},
		{"EIO", EIO, 0, JOURNAL_IO},
		{"ENOSPC, and no cutting back", ENOSPC, EIO, JOURNAL_NO_SPACE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		print_message("%s\n", cases[i].what);
		for (size_t room = 0; room < length_of(N); room += 1 + i * 5) {
			char *store;
			struct journal *journal;
			struct journal_statistics s;
			struct journal_writer *w = begin(&store, &journal);

			append_numbered(w, peers, 0, 1, SECOND(1));
			disk.data_room = (ssize_t)room;
			disk.fault = cases[i].fault;
			disk.cut = cases[i].cut;
			const size_t stored = 1 + append_numbered(w, peers, 1, N - 1, SECOND(2));
			assert_true(length_of((uint32_t)stored) <= length_of(1) + room);
			assert_true(length_of((uint32_t)stored + 1) > length_of(1) + room || stored == N);
			journal_statistics_read(w, &s);
			assert_int_equal(s.state, stored == N ? JOURNAL_STORING : JOURNAL_STOPPED);
			assert_int_equal(s.messages, stored);
			assert_int_equal(s.octets, length_of((uint32_t)stored));
			assert_int_equal(s.not_stored_messages[cases[i].reason], N - stored);
			assert_int_equal(s.not_stored_octets[cases[i].reason],
					 length_of(N) - length_of((uint32_t)stored));
			assert_int_equal(s.cuts, stored < N);
			heal();
			assert_int_equal(append_numbered(w, peers, 100, 7, SECOND(5)), 7);
			finish(store, journal, (uint32_t)stored, 7);
		}
	}
}

static void short_side_writes_of_every_size(void **state)
{
	for (int fault = 0; fault < 2; fault++) {
		for (ssize_t room = 0; room <= (N + 4) * 32 + 64; room += 3) {
			char *store;
			struct journal *journal;
			struct journal_statistics s;
			struct journal_writer *w = begin(&store, &journal);

			append_numbered(w, peers, 0, 1, SECOND(1));
			disk.side_room = room;
			disk.fault = fault ? EIO : ENOSPC;
			const size_t stored = 1 + append_numbered(w, peers, 1, N - 1, SECOND(2));
			journal_statistics_read(w, &s);
			assert_int_equal(s.messages, stored);
			assert_true((ssize_t)(stored - 1) * 32 <= room);
			heal();
			assert_int_equal(append_numbered(w, peers, 100, 7, SECOND(5)), 7);
			finish(store, journal, (uint32_t)stored, 7);
		}
	}
}

static void interrupted_writes_go_on(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_writer *w = begin(&store, &journal);

	disk.interrupted = 5;
	assert_int_equal(append_numbered(w, peers, 0, N, SECOND(1)), N);
	assert_int_equal(disk.interrupted, 0);
	finish(store, journal, N, 0);
}

/* Storing stops visibly, asks the disk once a second and goes on within five. */
static void a_full_disk(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_statistics s;
	struct journal_writer *w = begin(&store, &journal);

	append_numbered(w, peers, 0, 10, SECOND(1));
	disk.data_room = 0;
	disk.fault = ENOSPC;
	assert_int_equal(append_numbered(w, peers, 10, 5, SECOND(2)), 0);
	journal_statistics_read(w, &s);
	assert_int_equal(s.state, JOURNAL_STOPPED);
	disk.data_room = -1;
	/* Not asked again before a second is over. */
	assert_int_equal(append_numbered(w, peers, 10, 5, (struct mono_ns){3 * NS_PER_S - 1}), 0);
	journal_statistics_read(w, &s);
	assert_int_equal(s.not_stored_messages[JOURNAL_NO_SPACE], 10);
	assert_int_equal(append_numbered(w, peers, 100, 5, SECOND(3)), 5);
	journal_statistics_read(w, &s);
	assert_int_equal(s.state, JOURNAL_STORING);
	assert_int_equal(s.messages, 15);
	assert_int_equal(s.end.segment, 1); /* a full disk is no reason to distrust the file */
	finish(store, journal, 10, 5);
}

/* EFBIG: this file may not grow, the next one may; no second is lost. */
static void a_file_size_limit(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_statistics s;
	struct journal_writer *w = begin(&store, &journal);

	append_numbered(w, peers, 0, 1, SECOND(1));
	disk.data_room = (ssize_t)(length_of(3) - length_of(1));
	disk.fault = EFBIG;
	assert_int_equal(append_numbered(w, peers, 1, 5, SECOND(1)), 2);
	journal_statistics_read(w, &s);
	assert_int_equal(s.not_stored_messages[JOURNAL_TOO_LARGE], 3);
	assert_int_equal(s.segments, 2); /* it was tried */
	heal();
	assert_int_equal(append_numbered(w, peers, 100, 5, SECOND(2)), 5);
	finish(store, journal, 3, 5);
}

static void no_descriptors(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_statistics s;
	struct journal_writer *w = begin(&store, &journal);

	disk.make = EMFILE;
	assert_int_equal(append_numbered(w, peers, 0, 5, SECOND(1)), 0);
	journal_statistics_read(w, &s);
	assert_int_equal(s.not_stored_messages[JOURNAL_NO_FILES], 5);
	disk.make = 0;
	assert_int_equal(append_numbered(w, peers, 0, 5, SECOND(2)), 5);
	/* A segment that is due to be left takes more while there can be no other. */
	disk.make = EMFILE;
	assert_int_equal(append_numbered(w, peers, 5, 5, SECOND(2000)), 5);
	journal_statistics_read(w, &s);
	assert_int_equal(s.end.segment, 1);
	disk.make = 0;
	assert_int_equal(append_numbered(w, peers, 10, 5, SECOND(2001)), 5);
	journal_statistics_read(w, &s);
	assert_int_equal(s.end.segment, 2);
	finish(store, journal, 15, 0);
}

/* fsync fails: called once, alarm, the mark stays, a new segment; then the mark jumps over the hole and says
 * so. */
static void a_failed_fsync(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_statistics s;
	struct journal_watermark before, mark;
	struct error err;
	struct journal_writer *w = begin(&store, &journal);

	append_numbered(w, peers, 0, 10, SECOND(1));
	assert_int_equal(journal_sync(w, SECOND(1), true), OK);
	assert_int_equal(journal_watermark_read(store, 0, &before, &err), OK);
	append_numbered(w, peers, 10, 5, SECOND(2));
	disk.sync = EIO;
	disk.syncs = 0;
	assert_int_equal(journal_sync(w, SECOND(3), true), ERR_SYSTEM);
	assert_int_equal(disk.syncs, 1);
	disk.sync = 0; /* a second one would say "fine": it is not asked */
	for (int i = 4; i < 8; i++)
		assert_int_equal(journal_sync(w, SECOND(i), true), OK);
	assert_int_equal(disk.syncs, 1);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	assert_int_equal(journal_position_compare(mark.accepted, before.accepted), 0);
	journal_statistics_read(w, &s);
	assert_int_equal(s.sync_alarms, 1);

	append_numbered(w, peers, 100, 5, SECOND(9));
	journal_statistics_read(w, &s);
	assert_int_equal(s.end.segment, 2);
	assert_int_equal(journal_sync(w, SECOND(9), true), OK);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	assert_int_equal(mark.accepted.segment, 2);
	assert_int_equal(mark.holes, 1);
	assert_true(journal_is_accepted(&mark, (struct journal_position){0, 1, 0}));
	assert_false(journal_is_accepted(&mark, (struct journal_position){0, 1, length_of(10)}));
	assert_true(journal_is_accepted(&mark, (struct journal_position){0, 2, 0}));
	finish(store, journal, 15, 5);
}

/* Killed with a hole at the end: recovery does not ask for a second opinion either. */
static void a_failed_fsync_before_a_kill(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_watermark mark;
	struct error err;
	struct journal_writer *w = begin(&store, &journal);

	append_numbered(w, peers, 0, 10, SECOND(1));
	disk.sync = EIO;
	assert_int_equal(journal_sync(w, SECOND(3), true), ERR_SYSTEM);
	disk.sync = 0;
	journal_close(journal); /* syncs no more than a kill: the segment is poisoned */
	journal = open_journal(store, 0, NULL);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	assert_int_equal(mark.accepted.segment, 0);
	assert_false(journal_is_accepted(&mark, (struct journal_position){0, 1, 0}));
	append_numbered(journal_writer_of(journal, 0), peers, 100, 1, SECOND(1));
	assert_int_equal(journal_sync(journal_writer_of(journal, 0), SECOND(3), true), OK);
	assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
	assert_true(journal_is_accepted(&mark, (struct journal_position){0, 2, 0}));
	assert_false(journal_is_accepted(&mark, (struct journal_position){0, 1, 0}));
	finish(store, journal, 10, 1);
}

/* The accepted messages that a loader gets; how often it was told to come again. */
static uint32_t read_accepted(const char *store, uint32_t *again)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	enum status st;
	uint32_t messages = 0;

	*again = 0;
	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, true, &err), OK);
	while ((st = journal_read(reader, &entry, &err)) != END) {
		messages += st == OK;
		*again += st == ERR_SYSTEM;
	}
	assert_int_equal(journal_reader_statistics(reader).damaged > 0, disk.for_ever);
	journal_reader_close(reader);
	return messages;
}

/* A read that fails once loses nothing, whichever it is; neither does what comes behind cut anything. */
static void a_failed_read(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_writer *w = begin(&store, &journal);
	uint32_t again;

	append_numbered(w, peers, 0, N, SECOND(1));
	assert_int_equal(journal_sync(w, SECOND(2), true), OK);
	journal_close(journal);
	for (int nth = 1;; nth++) {
		heal();
		disk.unreadable = nth;
		assert_int_equal(read_accepted(store, &again), N);
		if (disk.reads < nth)
			break;
	}
	for (int nth = 1;; nth++) { /* the journal's recovery */
		heal();
		disk.unreadable = nth;
		journal = open_journal(store, 0, NULL);
		const int reads = disk.reads;
		heal();
		journal_close(journal);
		assert_int_equal(read_accepted(store, &again), N);
		if (reads < nth)
			break;
	}
	finish(store, open_journal(store, 0, NULL), N, 0);
}

/* What can never be read does not stop a loader for ever. */
static void what_cannot_be_read(void **state)
{
	char *store;
	struct journal *journal;
	struct journal_writer *w = begin(&store, &journal);
	uint32_t again;

	append_numbered(w, peers, 0, N, SECOND(1));
	assert_int_equal(journal_sync(w, SECOND(2), true), OK);
	disk.for_ever = true;
	disk.reads = 0;
	disk.unreadable = 4; /* behind store, mark and header */
	(void)read_accepted(store, &again);
	assert_in_range(again, 1, 100);
	finish(store, journal, N, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_writes_of_every_size),
		cmocka_unit_test(short_side_writes_of_every_size),
		cmocka_unit_test(interrupted_writes_go_on),
		cmocka_unit_test(a_full_disk),
		cmocka_unit_test(a_file_size_limit),
		cmocka_unit_test(no_descriptors),
		cmocka_unit_test(a_failed_fsync),
		cmocka_unit_test(a_failed_fsync_before_a_kill),
		cmocka_unit_test(a_failed_read),
		cmocka_unit_test(what_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
