/* The table of properties: sound in itself, and the distance that finds the nearest name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "config/property.h"

static void distances(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"Interval", "Interval", 0},
		{"interval", "INTERVAL", 0},
		{"Intervall", "Interval", 1},
		{"Interva", "Interval", 1},
		{"Intarval", "Interval", 1},
		{"Intreval", "Interval", 1}, /* neighbours swapped count once */
		{"kitten", "sitting", 3},
		{"ca", "abc", 3}, /* optimal string alignment edits no part twice */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const unsigned d = edit_distance(cases[i].a, cases[i].b);

		if (d != cases[i].distance || edit_distance(cases[i].b, cases[i].a) != d)
			fail_msg("%s, %s: %u", cases[i].a, cases[i].b, d);
	}
}

static void long_names_are_compared_by_their_beginning(void **state)
{
	char a[300], b[300];

	(void)state;
	memset(a, 'a', sizeof a - 1);
	memset(b, 'b', sizeof b - 1);
	a[sizeof a - 1] = b[sizeof b - 1] = 0;
	assert_int_equal(edit_distance(a, b), 63);
	assert_non_null(property_nearest(a, NULL));
}

static void nearest_names(void **state)
{
	static const struct {
		const char *seen, *nearest;
	} cases[] = {
		{"ipfixcollectors", "IpFixCollectors"},
		{"IpFixCollector", "IpFixCollectors"},
		{"Enable", "Enabled"},
		{"Dierction", "Direction"},
		{"MaxFlow", "MaxFlows"},
		{"TemplateRefreshMessage", "TemplateRefreshMessages"},
		{"DSCPKey", "DscpKey"},
		{"SnapLen", "SnapLength"},
		{"TLS", "Tls"},
		{"Tls.Certificat", "Tls.Certificate"},
		{"Tls.CA", "Tls.Ca"},
		{"Tls.Enabled", "Tls.Key"}, /* only what the same object has */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct property *p = property_nearest(cases[i].seen, NULL);

		assert_null(property_find(cases[i].seen));
		if (strcmp(p->name, cases[i].nearest) != 0)
			fail_msg("%s: %s", cases[i].seen, p->name);
	}
}

static void every_row_is_sound(void **state)
{
	(void)state;
	assert_in_range(property_count, 16, 64); /* settings.c remembers 64 */
	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];
		const bool bare = p->type == PROPERTY_COLLECTORS || p->type == PROPERTY_NAMES ||
				  p->type == PROPERTY_ALLOWED || p->type == PROPERTY_GROUPS ||
				  p->type == PROPERTY_PREFIXES || p->type == PROPERTY_OBJECT;
		const bool text = p->type == PROPERTY_TEXT;
		const bool chain = p->type == PROPERTY_CHAIN;

		assert_ptr_equal(property_find(p->name), p);
		assert_true(bare    ? p->size == 0
			    : text  ? p->size >= 64 && p->unit
			    : chain ? p->size == sizeof(struct selector_chain)
				    : p->size <= 8 && p->scale >= 1);
		assert_true(p->type == PROPERTY_WORD ? p->words != NULL : p->meaning != NULL);
		if (p->type == PROPERTY_NUMBER) {
			assert_true(p->minimum < p->maximum);
			assert_true((p->standard >= p->minimum && p->standard <= p->maximum) ||
				    (p->standard == 0 && p->zero));
			assert_true(p->maximum <= INT64_MAX / p->scale / 4);
		}
	}
}

/* Whatever the table allows comes back from the settings unchanged: no member is too narrow. */
static void values_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < property_count; i++) {
		const struct property *p = &properties[i];
		const int64_t values[] = {0, p->type == PROPERTY_NUMBER ? p->minimum : 0,
					  p->type == PROPERTY_NUMBER ? p->maximum : 1, p->standard};
		struct settings settings;

		for (size_t v = 0; p->size && p->scale && v < sizeof values / sizeof *values; v++) {
			settings_init(&settings);
			property_set(p, &settings, values[v]);
			if (property_get(p, &settings) != values[v])
				fail_msg("%s: %lld became %lld", p->name, (long long)values[v],
					 (long long)property_get(p, &settings));
		}
	}
}

static void units_reach_the_settings(void **state)
{
	struct settings s;

	(void)state;
	settings_init(&s);
	assert_true(s.enabled);
	assert_int_equal(s.exporter.collector_count, 0);
	assert_int_equal(s.point_count, 0);
	assert_int_equal(s.meter.directions, DIRECTIONS_BOTH);
	assert_int_equal(s.meter.interval_ns, 0);
	assert_int_equal(s.meter.idle_ns, 15 * NS_PER_S);
	assert_int_equal(s.meter.linger_ns, NS_PER_S);
	assert_int_equal(s.meter.max_flows, 1048576);
	assert_false(s.meter.dscp_key);
	assert_int_equal(s.exporter.template_refresh_ns, 60 * NS_PER_S);
	assert_int_equal(s.exporter.template_refresh_messages, 1000);
	assert_int_equal(s.exporter.options_refresh_ns, 60 * NS_PER_S);
	assert_int_equal(s.exporter.max_message, 1400);
	assert_int_equal(s.exporter.domain, 0);
	assert_int_equal(s.ring_octets, 0);
	assert_int_equal(s.snap_octets, 0);
	assert_false(s.warn_interval);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(long_names_are_compared_by_their_beginning),
		cmocka_unit_test(nearest_names),
		cmocka_unit_test(every_row_is_sound),
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(units_reach_the_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
