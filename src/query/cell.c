#include "query/cell.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ie/value.h"
#include "query/value.h"

__extension__ typedef unsigned __int128 uint128;

bool cell_readable(duckdb_type type)
{
	switch (type) {
	case DUCKDB_TYPE_BOOLEAN:
	case DUCKDB_TYPE_TINYINT:
	case DUCKDB_TYPE_SMALLINT:
	case DUCKDB_TYPE_INTEGER:
	case DUCKDB_TYPE_BIGINT:
	case DUCKDB_TYPE_UTINYINT:
	case DUCKDB_TYPE_USMALLINT:
	case DUCKDB_TYPE_UINTEGER:
	case DUCKDB_TYPE_UBIGINT:
	case DUCKDB_TYPE_HUGEINT:
	case DUCKDB_TYPE_FLOAT:
	case DUCKDB_TYPE_DOUBLE:
	case DUCKDB_TYPE_TIMESTAMP:
	case DUCKDB_TYPE_TIMESTAMP_S:
	case DUCKDB_TYPE_TIMESTAMP_MS:
	case DUCKDB_TYPE_TIMESTAMP_NS:
	case DUCKDB_TYPE_VARCHAR:
	case DUCKDB_TYPE_BLOB:
	case DUCKDB_TYPE_UUID: return true;
	default: return false;
	}
}

/* DuckDB's strings and Parquet's are the same sixteen octets. */
_Static_assert(sizeof(duckdb_string_t) == sizeof(union parquet_text), "texts of one shape");

static struct span string_at(const void *data, idx_t row)
{
	const union parquet_text *t = (const union parquet_text *)data + row;

	return span_of(parquet_text_octets(t), t->near.length);
}

static struct cell wall(int64_t i, uint8_t digits)
{
	return (struct cell){.kind = CELL_WALL, .digits = digits, .i = i};
}

static struct cell unsigned_cell(uint64_t u)
{
	return (struct cell){.kind = CELL_UNSIGNED, .u = u};
}

static struct cell signed_cell(int64_t i)
{
	return (struct cell){.kind = CELL_SIGNED, .i = i};
}

/* A UUID's octets are a number of 128 bits whose first bit is turned over. */
static struct cell uuid_cell(const duckdb_hugeint *h)
{
	struct cell c = {.kind = CELL_UUID};

	put_be64(c.address, (uint64_t)h->upper ^ (1ull << 63));
	put_be64(c.address + 8, h->lower);
	return c;
}

static struct cell huge_cell(const duckdb_hugeint *h)
{
	return (struct cell){.kind = CELL_BIG,
			     .big = (int128)h->upper * ((int128)1 << 64) + (int128)h->lower};
}

static struct cell cell_at(const void *data, duckdb_type type, idx_t row)
{
	switch (type) {
	case DUCKDB_TYPE_BOOLEAN:
		return (struct cell){.kind = CELL_BOOLEAN, .yes = ((const bool *)data)[row]};
	case DUCKDB_TYPE_TINYINT: return signed_cell(((const int8_t *)data)[row]);
	case DUCKDB_TYPE_SMALLINT: return signed_cell(((const int16_t *)data)[row]);
	case DUCKDB_TYPE_INTEGER: return signed_cell(((const int32_t *)data)[row]);
	case DUCKDB_TYPE_BIGINT: return signed_cell(((const int64_t *)data)[row]);
	case DUCKDB_TYPE_UTINYINT: return unsigned_cell(((const uint8_t *)data)[row]);
	case DUCKDB_TYPE_USMALLINT: return unsigned_cell(((const uint16_t *)data)[row]);
	case DUCKDB_TYPE_UINTEGER: return unsigned_cell(((const uint32_t *)data)[row]);
	case DUCKDB_TYPE_UBIGINT: return unsigned_cell(((const uint64_t *)data)[row]);
	case DUCKDB_TYPE_HUGEINT: return huge_cell((const duckdb_hugeint *)data + row);
	case DUCKDB_TYPE_FLOAT:
		return (struct cell){.kind = CELL_REAL, .real = (double)((const float *)data)[row]};
	case DUCKDB_TYPE_DOUBLE: return (struct cell){.kind = CELL_REAL, .real = ((const double *)data)[row]};
	case DUCKDB_TYPE_TIMESTAMP: return wall(((const int64_t *)data)[row], 6);
	case DUCKDB_TYPE_TIMESTAMP_S: return wall(((const int64_t *)data)[row], 0);
	case DUCKDB_TYPE_TIMESTAMP_MS: return wall(((const int64_t *)data)[row], 3);
	case DUCKDB_TYPE_TIMESTAMP_NS: return wall(((const int64_t *)data)[row], 9);
	case DUCKDB_TYPE_VARCHAR: return (struct cell){.kind = CELL_TEXT, .text = string_at(data, row)};
	case DUCKDB_TYPE_BLOB: return (struct cell){.kind = CELL_BYTES, .text = string_at(data, row)};
	case DUCKDB_TYPE_UUID: return uuid_cell((const duckdb_hugeint *)data + row);
	default: return (struct cell){.kind = CELL_NULL};
	}
}

struct cell cell_read(duckdb_vector vector, duckdb_type type, idx_t row)
{
	uint64_t *valid = duckdb_vector_get_validity(vector);
	const void *data = duckdb_vector_get_data(vector);

	if (valid && !duckdb_validity_row_is_valid(valid, row))
		return (struct cell){.kind = CELL_NULL};
	return cell_at(data, type, row);
}

struct cell cell_of(const void *value, duckdb_type type)
{
	return cell_at(value, type, 0);
}

static struct cell ipv4_of(const struct cell *c)
{
	struct cell out = {.kind = CELL_IS_IPV4};

	if (c->kind != CELL_UNSIGNED)
		return *c;
	put_be32(out.address, (uint32_t)c->u);
	return out;
}

static struct cell ipv6_of(const struct cell *c)
{
	struct cell out = *c;

	if (out.kind == CELL_UUID)
		out.kind = CELL_IS_IPV6;
	return out;
}

struct cell cell_join(enum cell_format format, const struct cell *first, const struct cell *second)
{
	switch (format) {
	case CELL_ADDRESS: return first->kind != CELL_NULL ? ipv4_of(first) : ipv6_of(second);
	case CELL_IPV4: return ipv4_of(first);
	case CELL_IPV6: return ipv6_of(first);
	case CELL_TIME: return first->kind == CELL_SIGNED ? wall(first->i, 3) : *first;
	default: return *first;
	}
}

static void print_formatted(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print_formatted(struct text *t, const char *format, ...)
{
	char buffer[96];
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(buffer, sizeof buffer, format, args);
	va_end(args);
	if (n > 0)
		text_put(t, buffer, (size_t)n < sizeof buffer ? (size_t)n : sizeof buffer - 1);
}

static void print_big(struct text *t, int128 big)
{
	char digits[48], *at = digits + sizeof digits;
	uint128 n = big < 0 ? -(uint128)big : (uint128)big;

	do
		*--at = (char)('0' + (int)(n % 10));
	while (n /= 10);
	if (big < 0)
		*--at = '-';
	text_put(t, at, (size_t)(digits + sizeof digits - at));
}

static void print_wall(struct text *t, const struct cell *c)
{
	static const int64_t per_second[] = {[0] = 1, [3] = 1000, [6] = 1000000, [9] = 1000000000};
	char buffer[TEXT_PIECE_MAX];
	struct text quoted = {.data = buffer, .capacity = sizeof buffer};
	int64_t seconds = c->i / per_second[c->digits], rest = c->i % per_second[c->digits];
	uint8_t digits = c->digits;

	if (rest < 0) {
		rest += per_second[c->digits];
		seconds--;
	}
	rest *= 1000000000 / per_second[c->digits];
	if (digits == 6 && rest % 1000000 == 0) /* milliseconds, as Parquet gives them back */
		digits = 3;
	value_print_time(&quoted, seconds, (uint32_t)rest, digits);
	text_put(t, buffer + 1, quoted.used - 2);
}

static void print_uuid(struct text *t, const uint8_t *octets)
{
	for (unsigned i = 0; i < 16; i++)
		print_formatted(t, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", octets[i]);
}

void cell_print(struct text *t, const struct cell *c)
{
	char address[INET6_ADDRSTRLEN] = "";

	switch ((enum cell_kind)c->kind) {
	case CELL_NULL: break;
	case CELL_UNSIGNED: text_unsigned(t, c->u); break;
	case CELL_SIGNED: text_signed(t, c->i); break;
	case CELL_BIG: print_big(t, c->big); break;
	case CELL_REAL: print_formatted(t, "%.15g", c->real); break;
	case CELL_BOOLEAN: text_string(t, c->yes ? "true" : "false"); break;
	case CELL_WALL: print_wall(t, c); break;
	case CELL_TEXT: text_put(t, (const char *)c->text.data, c->text.length); break;
	case CELL_BYTES:
		text_string(t, "0x");
		for (size_t i = 0; i < c->text.length; i++)
			print_formatted(t, "%02x", c->text.data[i]);
		break;
	case CELL_UUID: print_uuid(t, c->address); break;
	case CELL_IS_IPV4:
	case CELL_IS_IPV6:
		inet_ntop(c->kind == CELL_IS_IPV4 ? AF_INET : AF_INET6, c->address, address, sizeof address);
		text_string(t, address);
		break;
	}
}

/* Octets of a character that must not reach a terminal: C0, DEL, C1, and what changes the direction of text.
 * 0: the character may pass. */
static unsigned dangerous(const uint8_t *at, size_t left)
{
	if (at[0] < 0x20 || at[0] == 0x7f)
		return 1;
	if (left >= 2 && at[0] == 0xc2 && at[1] < 0xa0)
		return 2;
	if (left >= 3 && at[0] == 0xe2 &&
	    ((at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
	     (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9)))
		return 3;
	return 0;
}

void cell_escape(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.length;) {
		const unsigned n = dangerous(s.data + i, s.length - i);

		if (n == 0)
			text_char(t, (char)s.data[i]);
		for (unsigned k = 0; k < n; k++)
			print_formatted(t, "\\x%02x", s.data[i + k]);
		i += n ? n : 1;
	}
}

/* 1.2 M: three digits and a unit. */
static void show_scaled(struct text *t, double v, const char *unit)
{
	static const char prefixes[] = " kMGTPE";
	unsigned i = 0;

	while (v >= 999.5 && i < sizeof prefixes - 2) {
		v /= 1000;
		i++;
	}
	if (i == 0)
		print_formatted(t, "%.0f%s%s", v, *unit ? " " : "", unit);
	else
		print_formatted(t, "%.*f %c%s", v < 99.95 ? 1 : 0, v, prefixes[i], unit);
}

static void show_duration(struct text *t, int64_t ms)
{
	const int64_t s = ms / 1000;

	if (ms < 0 || ms < 1000)
		print_formatted(t, "%" PRId64 "ms", ms);
	else if (ms < 60000)
		print_formatted(t, "%" PRId64 ".%03ds", s, (int)(ms % 1000));
	else if (s < 3600)
		print_formatted(t, "%" PRId64 "m%02ds", s / 60, (int)(s % 60));
	else if (s < 86400)
		print_formatted(t, "%" PRId64 "h%02dm", s / 3600, (int)(s / 60 % 60));
	else
		print_formatted(t, "%" PRId64 "d%02dh", s / 86400, (int)(s / 3600 % 24));
}

static double number_of(const struct cell *c)
{
	return c->kind == CELL_UNSIGNED ? (double)c->u
	       : c->kind == CELL_BIG    ? (double)c->big
	       : c->kind == CELL_REAL   ? c->real
					: (double)c->i;
}

static void show_flags(struct text *t, uint64_t bits)
{
	static const char letters[] = "CEUAPRSF";

	for (unsigned i = 0; i < 8; i++)
		text_char(t, bits >> (7 - i) & 1 ? letters[i] : '.');
}

void cell_show(struct text *t, const struct cell *c, enum cell_format format, const char *name)
{
	const bool number = c->kind == CELL_UNSIGNED || c->kind == CELL_SIGNED || c->kind == CELL_BIG;

	if (c->kind == CELL_TEXT) {
		cell_escape(t, c->text);
	} else if (format == CELL_YES && c->kind == CELL_BOOLEAN) {
		text_string(t, c->yes ? name : "");
	} else if (number && (format == CELL_OCTETS || format == CELL_COUNT)) {
		show_scaled(t, number_of(c), format == CELL_OCTETS ? "B" : "");
	} else if (c->kind == CELL_SIGNED && format == CELL_DURATION) {
		show_duration(t, c->i);
	} else if (c->kind == CELL_UNSIGNED && format == CELL_PROTOCOL && protocol_name((unsigned)c->u)) {
		text_string(t, protocol_name((unsigned)c->u));
	} else if (c->kind == CELL_UNSIGNED && format == CELL_FLAGS) {
		show_flags(t, c->u);
	} else if (c->kind == CELL_UNSIGNED && format == CELL_DIRECTION && c->u < 2) {
		text_string(t, c->u ? "egress" : "ingress");
	} else {
		cell_print(t, c);
	}
}
