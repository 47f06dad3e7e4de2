#include "store/hearing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BEATS_NEEDED = 3,  /* before anything follows from silence */
	BEAT_MAX_S = 3600, /* who tells more seldom is not expected */
	GRACE_S = 2,       /* Export Times are whole seconds, and messages wait a moment */
	JOIN_S = 60,       /* losses so close are one gap */
};

const char *const gap_kind_names[GAP_KINDS] = {[GAP_LOST] = "lost", [GAP_UNHEARD] = "unheard"};

void hearing_fini(struct hearing *h)
{
	free(h->voices);
	free(h->gaps);
	*h = (struct hearing){0};
}

static bool have_room(struct hearing *h)
{
	if (!h->voices)
		h->voices = calloc(VOICES_MAX, sizeof *h->voices);
	if (!h->gaps)
		h->gaps = calloc(GAPS_MAX, sizeof *h->gaps);
	return h->voices && h->gaps;
}

/* NULL: there are too many. An origin remembers its voice: number + 1. */
static struct voice *voice_of(struct hearing *h, struct origin *o)
{
	if (o->voice)
		return &h->voices[o->voice - 1];
	for (uint32_t i = 0; i < h->voice_count; i++)
		if (h->voices[i].domain == o->domain && strcmp(h->voices[i].address, o->address) == 0) {
			o->voice = i + 1;
			return &h->voices[i];
		}
	if (h->voice_count == VOICES_MAX)
		return NULL;

	struct voice *v = &h->voices[h->voice_count++];
	snprintf(v->address, sizeof v->address, "%s", o->address);
	v->domain = o->domain;
	o->voice = h->voice_count;
	return v;
}

int64_t voice_patience(const struct voice *v)
{
	uint32_t longest = 0;

	if (v->beat_count < BEATS_NEEDED)
		return 0;
	for (unsigned i = 0; i < BEATS; i++)
		longest = v->beats[i] > longest ? v->beats[i] : longest;
	return longest ? 2 * (int64_t)longest + GRACE_S : 0;
}

/* Room for one more: the two oldest of one voice and kind become one, or the oldest goes. */
static struct gap *add_gap(struct hearing *h)
{
	uint32_t gone = 0;

	if (h->gap_count < GAPS_MAX)
		return &h->gaps[h->gap_count++];
	for (uint32_t i = 1; i < 64; i++)
		if (h->gaps[i].voice == h->gaps[0].voice && h->gaps[i].kind == h->gaps[0].kind) {
			h->gaps[i].from_s = h->gaps[0].from_s;
			h->gaps[i].records += h->gaps[0].records;
			break;
		}
	memmove(h->gaps + gone, h->gaps + gone + 1, (GAPS_MAX - 1 - gone) * sizeof *h->gaps);
	return &h->gaps[GAPS_MAX - 1];
}

/* Late records fill the newest gaps of their exporter. */
static void fill(struct hearing *h, uint32_t voice, uint64_t records)
{
	for (uint32_t i = h->gap_count; i-- && records;) {
		struct gap *g = &h->gaps[i];
		const uint64_t n = g->records < records ? g->records : records;

		if (g->voice != voice || g->kind != GAP_LOST)
			continue;
		g->records -= n;
		records -= n;
		if (g->records == 0) {
			memmove(g, g + 1, (h->gap_count - i - 1) * sizeof *g);
			h->gap_count--;
		}
	}
}

static void lose(struct hearing *h, uint32_t voice, int64_t from_s, int64_t to_s, uint64_t records)
{
	for (uint32_t i = h->gap_count, looked = 0; i-- && looked < 16; looked++) {
		struct gap *g = &h->gaps[i];

		/* The same minute, so that a joined gap is no wider than what it is shown in. */
		if (g->voice != voice || g->kind != GAP_LOST)
			continue;
		if (from_s < g->from_s || to_s / JOIN_S != g->from_s / JOIN_S)
			break;
		g->to_s = to_s > g->to_s ? to_s : g->to_s;
		g->records += records;
		return;
	}
	*add_gap(h) = (struct gap){.voice = voice, .from_s = from_s, .to_s = to_s, .records = records};
}

static void beat(struct voice *v, int64_t export_s)
{
	const int64_t since = export_s - v->told_s;

	if (v->told_s && since >= 1 && since <= BEAT_MAX_S)
		v->beats[v->beat_count++ % BEATS] = (uint32_t)since;
	if (export_s > v->told_s)
		v->told_s = export_s;
}

void hearing_note(struct hearing *h, struct origin *o, int64_t export_s, int64_t lost, bool options)
{
	struct voice *v = have_room(h) ? voice_of(h, o) : NULL;

	if (!v)
		return;
	const int64_t before = v->heard_s ? v->heard_s : export_s, patience = voice_patience(v);
	const bool unheard = patience && export_s - before > patience;

	if (unheard) {
		*add_gap(h) = (struct gap){
			.voice = o->voice - 1, .kind = GAP_UNHEARD, .from_s = before, .to_s = export_s};
		v->told_s = 0; /* that was no beat */
	}
	if (lost > 0)
		lose(h, o->voice - 1, before < export_s ? before : export_s, export_s, (uint64_t)lost);
	else if (lost < 0)
		fill(h, o->voice - 1, (uint64_t)-lost);
	if (options)
		beat(v, export_s);
	if (!v->first_s)
		v->first_s = export_s;
	if (export_s > v->heard_s)
		v->heard_s = export_s;
}

json_t *hearing_json(const struct hearing *h)
{
	json_t *voices = json_array(), *gaps = json_array();

	for (uint32_t i = 0; i < h->voice_count; i++) {
		const struct voice *v = &h->voices[i];
		json_t *beats = json_array();

		for (unsigned k = 0; k < BEATS; k++)
			json_array_append_new(beats, json_integer(v->beats[k]));
		json_array_append_new(voices,
				      json_pack("[s,I,I,I,I,I,o]", v->address, (json_int_t)v->domain,
						(json_int_t)v->first_s, (json_int_t)v->heard_s,
						(json_int_t)v->told_s, (json_int_t)v->beat_count, beats));
	}
	for (uint32_t i = 0; i < h->gap_count; i++) {
		const struct gap *g = &h->gaps[i];

		json_array_append_new(gaps, json_pack("[I,i,I,I,I]", (json_int_t)g->voice, (int)g->kind,
						      (json_int_t)g->from_s, (json_int_t)g->to_s,
						      (json_int_t)g->records));
	}
	return json_pack("{s:o,s:o}", "voices", voices, "gaps", gaps);
}

void hearing_restore(struct hearing *h, json_t *json)
{
	json_t *one;
	size_t i;

	hearing_fini(h);
	if (!json || !have_room(h))
		return;
	json_array_foreach(json_object_get(json, "voices"), i, one)
	{
		struct voice *v = &h->voices[h->voice_count];
		json_int_t domain, first, heard, told, count;
		json_t *beats;
		const char *address;

		if (h->voice_count == VOICES_MAX || json_unpack(one, "[s,I,I,I,I,I,o]", &address, &domain,
								&first, &heard, &told, &count, &beats) != 0)
			break;
		*v = (struct voice){.domain = (uint32_t)domain,
				    .first_s = first,
				    .heard_s = heard,
				    .told_s = told,
				    .beat_count = (uint32_t)count};
		snprintf(v->address, sizeof v->address, "%s", address);
		for (unsigned k = 0; k < BEATS; k++)
			v->beats[k] = (uint32_t)json_integer_value(json_array_get(beats, k));
		h->voice_count++;
	}
	json_array_foreach(json_object_get(json, "gaps"), i, one)
	{
		json_int_t voice, from, to, records;
		int kind;

		if (h->gap_count == GAPS_MAX ||
		    json_unpack(one, "[I,i,I,I,I]", &voice, &kind, &from, &to, &records) != 0 || voice < 0 ||
		    voice >= h->voice_count || kind < 0 || kind >= GAP_KINDS)
			break;
		h->gaps[h->gap_count++] = (struct gap){.voice = (uint32_t)voice,
						       .kind = (uint8_t)kind,
						       .from_s = from,
						       .to_s = to,
						       .records = (uint64_t)records};
	}
}
