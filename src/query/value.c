#include "query/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "query/when.h"

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{"icmp", 1},  {"igmp", 2},  {"ipip", 4},   {"tcp", 6},    {"udp", 17},   {"dccp", 33},
	{"ipv6", 41}, {"gre", 47},  {"esp", 50},   {"ah", 51},    {"icmp6", 58}, {"icmpv6", 58},
	{"ospf", 89}, {"pim", 103}, {"vrrp", 112}, {"l2tp", 115}, {"sctp", 132}, {"udplite", 136},
};

const char *protocol_name(unsigned number)
{
	for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
		if (protocols[i].number == number)
			return protocols[i].name;
	return NULL;
}

uint64_t filter_kind_max(enum column_kind kind)
{
	switch (kind) {
	case COLUMN_UNSIGNED8: return UINT8_MAX;
	case COLUMN_UNSIGNED16: return UINT16_MAX;
	case COLUMN_UNSIGNED32: return UINT32_MAX;
	case COLUMN_SIGNED8: return INT8_MAX;
	case COLUMN_SIGNED16: return INT16_MAX;
	case COLUMN_SIGNED32: return INT32_MAX;
	case COLUMN_SIGNED64: return INT64_MAX;
	default: return UINT64_MAX;
	}
}

static bool suffix_factor(const char *text, size_t length, uint64_t *out)
{
	static const char letters[] = "kMGT";
	const bool binary = length == 2 && (text[1] == 'i' || text[1] == 'I');
	const char *at =
		length ? strchr(letters, text[0] == 'K' ? 'k' : toupper((unsigned char)text[0])) : NULL;

	*out = 1;
	if (length == 0)
		return true;
	if (text[0] == 'k')
		at = letters;
	if (!at || !*at || length > 2 || (length == 2 && !binary))
		return false;
	for (const char *l = letters; l <= at; l++)
		*out *= binary ? 1024 : 1000;
	return true;
}

/* 443, 0x1bb, 1.5M, 64Ki: at most `max`. */
static bool read_number(uint64_t *out, const char *text, size_t length, uint64_t max)
{
	char copy[40], *end;
	uint64_t factor, fraction = 0, scale = 1;

	if (length == 0 || length >= sizeof copy || !isdigit((unsigned char)text[0]))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	errno = 0;
	if (copy[0] == '0' && (copy[1] == 'x' || copy[1] == 'X')) {
		if (!isxdigit((unsigned char)copy[2]))
			return false;
		*out = strtoull(copy, &end, 16);
		return *end == '\0' && errno == 0 && *out <= max;
	}
	*out = strtoull(copy, &end, 10);
	if (errno)
		return false;
	if (*end == '.') {
		if (!isdigit((unsigned char)*++end))
			return false;
		for (; isdigit((unsigned char)*end) && scale < 100000; end++, scale *= 10)
			fraction = fraction * 10 + (uint64_t)(*end - '0');
	}
	if (!suffix_factor(end, strlen(end), &factor) || (scale > 1 && factor == 1) ||
	    fraction * factor % scale || __builtin_mul_overflow(*out, factor, out) ||
	    __builtin_add_overflow(*out, fraction * factor / scale, out))
		return false;
	return *out <= max;
}

static bool read_range(struct filter_value *out, const char *text, size_t length, uint64_t max)
{
	const char *dash = memchr(text, '-', length);

	out->kind = FILTER_NUMBER;
	if (!dash) {
		if (!read_number(&out->number.low, text, length, max))
			return false;
		out->number.high = out->number.low;
		return true;
	}
	return read_number(&out->number.low, text, (size_t)(dash - text), max) &&
	       read_number(&out->number.high, dash + 1, length - (size_t)(dash - text) - 1, max) &&
	       out->number.low <= out->number.high;
}

static void mask(uint8_t *address, unsigned octets, unsigned prefix)
{
	for (unsigned i = 0; i < octets; i++) {
		if (prefix >= 8 * (i + 1))
			continue;
		address[i] = (uint8_t)(prefix <= 8 * i ? 0 : address[i] & 0xffu << (8 - (prefix - 8 * i)));
	}
}

/* "10", "10.1": the octets in front of an IPv4 prefix. */
static bool short_ipv4(uint8_t *address, const char *text)
{
	unsigned count = 0;

	memset(address, 0, 4);
	for (;;) {
		char *end;
		if (count == 4 || !isdigit((unsigned char)*text))
			return false;
		const unsigned long octet = strtoul(text, &end, 10);
		if (octet > 255)
			return false;
		address[count++] = (uint8_t)octet;
		if (*end == '\0')
			return true;
		if (*end != '.')
			return false;
		text = end + 1;
	}
}

static bool read_prefix(struct filter_value *out, const char *text, size_t length)
{
	char copy[64], *slash;
	uint64_t bits;

	if (length == 0 || length >= sizeof copy)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	*out = (struct filter_value){.kind = FILTER_PREFIX};
	if (inet_pton(AF_INET, copy, out->address) == 1 || (slash && short_ipv4(out->address, copy)))
		out->version = 4;
	else if (inet_pton(AF_INET6, copy, out->address) == 1)
		out->version = 6;
	else
		return false;

	const unsigned most = out->version == 4 ? 32 : 128;
	bits = most;
	if (slash && (!read_number(&bits, slash, strlen(slash), most) || strlen(slash) > 3))
		return false;
	out->prefix = (uint8_t)bits;
	mask(out->address, most / 8, out->prefix);
	return true;
}

static bool read_flags(struct filter_value *out, const char *text, size_t length)
{
	static const char letters[] = "FSRPAUEC";
	uint64_t bits = 0;

	out->kind = FILTER_NUMBER;
	if (length && isdigit((unsigned char)text[0])) {
		if (!read_number(&bits, text, length, 0xfff))
			return false;
	} else {
		for (size_t i = 0; i < length; i++) {
			const int c = toupper((unsigned char)text[i]);
			const char *at = strchr(letters, c);

			if (c == 'X')
				bits |= 0x3f;
			else if (at && c)
				bits |= 1u << (at - letters);
			else
				return false;
		}
	}
	out->number.low = out->number.high = bits;
	return length > 0;
}

static bool read_named(struct filter_value *out, const char *text, size_t length, enum word_type type)
{
	static const struct {
		enum word_type type;
		const char *name;
		uint8_t number;
	} names[] = {
		{WORD_DIRECTION, "ingress", 0}, {WORD_DIRECTION, "egress", 1}, {WORD_DIRECTION, "in", 0},
		{WORD_DIRECTION, "out", 1},     {WORD_BOOLEAN, "false", 0},    {WORD_BOOLEAN, "true", 1},
		{WORD_BOOLEAN, "no", 0},        {WORD_BOOLEAN, "yes", 1},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].type == type && strlen(names[i].name) == length &&
		    strncasecmp(names[i].name, text, length) == 0) {
			out->kind = FILTER_NUMBER;
			out->number.low = out->number.high = names[i].number;
			return true;
		}
	return read_range(out, text, length, 1);
}

static bool read_protocol(struct filter_value *out, const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
		if (strlen(protocols[i].name) == length &&
		    strncasecmp(protocols[i].name, text, length) == 0) {
			out->kind = FILTER_NUMBER;
			out->number.low = out->number.high = protocols[i].number;
			return true;
		}
	return read_range(out, text, length, 255);
}

static bool read_signed(struct filter_value *out, const char *text, size_t length, uint64_t max)
{
	const bool minus = length && text[0] == '-';
	uint64_t n;

	if (!read_number(&n, text + minus, length - minus, minus ? max + 1 : max))
		return false;
	out->kind = FILTER_SIGNED;
	out->integer = minus ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

static bool read_real(struct filter_value *out, const char *text, size_t length)
{
	char copy[48], *end;

	if (length == 0 || length >= sizeof copy)
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (strspn(copy, "0123456789.eE+-") < length)
		return false;
	out->kind = FILTER_REAL;
	out->real = strtod(copy, &end);
	return *end == '\0' && end != copy && out->real - out->real == 0; /* infinity is no value */
}

static bool read_octets(const char *text, size_t length)
{
	if (length < 2 || length % 2 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
		return false;
	for (size_t i = 2; i < length; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return true;
}

const char *filter_value_read(struct filter_value *out, const struct value_context *c, const char *text,
			      size_t length, bool quoted)
{
	const uint64_t max = filter_kind_max(c->kind);

	*out = (struct filter_value){.kind = FILTER_SIGNED};
	switch (c->type) {
	case WORD_NUMBER: return read_range(out, text, length, max) ? NULL : "a number or a range";
	case WORD_SIGNED: return read_signed(out, text, length, max) ? NULL : "a number";
	case WORD_REAL: return read_real(out, text, length) ? NULL : "a number";
	case WORD_ADDRESS: return read_prefix(out, text, length) ? NULL : "an address or a prefix";
	case WORD_IPV4:
		return read_prefix(out, text, length) && out->version == 4 ? NULL
									   : "an IPv4 address or prefix";
	case WORD_IPV6:
		return read_prefix(out, text, length) && out->version == 6 ? NULL
									   : "an IPv6 address or prefix";
	case WORD_EXPORTER:
		return read_prefix(out, text, length) && out->prefix == (out->version == 4 ? 32 : 128)
			       ? NULL
			       : "an address";
	case WORD_PROTOCOL:
		return read_protocol(out, text, length) ? NULL
							: "a protocol: tcp, udp, icmp, icmp6 or a number";
	case WORD_FLAGS:
		return read_flags(out, text, length) ? NULL : "TCP flags: letters of UAPRSFEC, or a number";
	case WORD_DURATION:
		return duration_parse(&out->integer, text, length)
			       ? NULL
			       : "a duration with its unit: 5s, 100ms, 2m, 1h";
	case WORD_TIME:
		return when_parse(&out->integer, text, length, c->now_ms)
			       ? NULL
			       : "a time: 2026-11-22T10:00:00Z, or 1h for an hour ago";
	case WORD_DIRECTION: return read_named(out, text, length, c->type) ? NULL : "ingress or egress";
	case WORD_BOOLEAN: return read_named(out, text, length, c->type) ? NULL : "true or false";
	case WORD_OCTETS:
		out->kind = FILTER_TEXT;
		return read_octets(text, length) ? NULL : "octets in hexadecimal: 0x0a0b";
	case WORD_INTERFACE:
		if (!quoted && read_range(out, text, length, max))
			return NULL;
		out->kind = FILTER_TEXT;
		return length ? NULL : "an interface: its number or name";
	default: out->kind = FILTER_TEXT; return length ? NULL : "a text";
	}
}

static void print_time(struct sql *out, int64_t ms)
{
	const time_t seconds = (time_t)(ms >= 0 ? ms / 1000 : -((999 - ms) / 1000));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	sql_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		   tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms - (int64_t)seconds * 1000));
}

static void print_prefix(struct sql *out, const struct filter_value *v)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(v->version == 4 ? AF_INET : AF_INET6, v->address, text, sizeof text);
	sql_put(out, text);
	if (v->prefix != (v->version == 4 ? 32 : 128))
		sql_format(out, "/%u", v->prefix);
}

void filter_value_print(struct sql *out, const struct filter_value *v, enum word_type type)
{
	switch ((enum filter_value_kind)v->kind) {
	case FILTER_NUMBER:
		sql_format(out, "%" PRIu64, v->number.low);
		if (v->number.high != v->number.low)
			sql_format(out, "-%" PRIu64, v->number.high);
		break;
	case FILTER_SIGNED:
		if (type == WORD_TIME)
			print_time(out, v->integer);
		else
			sql_format(out, "%" PRId64 "%s", v->integer, type == WORD_DURATION ? "ms" : "");
		break;
	case FILTER_REAL: sql_format(out, "%.17g", v->real); break;
	case FILTER_PREFIX: print_prefix(out, v); break;
	case FILTER_TEXT:
		if (type == WORD_OCTETS) {
			sql_put(out, v->text);
		} else {
			const char quote[] = {strchr(v->text, '"') ? '\'' : '"', '\0'};

			sql_put(out, quote);
			sql_put(out, v->text);
			sql_put(out, quote);
		}
		break;
	}
}
