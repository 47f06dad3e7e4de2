#include "collect/stream.h"

#include <stdlib.h>

void stream_begin(struct stream *s, uint32_t sequence, bool anywhere)
{
	*s = (struct stream){.base = sequence, .judged = anywhere, .frames.searching = anywhere};
}

void stream_fini(struct stream *s)
{
	free(s->window);
	s->window = NULL;
}

/* Note that [from, to) is there; pieces that touch become one. False: too many pieces. */
static bool note_piece(struct stream *s, size_t from, size_t to)
{
	unsigned first = 0, last;

	while (first < s->piece_count && s->pieces[first].to < from)
		first++;
	for (last = first; last < s->piece_count && s->pieces[last].from <= to; last++) {
		from = s->pieces[last].from < from ? s->pieces[last].from : from;
		to = s->pieces[last].to > to ? s->pieces[last].to : to;
	}
	if (first == last && s->piece_count == STREAM_PIECES_MAX)
		return false;
	memmove(&s->pieces[first + 1], &s->pieces[last], (s->piece_count - last) * sizeof s->pieces[0]);
	s->piece_count = s->piece_count - (last - first) + 1;
	s->pieces[first].from = from;
	s->pieces[first].to = to;
	return true;
}

static void join_pieces(struct stream *s)
{
	unsigned joined = 0;

	while (joined < s->piece_count && s->pieces[joined].from <= s->ready) {
		if (s->pieces[joined].to > s->ready)
			s->ready = s->pieces[joined].to;
		joined++;
	}
	s->piece_count -= joined;
	memmove(s->pieces, s->pieces + joined, s->piece_count * sizeof s->pieces[0]);
}

/* Forget the first `n` octets of the window. */
static void drop_front(struct stream *s, size_t n)
{
	const size_t end = s->piece_count ? s->pieces[s->piece_count - 1].to : s->ready;

	if (n == 0)
		return;
	memmove(s->window, s->window + n, end - n);
	s->base += (uint32_t)n;
	s->ready -= n;
	for (unsigned i = 0; i < s->piece_count; i++) {
		s->pieces[i].from -= n;
		s->pieces[i].to -= n;
	}
}

static void hand_out(struct stream *s, struct stream_stats *stats, stream_message *sink, void *arg)
{
	struct span part;

	if (!s->judged && s->ready >= 2) {
		s->judged = true;
		s->other = get_be16(s->window) != IPFIX_VERSION;
	}
	if (s->other || !s->judged)
		return;
	frame_more(&s->frames, s->window, s->ready, false);
	for (;;) {
		const enum frame_result result = frame_next(&s->frames, &part);

		if (result == FRAME_MESSAGE)
			sink(arg, part);
		else if (result == FRAME_DAMAGE)
			stats->damaged += part.length;
		else
			break;
	}
	drop_front(s, s->frames.at);
}

/* The first hole will not be filled any more: go on behind it, as after damage. */
static void skip_hole(struct stream *s, struct stream_stats *stats, stream_message *sink, void *arg)
{
	const size_t hole_end = s->piece_count ? s->pieces[0].from : s->ready;

	stats->lost += hole_end - s->ready;
	stats->damaged += s->ready;
	s->ready = hole_end;
	drop_front(s, hole_end);
	s->frames.searching = true;
	s->frames.skipped = 0;
	s->judged = true;
	join_pieces(s);
	hand_out(s, stats, sink, arg);
}

enum status stream_segment(struct stream *s, uint32_t sequence, struct span o, struct stream_stats *stats,
			   stream_message *sink, void *arg)
{
	int32_t offset = (int32_t)(sequence - s->base);

	if (s->other || o.length == 0)
		return OK;
	if (!s->window && !(s->window = malloc(STREAM_WINDOW)))
		return ERR_MEMORY;
	while (offset > 0 && (size_t)offset + o.length > STREAM_WINDOW && (s->ready || s->piece_count)) {
		skip_hole(s, stats, sink, arg);
		offset = (int32_t)(sequence - s->base);
	}
	if (offset > 0 && (size_t)offset + o.length > STREAM_WINDOW) { /* nothing waits: begin anew there */
		stats->lost += (uint32_t)offset;
		s->base = sequence;
		s->frames.searching = s->judged = true;
		s->frames.skipped = 0;
		offset = 0;
	}
	if (offset < 0) { /* a copy of what has been handed out */
		if (o.length <= (size_t) - (int64_t)offset)
			return OK;
		o = span_of(o.data - offset, o.length - (size_t) - (int64_t)offset);
		offset = 0;
	}
	if (o.length > STREAM_WINDOW - (size_t)offset)
		return OK; /* no segment is as long as the window */

	const size_t from = (size_t)offset, to = from + o.length;
	const size_t fresh = from < s->ready ? (to < s->ready ? to : s->ready) - from : 0;
	memcpy(s->window + from + fresh, o.data + fresh, o.length - fresh);
	if (to > s->ready && !note_piece(s, from > s->ready ? from : s->ready, to))
		return OK; /* it will be missed as if it had been lost */
	join_pieces(s);
	hand_out(s, stats, sink, arg);
	return OK;
}
