/* CRC-32C against the published examples, and both ways of computing it against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"

static void known_answers(void **state)
{
	uint8_t zeros[32] = {0}, ones[32], rising[32];

	memset(ones, 0xff, sizeof ones);
	for (size_t i = 0; i < sizeof rising; i++)
		rising[i] = (uint8_t)i;
	const struct {
		const char *what;
		const void *data;
		size_t length;
		uint32_t crc;
	} cases[] = {
		{"nothing", "", 0, 0},
		{"check value", "123456789", 9, 0xe3069283},
		{"32 zeros (RFC 3720 B.4)", zeros, sizeof zeros, 0x8a9136aa},
		{"32 ones (RFC 3720 B.4)", ones, sizeof ones, 0x62a8ab43},
		{"32 rising (RFC 3720 B.4)", rising, sizeof rising, 0x46dd794e},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		print_message("%s\n", cases[i].what);
		assert_int_equal(crc32c(0, cases[i].data, cases[i].length), cases[i].crc);
		assert_int_equal(crc32c_portable(0, cases[i].data, cases[i].length), cases[i].crc);
	}
}

static void every_length_and_split(void **state)
{
	uint8_t text[80];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 37 + 11);
	for (size_t length = 0; length <= sizeof text; length++) {
		const uint32_t whole = crc32c_portable(0, text, length);

		assert_int_equal(crc32c(0, text, length), whole);
		for (size_t cut = 0; cut <= length; cut++)
			assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, length - cut), whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(every_length_and_split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
