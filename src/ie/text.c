#include "ie/text.h"

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
			    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

static unsigned digits_of(uint64_t v)
{
	unsigned n = 1;

	for (; v >= 10000; v /= 10000)
		n += 4;
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

void text_unsigned(struct text *t, uint64_t v)
{
	const unsigned n = digits_of(v);

	if (!text_reserve(t, n))
		return;

	char *at = t->data + t->used + n;
	t->used += n;
	while (v >= 100) {
		at -= 2;
		memcpy(at, pairs + 2 * (v % 100), 2);
		v /= 100;
	}
	if (v >= 10)
		memcpy(at - 2, pairs + 2 * v, 2);
	else
		at[-1] = (char)('0' + v);
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
