/* pcapng files: sections, interfaces, packet blocks, options, and all that can be wrong with a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "file.h"

#define NO_FLAGS UINT32_MAX

static void expect(const char *what, const struct reading *r, enum status status, size_t count,
		   const char *text)
{
	if (r->status != status || r->count != count || (text && !strstr(r->error.text, text)))
		fail_msg("%s: status %d, %zu packets: %s; expected %d, %zu, %s", what, r->status, r->count,
			 r->error.text, status, count, text ? text : "");
}

static void test_both_orders(void **state)
{
	for (int swapped = 0; swapped < 2; swapped++) {
		struct file f = {.swapped = swapped};
		file_section(&f);
		file_interface(&f, 1, "eth0", 0);
		file_interface(&f, 101, NULL, 9);
		file_packet(&f, 0, 5000001, 61, 1500, NO_FLAGS);
		file_packet(&f, 1, 5000000001, 20, 20, NO_FLAGS);
		struct reading r = read_whole(&f);
		expect("both orders", &r, END, 2, NULL);
		assert_int_equal(r.packets[0].packet.time.ns, 5000001000);
		assert_int_equal(r.packets[0].packet.captured, 61);
		assert_int_equal(r.packets[0].packet.length, 1500);
		assert_int_equal(r.packets[0].packet.link, LINK_ETHERNET);
		assert_int_equal(r.packets[1].packet.time.ns, 5000000001);
		assert_int_equal(r.packets[1].packet.link, LINK_IP);
		assert_int_equal(r.packets[1].packet.point, 1);
		assert_int_equal(r.points->count, 2);
		assert_string_equal(r.points->point[0].name, "eth0");
		assert_string_equal(r.points->point[1].name, "if1");
		assert_int_equal(r.points->point[0].ifindex, 1);
		assert_int_equal(r.points->point[1].ifindex, 2);
		reading_free(&r);
		free(f.octets);
	}
}

/* A new section numbers its interfaces anew, maybe in the other byte order; points go by name. */
static void test_sections(void **state)
{
	struct file f = {.length = 0};

	file_section(&f);
	file_interface(&f, 1, "eth0", 0);
	file_interface(&f, 1, "eth1", 0);
	file_packet(&f, 1, 1, 20, 20, NO_FLAGS);
	f.swapped = true;
	file_section(&f);
	file_interface(&f, 101, "wg0", 0);
	file_interface(&f, 1, "eth1", 0);
	file_packet(&f, 0, 2, 20, 20, NO_FLAGS);
	file_packet(&f, 1, 3, 20, 20, NO_FLAGS);
	file_packet(&f, 2, 4, 20, 20, NO_FLAGS);
	struct reading r = read_whole(&f);
	expect("sections", &r, ERR_FORMAT, 3, "interface 2 of a section that describes 2");
	assert_int_equal(r.packets[0].packet.point, 1);
	assert_int_equal(r.packets[1].packet.point, 2);
	assert_int_equal(r.packets[2].packet.point, 1);
	assert_int_equal(r.points->count, 3);
	assert_string_equal(r.points->point[2].name, "wg0");
	assert_int_equal(r.points->point[2].ifindex, 3);
	assert_int_equal(r.points->point[1].ifindex, 2);
	reading_free(&r);
	free(f.octets);
}

static void test_flags_give_direction(void **state)
{
	const struct {
		uint32_t flags, link_type;
		uint8_t expected;
	} cases[] = {
		{NO_FLAGS, 1, DIRECTION_UNKNOWN},   {0, 1, DIRECTION_UNKNOWN},
		{1, 1, DIRECTION_INGRESS},          {2, 1, DIRECTION_EGRESS},
		{0xfffc | 2, 1, DIRECTION_EGRESS},  {3, 1, DIRECTION_UNKNOWN},
		{NO_FLAGS, 113, DIRECTION_INGRESS}, {2, 113, DIRECTION_EGRESS},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.swapped = i & 1};
		file_section(&f);
		file_interface(&f, cases[i].link_type, NULL, 0);
		file_packet(&f, 0, 1, 33, 33, cases[i].flags);
		struct reading r = read_whole(&f);
		expect("flags", &r, END, 1, NULL);
		if (r.packets[0].packet.direction != cases[i].expected)
			fail_msg("case %zu: direction %u", i, r.packets[0].packet.direction);
		reading_free(&r);
		free(f.octets);
	}
}

/* Class 11: resolutions and offsets; no time leaves 1970 to 2116. */
static void test_class_11_times(void **state)
{
	const int64_t latest = 1LL << 62;
	const struct {
		const char *what;
		uint8_t resolution; /* 0: none given */
		int64_t offset;
		uint64_t stamp;
		int64_t expected; /* -1: ERR_FORMAT */
	} cases[] = {
		{"microseconds when not said", 0, 0, 1500000, 1500000000},
		{"milliseconds", 3, 0, 1500, 1500000000},
		{"nanoseconds", 9, 0, 1500000001, 1500000001},
		{"picoseconds", 12, 0, 1500000001999, 1500000001},
		{"10^-19", 19, 0, 15000000000000000000U, 1500000000},
		{"10^-20", 20, 0, 0, -1},
		{"2^-10", 0x8a, 0, 1536, 1500000000},
		{"2^0", 0x80, 0, 5, 5000000000},
		{"2^-32", 0xa0, 0, 0x180000000, 1500000000},
		{"2^-63", 0xbf, 0, 0xc000000000000000, 1500000000},
		{"2^-64", 0xc0, 0, 0, -1},
		{"2^-127", 0xff, 0, 0, -1},
		{"offset", 9, 1600000000, 7, 1600000000000000007},
		{"negative offset", 9, -1, 3000000000, 2000000000},
		{"before 1970", 9, -10, 3000000000, 0},
		{"far future", 3, 0, UINT64_MAX, latest},
		{"seconds, far future", 0x80, 0, UINT64_MAX, latest},
		{"greatest offset", 0x80, INT64_MAX, UINT64_MAX, latest},
		{"least offset", 0x80, INT64_MIN, 0, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.swapped = i & 1};
		file_section(&f);
		const size_t at = file_block(&f, 1);
		const uint64_t offset = (uint64_t)cases[i].offset;
		const uint64_t written = f.swapped ? __builtin_bswap64(offset) : offset;
		file_u16(&f, 1);
		file_u16(&f, 0);
		file_u32(&f, 0);
		if (cases[i].resolution)
			file_option(&f, 9, &cases[i].resolution, 1);
		file_option(&f, 14, &written, 8);
		file_end_block(&f, at);
		file_packet(&f, 0, cases[i].stamp, 20, 20, NO_FLAGS);
		struct reading r = read_whole(&f);
		if (cases[i].expected < 0) {
			expect(cases[i].what, &r, ERR_FORMAT, 0, "time stamp resolution");
		} else {
			expect(cases[i].what, &r, END, 1, NULL);
			if (r.packets[0].packet.time.ns != cases[i].expected)
				fail_msg("%s: got %lld, expected %lld", cases[i].what,
					 (long long)r.packets[0].packet.time.ns,
					 (long long)cases[i].expected);
		}
		reading_free(&r);
		free(f.octets);
	}
}

static void test_other_packet_blocks(void **state)
{
	for (int swapped = 0; swapped < 2; swapped++) {
		struct file f = {.swapped = swapped};
		file_section(&f);
		size_t at = file_block(&f, 1);
		file_u16(&f, 101);
		file_u16(&f, 0);
		file_u32(&f, 30); /* octets kept of a packet */
		file_end_block(&f, at);
		file_packet(&f, 0, 7000000, 20, 20, NO_FLAGS);
		at = file_block(&f, 3); /* simple */
		file_u32(&f, 100);
		file_zeros(&f, 32);
		file_end_block(&f, at);
		at = file_block(&f, 2); /* obsolete */
		file_u16(&f, 0);
		file_u16(&f, 9);
		file_u32(&f, 0);
		file_u32(&f, 8000000);
		file_u32(&f, 21);
		file_u32(&f, 90);
		file_zeros(&f, 24);
		file_end_block(&f, at);
		at = file_block(&f, 0x0bad); /* unknown */
		file_zeros(&f, 1000);
		file_end_block(&f, at);
		file_packet(&f, 0, 9000000, 20, 20, NO_FLAGS);
		struct reading r = read_whole(&f);
		expect("other blocks", &r, END, 4, NULL);
		assert_int_equal(r.packets[1].packet.captured, 30);
		assert_int_equal(r.packets[1].packet.length, 100);
		assert_int_equal(r.packets[1].packet.time.ns, 7 * NS_PER_S);
		assert_int_equal(r.packets[2].packet.captured, 21);
		assert_int_equal(r.packets[2].packet.length, 90);
		assert_int_equal(r.packets[2].packet.time.ns, 8 * NS_PER_S);
		reading_free(&r);
		free(f.octets);
	}
}

/* An interface of an unknown link type does no harm until a packet of it comes. */
static void test_unsupported_link_type(void **state)
{
	struct file f = {.length = 0};

	file_section(&f);
	file_interface(&f, 105, "wlan0", 0);
	file_interface(&f, 1, "eth0", 0);
	file_packet(&f, 1, 1, 20, 20, NO_FLAGS);
	struct reading r = read_whole(&f);
	expect("not used", &r, END, 1, NULL);
	reading_free(&r);
	file_packet(&f, 0, 1, 20, 20, NO_FLAGS);
	file_packet(&f, 1, 1, 20, 20, NO_FLAGS);
	r = read_whole(&f);
	expect("used", &r, ERR_UNSUPPORTED, 1, "packet 2 at offset ");
	assert_non_null(
		strstr(r.error.text, "link type 105 is not supported; supported are NULL 0, ETHERNET 1"));
	reading_free(&r);
	free(f.octets);
}

/* Classes 2, 3 and 6: one block of which a length is wrong, after one good packet. */
static void test_class_03_wrong_lengths(void **state)
{
	const struct {
		const char *what;
		uint32_t type;
		size_t at; /* of a 32-bit number in the block */
		uint32_t value;
		const char *text;
	} cases[] = {
		{"total length 0", 6, 4, 0, "length of 0 octets"},
		{"total length 3", 6, 4, 3, "length of 3 octets"},
		{"total length 8", 6, 4, 8, "length of 8 octets"},
		{"total length 13", 6, 4, 13, "length of 13 octets"},
		{"total length under the fixed part", 6, 4, 12, "ends as one of"},
		{"total length over the file", 6, 4, 1000, "cut short: block of 1000 octets"},
		{"total length over any", 6, 4, 0xfffffffc, "is over"},
		{"second length differs", 6, 48, 56, "ends as one of 56"},
		{"captured over the block", 6, 20, 21, "room for 20"},
		{"captured over any", 6, 20, 0xffffffff, "room for 20"},
		{"unknown block over the file", 0x0bad, 4, 1000, "cut short: block of 1000 octets"},
		{"unknown block over any", 0x0bad, 4, 0xfffffffc, "cut short: block of 4294967292 octets"},
		{"unknown block of 0", 0x0bad, 4, 0, "length of 0 octets"},
		{"interface that is not there", 6, 8, 1, "interface 1 of a section that describes 1"},
		{"greatest interface", 6, 8, 0xffffffff, "interface 4294967295 of"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.swapped = i & 1};
		file_section(&f);
		file_interface(&f, 101, NULL, 0);
		file_packet(&f, 0, 1, 20, 20, NO_FLAGS);
		const size_t at = file_block(&f, cases[i].type);
		file_u32(&f, 0);
		file_u32(&f, 0);
		file_u32(&f, 0);
		file_u32(&f, 20);
		file_u32(&f, 20);
		file_zeros(&f, 20);
		file_end_block(&f, at);
		struct file number = {.swapped = f.swapped};
		file_u32(&number, cases[i].value);
		memcpy(f.octets + at + cases[i].at, number.octets, 4);
		struct reading r = read_whole(&f);
		expect(cases[i].what, &r, ERR_FORMAT, 1, cases[i].text);
		assert_non_null(strstr(r.error.text, "packet 2 at offset 100: "));
		reading_free(&r);
		free(number.octets);
		free(f.octets);
	}
}

static void test_short_blocks(void **state)
{
	const struct {
		const char *what;
		uint32_t type;
		size_t body;
		const char *text;
	} cases[] = {
		{"interface description", 1, 4, "interface description of 16 octets"},
		{"enhanced packet", 6, 16, "packet block of 28 octets"},
		{"obsolete packet", 2, 16, "packet block of 28 octets"},
		{"simple packet", 3, 0, "packet block of 12 octets"},
		{"section header", 0x0a0d0d0a, 12, "length of 24 octets"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.length = 0};
		file_section(&f);
		file_interface(&f, 101, NULL, 0);
		const size_t at = file_block(&f, cases[i].type);
		if (cases[i].type == 0x0a0d0d0a) {
			file_u32(&f, 0x1a2b3c4d);
			file_u32(&f, 1);
			file_u32(&f, 0);
		} else {
			file_zeros(&f, cases[i].body);
		}
		file_end_block(&f, at);
		file_zeros(&f, 16);
		struct reading r = read_whole(&f);
		expect(cases[i].what, &r, ERR_FORMAT, 0, cases[i].text);
		reading_free(&r);
		free(f.octets);
	}
}

static void test_section_headers(void **state)
{
	const struct {
		const char *what;
		size_t at;
		uint8_t value;
		enum status status;
		const char *text;
	} cases[] = {
		{"no byte order", 8, 0, ERR_FORMAT, "without a byte order"},
		{"version 2", 12, 2, ERR_UNSUPPORTED, "pcapng version 2.0"},
		{"length not of four", 4, 29, ERR_FORMAT, "length of 29 octets"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct file f = {.length = 0};
		file_section(&f);
		f.octets[cases[i].at] = cases[i].value;
		struct reading r = read_whole(&f);
		expect(cases[i].what, &r, cases[i].status, 0, cases[i].text);
		reading_free(&r);
		free(f.octets);
	}
}

/* Options that run over their block, or never end, end with it. */
static void test_class_02_options(void **state)
{
	const uint32_t lengths[] = {0, 1, 3, 4, 5, 8, 255, 65532, 65535};

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		const uint32_t length = lengths[i];
		struct file f = {.length = 0};
		file_section(&f);
		size_t at = file_block(&f, 1);
		file_u32(&f, 101);
		file_u32(&f, 0);
		file_u16(&f, 2);
		file_u16(&f, length);
		file_add(&f, "wg0\0", 4);
		file_end_block(&f, at);
		at = file_block(&f, 6);
		file_zeros(&f, 12);
		file_u32(&f, 1);
		file_u32(&f, 1);
		file_u32(&f, 0);
		file_u16(&f, 2);
		file_u16(&f, length);
		file_u32(&f, 2);
		file_end_block(&f, at);
		struct reading r = read_whole(&f);
		expect("options", &r, END, 1, NULL);
		const char *name = length == 0 || length > 4 ? "if0" : length == 1 ? "w" : "wg0";
		assert_string_equal(r.points->point[0].name, name);
		assert_int_equal(r.packets[0].packet.direction,
				 length == 4 ? DIRECTION_EGRESS : DIRECTION_UNKNOWN);
		reading_free(&r);
		free(f.octets);
	}
}

/* Class 8: as many interfaces as there may be, and one more. */
static void test_class_08_interfaces(void **state)
{
	for (uint32_t n = POINT_MAX - 1; n <= POINT_MAX + 1; n++) {
		struct file f = {.length = 0};
		file_section(&f);
		for (uint32_t i = 0; i < n; i++)
			file_interface(&f, 101, NULL, 0);
		file_packet(&f, n - 1, 1, 20, 20, NO_FLAGS);
		struct reading r = read_whole(&f);
		if (n <= POINT_MAX) {
			expect("interfaces", &r, END, 1, NULL);
			assert_int_equal(r.packets[0].packet.point, n - 1);
		} else {
			expect("interfaces", &r, ERR_LIMIT, 0, "more than 1024 interfaces");
		}
		reading_free(&r);
		free(f.octets);
	}
}

/* Class 8: sections that each bring another interface fill the table of points and then end. */
static void test_class_08_points(void **state)
{
	struct file f = {.length = 0};
	char name[16];

	for (int i = 0; i <= POINT_MAX; i++) {
		snprintf(name, sizeof name, "wg%d", i);
		file_section(&f);
		file_interface(&f, 101, name, 0);
		file_packet(&f, 0, 1, 20, 20, NO_FLAGS);
	}
	struct reading r = read_whole(&f);
	expect("points", &r, ERR_LIMIT, POINT_MAX, "more than 1024 observation points");
	reading_free(&r);
	free(f.octets);
}

/* Class 2: cut after every octet. Whole packets come, then ERR_FORMAT, or END between two blocks. */
static void test_class_02_every_prefix(void **state)
{
	struct file f = {.length = 0};
	size_t edges[5];

	file_section(&f);
	edges[0] = f.length;
	file_interface(&f, 101, "wg0", 9);
	edges[1] = f.length;
	file_packet(&f, 0, 1, 21, 21, 1);
	edges[2] = f.length;
	file_packet(&f, 0, 2, 22, 22, NO_FLAGS);
	edges[3] = f.length;
	edges[4] = SIZE_MAX;
	for (size_t n = 28, edge = 0; n <= f.length; n++) {
		edge += n >= edges[edge + 1];
		struct reading r = read_octets(&f, n);
		expect("prefix", &r, n == edges[edge] ? END : ERR_FORMAT, edge ? edge - 1 : 0,
		       n == edges[edge] ? NULL : "cut short");
		reading_free(&r);
	}
	free(f.octets);
}

/* Class 10: the smallest blocks there are; the work is in proportion to the file. */
static void test_class_10_many_small_blocks(void **state)
{
	struct file f = {.length = 0};

	file_section(&f);
	file_interface(&f, 101, NULL, 0);
	for (int i = 0; i < 100000; i++)
		file_end_block(&f, file_block(&f, 0x0bad));
	file_packet(&f, 0, 1, 20, 20, NO_FLAGS);
	struct reading r = read_whole(&f);
	expect("small blocks", &r, END, 1, NULL);
	reading_free(&r);
	free(f.octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_orders),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_flags_give_direction),
		cmocka_unit_test(test_class_11_times),
		cmocka_unit_test(test_other_packet_blocks),
		cmocka_unit_test(test_unsupported_link_type),
		cmocka_unit_test(test_class_03_wrong_lengths),
		cmocka_unit_test(test_short_blocks),
		cmocka_unit_test(test_section_headers),
		cmocka_unit_test(test_class_02_options),
		cmocka_unit_test(test_class_08_interfaces),
		cmocka_unit_test(test_class_08_points),
		cmocka_unit_test(test_class_02_every_prefix),
		cmocka_unit_test(test_class_10_many_small_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
