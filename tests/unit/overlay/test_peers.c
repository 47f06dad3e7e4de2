/* What is wrong with a frame to an address. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <string.h>

#include "overlay/peer_check.h"

enum { BEGIN_S = 1000 };

static const uint8_t near[4] = {10, 0, 0, 1}, far[4] = {10, 0, 0, 9}, group[4] = {239, 1, 1, 1};

static void fill(struct peer_table *t, bool endpoint, int64_t handshake_s)
{
	const uint8_t key[PEER_KEY_SIZE] = {1};
	struct peer *p;

	peer_table_clear(t);
	p = peer_table_add(t, key);
	assert_non_null(p);
	p->has_endpoint = endpoint;
	p->handshake_s = handshake_s;
	peer_table_allow(t, 4, near, 32);
	assert_int_equal(peer_table_complete(t), OK);
}

static void test_judge(void **state)
{
	const int64_t now = BEGIN_S * NS_PER_S;
	struct peer_table t = {0};

	fill(&t, true, BEGIN_S - 1);
	assert_int_equal(peer_judge(&t, now, 4, near, now, 0), REASON_UNKNOWN);
	assert_int_equal(peer_judge(&t, now, 4, far, now, 0), REASON_NO_PEER);
	assert_int_equal(peer_judge(&t, now, 4, group, now, 0), REASON_UNKNOWN);
	fill(&t, false, BEGIN_S - 1);
	assert_int_equal(peer_judge(&t, now, 4, near, now, 0), REASON_NO_ENDPOINT);
	t.incomplete = true; /* what is not there may be */
	assert_int_equal(peer_judge(&t, now, 4, far, now, 0), REASON_UNKNOWN);
	peer_table_fini(&t);
}

static void test_session(void **state)
{
	static const struct {
		const char *what;
		int64_t handshake_s; /* before the begin; 0: never */
		int64_t times_s[4];  /* of frames, after the begin; the peers are read just before */
		enum denial_reason wanted;
	} cases[] = {
		{"a fresh one", 10, {0, 1, 20, 100}, REASON_UNKNOWN},
		{"the first frame", 0, {0, 0, 0, 0}, REASON_UNKNOWN},
		{"before it has been waited for", 0, {0, 1, 2, 4}, REASON_UNKNOWN},
		{"no answer", 0, {0, 1, 4, 6}, REASON_NO_SESSION},
		{"an old one, no answer", 500, {0, 1, 4, 6}, REASON_NO_SESSION},
		{"it ends while nobody asks", 100, {0, 1, 2, 90}, REASON_UNKNOWN},
		{"asked long ago", 0, {0, 1, 6, 200}, REASON_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct peer_table t = {0};
		enum denial_reason got = REASON_UNKNOWN;

		fill(&t, true, cases[i].handshake_s ? BEGIN_S - cases[i].handshake_s : 0);
		for (int n = 0; n < 4; n++) {
			const int64_t time = (BEGIN_S + cases[i].times_s[n]) * NS_PER_S;

			got = peer_judge(&t, time, 4, near, time, 0);
		}
		if (got != cases[i].wanted)
			fail_msg("%s: %d", cases[i].what, (int)got);
		peer_table_fini(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
