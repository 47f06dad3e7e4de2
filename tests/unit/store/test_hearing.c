/* When records were lost or an exporter was not heard: by Export Times alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/hearing.h"

enum { BEGIN = 1000000020 }; /* the begin of a minute */

static void tell(struct hearing *h, struct origin *o, int64_t from_s, int64_t to_s, int64_t every_s)
{
	for (int64_t s = from_s; s < to_s; s += every_s)
		hearing_note(h, o, s, 0, true);
}

static const struct voice *only(const struct hearing *h)
{
	assert_int_equal(h->voice_count, 1);
	return &h->voices[0];
}

static void is_gap(const struct hearing *h, uint32_t i, enum gap_kind kind, int64_t from_s, int64_t to_s,
		   uint64_t records)
{
	assert_true(i < h->gap_count);
	assert_int_equal(h->gaps[i].kind, kind);
	assert_int_equal(h->gaps[i].from_s, from_s);
	assert_int_equal(h->gaps[i].to_s, to_s);
	assert_int_equal(h->gaps[i].records, records);
}

static void test_silence_and_absence(void **state)
{
	struct hearing h = {0};
	struct origin o = {.domain = 1, .address = "10.0.0.1"}, quiet = {.domain = 2, .address = "10.0.0.1"};

	(void)state;
	hearing_note(&h, &quiet, BEGIN, 0, false); /* tells nothing of itself */
	assert_int_equal(voice_patience(&h.voices[0]), 0);
	tell(&h, &o, BEGIN, BEGIN + 600, 10);
	assert_int_equal(voice_patience(&h.voices[1]), 22);
	hearing_note(&h, &o, BEGIN + 610, 0, true); /* no flow between: silence */
	assert_int_equal(h.gap_count, 0);
	hearing_note(&h, &o, BEGIN + 632, 0, true); /* as long as its patience */
	assert_int_equal(h.gap_count, 0);
	hearing_note(&h, &o, BEGIN + 1232, 0, true);
	assert_int_equal(h.gap_count, 1);
	is_gap(&h, 0, GAP_UNHEARD, BEGIN + 632, BEGIN + 1232, 0);
	hearing_note(&h, &quiet, BEGIN + 5000, 0, false);
	assert_int_equal(h.gap_count, 1);
	hearing_fini(&h);
}

static void test_lost_and_late(void **state)
{
	struct hearing h = {0};
	struct origin o = {.domain = 1, .address = "2001:db8::1"};

	(void)state;
	hearing_note(&h, &o, BEGIN, 0, false);
	hearing_note(&h, &o, BEGIN + 5, 30, false);
	hearing_note(&h, &o, BEGIN + 9, 12, false); /* in the same minute: one gap */
	assert_int_equal(h.gap_count, 1);
	is_gap(&h, 0, GAP_LOST, BEGIN, BEGIN + 9, 42);
	hearing_note(&h, &o, BEGIN + 300, 7, false);
	is_gap(&h, 1, GAP_LOST, BEGIN + 9, BEGIN + 300, 7);
	hearing_note(&h, &o, BEGIN + 301, -9, false); /* late ones fill the newest gap, then the one before */
	assert_int_equal(h.gap_count, 1);
	is_gap(&h, 0, GAP_LOST, BEGIN, BEGIN + 9, 40);
	hearing_note(&h, &o, BEGIN + 302, -1000, false);
	assert_int_equal(h.gap_count, 0);
	hearing_fini(&h);
}

static void test_bounds(void **state)
{
	struct hearing h = {0};
	struct origin o = {.domain = 1, .address = "10.0.0.1"};

	(void)state;
	hearing_note(&h, &o, BEGIN, 0, false);
	for (int64_t i = 1; i <= GAPS_MAX + 100; i++)
		hearing_note(&h, &o, BEGIN + 120 * i, 1, false);
	assert_int_equal(h.gap_count, GAPS_MAX);

	uint64_t records = 0;
	for (uint32_t i = 0; i < h.gap_count; i++)
		records += h.gaps[i].records;
	assert_int_equal(records, GAPS_MAX + 100); /* joined, not forgotten */
	for (uint32_t i = 0; i < VOICES_MAX + 10; i++) {
		struct origin other = {.domain = i, .address = "10.0.0.2"};

		hearing_note(&h, &other, BEGIN, 0, false);
	}
	assert_int_equal(h.voice_count, VOICES_MAX);
	hearing_fini(&h);
}

static void test_kept_over_a_restart(void **state)
{
	struct hearing h = {0}, again = {0};
	struct origin o = {.domain = 7, .address = "10.0.0.1"}, new = o;

	(void)state;
	tell(&h, &o, BEGIN, BEGIN + 100, 10);
	hearing_note(&h, &o, BEGIN + 100, 5, true);
	json_t *json = hearing_json(&h);
	hearing_restore(&again, json);
	assert_string_equal(only(&again)->address, "10.0.0.1");
	assert_int_equal(voice_patience(only(&again)), voice_patience(only(&h)));
	is_gap(&again, 0, GAP_LOST, BEGIN + 90, BEGIN + 100, 5);
	hearing_note(&again, &new, BEGIN + 400, 0, true); /* another session, the same voice: it was away */
	assert_int_equal(again.voice_count, 1);
	is_gap(&again, 1, GAP_UNHEARD, BEGIN + 100, BEGIN + 400, 0);
	json_decref(json);
	hearing_fini(&h);

	json = json_pack("{s:[[i]],s:[[i,i,i,i,i]]}", "voices", 1, "gaps", 9, 9, 9, 9, 9); /* damaged */
	hearing_restore(&again, json);
	assert_int_equal(again.voice_count + again.gap_count, 0);
	json_decref(json);
	hearing_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silence_and_absence),
		cmocka_unit_test(test_lost_and_late),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_kept_over_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
