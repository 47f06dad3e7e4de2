/* Flow records to octets, sixteen at a time.
 *
 * A Data Record is its struct with the octets in another order, numbers turned round, and zeros in front of
 * those that are sent wider. So a layout without text is planned once as a list of shuffles: sixteen octets
 * of the struct, each moved to where the Data Record has it, into a block of sixteen that several of them
 * fill together. The plan is made from the same rows as the steps of encode.c, which are the reference in the
 * tests and serve all else. Bench: tests/bench/export.c. */
#include "export/layout.h"

#if defined(__x86_64__)
#include <tmmintrin.h>

enum { BLOCK = SHUFFLE_OCTETS, RECORD_MOST = FIELDS_MAX * 16, NOWHERE = 0xff, ZERO = UINT16_MAX };

/* Where each octet of the Data Record comes from; false: there is text. */
static bool trace(const struct layout *layout, uint16_t source[static RECORD_MOST])
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct field *f = &layout->field[i];
		const uint32_t length = f->length, wider = length > f->size ? length - f->size : 0;

		if (f->form == FORM_TEXT || at + length > RECORD_MOST)
			return false;
		for (uint32_t n = 0; n < length; n++)
			source[at++] = (uint16_t)(f->form == FORM_OCTETS ? f->offset + n
						  : n < wider            ? (uint32_t)ZERO
									 : f->offset + length - 1 - n);
	}
	return true;
}

/* Sixteen octets from `from` on: mask for those of `source` that lie in them, which are served then. */
static void cover(struct shuffle *s, uint16_t *source, uint16_t from)
{
	s->from = from;
	for (uint32_t n = 0; n < BLOCK; n++) {
		const bool inside = source[n] != ZERO && source[n] >= from && source[n] < from + BLOCK;

		s->mask[n] = inside ? (uint8_t)(source[n] - from) : NOWHERE;
		if (inside)
			source[n] = ZERO;
	}
}

static uint16_t least_of(const uint16_t *source)
{
	uint16_t least = ZERO;

	for (uint32_t n = 0; n < BLOCK; n++)
		least = source[n] < least ? source[n] : least;
	return least;
}

/* One block, by as many shuffles as it takes. Answers how many there are then; 0: too many. */
static uint32_t plan_block(struct layout *layout, uint32_t count, uint16_t *source, uint16_t to, size_t size)
{
	const uint16_t last = (uint16_t)(size - BLOCK);
	uint16_t least = least_of(source);

	do {
		if (count == SHUFFLES_MAX || (least != ZERO && least >= size))
			return 0;
		struct shuffle *s = &layout->shuffle[count++];

		cover(s, source, least > last ? last : least);
		least = least_of(source);
		s->to = least == ZERO ? to : SHUFFLE_GOES_ON;
	} while (least != ZERO);
	return count;
}

void shuffle_plan(struct layout *layout, size_t size)
{
	uint16_t source[RECORD_MOST], block[BLOCK];
	const uint32_t length = layout->record_length;
	uint32_t count = 0;

	layout->shuffle_count = 0;
	if (!__builtin_cpu_supports("ssse3") || size < BLOCK || length < BLOCK || !trace(layout, source))
		return;
	for (uint32_t to = 0; to < length; to += BLOCK) {
		if (to >
		    length - BLOCK) /* the last one once more in part, so that none goes beyond the end */
			to = length - BLOCK;
		memcpy(block, source + to, sizeof block);
		count = plan_block(layout, count, block, (uint16_t)to, size);
		if (count == 0)
			return;
	}
	layout->shuffle_count = (uint8_t)count;
}

__attribute__((target("ssse3"))) size_t shuffle_record(const struct layout *layout, const void *record,
						       uint8_t *out)
{
	const struct shuffle *const end = layout->shuffle + layout->shuffle_count;
	__m128i block = _mm_setzero_si128();

	for (const struct shuffle *s = layout->shuffle; s < end; s++) {
		const __m128i octets = _mm_loadu_si128((const void *)((const uint8_t *)record + s->from));
		const __m128i mask = _mm_loadu_si128((const void *)s->mask);

		block = _mm_or_si128(block, _mm_shuffle_epi8(octets, mask));
		if (s->to == SHUFFLE_GOES_ON)
			continue;
		_mm_storeu_si128((void *)(out + s->to), block);
		block = _mm_setzero_si128();
	}
	return layout->record_length;
}
#else
void shuffle_plan(struct layout *layout, size_t size)
{
	layout->shuffle_count = 0;
}

size_t shuffle_record(const struct layout *layout, const void *record, uint8_t *out)
{
	return encode_by_steps(layout, record, out);
}
#endif
