#include "ie/value.h"

#include <math.h>
#include <stdio.h>

#define NTP_TO_UNIX 2208988800LL /* seconds from 1900 to 1970, RFC 7011 section 6.1.9 */
#define NTP_ERA     0x100000000LL
#define NANOSECONDS 1000000000u

static const struct {
	const char *name, *text;
} faults[VALUE_FAULT_COUNT] = {
#define FAULT(constant, name, text) [VALUE_FAULT_##constant] = {name, text},
	VALUE_FAULTS(FAULT)
#undef FAULT
};

const char *value_fault_name(enum value_fault fault)
{
	return faults[fault].name;
}

const char *value_fault_text(enum value_fault fault)
{
	return faults[fault].text;
}

static void wrong(struct value *out, enum value_fault fault, struct span octets)
{
	out->kind = VALUE_WRONG;
	out->fault = fault;
	out->octets = octets;
}

static bool all_octets(const uint8_t *at, size_t length, uint8_t octet)
{
	for (size_t i = 0; i < length; i++)
		if (at[i] != octet)
			return false;
	return true;
}

static void decode_unsigned(struct value *out, struct span o)
{
	out->kind = VALUE_UNSIGNED;
	if (o.length == 1) { /* the common sizes first */
		out->u = o.data[0];
		return;
	}
	if (o.length == 4 && out->type >= IE_UNSIGNED32) {
		out->u = get_be32(o.data);
		return;
	}
	if (o.length == 8 && out->type == IE_UNSIGNED64) {
		out->u = get_be64(o.data);
		return;
	}

	const size_t size = ie_type_size(out->type);
	const size_t extra = o.length > size ? o.length - size : 0;

	if (o.length == 0) {
		wrong(out, VALUE_FAULT_SIZE, o);
	} else if (!all_octets(o.data, extra, 0)) {
		wrong(out, VALUE_FAULT_RANGE, o);
	} else {
		out->u = get_be(o.data + extra, o.length - extra);
	}
}

static void decode_signed(struct value *out, struct span o)
{
	const size_t size = ie_type_size(out->type);
	const size_t extra = o.length > size ? o.length - size : 0;

	if (o.length == 0) {
		wrong(out, VALUE_FAULT_SIZE, o);
		return;
	}

	const uint8_t sign = o.data[extra] & 0x80 ? 0xff : 0;
	if (!all_octets(o.data, extra, sign)) {
		wrong(out, VALUE_FAULT_RANGE, o);
		return;
	}

	uint64_t v = get_be(o.data + extra, o.length - extra);
	const size_t bits = 8 * (o.length - extra);
	if (sign && bits < 64)
		v |= UINT64_MAX << bits;
	out->kind = VALUE_SIGNED;
	memcpy(&out->i, &v, sizeof v);
}

static void decode_unsigned256(struct value *out, struct span o)
{
	size_t skip = 0;

	if (o.length == 0 || o.length > 32) {
		wrong(out, VALUE_FAULT_SIZE, o);
		return;
	}
	while (skip < o.length && o.data[skip] == 0)
		skip++;
	if (o.length - skip <= 8) {
		out->kind = VALUE_UNSIGNED;
		out->u = get_be(o.data + skip, o.length - skip);
	} else {
		out->kind = VALUE_OCTETS;
		out->octets = span_of(o.data + skip, o.length - skip);
	}
}

static void decode_float(struct value *out, struct span o)
{
	if (o.length == 4) {
		const uint32_t bits = get_be32(o.data);
		float f;

		memcpy(&f, &bits, sizeof f);
		out->kind = VALUE_FLOAT;
		out->f = (double)f;
	} else if (o.length == 8 && out->type == IE_FLOAT64) {
		const uint64_t bits = get_be64(o.data);

		out->kind = VALUE_FLOAT;
		memcpy(&out->f, &bits, sizeof bits);
	} else {
		wrong(out, VALUE_FAULT_SIZE, o);
	}
}

static void decode_boolean(struct value *out, struct span o)
{
	if (o.length != 1) {
		wrong(out, VALUE_FAULT_SIZE, o);
	} else if (o.data[0] != 1 && o.data[0] != 2) {
		wrong(out, VALUE_FAULT_BOOLEAN, o);
	} else {
		out->kind = VALUE_BOOLEAN;
		out->b = o.data[0] == 1;
	}
}

/* A fraction of 2^-32 s in units of 1/`per_second`, rounded to the nearest: exporters round down when they
 * make it, so rounding down again would lose a unit. */
static uint32_t scale_fraction(uint32_t fraction, uint32_t per_second)
{
	return (uint32_t)(((uint64_t)fraction * per_second + 0x80000000u) >> 32);
}

static void decode_time(struct value *out, struct span o)
{
	if (o.length != ie_type_size(out->type)) {
		wrong(out, VALUE_FAULT_SIZE, o);
		return;
	}
	out->kind = VALUE_TIME;
	if (out->type == IE_DATE_TIME_SECONDS) {
		out->time.seconds = get_be32(o.data);
		out->time.nanoseconds = 0;
		return;
	}
	if (out->type == IE_DATE_TIME_MILLISECONDS) {
		const uint64_t ms = get_be64(o.data);

		out->time.seconds = (int64_t)(ms / 1000);
		out->time.nanoseconds = (uint32_t)(ms % 1000) * 1000000;
		return;
	}

	const uint32_t fraction = get_be32(o.data + 4);
	out->time.seconds = (int64_t)get_be32(o.data) - NTP_TO_UNIX;
	if (out->time.seconds < 0)
		out->time.seconds += NTP_ERA;
	if (out->type == IE_DATE_TIME_MICROSECONDS)
		out->time.nanoseconds = scale_fraction(fraction & ~0x7ffu, 1000000) * 1000;
	else
		out->time.nanoseconds = scale_fraction(fraction, NANOSECONDS);
	if (out->time.nanoseconds == NANOSECONDS) {
		out->time.nanoseconds = 0;
		out->time.seconds++;
	}
}

static void decode_address(struct value *out, enum value_kind kind, struct span o)
{
	if (o.length == ie_type_size(out->type)) {
		out->kind = kind;
		out->octets = o;
	} else {
		wrong(out, VALUE_FAULT_SIZE, o);
	}
}

static void decode_string(struct value *out, struct span o)
{
	size_t length = o.length;

	while (length && o.data[length - 1] == 0)
		length--;
	if (!utf8_valid(span_of(o.data, length))) {
		wrong(out, VALUE_FAULT_STRING, o);
		return;
	}
	out->kind = VALUE_STRING;
	out->octets = span_of(o.data, length);
}

void value_decode(struct value *out, enum ie_type type, struct span o)
{
	out->type = type;
	out->fault = VALUE_FAULT_NONE;
	switch (type) {
	case IE_UNSIGNED8:
	case IE_UNSIGNED16:
	case IE_UNSIGNED32:
	case IE_UNSIGNED64: decode_unsigned(out, o); break;
	case IE_SIGNED8:
	case IE_SIGNED16:
	case IE_SIGNED32:
	case IE_SIGNED64: decode_signed(out, o); break;
	case IE_UNSIGNED256: decode_unsigned256(out, o); break;
	case IE_FLOAT32:
	case IE_FLOAT64: decode_float(out, o); break;
	case IE_BOOLEAN: decode_boolean(out, o); break;
	case IE_MAC_ADDRESS: decode_address(out, VALUE_MAC, o); break;
	case IE_IPV4_ADDRESS: decode_address(out, VALUE_IPV4, o); break;
	case IE_IPV6_ADDRESS: decode_address(out, VALUE_IPV6, o); break;
	case IE_STRING: decode_string(out, o); break;
	case IE_DATE_TIME_SECONDS:
	case IE_DATE_TIME_MILLISECONDS:
	case IE_DATE_TIME_MICROSECONDS:
	case IE_DATE_TIME_NANOSECONDS: decode_time(out, o); break;
	case IE_BASIC_LIST:
	case IE_SUB_TEMPLATE_LIST:
	case IE_SUB_TEMPLATE_MULTI_LIST:
		out->kind = VALUE_LIST;
		out->octets = o;
		break;
	case IE_OCTET_ARRAY:
	case IE_TYPE_COUNT:
	default:
		out->kind = VALUE_OCTETS;
		out->octets = o;
		break;
	}
}

/* Octets of the character that begins at `at`, 0 when it is ill-formed (RFC 3629 section 4). */
static size_t utf8_character(const uint8_t *at, size_t left)
{
	const uint8_t c = at[0];
	const size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
	    (c == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

bool utf8_valid(struct span o)
{
	for (size_t i = 0, n; i < o.length; i += n) {
		n = utf8_character(o.data + i, o.length - i);
		if (n == 0)
			return false;
	}
	return true;
}

void value_print_string(struct text *t, struct span utf8)
{
	static const char digits[] = "0123456789abcdef";

	text_char(t, '"');
	for (size_t i = 0; i < utf8.length; i++) {
		const uint8_t c = utf8.data[i];

		if (!text_reserve(t, 6))
			return;
		if (c == '"' || c == '\\') {
			text_push(t, '\\');
			text_push(t, (char)c);
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(t->data + t->used, "\\u00", 4);
			t->used += 4;
			text_push(t, digits[c >> 4]);
			text_push(t, digits[c & 15]);
		} else {
			text_push(t, (char)c);
		}
	}
	text_char(t, '"');
}

/* `width` decimal digits at `to`, most significant first. */
static inline void put_digits(char *to, uint32_t v, unsigned width)
{
	for (unsigned i = width; i-- > 0; v /= 10)
		to[i] = (char)('0' + v % 10);
}

/* The date of a day counted from 1970-01-01, in a calendar whose year begins in March, so that the day of
 * a leap year is its last. */
static void date_of(int64_t day, int64_t *year, uint32_t *month, uint32_t *month_day)
{
	day += 719468; /* days from 0000-03-01 to 1970-01-01 */

	const int64_t era = day / 146097;
	const uint32_t in_era = (uint32_t)(day % 146097);
	const uint32_t year_in_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	const uint32_t in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
	const uint32_t march_month = (5 * in_year + 2) / 153;

	*month_day = in_year - (153 * march_month + 2) / 5 + 1;
	*month = march_month < 10 ? march_month + 3 : march_month - 9;
	*year = era * 400 + year_in_era + (*month <= 2);
}

void value_print_time(struct text *t, int64_t seconds, uint32_t nanoseconds, unsigned digits)
{
	const uint32_t in_day = (uint32_t)(seconds % 86400);
	uint32_t month, day;
	int64_t year;
	char s[32] = "-00-00T00:00:00";
	size_t length = 15;

	date_of(seconds / 86400, &year, &month, &day);
	put_digits(s + 1, month, 2);
	put_digits(s + 4, day, 2);
	put_digits(s + 7, in_day / 3600, 2);
	put_digits(s + 10, in_day / 60 % 60, 2);
	put_digits(s + 13, in_day % 60, 2);
	if (digits) {
		s[length++] = '.';
		if (digits == 3)
			put_digits(s + length, nanoseconds / 1000000, 3);
		else if (digits == 6)
			put_digits(s + length, nanoseconds / 1000, 6);
		else
			put_digits(s + length, nanoseconds, 9);
		length += digits;
	}
	s[length++] = 'Z';
	s[length++] = '"';

	if (!text_reserve(t, 64))
		return;
	text_push(t, '"');
	if (year < 10000) {
		put_digits(t->data + t->used, (uint32_t)year, 4);
		t->used += 4;
	} else {
		text_unsigned(t, (uint64_t)year);
	}
	memcpy(t->data + t->used, s, sizeof s);
	t->used += length;
}

static void print_mac(struct text *t, const uint8_t *octets)
{
	static const char digits[] = "0123456789abcdef";

	if (!text_reserve(t, 20))
		return;
	for (int i = 0; i < 6; i++) {
		text_push(t, i ? ':' : '"');
		text_push(t, digits[octets[i] >> 4]);
		text_push(t, digits[octets[i] & 15]);
	}
	text_push(t, '"');
}

/* One to three digits at `to`; returns what follows them. */
static char *put_octet(char *to, uint8_t v)
{
	if (v >= 100)
		*to++ = (char)('0' + v / 100);
	if (v >= 10)
		*to++ = (char)('0' + v / 10 % 10);
	*to++ = (char)('0' + v % 10);
	return to;
}

static void print_ipv4(struct text *t, const uint8_t *octets)
{
	if (!text_reserve(t, 20))
		return;

	char *at = t->data + t->used;
	for (int i = 0; i < 4; i++) {
		*at++ = i ? '.' : '"';
		at = put_octet(at, octets[i]);
	}
	*at++ = '"';
	t->used = (size_t)(at - t->data);
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 section 4.2). */
static int longest_zeros(const uint16_t group[8], int *length)
{
	int best = -1;

	*length = 1;
	for (int i = 0; i < 8; i++) {
		int n = 0;

		while (i + n < 8 && group[i + n] == 0)
			n++;
		if (n > *length) {
			best = i;
			*length = n;
		}
		if (n)
			i += n - 1;
	}
	return best;
}

static void print_group(struct text *t, uint16_t v)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = v > 0xfff ? 12 : v > 0xff ? 8 : v > 0xf ? 4 : 0; shift >= 0; shift -= 4)
		text_push(t, digits[v >> shift & 15]);
}

static void print_ipv6(struct text *t, const uint8_t *octets)
{
	uint16_t group[8];
	int zeros;

	for (int i = 0; i < 8; i++)
		group[i] = get_be16(octets + 2 * i);
	if (!text_reserve(t, 64))
		return;

	const int gap = longest_zeros(group, &zeros);
	const bool mapped = gap == 0 && zeros == 5 && group[5] == 0xffff;
	text_push(t, '"');
	for (int i = 0; i < (mapped ? 6 : 8); i++) {
		if (i == gap) {
			text_push(t, ':');
			text_push(t, ':');
			i += zeros - 1;
			continue;
		}
		if (i && i != gap + zeros)
			text_push(t, ':');
		print_group(t, group[i]);
	}
	if (mapped) {
		for (int i = 12; i < 16; i++) {
			text_push(t, i == 12 ? ':' : '.');
			t->used = (size_t)(put_octet(t->data + t->used, octets[i]) - t->data);
		}
	}
	text_char(t, '"');
}

/* The fewest digits that read back as the same number. */
static void print_float(struct text *t, const struct value *v)
{
	char digits[32];

	if (isnan(v->f) || isinf(v->f)) {
		text_string(t, isnan(v->f) ? "\"NaN\"" : v->f > 0 ? "\"+inf\"" : "\"-inf\"");
		return;
	}
	for (int precision = 6; precision <= 17; precision++) {
		double back;

		snprintf(digits, sizeof digits, "%.*g", precision, v->f);
		if (sscanf(digits, "%lf", &back) == 1 &&
		    (v->type == IE_FLOAT32 ? (float)back == (float)v->f : back == v->f))
			break;
	}
	text_string(t, digits);
}

static void print_value_time(struct text *t, const struct value *v)
{
	static const uint8_t digits[] = {0, 3, 6, 9};

	value_print_time(t, v->time.seconds, v->time.nanoseconds, digits[v->type - IE_DATE_TIME_SECONDS]);
}

void value_print(struct text *t, const struct value *v)
{
	switch (v->kind) {
	case VALUE_UNSIGNED: text_unsigned(t, v->u); break;
	case VALUE_SIGNED: text_signed(t, v->i); break;
	case VALUE_FLOAT: print_float(t, v); break;
	case VALUE_BOOLEAN: text_string(t, v->b ? "true" : "false"); break;
	case VALUE_MAC: print_mac(t, v->octets.data); break;
	case VALUE_IPV4: print_ipv4(t, v->octets.data); break;
	case VALUE_IPV6: print_ipv6(t, v->octets.data); break;
	case VALUE_TIME: print_value_time(t, v); break;
	case VALUE_STRING: value_print_string(t, v->octets); break;
	case VALUE_OCTETS:
	case VALUE_LIST: text_hex(t, v->octets.data, v->octets.length); break;
	case VALUE_WRONG:
		if (v->fault == VALUE_FAULT_BOOLEAN)
			text_string(t, "\"undefined\"");
		else
			text_hex(t, v->octets.data, v->octets.length);
		break;
	}
}

void value_print_name(struct text *t, const struct information_element *ie, uint32_t pen, uint16_t id)
{
	if (!ie) {
		text_char(t, 'e');
		text_unsigned(t, pen);
		text_char(t, '.');
		text_unsigned(t, id);
	} else if (pen == REVERSE_PEN) {
		const char first = ie->name[0];

		text_put(t, "reverse", 7);
		text_char(t, (char)(first >= 'a' && first <= 'z' ? first - 'a' + 'A' : first));
		text_string(t, ie->name + 1);
	} else {
		text_string(t, ie->name);
	}
}
