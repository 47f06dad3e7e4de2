/* RELIABILITY class 19: the journal as its own attacker. A small pair of segments is cut, flipped, swapped,
 * spliced and added to at every octet; then it is read as it is, recovered, read again and recovered once
 * more. Whatever was done: no message that was not written comes out, none twice, and all that the damage did
 * not touch. */
#include "base/crc32c.h"
#include "journal_support.h"

enum { SEGMENTS = 2, PER_SEGMENT = 8, COUNT = SEGMENTS * PER_SEGMENT, FILES = 5 };

/* The last is the watermark. */
static const char *const names[FILES] = {
	"journal/0/0000000001.ipfix",
	"journal/0/0000000001.side",
	"journal/0/0000000002.ipfix",
	"journal/0/0000000002.side",
	"watermark",
};

struct picture {
	struct octets file[FILES];
};

static struct picture clean;

static char *pair_store(void)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 300, NULL);
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};

	for (uint32_t i = 0; i < SEGMENTS; i++)
		append_numbered(journal_writer_of(journal, 0), peers, i * PER_SEGMENT, PER_SEGMENT,
				SECOND(1));
	journal_close(journal);
	return store;
}

static void restore(const char *store, const struct picture *picture, bool with_watermark)
{
	char folder[256];

	snprintf(folder, sizeof folder, "%s/journal/0", store);
	remove_tree(folder);
	assert_int_equal(mkdir(folder, 0750), 0);
	for (int i = 0; i < FILES - !with_watermark; i++)
		save_file(store, names[i], picture->file[i].data, picture->file[i].length);
	if (!with_watermark) {
		snprintf(folder, sizeof folder, "%s/watermark", store);
		unlink(folder);
	}
}

static struct journal_recovery recover(const char *store)
{
	struct journal_recovery found;

	journal_close(open_journal(store, 300, &found));
	return found;
}

/* The same files with the same octets? */
static uint64_t fingerprint(const char *store)
{
	char path[1024];
	uint64_t sum = 0;
	DIR *open;

	snprintf(path, sizeof path, "%s/journal/0", store);
	open = opendir(path);
	assert_non_null(open);
	for (const struct dirent *entry; (entry = readdir(open));) {
		static struct octets file;
		uint64_t hash = 14695981039346656037ULL;
		if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3)
			continue;
		if (snprintf(path, sizeof path, "journal/0/%s", entry->d_name) >= (int)sizeof path)
			continue;
		load_file(store, path, &file);
		for (const char *c = entry->d_name; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 1099511628211ULL;
		for (size_t i = 0; i < file.length; i++)
			hash = (hash ^ file.data[i]) * 1099511628211ULL;
		sum += hash;
	}
	closedir(open);
	return sum;
}

static uint32_t missing(const uint32_t *seen)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < COUNT; i++)
		count += !seen[i];
	return count;
}

/* Read, recover, read, recover: the same messages each time, nothing changed by the second recovery. Answers
 * how many are missing; read_all has checked what came out. */
static uint32_t ordeal(const char *store, uint32_t *seen, struct journal_recovery *found)
{
	uint32_t before[COUNT], again[COUNT];

	read_all(store, before, COUNT);
	*found = recover(store);
	read_all(store, seen, COUNT);
	/* Reading without recovery gives nothing else; less, when what is damaged could be half written. */
	for (uint32_t i = 0; i < COUNT && found->set_aside == 0; i++)
		assert_true(before[i] <= seen[i]);
	const uint64_t print = fingerprint(store);
	const struct journal_recovery second = recover(store);
	assert_int_equal(second.cut_octets + second.set_aside + second.swept, 0);
	assert_true(second.damaged <= found->damaged); /* what is accepted is not looked through again */
	assert_true(fingerprint(store) == print);
	read_all(store, again, COUNT);
	assert_memory_equal(again, seen, sizeof again);
	return missing(seen);
}

/* Which message covers octet `at` of segment `segment`'s messages. */
static uint32_t message_at(int segment, size_t at)
{
	const struct octets *file = &clean.file[2 * segment];
	uint32_t number = (uint32_t)segment * PER_SEGMENT;

	for (size_t begin = 0; begin + get_be16(file->data + begin + 2) <= at; number++)
		begin += get_be16(file->data + begin + 2);
	return number;
}

static void class_19_cut_at_every_octet(void **state)
{
	char *store = pair_store();

	for (int with_mark = 0; with_mark < 2; with_mark++) {
		for (size_t at = 0; at < clean.file[2].length; at++) {
			struct journal_recovery found;
			uint32_t seen[COUNT];

			restore(store, &clean, with_mark);
			save_file(store, names[2], clean.file[2].data, at);
			ordeal(store, seen, &found);
			const uint32_t first_gone = message_at(1, at);
			for (uint32_t i = 0; i < COUNT; i++)
				assert_int_equal(seen[i], i < first_gone);
			assert_int_equal(found.lost, with_mark);
			assert_true(found.cut_octets > 0);
		}
		uint32_t left = 0;
		for (size_t at = 0; at < clean.file[3].length; at++) {
			struct journal_recovery found;
			uint32_t seen[COUNT];

			restore(store, &clean, with_mark);
			save_file(store, names[3], clean.file[3].data, at);
			const uint32_t kept = COUNT - ordeal(store, seen, &found);
			assert_true(kept == left || kept == left + 1 || at == 0);
			assert_true(found.cut_octets > 0);
			left = kept;
		}
		assert_int_equal(left, COUNT - 1);
	}
	test_store_free(store);
}

static void class_19_flip_every_octet_of_the_messages(void **state)
{
	char *store = pair_store();

	for (int with_mark = 0; with_mark < 2; with_mark++) {
		for (int segment = 0; segment < SEGMENTS; segment++) {
			const struct octets *file = &clean.file[2 * segment];

			for (size_t at = 0; at < file->length; at++) {
				static struct octets damaged;
				struct journal_recovery found;
				uint32_t seen[COUNT];

				damaged = *file;
				damaged.data[at] ^= (uint8_t)(1 << at % 8);
				restore(store, &clean, with_mark);
				save_file(store, names[2 * segment], damaged.data, damaged.length);
				assert_int_equal(ordeal(store, seen, &found), 1);
				assert_int_equal(seen[message_at(segment, at)], 0);
			}
		}
	}
	test_store_free(store);
}

static void class_19_flip_every_octet_of_the_side_records(void **state)
{
	char *store = pair_store();

	for (int segment = 0; segment < SEGMENTS; segment++) {
		const struct octets *file = &clean.file[2 * segment + 1];

		for (size_t at = 0; at < file->length; at++) {
			static struct octets damaged;
			struct journal_recovery found;
			uint32_t seen[COUNT];

			damaged = *file;
			damaged.data[at] ^= (uint8_t)(1 << at % 8);
			restore(store, &clean, true);
			save_file(store, names[2 * segment + 1], damaged.data, damaged.length);
			assert_true(ordeal(store, seen, &found) <= 1);
			if (at < SIDE_HEADER)
				assert_int_equal(missing(seen), 0);
		}
	}
	test_store_free(store);
}

static void class_19_flip_every_octet_of_the_watermark(void **state)
{
	char *store = pair_store();

	for (size_t at = 0; at < 3 * 512; at++) {
		static struct octets damaged;
		struct journal_recovery found;
		struct journal_watermark mark;
		struct error err;
		uint32_t seen[COUNT];

		damaged = clean.file[4];
		damaged.data[at] ^= (uint8_t)(1 << at % 8);
		restore(store, &clean, true);
		save_file(store, names[4], damaged.data, damaged.length);
		/* Damaged or not: no mark above what is there. */
		if (journal_watermark_read(store, 0, &mark, &err) == OK)
			assert_true(journal_position_compare(
					    mark.accepted,
					    (struct journal_position){0, 2, clean.file[2].length}) <= 0);
		assert_int_equal(ordeal(store, seen, &found), 0);
		assert_int_equal(journal_watermark_read(store, 0, &mark, &err), OK);
		assert_int_equal(mark.accepted.segment, 2);
		assert_int_equal(mark.accepted.offset, clean.file[2].length);
	}
	test_store_free(store);
}

static void class_19_cut_the_watermark(void **state)
{
	char *store = pair_store();

	for (size_t length = 0; length < 3 * 512; length += 37) {
		struct journal_recovery found;
		uint32_t seen[COUNT];

		restore(store, &clean, true);
		save_file(store, names[4], clean.file[4].data, length);
		assert_int_equal(ordeal(store, seen, &found), 0);
	}
	test_store_free(store);
}

static void class_19_junk_behind_the_end(void **state)
{
	static const size_t sizes[] = {1, 31, 32, 33, 64, 500};
	char *store = pair_store();

	for (int i = 0; i < 4; i++) {
		for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
			for (int kind = 0; kind < 3; kind++) {
				static struct octets longer;
				struct journal_recovery found;
				uint32_t seen[COUNT];

				longer = clean.file[i];
				for (size_t k = 0; k < sizes[n];
				     k++) /* noise, zeros, its own beginning again */
					longer.data[longer.length++] = kind == 0   ? (uint8_t)(k * 89 + 3)
								       : kind == 1 ? 0
										   : longer.data[k];
				restore(store, &clean, true);
				save_file(store, names[i], longer.data, longer.length);
				assert_int_equal(ordeal(store, seen, &found), 0);
				assert_int_equal(found.cut_octets, i < 2 ? 0 : sizes[n]);
			}
		}
	}
	test_store_free(store);
}

static void class_19_records_in_the_wrong_place(void **state)
{
	char *store = pair_store();
	const struct octets *file = &clean.file[3];

	/* Each unit of the side file over each other one, from the same and from the other segment. */
	for (int source = 1; source <= 3; source += 2) {
		for (size_t to = SIDE_HEADER; to + SIDE_UNIT <= file->length; to += SIDE_UNIT) {
			for (size_t from = SIDE_HEADER; from + SIDE_UNIT <= clean.file[source].length;
			     from += 3 * SIDE_UNIT) {
				static struct octets spliced;
				struct journal_recovery found;
				uint32_t seen[COUNT];

				spliced = *file;
				memcpy(spliced.data + to, clean.file[source].data + from, SIDE_UNIT);
				restore(store, &clean, true);
				save_file(store, names[3], spliced.data, spliced.length);
				assert_true(ordeal(store, seen, &found) <= 1);
			}
		}
	}
	test_store_free(store);
}

static void class_19_files_in_the_wrong_place(void **state)
{
	static const struct {
		const char *what;
		int from[4]; /* which clean file each name gets; -1: none */
		uint32_t missing, set_aside;
	} cases[] = {
		{"as it was", {0, 1, 2, 3}, 0, 0},
		{"segments swapped", {2, 3, 0, 1}, COUNT, 4},
		{"side files swapped", {0, 3, 2, 1}, COUNT, 4},
		{"messages swapped", {2, 1, 0, 3}, COUNT, 0},
		{"the first twice", {0, 1, 0, 1}, PER_SEGMENT, 2},
		{"first side file missing", {0, -1, 2, 3}, PER_SEGMENT, 1},
		{"last side file missing", {0, 1, 2, -1}, PER_SEGMENT, 1},
		{"first messages missing", {-1, 1, 2, 3}, PER_SEGMENT, 0},
		{"last messages missing", {0, 1, -1, 3}, PER_SEGMENT, 1},
		{"all missing", {-1, -1, -1, -1}, COUNT, 0},
	};
	char *store = pair_store();

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct journal_recovery found;
		uint32_t seen[COUNT];

		print_message("%s\n", cases[i].what);
		restore(store, &clean, true);
		for (int f = 0; f < 4; f++) {
			char path[512];
			snprintf(path, sizeof path, "%s/%s", store, names[f]);
			unlink(path);
			if (cases[i].from[f] >= 0)
				save_file(store, names[f], clean.file[cases[i].from[f]].data,
					  clean.file[cases[i].from[f]].length);
		}
		assert_int_equal(ordeal(store, seen, &found), cases[i].missing);
		assert_int_equal(found.set_aside, cases[i].set_aside);
	}
	test_store_free(store);
}

/* An accepted segment that was put back as it was earlier is noticed by the chain. */
static void class_19_an_older_copy_is_noticed(void **state)
{
	char *store = pair_store();
	struct journal_recovery found;
	uint32_t seen[COUNT];

	restore(store, &clean, true);
	save_file(store, names[1], clean.file[1].data, clean.file[1].length - SIDE_MESSAGE);
	assert_int_equal(ordeal(store, seen, &found), 1);
	assert_int_equal(found.chain_breaks, 1);
	test_store_free(store);
}

/* A store of somebody else: none of its messages are taken for ours. */
static void class_19_another_store(void **state)
{
	char *store = pair_store(), *other = pair_store();
	static struct octets file;
	struct journal_recovery found;
	uint32_t seen[COUNT];

	for (int f = 0; f < 4; f++) {
		load_file(other, names[f], &file);
		save_file(store, names[f], file.data, file.length);
	}
	assert_int_equal(ordeal(store, seen, &found), COUNT);
	assert_int_equal(found.set_aside, 4);
	test_store_free(store);
	test_store_free(other);
}

/* After recovery messages go into a new segment, and the old ones are as they were. */
static void class_19_writing_goes_on_in_a_new_segment(void **state)
{
	char *store = pair_store();
	struct journal_peer peers[2] = {test_peer(1000), test_peer(1001)};
	struct journal_statistics s;
	static struct octets file;
	uint32_t seen[COUNT + 10];

	restore(store, &clean, true);
	struct journal *journal = open_journal(store, 300, NULL);
	append_numbered(journal_writer_of(journal, 0), peers, COUNT, 10, SECOND(1));
	journal_statistics_read(journal_writer_of(journal, 0), &s);
	assert_int_equal(s.end.segment, 3);
	journal_close(journal);
	for (int f = 0; f < 4; f++) {
		load_file(store, names[f], &file);
		assert_int_equal(file.length, clean.file[f].length);
		assert_memory_equal(file.data, clean.file[f].data, file.length);
	}
	read_all(store, seen, COUNT + 10);
	for (uint32_t i = 0; i < COUNT + 10; i++)
		assert_int_equal(seen[i], 1);
	test_store_free(store);
}

static void class_19_names_that_are_no_files(void **state)
{
	static const char *const strange[] = {"0000000003.ipfix", "0000000003.side", "0000000000.side",
					      "9999999999.ipfix", "00000000010.side"};
	char *store = pair_store(), path[512];
	struct journal_recovery found;
	uint32_t seen[COUNT];

	restore(store, &clean, true);
	for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
		snprintf(path, sizeof path, "%s/journal/0/%s", store, strange[i]);
		assert_int_equal(symlink("/dev/zero", path), 0);
	}
	struct journal *journal;
	const struct journal_options options = {.store = store, .workers = 1};
	struct error err;
	/* A pair of links is refused, by name; nothing is followed and nothing written through. */
	assert_int_equal(journal_open(&journal, &options, &found, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "0000000003"));
	restore(store, &clean, true);
	assert_int_equal(ordeal(store, seen, &found), 0);
	test_store_free(store);
}

/* Somebody who can make checksums writes our side file: whatever it says, only octets that are in the file
 * come out, in order, and memory stays within bounds. */
static void class_19_records_of_an_enemy(void **state)
{
	static const uint32_t numbers[] = {0, 1, 2, 15, 16, 200, 65535, 1 << 18, 1U << 31, UINT32_MAX};
	enum { NUMBERS = sizeof numbers / sizeof numbers[0], RECORDS = 40 };
	char *store = pair_store();
	uint64_t random = 7;

	for (int round = 0; round < 400; round++) {
		static struct octets side, data;
		struct side_header header;
		struct journal_reader *reader;
		struct journal_entry entry;
		struct error err;
		enum status st;
		uint64_t last = 0;

		restore(store, &clean, round % 2);
		side = clean.file[3];
		data = clean.file[2];
		assert_true(side_get_header(side.data, &header));
		const uint32_t seed = side_seed(header.store, 0, 2);
		side.length = SIDE_HEADER;
		for (int i = 0; i < RECORDS; i++) {
			uint32_t draw[4];
			for (int k = 0; k < 4; k++) {
				random = random * 6364136223846793005ULL + 1442695040888963407ULL;
				draw[k] = (uint32_t)(random >> 33);
			}
			struct side_record record = {
				.peer = numbers[draw[0] % NUMBERS],
				.offset = draw[1] % 2 ? numbers[draw[1] / 2 % NUMBERS]
						      : draw[1] % (uint32_t)data.length,
				.length = (uint16_t)(draw[2] % 2 ? numbers[draw[2] / 2 % NUMBERS]
								 : draw[2] % 100),
			};
			if (record.offset < data.length && record.offset + record.length <= data.length)
				record.message_crc = crc32c(0, data.data + record.offset, record.length);
			if (draw[3] % 4 == 0)
				side_put_peer(side.data + side.length, seed, side.length, &record);
			else
				side_put_message(side.data + side.length, seed, side.length, &record);
			side.length += draw[3] % 4 == 0 ? SIDE_PEER : SIDE_MESSAGE;
		}
		save_file(store, names[3], side.data, side.length);
		if (round % 4 > 1)
			recover(store);
		assert_int_equal(
			journal_reader_open(&reader, store, (struct journal_position){0, 2, 0}, false, &err),
			OK);
		for (int calls = 0; (st = journal_read(reader, &entry, &err)) != END; calls++) {
			assert_true(calls <= 2 * RECORDS + 2);
			assert_true(st == OK || st == ERR_FORMAT);
			if (st != OK)
				continue;
			assert_true(entry.position.offset >= last);
			assert_true(entry.octets.length >= MESSAGE_MIN);
			last = entry.position.offset + entry.octets.length;
			assert_true(last <= data.length);
			assert_memory_equal(entry.octets.data, data.data + entry.position.offset,
					    entry.octets.length);
		}
		journal_reader_close(reader);
	}
	test_store_free(store);
}

static int make_clean(void **state)
{
	char *store = pair_store();

	for (int i = 0; i < FILES; i++)
		load_file(store, names[i], &clean.file[i]);
	clean.file[4].length = 3 * 512; /* of this worker */
	test_store_free(store);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_19_cut_at_every_octet),
		cmocka_unit_test(class_19_flip_every_octet_of_the_messages),
		cmocka_unit_test(class_19_flip_every_octet_of_the_side_records),
		cmocka_unit_test(class_19_flip_every_octet_of_the_watermark),
		cmocka_unit_test(class_19_cut_the_watermark),
		cmocka_unit_test(class_19_junk_behind_the_end),
		cmocka_unit_test(class_19_records_in_the_wrong_place),
		cmocka_unit_test(class_19_files_in_the_wrong_place),
		cmocka_unit_test(class_19_an_older_copy_is_noticed),
		cmocka_unit_test(class_19_another_store),
		cmocka_unit_test(class_19_writing_goes_on_in_a_new_segment),
		cmocka_unit_test(class_19_names_that_are_no_files),
		cmocka_unit_test(class_19_records_of_an_enemy),
	};
	return cmocka_run_group_tests(tests, make_clean, NULL);
}
