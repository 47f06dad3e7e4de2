/* What the golden pairs cannot hold: typed values, sizes, files that are odd by their kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time.h"
#include "config/settings.h"

static enum status parse(struct settings *s, const char *text, struct error *err)
{
	settings_init(s);
	return settings_parse(s, "t", text, strlen(text), err);
}

static void values_reach_their_members(void **state)
{
	struct settings s;
	struct error err = {0};

	(void)state;
	assert_int_equal(
		parse(&s,
		      "{\"FlowMetadata\":{\"Enabled\":false,\"Direction\":\"ReceivedFromPeer\","
		      "\"Interval\":90000,\"IdleTimeout\":0,\"DscpKey\":true,\"MaxMessageSize\":65535,"
		      "\"ObservationDomainId\":4294967295,\"ObservationPoints\":[\"wg0\",\"tun1\"],"
		      "\"IpFixCollectors\":[\"Udp/192.0.2.1\",\"Udp/[2001:db8::1]:9995\"]}}",
		      &err),
		OK);
	assert_false(s.enabled);
	assert_int_equal(s.meter.directions, DIRECTIONS_RECEIVED);
	assert_int_equal(s.meter.interval_ns, 90 * NS_PER_S);
	assert_true(s.warn_interval);
	assert_int_equal(s.meter.idle_ns, 0);
	assert_true(s.meter.dscp_key);
	assert_int_equal(s.exporter.max_message, 65535);
	assert_int_equal(s.exporter.domain, UINT32_MAX);
	assert_int_equal(s.point_count, 2);
	assert_string_equal(s.point[0], "wg0");
	assert_string_equal(s.point[1], "tun1");
	assert_int_equal(s.exporter.collector_count, 2);
	assert_string_equal(s.exporter.collector[1].host, "2001:db8::1");
	assert_int_equal(s.exporter.collector[1].port, 9995);
}

/* A second reading replaces what it names and keeps the rest, so that a profile may be read over another. */
static void lists_are_replaced(void **state)
{
	static const char first[] =
		"{\"FlowMetadata\":{\"IpFixCollectors\":[\"Udp/192.0.2.1\"],\"MaxFlows\":99}}";
	static const char second[] = "{\"FlowMetadata\":{\"IpFixCollectors\":[\"Udp/192.0.2.2\"]}}";
	struct settings s;
	struct error err;

	(void)state;
	assert_int_equal(parse(&s, first, &err), OK);
	assert_int_equal(settings_parse(&s, "t", second, strlen(second), &err), OK);
	assert_int_equal(s.exporter.collector_count, 1);
	assert_string_equal(s.exporter.collector[0].host, "192.0.2.2");
	assert_int_equal(s.meter.max_flows, 99);
}

static void text_needs_no_end_mark(void **state)
{
	static const char text[] = "{\"FlowMetadata\":{\"Interval\":60000}}";
	struct settings s;
	struct error err;

	(void)state;
	for (size_t n = 0; n < sizeof text; n++) {
		char *exact = malloc(n ? n : 1); /* the sanitizer sees an octet read too many */

		assert_non_null(exact);
		memcpy(exact, text, n);
		settings_init(&s);
		const enum status status = settings_parse(&s, "t", exact, n, &err);
		free(exact);
		assert_int_equal(status, n == sizeof text - 1 ? OK : ERR_USAGE);
	}
}

/* Octets that no editor shows: they stand here rather than in a golden file. */
static void odd_octets(void **state)
{
	static const struct {
		const char *what, *text, *error; /* NULL: it is good */
	} cases[] = {
		{"lines end in CR LF", "{\r\n\t\"FlowMetadata\": {\r\n\t\"Interval\": 60000 } }\r\n", NULL},
		{"CR LF is one line's end", "{\r\n\"FlowMetadata\": {\r\n\t\"Interval\": 1 } }\r\n",
		 "t:3:14: FlowMetadata.Interval: 1 seen; 0 or at least 1000 (milliseconds) allowed"},
		{"no newline at the end", "{\"FlowMetadata\":{}}", NULL},
		{"a byte order mark", "\xef\xbb\xbf{\"FlowMetadata\":{}}", NULL},
		{"a byte order mark counts for no column", "\xef\xbb\xbf{\"FlowMetadata\":1}",
		 "t:1:17: FlowMetadata: 1 seen; an object { … } allowed"},
		{"only space", "\n\n   \n", "t:1:1: the file is empty; { \"FlowMetadata\": { … } } expected"},
		{"Latin-1 in a string", "{\"FlowMetadata\":{\"Direction\":\"B\xffoth\"}}",
		 "t:1:32: \\xff seen inside a string; not UTF-8; save the file as UTF-8"},
		{"Latin-1 outside", "{ \xe9: 1 }",
		 "t:1:3: \\xe9 seen; a name in double quotes or '}' expected; not UTF-8; save the file as "
		 "UTF-8"},
		{"a no-break space", "{ \xc2\xa0\"FlowMetadata\":{}}",
		 "t:1:3: \xc2\xa0 seen; a name in double quotes or '}' expected; a no-break space; use an "
		 "ordinary one"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error err = {0};
		struct settings s;
		const enum status status = parse(&s, cases[i].text, &err);

		if ((status == OK) != !cases[i].error ||
		    strcmp(err.text, cases[i].error ? cases[i].error : "") != 0)
			fail_msg("%s: status %d, \"%s\"", cases[i].what, status, err.text);
	}
}

static void size_is_bounded(void **state)
{
	static const char section[] = "{\"FlowMetadata\":{}}";
	const size_t length = PROFILE_OCTETS_MAX;
	char *text = malloc(length + 1);
	struct settings s;
	struct error err = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', length + 1);
	memcpy(text, section, sizeof section - 1);
	settings_init(&s);
	assert_int_equal(settings_parse(&s, "t", text, length, &err), OK);
	assert_int_equal(settings_parse(&s, "t", text, length + 1, &err), ERR_LIMIT);
	assert_non_null(strstr(err.text, "larger than 1048576 octets"));
	free(text);
}

static void endless_files_are_refused(void **state)
{
	struct settings s;
	struct error err = {0};

	(void)state;
	settings_init(&s);
	assert_int_equal(settings_load(&s, "/dev/zero", &err), ERR_LIMIT);
	assert_int_equal(settings_load(&s, "/", &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "folder"));
	assert_int_equal(settings_load(&s, "/dev/null", &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "empty"));
}

static void unreadable_files_say_so(void **state)
{
	char path[] = "/tmp/weir-profile-XXXXXX";
	const int fd = mkstemp(path);
	struct settings s;
	struct error err = {0};

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, 0), 0);
	const bool root = geteuid() == 0; /* who reads everything, so be somebody else for a moment */
	if (root)
		assert_int_equal(seteuid(65534), 0);
	settings_init(&s);
	const enum status status = settings_load(&s, path, &err);
	if (root)
		assert_int_equal(seteuid(0), 0);
	unlink(path);
	assert_int_equal(status, ERR_PERMISSION);
	assert_non_null(strstr(err.text, "Permission denied"));
}

/* The place of a mistake survives a file name of any length. */
static void long_names_keep_the_place(void **state)
{
	static const char text[] = "{\"FlowMetadata\":{\n\"Interval\": 1}}";
	char name[4000];
	struct settings s;
	struct error err = {0};

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	settings_init(&s);
	assert_int_equal(settings_parse(&s, name, text, sizeof text - 1, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "n:2:13: FlowMetadata.Interval: 1 seen;"));
	assert_int_equal(settings_parse(&s, name, text, sizeof text - 1, NULL), ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_reach_their_members),
		cmocka_unit_test(lists_are_replaced),
		cmocka_unit_test(text_needs_no_end_mark),
		cmocka_unit_test(odd_octets),
		cmocka_unit_test(size_is_bounded),
		cmocka_unit_test(endless_files_are_refused),
		cmocka_unit_test(unreadable_files_say_so),
		cmocka_unit_test(long_names_keep_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
