#include "store/constant_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_signed(enum parquet_type type)
{
	return type >= PARQUET_SIGNED8 && type <= PARQUET_SIGNED64;
}

/* Little end first, so a narrow value is where the wide one is. */
static bool read_number(struct constant_value *out, const char *text)
{
	const unsigned bits = 8 * (unsigned)parquet_width(out->type);
	char *end;

	if (!isdigit((unsigned char)text[*text == '-']))
		return false;
	errno = 0;
	if (is_signed(out->type)) {
		out->value.i = strtoll(text, &end, 10);
		return errno == 0 && !*end && out->value.i >= INT64_MIN >> (64 - bits) &&
		       out->value.i <= INT64_MAX >> (64 - bits);
	}
	out->value.u = strtoull(text, &end, 10);
	return errno == 0 && !*end && *text != '-' && out->value.u <= UINT64_MAX >> (64 - bits);
}

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool read_uuid(struct constant_value *out, const char *text)
{
	unsigned digits = 0;

	for (; *text; text++) {
		const int digit = digit_of(*text);

		if (*text == '-')
			continue;
		if (digit < 0 || digits == 32)
			return false;
		out->value.octets[digits / 2] = (uint8_t)(out->value.octets[digits / 2] << 4 | digit);
		digits++;
	}
	return digits == 32;
}

bool constant_value_read(struct constant_value *out, enum column_kind kind, const char *text)
{
	*out = (struct constant_value){.type = column_parquet_type(kind)};
	switch (out->type) {
	case PARQUET_BOOLEAN:
		out->value.octets[0] = strcmp(text, "true") == 0;
		return out->value.octets[0] || strcmp(text, "false") == 0;
	case PARQUET_UNSIGNED8:
	case PARQUET_UNSIGNED16:
	case PARQUET_UNSIGNED32:
	case PARQUET_UNSIGNED64:
	case PARQUET_SIGNED8:
	case PARQUET_SIGNED16:
	case PARQUET_SIGNED32:
	case PARQUET_SIGNED64: return read_number(out, text);
	case PARQUET_UUID: return read_uuid(out, text);
	case PARQUET_TEXT: out->value.text = parquet_text(text, strlen(text)); return true;
	default: return false;
	}
}

void constant_value_bounds(const struct constant_value *v, struct parquet_bounds *out)
{
	*out = (struct parquet_bounds){.bounded =
					       v->type >= PARQUET_UNSIGNED8 && v->type <= PARQUET_SIGNED64};
	out->least.u = out->greatest.u = v->value.u;
}
