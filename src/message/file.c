#include "message/file.h"

enum probe { PROBE_NO, PROBE_YES, PROBE_UNPROVEN, PROBE_MORE };

static bool is_whole(const uint8_t *at, size_t length)
{
	struct message_reader check;

	return message_open(&check, span_of(at, length)) == MESSAGE_FAULT_NONE;
}

/* Does a message begin at `from`? Yes needs the version of the next one right behind it, or the end of the
 * stream there; unproven: its length fits, but something else follows. */
static enum probe probe(const struct frame_reader *r, size_t from)
{
	const size_t left = r->length - from;

	if (left >= 2 && get_be16(r->window + from) != IPFIX_VERSION)
		return PROBE_NO;
	if (left < 4)
		return r->final ? PROBE_NO : PROBE_MORE;

	const size_t length = get_be16(r->window + from + 2);
	if (length < IPFIX_HEADER_LENGTH)
		return PROBE_NO;
	if (left < length)
		return r->final ? PROBE_NO : PROBE_MORE;
	if (left - length >= 2)
		return get_be16(r->window + from + length) == IPFIX_VERSION ? PROBE_YES : PROBE_UNPROVEN;
	if (r->final)
		return left == length ? PROBE_YES : PROBE_UNPROVEN;
	/* A whole message is not held back for the next one; after damage nothing is taken on its own word.
	 */
	if (r->searching || !is_whole(r->window + from, length))
		return PROBE_MORE;
	return PROBE_YES;
}

static enum frame_result hand_out(struct frame_reader *r, size_t length, enum frame_result result,
				  struct span *out)
{
	*out = span_of(r->window + r->at, length);
	r->at += length;
	r->skipped = 0;
	return result;
}

static enum frame_result search(struct frame_reader *r, struct span *out)
{
	for (;;) {
		const uint8_t *from = r->window + r->at + r->skipped;
		const size_t left = frame_left(r) - r->skipped;
		const uint8_t *zero = left ? memchr(from, 0, left) : NULL;

		r->skipped = zero ? (size_t)(zero - r->window) - r->at : frame_left(r);
		const enum probe found = zero ? probe(r, r->at + r->skipped) : PROBE_MORE;
		if (found == PROBE_YES) {
			r->searching = false;
			return r->skipped ? hand_out(r, r->skipped, FRAME_DAMAGE, out) : frame_next(r, out);
		}
		if (found == PROBE_MORE) {
			if (r->skipped) /* a long search gives back what is behind it */
				return hand_out(r, r->skipped, FRAME_DAMAGE, out);
			return r->final ? FRAME_END : FRAME_MORE;
		}
		r->skipped++;
	}
}

enum frame_result frame_next(struct frame_reader *r, struct span *out)
{
	if (r->searching)
		return search(r, out);
	if (frame_left(r) == 0)
		return r->final ? FRAME_END : FRAME_MORE;

	const enum probe found = probe(r, r->at);
	if (found == PROBE_MORE)
		return FRAME_MORE;

	const size_t length = frame_left(r) >= 4 ? get_be16(r->window + r->at + 2) : 0;
	if (found == PROBE_YES)
		return hand_out(r, length, FRAME_MESSAGE, out);
	/* What follows is not a message: either this one's length is wrong, or the damage is behind it. */
	r->searching = true;
	if (found == PROBE_UNPROVEN && is_whole(r->window + r->at, length))
		return hand_out(r, length, FRAME_MESSAGE, out);
	r->skipped = 1;
	return search(r, out);
}
