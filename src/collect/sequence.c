#include "collect/sequence.h"

static const char *const names[SEQUENCE_EVENT_COUNT] = {
#define SEQUENCE(constant, name, text) [SEQUENCE_##constant] = name,
	SEQUENCE_EVENTS(SEQUENCE)
#undef SEQUENCE
};

const char *sequence_event_name(enum sequence_event event)
{
	return names[event];
}

static bool was_there(const struct sequence *s, uint32_t number, uint32_t export_time)
{
	for (unsigned i = 0; i < SEQUENCE_RECENT; i++)
		if (s->recent[i].used && s->recent[i].records && s->recent[i].number == number &&
		    s->recent[i].export_time == export_time)
			return true;
	return false;
}

static enum sequence_event judge(const struct sequence *s, uint32_t number, uint32_t export_time)
{
	const uint32_t ahead = number - s->expected;
	const bool newer = (int32_t)(export_time - s->export_time) > 0;

	if (!s->known)
		return SEQUENCE_FIRST;
	if (ahead == 0)
		return SEQUENCE_NEXT;
	if (ahead <= SEQUENCE_AHEAD_MAX)
		return s->uncounted ? SEQUENCE_UNCOUNTED : SEQUENCE_GAP;
	if (s->candidate_known && number == s->candidate)
		return SEQUENCE_RESTART;
	if (ahead >> 31 && was_there(s, number, export_time))
		return SEQUENCE_DUPLICATE;
	if (ahead >> 31 && !newer)
		return SEQUENCE_LATE;
	return number == 0 ? SEQUENCE_RESTART : SEQUENCE_STRAY;
}

enum sequence_event sequence_begin(struct sequence *s, struct sequence_stats *stats, uint32_t number,
				   uint32_t export_time)
{
	const enum sequence_event event = judge(s, number, export_time);
	const uint32_t ahead = number - s->expected;

	stats->events[event]++;
	if (event == SEQUENCE_GAP) {
		stats->lost += ahead;
		s->gap = ahead;
	} else if (event == SEQUENCE_UNCOUNTED) {
		stats->uncounted += ahead;
	}
	return event;
}

void sequence_end(struct sequence *s, struct sequence_stats *stats, enum sequence_event event,
		  uint32_t number, uint32_t export_time, uint32_t records, bool uncounted)
{
	if (event == SEQUENCE_LATE) {
		const uint32_t found = records < s->gap ? records : s->gap;

		s->gap -= found;
		stats->lost -= found;
	} else if (event == SEQUENCE_STRAY) {
		s->candidate = number + records;
		s->candidate_known = true;
	} else if (event != SEQUENCE_DUPLICATE) {
		if (event == SEQUENCE_RESTART)
			s->gap = 0;
		s->known = true;
		s->candidate_known = false;
		s->uncounted = uncounted;
		s->expected = number + records;
		s->export_time = export_time;
	}
	s->recent[s->recent_at].number = number;
	s->recent[s->recent_at].export_time = export_time;
	s->recent[s->recent_at].records = records;
	s->recent[s->recent_at].used = true;
	s->recent_at = (s->recent_at + 1) % SEQUENCE_RECENT;
}
