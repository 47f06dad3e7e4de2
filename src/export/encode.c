/* Plain structs to the octets of Data Records.
 *
 * A layout is planned once into a few steps; neighbours that only need copying become one step. A record is
 * then one pass over the steps, each of a size the compiler knows. Bench: tests/bench/export.c. */
#include <stdlib.h>

#include "export/layout.h"
#include "message/writer.h"

enum step {
	COPY_1,
	COPY_2,
	COPY_4,
	COPY_16,
	COPY_32,
	COPY_ANY,
	SWAP_2,
	SWAP_4,
	SWAP_8,
	WIDEN_2_4,
	WIDEN_4_8,
	TEXT
};

enum { VARIABLE_SHORT_MAX = 254 };

static enum step copy_step(uint32_t length)
{
	switch (length) {
	case 1: return COPY_1;
	case 2: return COPY_2;
	case 4: return COPY_4;
	case 16: return COPY_16;
	case 32: return COPY_32;
	default: return COPY_ANY;
	}
}

static enum step number_step(const struct field *f)
{
	if (f->size == 1 && f->length == 1)
		return COPY_1;
	if (f->size == 2 && f->length == 2)
		return SWAP_2;
	if (f->size == 4 && f->length == 4)
		return SWAP_4;
	if (f->size == 8 && f->length == 8)
		return SWAP_8;
	if (f->size == 2 && f->length == 4)
		return WIDEN_2_4;
	if (f->size == 4 && f->length == 8)
		return WIDEN_4_8;
	abort(); /* a row of ours that nothing encodes: every test would show it */
}

static bool is_copy(const struct encode_step *s)
{
	return s->what <= COPY_ANY;
}

static struct encode_step step_of(const struct field *f)
{
	struct encode_step s = {.from = f->offset, .length = (uint8_t)f->size};

	switch ((enum field_form)f->form) {
	case FORM_TEXT: s.what = TEXT; break;
	case FORM_NUMBER: s.what = (uint8_t)number_step(f); break;
	case FORM_OCTETS:
		s.length = (uint8_t)f->length;
		s.what = (uint8_t)copy_step(s.length);
		break;
	}
	return s;
}

void encode_plan(struct layout *layout)
{
	layout->step_count = 0;
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct encode_step s = step_of(&layout->field[i]);
		struct encode_step *before =
			layout->step_count ? &layout->step[layout->step_count - 1] : NULL;

		if (before && is_copy(before) && is_copy(&s) && before->from + before->length == s.from) {
			before->length = (uint8_t)(before->length + s.length);
			before->what = (uint8_t)copy_step(before->length);
		} else {
			layout->step[layout->step_count++] = s;
		}
	}
}

/* Octets that a UTF-8 character with this first octet has (RFC 3629); 0: it cannot begin one. */
static size_t announced_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Octets of the well-formed character at `s`, of which `left` are there; 0: ill-formed. *cut: the text ends
 * inside of it. */
static size_t character_length(const uint8_t *s, size_t left, bool *cut)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const size_t n = announced_length(s[0]);
	uint32_t value = n ? s[0] & (0x7fU >> n) : 0;

	if (n <= 1)
		return n;
	for (size_t i = 1; i < n; i++) {
		if (i == left) {
			*cut = true;
			return 0;
		}
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3fU);
	}
	return value < least[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : n;
}

/* RFC 7011 6.1.6: a string is UTF-8, never ill-formed. What is not becomes '?', octet by octet; a character
 * cut at the end of the array is left out. */
static size_t encode_text(const char *text, size_t size, uint8_t *out)
{
	const uint8_t *s = (const uint8_t *)text;
	const size_t length = strnlen(text, size);
	const size_t header = size > VARIABLE_SHORT_MAX ? 3 : 1;
	size_t used = 0;

	for (size_t i = 0; i < length;) {
		bool cut = false;
		const size_t n = character_length(s + i, length - i, &cut);

		if (cut)
			break;
		if (n == 0)
			out[header + used] = '?';
		else
			memcpy(out + header + used, s + i, n);
		used += n ? n : 1;
		i += n ? n : 1;
	}
	if (header == 1) {
		out[0] = (uint8_t)used;
	} else {
		out[0] = 255;
		put_be16(out + 1, (uint16_t)used);
	}
	return header + used;
}

static inline uint16_t load_16(const uint8_t *from)
{
	uint16_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline uint32_t load_32(const uint8_t *from)
{
	uint32_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline uint64_t load_64(const uint8_t *from)
{
	uint64_t v;
	memcpy(&v, from, sizeof v);
	return v;
}

size_t encode_record(const struct layout *layout, const void *record, uint8_t *out)
{
	return layout->shuffle_count ? shuffle_record(layout, record, out)
				     : encode_by_steps(layout, record, out);
}

size_t encode_by_steps(const struct layout *layout, const void *record, uint8_t *out)
{
	const struct encode_step *const end = layout->step + layout->step_count;
	uint8_t *at = out;

	for (const struct encode_step *s = layout->step; s < end; s++) {
		const uint8_t *from = (const uint8_t *)record + s->from;

		switch ((enum step)s->what) {
		case COPY_1: *at++ = *from; break;
		case COPY_2: memcpy(at, from, 2), at += 2; break;
		case COPY_4: memcpy(at, from, 4), at += 4; break;
		case COPY_16: memcpy(at, from, 16), at += 16; break;
		case COPY_32: memcpy(at, from, 32), at += 32; break;
		case COPY_ANY: memcpy(at, from, s->length), at += s->length; break;
		case SWAP_2: put_be16(at, load_16(from)), at += 2; break;
		case SWAP_4: put_be32(at, load_32(from)), at += 4; break;
		case SWAP_8: put_be64(at, load_64(from)), at += 8; break;
		case WIDEN_2_4: put_be32(at, load_16(from)), at += 4; break;
		case WIDEN_4_8: put_be64(at, load_32(from)), at += 8; break;
		case TEXT: at += encode_text((const char *)from, s->length, at); break;
		default: __builtin_unreachable(); /* steps are made above and nowhere else */
		}
	}
	return (size_t)(at - out);
}
