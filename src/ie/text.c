#include "ie/text.h"

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
			    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

void text_unsigned(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;

	if (v < 10) {
		text_char(t, (char)('0' + v));
		return;
	}
	while (v >= 100) {
		at -= 2;
		memcpy(digits + at, pairs + 2 * (v % 100), 2);
		v /= 100;
	}
	if (v >= 10) {
		at -= 2;
		memcpy(digits + at, pairs + 2 * v, 2);
	} else {
		digits[--at] = (char)('0' + v);
	}
	if (!text_reserve(t, sizeof digits))
		return;
	memcpy(t->data + t->used, digits + at, sizeof digits - at);
	t->used += sizeof digits - at;
}

void text_signed(struct text *t, int64_t v)
{
	if (v < 0) {
		text_char(t, '-');
		text_unsigned(t, 0 - (uint64_t)v);
	} else {
		text_unsigned(t, (uint64_t)v);
	}
}

void text_hex(struct text *t, const uint8_t *octets, size_t length)
{
	static const char digits[] = "0123456789abcdef";

	text_put(t, "\"0x", length ? 3 : 1);
	for (size_t i = 0; i < length; i++) {
		if (!text_reserve(t, 2))
			return;
		text_push(t, digits[octets[i] >> 4]);
		text_push(t, digits[octets[i] & 15]);
	}
	text_char(t, '"');
}
