/* Numbered messages, a store in a temporary folder, and the check that a reader gives exactly what is
 * expected. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/journal.h"
#include "collect/journal_reader.h"
#include "collect/journal_watermark.h"

#define SECOND(n) ((struct mono_ns){(n)*NS_PER_S})

/* Message `number`: a header whose sequence is the number, and octets that follow from it. */
static inline size_t numbered_message(uint8_t *out, uint32_t number)
{
	const size_t length = 16 + number * 7 % 90;

	put_be16(out, 10);
	put_be16(out + 2, (uint16_t)length);
	put_be32(out + 4, 1700000000);
	put_be32(out + 8, number);
	put_be32(out + 12, 7);
	for (size_t i = 16; i < length; i++)
		out[i] = (uint8_t)(number * 31 + i * 7);
	return length;
}

static inline struct journal_peer test_peer(uint16_t port)
{
	struct journal_peer peer = {.session = {.port = port, .local_port = 4739, .transport = JOURNAL_UDP}};

	peer.session.address.s6_addr[10] = peer.session.address.s6_addr[11] = 0xff;
	peer.session.address.s6_addr[12] = 127;
	peer.session.address.s6_addr[15] = 1;
	return peer;
}

/* Append messages first .. first + count - 1, the even ones from peers[0], the odd ones from peers[1]. */
static inline size_t append_numbered(struct journal_writer *w, struct journal_peer peers[2], uint32_t first,
				     uint32_t n, struct mono_ns now)
{
	uint8_t octets[JOURNAL_BATCH][128];
	struct journal_message messages[JOURNAL_BATCH];
	size_t stored = 0;

	for (uint32_t done = 0; done < n;) {
		uint32_t part = n - done < JOURNAL_BATCH ? n - done : JOURNAL_BATCH;
		for (uint32_t i = 0; i < part; i++) {
			const uint32_t number = first + done + i;
			messages[i] = (struct journal_message){
				.octets = {octets[i], numbered_message(octets[i], number)},
				.received = {1000 + (int64_t)number},
				.peer = &peers[number % 2],
			};
		}
		stored += journal_append(w, messages, part, now);
		done += part;
	}
	return stored;
}

/* Is it the message that its number says, with time and sender? Answers the number. */
static inline uint32_t check_entry(const struct journal_entry *entry)
{
	uint8_t expected[128];
	const uint32_t number = get_be32(entry->octets.data + 8);

	assert_int_equal(entry->octets.length, numbered_message(expected, number));
	assert_memory_equal(entry->octets.data, expected, entry->octets.length);
	assert_int_equal(entry->received.ns, 1000 + (int64_t)number);
	assert_int_equal(entry->session->port, 1000 + number % 2);
	assert_int_equal(entry->session->local_port, 4739);
	assert_int_equal(entry->session->transport, JOURNAL_UDP);
	assert_int_equal(entry->session->address.s6_addr[12], 127);
	return number;
}

static inline char *test_store_new(void)
{
	/* In memory where there is such a place: thousands of stores are opened here, each with its fsyncs.
	 */
	char *path = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/weir-journal-XXXXXX"
							  : "/tmp/weir-journal-XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	return path;
}

static inline void remove_tree(const char *path)
{
	DIR *open = opendir(path);

	for (const struct dirent *entry; open && (entry = readdir(open));) {
		char inside[1024];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) >= (int)sizeof inside)
			continue;
		if (unlink(inside) < 0)
			remove_tree(inside);
	}
	if (open)
		closedir(open);
	rmdir(path);
}

static inline void test_store_free(char *path)
{
	remove_tree(path);
	free(path);
}

static inline struct journal *open_journal(const char *store, uint64_t segment_octets,
					   struct journal_recovery *found)
{
	const struct journal_options options = {
		.store = store, .workers = 1, .segment_octets = segment_octets};
	struct journal *journal = NULL;
	struct error err = {""};

	if (journal_open(&journal, &options, found, &err) != OK)
		fail_msg("journal_open: %s", err.text);
	return journal;
}

/* What a reader gives from the oldest segment on: seen[number] counts. Answers how many damaged places. */
static inline uint64_t read_all(const char *store, uint32_t *seen, uint32_t room)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	enum status st;
	int64_t last = -1;

	memset(seen, 0, room * sizeof *seen);
	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, false, &err), OK);
	while ((st = journal_read(reader, &entry, &err)) != END) {
		if (st == ERR_FORMAT)
			continue;
		if (st != OK)
			fail_msg("journal_read: %s", err.text);
		const uint32_t number = check_entry(&entry);
		assert_true(number < room);
		assert_true((int64_t)number > last); /* in order, so none twice */
		last = number;
		seen[number]++;
	}
	const struct journal_reader_statistics s = journal_reader_statistics(reader);
	journal_reader_close(reader);
	return s.damaged;
}

struct octets {
	uint8_t data[1 << 16];
	size_t length;
};

static inline void load_file(const char *store, const char *name, struct octets *out)
{
	char path[2048];

	snprintf(path, sizeof path, "%s/%s", store, name);
	const int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	const ssize_t n = read(fd, out->data, sizeof out->data);
	assert_true(n >= 0 && (size_t)n < sizeof out->data);
	out->length = (size_t)n;
	close(fd);
}

static inline void save_file(const char *store, const char *name, const uint8_t *data, size_t length)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", store, name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, length), (ssize_t)length);
	close(fd);
}
