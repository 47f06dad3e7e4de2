/* The victim and the judge of the journal's fault tests; journal_faults.py drives both.
 *
 * journal_fault write STORE SEED FIRST BATCHES appends numbered messages from FIRST on, in BATCHES batches
 * (0: for ever), and says on standard output, a line at a time, what is promised. */
// clang-format off
/*   S first last segment from to   these are stored, there
 *   U first last                   these may be stored
 *   N first last                   these were refused
 *   W segment offset               below this all is accepted...
 *   H segment from to              ...but not this
 *   R segment                      below this all may be gone
 *   A alarms                       fsyncs and publications that failed
 *   E                              a clean end
 */
// clang-format on
/* journal_fault mark STORE says W and H as any process sees them. journal_fault check STORE recovers, reads,
 * recovers again and says J first last for what is there. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collect/journal_reader.h"
#include "collect/journal_watermark.h"

enum { SEGMENT = 24 * 1024, LARGEST = 700, KEEP = 6, PEERS = 5, TURN_MS = 40 };

/* One write a line, so that a kill leaves whole lines. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char line[128];
	va_list args;

	va_start(args, format);
	const int length = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(3);
}

static uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

/* All of message `number` follows from its number. */
static size_t make_message(uint8_t *out, uint32_t number)
{
	uint64_t random = number * 2654435761ULL + 99;
	const size_t length = 16 + random_next(&random) % (LARGEST - 16);

	put_be16(out, 10);
	put_be16(out + 2, (uint16_t)length);
	put_be32(out + 4, 1700000000);
	put_be32(out + 8, number);
	put_be32(out + 12, number % PEERS);
	for (size_t i = 16; i < length; i++)
		out[i] = (uint8_t)random_next(&random);
	return length;
}

static void say_mark(const struct journal_watermark *mark)
{
	for (uint32_t i = 0; i < mark->holes; i++)
		say("H %u %llu %llu\n", mark->hole[i].segment, (unsigned long long)mark->hole[i].from,
		    (unsigned long long)mark->hole[i].to);
	say("W %u %llu\n", mark->accepted.segment, (unsigned long long)mark->accepted.offset);
}

static int mark(const char *store)
{
	struct journal_watermark seen;
	struct error err;

	if (journal_watermark_read(store, 0, &seen, &err) == OK)
		say_mark(&seen);
	return 0;
}

struct work {
	const char *store;
	struct journal_writer *writer;
	struct journal_peer peers[PEERS];
	uint64_t random;
	uint32_t next;
	struct mono_ns now;
};

static void append(struct work *w)
{
	static uint8_t octets[JOURNAL_BATCH][LARGEST];
	struct journal_message messages[JOURNAL_BATCH];
	struct journal_statistics s;
	const uint32_t count = 1 + random_next(&w->random) % JOURNAL_BATCH, first = w->next;
	uint64_t length = 0;

	for (uint32_t i = 0; i < count; i++) {
		messages[i] = (struct journal_message){
			.octets = {octets[i], make_message(octets[i], first + i)},
			.received = {(int64_t)first + i},
			.peer = &w->peers[(first + i) % PEERS],
		};
	}
	w->next += count;
	const uint32_t stored = (uint32_t)journal_append(w->writer, messages, count, w->now);
	for (uint32_t i = 0; i < stored; i++)
		length += messages[i].octets.length;
	journal_statistics_read(w->writer, &s);
	/* A batch that went into two segments is not spoken of: one line has one place. */
	if (stored > 0 && s.end.offset >= length)
		say("S %u %u %u %llu %llu\n", first, first + stored - 1, s.end.segment,
		    (unsigned long long)(s.end.offset - length), (unsigned long long)s.end.offset);
	else if (stored > 0)
		say("U %u %u\n", first, first + stored - 1);
	if (stored < count)
		say("N %u %u\n", first + stored, first + count - 1);
}

static void sync_and_say(struct work *w)
{
	struct journal_statistics s;

	if (journal_sync(w->writer, w->now, true) != OK) {
		journal_statistics_read(w->writer, &s);
		say("A %llu\n", (unsigned long long)(s.sync_alarms + s.watermark_alarms));
	}
	mark(w->store);
}

/* As a loader does behind itself. */
static void release(struct work *w)
{
	struct journal_statistics s;
	struct error err;

	journal_statistics_read(w->writer, &s);
	if (s.watermark.segment <= KEEP)
		return;
	const struct journal_position below = {0, s.watermark.segment - KEEP, 0};
	say("R %u\n", below.segment); /* said before: from now on they may be gone */
	if (journal_release(w->store, below, NULL, &err) != OK)
		say("# %s\n", err.text);
}

static int write_numbered(const char *store, uint64_t seed, uint32_t first, uint32_t batches)
{
	const struct journal_options options = {.store = store, .workers = 1, .segment_octets = SEGMENT};
	struct work w = {.store = store, .random = seed, .next = first, .now = {NS_PER_S}};
	struct journal *journal;
	struct error err;

	signal(SIGXFSZ, SIG_IGN);
	if (journal_open(&journal, &options, NULL, &err) != OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	w.writer = journal_writer_of(journal, 0);
	for (uint16_t i = 0; i < PEERS; i++)
		w.peers[i].session = (struct journal_session){
			.port = (uint16_t)(4000 + i), .transport = JOURNAL_TCP, .number = i};
	for (uint32_t i = 0; batches == 0 || i < batches; i++) {
		append(&w);
		w.now.ns += TURN_MS * NS_PER_MS;
		if (random_next(&w.random) % 4 == 0)
			sync_and_say(&w);
		if (random_next(&w.random) % 16 == 0)
			release(&w);
	}
	sync_and_say(&w);
	journal_close(journal);
	say("E\n");
	return 0;
}

struct found {
	uint64_t sum;
	uint32_t messages, damaged;
};

static bool is_right(const struct journal_entry *entry)
{
	uint8_t expected[LARGEST];
	const uint32_t number = get_be32(entry->octets.data + 8);
	const struct journal_session *session = entry->session;

	return entry->octets.length == make_message(expected, number) &&
	       memcmp(expected, entry->octets.data, entry->octets.length) == 0 &&
	       entry->received.ns == (int64_t)number && session->port == 4000 + number % PEERS &&
	       session->number == number % PEERS && session->transport == JOURNAL_TCP;
}

/* Every message, right and in order; what is there as ranges when `aloud`. */
static bool read_through(const char *store, bool aloud, struct found *found)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	enum status st;
	int64_t first = -1, last = -1;

	*found = (struct found){0};
	if (journal_reader_open(&reader, store, (struct journal_position){0}, false, &err) != OK)
		return false;
	while ((st = journal_read(reader, &entry, &err)) == OK || st == ERR_FORMAT) {
		if (st == ERR_FORMAT) {
			found->damaged++;
			continue;
		}
		const int64_t number = get_be32(entry.octets.data + 8);
		if (!is_right(&entry) || number <= last) {
			say("# message %lld is wrong, or comes after %lld\n", (long long)number,
			    (long long)last);
			return false;
		}
		if (aloud && number != last + 1 && first >= 0)
			say("J %lld %lld\n", (long long)first, (long long)last);
		if (number != last + 1 || first < 0)
			first = number;
		last = number;
		found->messages++;
		found->sum = found->sum * 31 + (uint64_t)number;
	}
	if (aloud && first >= 0)
		say("J %lld %lld\n", (long long)first, (long long)last);
	journal_reader_close(reader);
	return st == END;
}

static bool recover(const char *store, struct journal_recovery *found)
{
	const struct journal_options options = {.store = store, .workers = 1, .segment_octets = SEGMENT};
	struct journal *journal;
	struct error err;

	if (journal_open(&journal, &options, found, &err) != OK) {
		say("# recovery: %s\n", err.text);
		return false;
	}
	journal_close(journal);
	return true;
}

static bool is_whole(const uint8_t *octets, size_t length)
{
	size_t at = 0;

	while (length - at >= 16 && get_be16(octets + at) == 10 && get_be16(octets + at + 2) >= 16 &&
	       get_be16(octets + at + 2) <= length - at)
		at += get_be16(octets + at + 2);
	return at == length;
}

static bool file_is_whole(int folder, const char *name)
{
	static uint8_t octets[1 << 21]; /* a segment grows when the next one cannot be made */
	auto_fd fd = openat(folder, name, O_RDONLY);
	const ssize_t length = fd < 0 ? -1 : read(fd, octets, sizeof octets);

	return length >= 0 && (size_t)length < sizeof octets && is_whole(octets, (size_t)length);
}

/* Is each .ipfix whole messages, back to back, to its end (RFC 5655)? */
static bool files_are_whole(const char *store)
{
	char path[512];
	bool whole = true;

	snprintf(path, sizeof path, "%s/journal/0", store);
	DIR *open = opendir(path);
	for (const struct dirent *entry; open && whole && (entry = readdir(open));) {
		const char *suffix = strchr(entry->d_name, '.');
		if (!suffix || strcmp(suffix, ".ipfix") != 0)
			continue;
		whole = file_is_whole(dirfd(open), entry->d_name);
		if (!whole)
			say("# %s is not whole\n", entry->d_name);
	}
	if (open)
		closedir(open);
	return whole;
}

static int check(const char *store)
{
	struct journal_recovery first, second;
	struct found before, found, again;

	mkdir(store, 0750); /* killed before it could */
	if (!read_through(store, false, &before) || !recover(store, &first) ||
	    !read_through(store, true, &found) || !recover(store, &second) ||
	    !read_through(store, false, &again) || !files_are_whole(store))
		return 1;
	if (before.sum != found.sum || found.sum != again.sum || found.messages != again.messages) {
		say("# recovery changed what is read: %u, %u, %u messages\n", before.messages, found.messages,
		    again.messages);
		return 1;
	}
	if (second.cut_octets + second.set_aside + second.swept > 0) {
		say("# a second recovery changed something\n");
		return 1;
	}
	if (first.set_aside + first.chain_breaks + first.lost > 0) {
		say("# set aside %llu, chain breaks %llu, lost %llu\n", (unsigned long long)first.set_aside,
		    (unsigned long long)first.chain_breaks, (unsigned long long)first.lost);
		return 1;
	}
	say("C %llu %u\n", (unsigned long long)first.cut_octets, found.damaged);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "write") == 0)
		return write_numbered(argv[2], strtoull(argv[3], NULL, 10), (uint32_t)atol(argv[4]),
				      (uint32_t)atol(argv[5]));
	if (argc == 3 && strcmp(argv[1], "mark") == 0)
		return mark(argv[2]);
	if (argc == 3 && strcmp(argv[1], "check") == 0)
		return check(argv[2]);
	fprintf(stderr, "usage: journal_fault write STORE SEED FIRST BATCHES | mark STORE | check STORE\n");
	return 2;
}
