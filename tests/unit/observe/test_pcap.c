/* pcap files: every flavour and byte order, every cut, every lie about a length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"

#define MICRO     0xa1b2c3d4
#define NANO      0xa1b23c4d
#define KUZNETZOV 0xa1b2cd34

static void test_flavours(void **state)
{
	const struct {
		const char *what;
		uint32_t magic;
		int64_t ns; /* of a fraction of 5 */
	} cases[] = {{"microseconds", MICRO, 5000}, {"nanoseconds", NANO, 5}, {"Kuznetzov", KUZNETZOV, 5000}};

	for (size_t i = 0; i < 6; i++) {
		struct file f = {.swapped = i >= 3};
		const uint32_t magic = cases[i % 3].magic;
		file_pcap(&f, magic, 1);
		for (uint8_t n = 1; n <= 2; n++) {
			file_record(&f, 4000000000U, 5, magic == KUZNETZOV ? 0 : 60, 1500, n);
			if (magic != KUZNETZOV)
				continue;
			f.length -= 8; /* its header is longer */
			file_u32(&f, 60);
			file_u32(&f, 1500);
			file_zeros(&f, 8);
			for (int j = 0; j < 60; j++)
				file_add(&f, &n, 1);
		}
		struct reading r = read_whole(&f);
		if (r.status != END || r.count != 2)
			fail_msg("%s, swapped %d: status %d, %zu packets: %s", cases[i % 3].what, f.swapped,
				 r.status, r.count, r.error.text);
		for (uint8_t n = 1; n <= 2; n++) {
			const struct packet *p = &r.packets[n - 1].packet;
			assert_int_equal(p->time.ns, 4000000000 * NS_PER_S + cases[i % 3].ns);
			assert_int_equal(p->captured, 60);
			assert_int_equal(p->length, 1500);
			assert_int_equal(p->link, LINK_ETHERNET);
			assert_int_equal(p->direction, DIRECTION_UNKNOWN);
			assert_int_equal(p->gso_size, 0);
			assert_int_equal(r.packets[n - 1].sum, n * 60 * 61 / 2);
		}
		assert_int_equal(r.points->count, 1);
		assert_string_equal(r.points->point[0].name, "test.pcap");
		assert_int_equal(r.points->point[0].ifindex, 1);
		assert_true(r.points->point[0].up);
		assert_int_equal(r.statistics.packets, 2);
		assert_int_equal(r.statistics.octets, 3000);
		assert_int_equal(r.done, f.length);
		assert_int_equal(r.total, f.length);
		reading_free(&r);
		free(f.octets);
	}
}

static void test_link_types(void **state)
{
	const struct {
		uint32_t link_type;
		uint8_t link;
	} cases[] = {
		{0, LINK_NULL},
		{1, LINK_ETHERNET},
		{9, LINK_PPP},
		{12, LINK_IP},
		{14, LINK_IP},
		{50, LINK_PPP},
		{51, LINK_PPPOE},
		{101, LINK_IP},
		{104, LINK_PPP},
		{108, LINK_NULL},
		{113, LINK_SLL},
		{228, LINK_IP},
		{229, LINK_IP},
		{276, LINK_SLL2},
		{2, LINK_COUNT},
		{105, LINK_COUNT},
		{0x30000001, LINK_ETHERNET},
		{0x04000065, LINK_IP},
		{0x00300001, LINK_COUNT},
		{0xffff, LINK_COUNT},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.length = 0};
		char text[32];
		file_pcap(&f, MICRO, cases[i].link_type);
		file_record(&f, 1, 1, 4, 4, 0);
		struct reading r = read_whole(&f);
		if (cases[i].link == LINK_COUNT) {
			snprintf(text, sizeof text, "link type %u ", cases[i].link_type);
			if (r.status != ERR_UNSUPPORTED || !strstr(r.error.text, text) ||
			    !strstr(r.error.text, "ETHERNET 1"))
				fail_msg("%u: status %d: %s", cases[i].link_type, r.status, r.error.text);
		} else if (r.status != END || r.count != 1 || r.packets[0].packet.link != cases[i].link) {
			fail_msg("%u: status %d: %s", cases[i].link_type, r.status, r.error.text);
		}
		reading_free(&r);
		free(f.octets);
	}
}

static void test_not_a_capture(void **state)
{
	const struct {
		const char *what, *octets;
		size_t length;
		enum status expected;
		const char *text;
	} cases[] = {
		{"empty", "", 0, ERR_FORMAT, "too short"},
		{"three octets", "\xd4\xc3\xb2", 3, ERR_FORMAT, "too short"},
		{"text", "hello world", 11, ERR_FORMAT, "begins with 68 65 6c 6c"},
		{"gzip", "\x1f\x8b\x08\x00", 4, ERR_FORMAT, "gzip"},
		{"header cut short", "\xd4\xc3\xb2\xa1\2\0\4\0", 8, ERR_FORMAT, "cut short"},
		{"version 3", "\xd4\xc3\xb2\xa1\3\0\4\0\0\0\0\0\0\0\0\0\xff\xff\0\0\1\0\0\0", 24,
		 ERR_UNSUPPORTED, "version 3.4"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.length = 0};
		file_add(&f, cases[i].octets, cases[i].length);
		struct reading r = read_whole(&f);
		if (r.status != cases[i].expected || !strstr(r.error.text, cases[i].text) ||
		    !strstr(r.error.text, "dir/test.pcap"))
			fail_msg("%s: status %d: %s", cases[i].what, r.status, r.error.text);
		reading_free(&r);
		free(f.octets);
	}
}

/* Class 2: cut after every octet. Every whole packet comes, then where it broke. */
static void test_class_02_every_prefix(void **state)
{
	struct file f = {.length = 0};
	char place[64];

	file_pcap(&f, MICRO, 101);
	for (uint32_t i = 0; i < 3; i++)
		file_record(&f, i, 0, 10, 10, 1);
	for (size_t n = 24; n <= f.length; n++) {
		struct reading r = read_octets(&f, n);
		const size_t whole = (n - 24) / 26, at = 24 + whole * 26;
		assert_int_equal(r.count, whole);
		assert_int_equal(r.statistics.packets, whole);
		if (n == at) {
			assert_int_equal(r.status, END);
		} else {
			snprintf(place, sizeof place, "dir/test.pcap: packet %zu at offset %zu: cut short",
				 whole + 1, at);
			if (r.status != ERR_FORMAT || !strstr(r.error.text, place) ||
			    !strstr(r.error.text, "; metered what is whole"))
				fail_msg("cut at %zu: status %d: %s", n, r.status, r.error.text);
		}
		reading_free(&r);
	}
	free(f.octets);
}

/* Classes 3 and 6: captured lengths at and over every edge. */
static void test_class_03_captured_lengths(void **state)
{
	const uint32_t lengths[] = {262144, 262145, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct file f = {.length = 0};
		file_pcap(&f, MICRO, 101);
		file_record(&f, 1, 0, 20, 20, 1);
		file_record(&f, 2, 0, 0, 0, 0);
		f.length -= 8;
		file_u32(&f, lengths[i]);
		file_u32(&f, lengths[i]);
		file_zeros(&f, 262144);
		struct reading r = read_whole(&f);
		const bool fits = lengths[i] == 262144;
		assert_int_equal(r.count, fits ? 2 : 1);
		assert_int_equal(r.status, fits ? END : ERR_FORMAT);
		if (!fits)
			assert_non_null(strstr(r.error.text, "packet 2 at offset 60: a captured length of "));
		reading_free(&r);
		free(f.octets);
	}
}

static void test_odd_lengths(void **state)
{
	struct file f = {.length = 0};

	file_pcap(&f, MICRO, 101);
	file_record(&f, 1, 0, 0, 0, 0);   /* nothing at all */
	file_record(&f, 2, 0, 20, 10, 1); /* more captured than there was */
	struct reading r = read_whole(&f);
	assert_int_equal(r.status, END);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.packets[0].packet.captured, 0);
	assert_int_equal(r.packets[1].packet.length, 20);
	reading_free(&r);
	f.octets[6] = 2; /* before version 2.3 the two lengths stood the other way round */
	f.length = 24;
	file_record(&f, 1, 0, 0, 0, 0);
	f.length -= 8;
	file_u32(&f, 100);
	file_u32(&f, 20);
	file_zeros(&f, 20);
	r = read_whole(&f);
	assert_int_equal(r.status, END);
	assert_int_equal(r.packets[0].packet.captured, 20);
	assert_int_equal(r.packets[0].packet.length, 100);
	reading_free(&r);
	free(f.octets);
}

/* Class 11: any two time fields give a time that can be counted with. */
static void test_class_11_times(void **state)
{
	struct file f = {.length = 0};

	file_pcap(&f, MICRO, 101);
	file_record(&f, 0xffffffff, 0xffffffff, 0, 0, 0);
	file_record(&f, 0, 0, 0, 0, 0);
	struct reading r = read_whole(&f);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.packets[0].packet.time.ns, 0xffffffffLL * NS_PER_S + 0xffffffffLL * 1000);
	assert_int_equal(r.packets[1].packet.time.ns, 0);
	reading_free(&r);
	free(f.octets);
}

static void test_batches(void **state)
{
	const uint32_t counts[] = {0, 1, PACKET_BATCH_MAX - 1, PACKET_BATCH_MAX, PACKET_BATCH_MAX + 1, 5000};

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		struct file f = {.length = 0};
		file_pcap(&f, NANO, 101);
		for (uint32_t n = 0; n < counts[i]; n++)
			file_record(&f, n, n, n % 50, 50, 1);
		struct reading r = read_whole(&f);
		assert_int_equal(r.status, END);
		assert_int_equal(r.count, counts[i]);
		for (uint32_t n = 0; n < counts[i]; n++)
			assert_int_equal(r.packets[n].packet.time.ns, n * NS_PER_S + n);
		reading_free(&r);
		free(f.octets);
	}
}

static void test_cooked_direction(void **state)
{
	for (uint8_t type = 0; type < 6; type++) {
		const uint8_t expected = type == 4 ? DIRECTION_EGRESS : DIRECTION_INGRESS;
		for (int version = 1; version <= 2; version++) {
			struct file f = {.length = 0};
			file_pcap(&f, MICRO, version == 1 ? 113 : 276);
			file_record(&f, 1, 0, 20, 20, 0);
			f.octets[f.length - 20 + (version == 1 ? 1 : 10)] = type;
			file_record(&f, 1, 0, version == 1 ? 1 : 10, 20, 0);
			struct reading r = read_whole(&f);
			assert_int_equal(r.count, 2);
			assert_int_equal(r.packets[0].packet.direction, expected);
			assert_int_equal(r.packets[1].packet.direction, DIRECTION_UNKNOWN);
			reading_free(&r);
			free(f.octets);
		}
	}
}

/* What ended the file ends it for ever. */
static void test_the_end_stays(void **state)
{
	struct point_table *points = calloc(1, sizeof *points);
	struct packet_batch *batch = calloc(1, sizeof *batch);
	const struct source_options options = {.spec = "x", .points = points};
	struct packet_source *source;
	struct file f = {.length = 0};
	struct error err;

	file_pcap(&f, MICRO, 101);
	file_record(&f, 1, 0, 20, 20, 0);
	assert_int_equal(capture_open_memory(&source, span_of(f.octets, f.length - 1), &options, &err), OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(capture_source.read(source, batch, &err), ERR_FORMAT);
		assert_non_null(strstr(err.text, "x: packet 1 at offset 24: cut short"));
		assert_int_equal(batch->count, 0);
	}
	assert_int_equal(capture_source.read(source, batch, NULL), ERR_FORMAT);
	assert_int_equal(capture_source.poll_fd(source), -1);
	capture_source.close(source);
	free(points);
	free(batch);
	free(f.octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flavours),
		cmocka_unit_test(test_link_types),
		cmocka_unit_test(test_not_a_capture),
		cmocka_unit_test(test_class_02_every_prefix),
		cmocka_unit_test(test_class_03_captured_lengths),
		cmocka_unit_test(test_odd_lengths),
		cmocka_unit_test(test_class_11_times),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_cooked_direction),
		cmocka_unit_test(test_the_end_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
