/* The ring between metering and exporting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "export/ring.h"

static struct ring *make(uint32_t capacity)
{
	const size_t size = (ring_footprint(capacity) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, size);

	memset(memory, 0, size);
	return ring_init(memory, capacity);
}

/* A record's octets depend on its number, so that a mix-up shows. */
static uint16_t length_of(uint64_t n)
{
	return (uint16_t)(1 + n * 7919 % 300);
}

static bool put(struct ring *ring, uint64_t n)
{
	uint8_t *at = ring_reserve(ring, length_of(n));

	if (!at)
		return false;
	memset(at, (int)(n % 251), length_of(n));
	ring_commit(ring, (uint16_t)(n % 40), length_of(n), n, n * 2);
	return true;
}

static bool check(const struct ring_view *v, uint64_t n)
{
	bool good = v->length == length_of(n) && v->layout == n % 40 && v->packets == n && v->octets == n * 2;

	for (uint32_t i = 0; good && i < v->length; i++)
		good = v->data[i] == n % 251;
	return good;
}

/* Filled to the brim, emptied in part, at every alignment with the edge. */
static void test_order_and_wrap(void **state)
{
	struct ring *ring = make(4096);
	uint64_t in = 0, out = 0, position = 0;
	struct ring_view v;

	for (int round = 0; round < 2000; round++) {
		while (put(ring, in))
			in++;
		assert_in_range(in - out, 8, 4096 / 24);
		for (int i = 0; i < 1 + round % 7; i++, out++) {
			assert_int_equal(ring_peek(ring, position, &v), OK);
			assert_true(check(&v, out));
			position = v.next;
		}
		ring_release(ring, position);
	}
	for (; out < in; out++) {
		assert_int_equal(ring_peek(ring, position, &v), OK);
		assert_true(check(&v, out));
		position = v.next;
	}
	assert_int_equal(ring_peek(ring, position, &v), END);
	assert_int_equal(position, ring_head(ring));
	free(ring);
}

/* The other side may be another process gone wrong: no length of its is believed. */
static void test_damage_is_refused(void **state)
{
	struct ring_view v;

	for (uint32_t at = 0; at < 8; at++) {
		for (uint32_t value = 0; value < 256; value++) {
			struct ring *ring = make(4096);

			assert_true(put(ring, 5));
			/* The entry's header: size, layout, length. */
			uint8_t *header = ring_reserve(ring, 1) - 24 - 24 - (length_of(5) + 7) / 8 * 8;
			header[at] = (uint8_t)value;
			if (ring_peek(ring, 0, &v) == OK) {
				assert_true(v.next <= ring_head(ring));
				assert_true(v.length <= 4096 - 24);
			}
			free(ring);
		}
	}
}

enum { THREAD_RECORDS = 200000 };

static void *producer(void *arg)
{
	for (uint64_t n = 0; n < THREAD_RECORDS;) {
		if (put(arg, n))
			n++;
		else
			sched_yield();
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	struct ring *ring = make(1 << 16);
	uint64_t position = 0, bad = 0;
	struct ring_view v;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, producer, ring), 0);
	for (uint64_t n = 0; n < THREAD_RECORDS;) {
		if (ring_peek(ring, position, &v) != OK) {
			sched_yield();
			continue;
		}
		bad += !check(&v, n++);
		position = v.next;
		ring_release(ring, position);
	}
	pthread_join(thread, NULL);
	assert_int_equal(bad, 0);
	free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_wrap),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
