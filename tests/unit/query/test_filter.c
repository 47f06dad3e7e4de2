/* The filter language: text -> SQL, and what is refused where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/filter.h"

#define NOW 1763805600000 /* 2025-11-22T10:00:00Z */

static char *sql_of(const char *text)
{
	struct filter *filter;
	struct filter_error err;
	struct sql sql;

	if (filter_parse(&filter, text, strlen(text), NOW, &err) != OK) {
		print_error("%s: character %zu: %s\n", text, err.at + 1, err.text);
		return NULL;
	}
	sql_init(&sql);
	filter_sql(&sql, filter, NULL);
	assert_false(sql.failed);
	filter_free(filter);
	return sql.text;
}

static const struct {
	const char *text, *sql;
} sql_cases[] = {
	{"", "true"},
	{"any", "true"},
	{"src 10.0.0.1", "\"sourceIPv4Address\" = 167772161"},
	{"src host 10.0.0.1", "\"sourceIPv4Address\" = 167772161"},
	{"src net 10.0.0.0/8 and dst port 443 and not proto icmp",
	 "\"sourceIPv4Address\" BETWEEN 167772160 AND 184549375 AND \"destinationTransportPort\" = "
	 "443 AND "
	 "(\"protocolIdentifier\" = 1) IS NOT TRUE"},
	{"host 10.0.0.1", "(\"sourceIPv4Address\" = 167772161 OR \"destinationIPv4Address\" = 167772161)"},
	{"net 10.1/16",
	 "(\"sourceIPv4Address\" BETWEEN 167837696 AND 167903231 OR \"destinationIPv4Address\" "
	 "BETWEEN 167837696 AND 167903231)"},
	{"src 10.1.2.3/16", "\"sourceIPv4Address\" BETWEEN 167837696 AND 167903231"},
	{"src 0.0.0.0/0", "\"sourceIPv4Address\" BETWEEN 0 AND 4294967295"},
	{"dst 2001:db8::/33",
	 "\"destinationIPv6Address\" BETWEEN '20010db8-0000-0000-0000-000000000000'::UUID AND "
	 "'20010db8-7fff-ffff-ffff-ffffffffffff'::UUID"},
	{"dst ::1", "\"destinationIPv6Address\" = '00000000-0000-0000-0000-000000000001'::UUID"},
	{"sourceIPv4Address = 10.0.0.1", "\"sourceIPv4Address\" = 167772161"},
	{"sourceipv4address 10.0.0.0/24", "\"sourceIPv4Address\" BETWEEN 167772160 AND 167772415"},
	{"port 80", "(\"sourceTransportPort\" = 80 OR \"destinationTransportPort\" = 80)"},
	{"port in {80,443}",
	 "(\"sourceTransportPort\" IN (80, 443) OR \"destinationTransportPort\" IN (80, 443))"},
	{"dst port {80 443 1000-2000}", "(\"destinationTransportPort\" IN (80, 443) OR "
					"\"destinationTransportPort\" BETWEEN 1000 AND 2000)"},
	{"port 1000-2000",
	 "(\"sourceTransportPort\" BETWEEN 1000 AND 2000 OR \"destinationTransportPort\" BETWEEN "
	 "1000 AND 2000)"},
	{"src port>1023", "\"sourceTransportPort\" > 1023"},
	{"sourceTransportPort in {80,443}", "(\"sourceTransportPort\" IN (80, 443))"},
	{"src port != 80", "(\"sourceTransportPort\" = 80) IS NOT TRUE"},
	{"not src port != 80", "\"sourceTransportPort\" = 80"},
	{"proto tcp", "\"protocolIdentifier\" = 6"},
	{"PROTO UDP", "\"protocolIdentifier\" = 17"},
	{"proto 47", "\"protocolIdentifier\" = 47"},
	{"tcp or udp", "(\"protocolIdentifier\" = 6 OR \"protocolIdentifier\" = 17)"},
	{"flags S and not flags A",
	 "(\"tcpControlBits\" & 2) = 2 AND ((\"tcpControlBits\" & 16) = 16) IS NOT TRUE"},
	{"flags SA", "(\"tcpControlBits\" & 18) = 18"},
	{"flags = S", "(\"tcpControlBits\" & 255) = 2"},
	{"flags 0", "(\"tcpControlBits\" & 255) = 0"},
	{"octets > 1M", "\"octetDeltaCount\" > 1000000"},
	{"bytes >= 1.5Ki", "\"octetDeltaCount\" >= 1536"},
	{"octets < 2G and packets <= 1k",
	 "\"octetDeltaCount\" < 2000000000 AND \"packetDeltaCount\" <= 1000"},
	{"packets >= 10", "\"packetDeltaCount\" >= 10"},
	{"duration > 5s", "(epoch_ms(\"flowEnd\") - epoch_ms(\"flowStart\")) > 5000"},
	{"duration < 1m30s", "(epoch_ms(\"flowEnd\") - epoch_ms(\"flowStart\")) < 90000"},
	{"dir egress", "\"flowDirection\" = 1"},
	{"dir in", "\"flowDirection\" = 0"},
	{"denied", "\"denied\""},
	{"not denied", "(\"denied\") IS NOT TRUE"},
	{"rule \"it's\"", "\"denialRuleName\" = 'it''s'"},
	{"rule ~ 'Trust'", "contains(lower(\"denialRuleName\"), lower('Trust'))"},
	{"reason in {1, 3-5}", "(\"denialReason\" = 1 OR \"denialReason\" BETWEEN 3 AND 5)"},
	{"rule in {a, b}", "(\"denialRuleName\" IN ('a', 'b'))"},
	{"exporter 192.0.2.1", "\"exporterAddress\" = '192.0.2.1'"},
	{"exporter 2001:DB8:0::1", "\"exporterAddress\" = '2001:db8::1'"},
	{"domain 7", "\"observationDomainId\" = 7"},
	{"if wg0", "(\"ingressInterface_name\" = 'wg0' OR \"egressInterface_name\" = 'wg0')"},
	{"interface 3", "(\"ingressInterface\" = 3 OR \"egressInterface\" = 3)"},
	{"in if \"3\"", "\"ingressInterface_name\" = '3'"},
	{"ipv4", "coalesce(\"sourceIPv4Address\", \"destinationIPv4Address\") IS NOT NULL"},
	{"(ipv4 || denied) && !tcp", "(coalesce(\"sourceIPv4Address\", \"destinationIPv4Address\") "
				     "IS NOT NULL OR \"denied\") AND "
				     "(\"protocolIdentifier\" = 6) IS NOT TRUE"},
	{"tcp or udp and denied",
	 "(\"protocolIdentifier\" = 6 OR \"protocolIdentifier\" = 17 AND \"denied\")"},
	{"not (tcp or udp)",
	 "(\"protocolIdentifier\" = 6) IS NOT TRUE AND (\"protocolIdentifier\" = 17) IS NOT TRUE"},
	{"not (tcp and denied)", "((\"protocolIdentifier\" = 6) IS NOT TRUE OR (\"denied\") IS NOT TRUE)"},
	{"start >= 2025-11-22T09:00:00Z", "\"flowStart\" >= TIMESTAMP '2025-11-22 09:00:00.000'"},
	{"end < 1h", "\"flowEnd\" < TIMESTAMP '2025-11-22 09:00:00.000'"},
	{"flowEndReason 3", "\"flowEndReason\" = 3"},
	{"mplsTopLabelType = 2", "\"mplsTopLabelType\" = 2"},
	{"octetDeltaCount_scaled > 5", "\"octetDeltaCount_scaled\" > 5"},
	{"reverseOctetDeltaCount > 5", "\"reverseOctetDeltaCount\" > 5"},
	{"e32473.7 = 0x0aFF", "\"e32473.7\" = from_hex('0aFF')"},
	{"samplingProbability < 0.5", "\"samplingProbability\" < 0.5::DOUBLE"},
	{"dataRecordsReliability", "\"dataRecordsReliability\" = true"},
	{"userName = \"x'; DROP TABLE flows; --\"", "\"userName\" = 'x''; DROP TABLE flows; --'"},
};

static void test_sql(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sql_cases / sizeof sql_cases[0]; i++) {
		char *sql = sql_of(sql_cases[i].text);

		if (!sql || strcmp(sql, sql_cases[i].sql) != 0) {
			print_error("%s\n  expected %s\n  got      %s\n", sql_cases[i].text, sql_cases[i].sql,
				    sql ? sql : "an error");
			fail();
		}
		free(sql);
	}
}

static const struct {
	const char *text;
	size_t at, length;
	const char *message; /* stands in it */
} refused_cases[] = {
	{"prot tcp", 0, 4, "'prot' seen; a word of the filter language expected, perhaps 'proto'"},
	{"src 10.0.0.1 and", 16, 0, "the end seen; a test expected"},
	{"src 10.0.0.1 dst 10.0.0.2", 13, 3, "'and', 'or' or the end expected"},
	{"src 10.0.0", 4, 6, "an address or a prefix expected"},
	{"src 10.0.0.0/33", 4, 11, "an address or a prefix expected"},
	{"src 10.0.0.0/", 4, 9, "an address or a prefix expected"},
	{"dst 2001:db8::/129", 4, 14, "an address or a prefix expected"},
	{"port 65536", 5, 5, "a number or a range from 0 to 65535 expected"},
	{"port 20-10", 5, 5, "a range"},
	{"port > 10-20", 7, 5, "a range seen"},
	{"port -5", 5, 2, "a number"},
	{"octets > 99999999999999999999", 9, 20, "a number"},
	{"octets > 1.5", 9, 3, "a number"},
	{"octets > 1X", 9, 2, "a number"},
	{"octets > 18446744073709551615k", 9, 21, "a number"},
	{"proto nope", 6, 4, "a protocol"},
	{"proto 256", 6, 3, "a protocol"},
	{"flags Z", 6, 1, "TCP flags"},
	{"flags > S", 6, 1, "'=', '!=' or 'in' expected"},
	{"duration > 5", 11, 1, "a duration with its unit"},
	{"dir sideways", 4, 8, "ingress or egress"},
	{"(tcp", 4, 0, "'and', 'or' or ')' expected"},
	{"tcp)", 3, 1, "')' seen"},
	{"port in {80,", 12, 0, "expected"},
	{"port {}", 6, 1, "'}' seen"},
	{"rule \"open", 5, 5, "a quote that is not closed"},
	{"exporter 10.0.0.0/8", 9, 10, "an address expected"},
	{"port ~ 5", 5, 1, "~ is for texts"},
	{"time 5m", 5, 2, "--by"},
	{"sourceTransportPrt 5", 0, 18, "perhaps 'sourceTransportPort'"},
	{"qqqqqqqqqqqq", 0, 12, "or the name of an element expected"},
	{"e1.99999x 0x00", 0, 9, "expected"},
	{"e32473.7 = 0x0", 11, 3, "octets in hexadecimal"},
	{"; DROP TABLE flows", 0, 1, "';' seen"},
	{"\"sourceIPv4Address\" = 1", 0, 19, "a test expected"},
	{"start > yesterday", 8, 9, "a time"},
	{"not", 3, 0, "a test expected"},
	{"and tcp", 0, 3, "'and' seen; a test expected"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused_cases / sizeof refused_cases[0]; i++) {
		struct filter *filter = NULL;
		struct filter_error err = {0};
		const enum status s = filter_parse(&filter, refused_cases[i].text,
						   strlen(refused_cases[i].text), NOW, &err);

		if (s != ERR_USAGE || err.at != refused_cases[i].at ||
		    err.length != refused_cases[i].length || !strstr(err.text, refused_cases[i].message)) {
			print_error("%s: status %d, at %zu+%zu: %s\n  expected at %zu+%zu: %s\n",
				    refused_cases[i].text, s, err.at, err.length, err.text,
				    refused_cases[i].at, refused_cases[i].length, refused_cases[i].message);
			fail();
		}
		assert_null(filter);
	}
}

static void test_caret(void **state)
{
	static const struct {
		const char *text, *caret;
	} cases[] = {
		{"tcp and prot 6", "  tcp and prot 6\n          ^^^^"},
		{"tcp and", "  tcp and\n         ^"},
		{"rule \"grün\" and prot 6", "  rule \"grün\" and prot 6\n                  ^^^^"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct filter *filter;
		struct filter_error err;
		char caret[512];

		assert_int_equal(filter_parse(&filter, cases[i].text, strlen(cases[i].text), NOW, &err),
				 ERR_USAGE);
		filter_error_caret(caret, sizeof caret, cases[i].text, strlen(cases[i].text), &err);
		assert_string_equal(caret, cases[i].caret);
	}
}

/* Text of `count` times `piece`. */
static char *many(const char *piece, unsigned count, const char *end)
{
	const size_t n = strlen(piece);
	char *text = malloc(n * count + strlen(end) + 1);

	assert_non_null(text);
	for (unsigned i = 0; i < count; i++)
		memcpy(text + i * n, piece, n);
	strcpy(text + n * count, end);
	return text;
}

static void test_bounds(void **state)
{
	static const struct {
		const char *piece;
		unsigned count;
		const char *end, *message; /* NULL: it is taken */
	} cases[] = {
		{"(", FILTER_DEPTH_MAX + 1, "tcp", "flatter"},
		{"not ", FILTER_DEPTH_MAX + 1, "tcp", "flatter"},
		{"not ", FILTER_DEPTH_MAX, "tcp", NULL},
		{"tcp or ", 1000, "tcp", NULL},
		{"tcp or ", FILTER_NODES_MAX, "tcp", "shorter"},
		{"rule a or ", 1000, "tcp", NULL},
		{"                                ", FILTER_LENGTH_MAX / 32, " ", "octets seen"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *text = many(cases[i].piece, cases[i].count, cases[i].end);
		struct filter *filter = NULL;
		struct filter_error err = {0};
		const enum status s = filter_parse(&filter, text, strlen(text), NOW, &err);

		if (s != (cases[i].message ? ERR_USAGE : OK) ||
		    (cases[i].message && !strstr(err.text, cases[i].message))) {
			print_error("case %zu: status %d: %s\n", i, s, err.text);
			fail();
		}
		filter_free(filter);
		free(text);
	}
}

/* A column that the view lacks is a NULL, so the test fails and its "not" holds. */
static void test_missing_column(void **state)
{
	struct schema schema = {0};
	struct filter *filter;
	struct filter_error err;
	struct sql sql;
	static const char text[] = "src port 5 and dst 10.0.0.1";

	(void)state;
	assert_int_equal(schema_add(&schema, "sourceTransportPort", COLUMN_UNSIGNED16, 10), 0);
	assert_int_equal(filter_parse(&filter, text, strlen(text), NOW, &err), OK);
	sql_init(&sql);
	filter_sql(&sql, filter, &schema);
	assert_string_equal(sql.text, "\"sourceTransportPort\" = 5 AND CAST(NULL AS UINTEGER) = 167772161");
	sql_fini(&sql);
	filter_free(filter);
	schema_fini(&schema);
}

/* A random filter as text. */
static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void random_text(struct sql *out, uint64_t *seed, unsigned depth)
{
	static const char *const tests[] = {
		"host 10.0.0.0/%u",
		"src 2001:db8::/%u",
		"port %u",
		"dst port in {%u, 7, 9-12}",
		"proto %u",
		"flags %u",
		"flags = %u",
		"octets > %uk",
		"packets <= %u",
		"duration >= %ums",
		"dir egress",
		"denied",
		"rule \"a %u' b\"",
		"rule ~ 'x%u\"'",
		"exporter 10.0.0.%u",
		"domain %u",
		"if wg%u",
		"in if %u",
		"start < @%u",
		"e1.2 = 0xab",
		"userName != \"%u\"",
		"samplingProbability < 0.%u",
		"tcp",
		"flowEndReason in {1, %u}",
	};
	const uint32_t n = next(seed);

	if (depth == 0 || n % 4 == 0) {
		const size_t which = next(seed) % (sizeof tests / sizeof tests[0]);
		const uint32_t number = next(seed) % 32;
		const char *mark = strstr(tests[which], "%u");

		sql_format(out, "%.*s", mark ? (int)(mark - tests[which]) : 100, tests[which]);
		if (mark) {
			sql_format(out, "%u", number);
			sql_put(out, mark + 2);
		}
		return;
	}
	const char *joint = n % 4 == 1 ? " and " : n % 4 == 2 ? " || " : NULL;
	sql_put(out, joint ? "(" : "not (");
	random_text(out, seed, depth - 1);
	sql_put(out, joint ? joint : "");
	if (joint)
		random_text(out, seed, depth - 1);
	sql_put(out, ")");
}

static char *printed_sql(const char *text, char **printed)
{
	struct filter *filter;
	struct filter_error err;
	struct sql again, sql;

	if (filter_parse(&filter, text, strlen(text), NOW, &err) != OK) {
		print_error("%s\n%s at %zu\n", text, err.text, err.at);
		fail();
	}
	sql_init(&sql);
	sql_init(&again);
	filter_sql(&sql, filter, NULL);
	filter_print(&again, filter);
	*printed = again.text;
	filter_free(filter);
	return sql.text;
}

static void test_print_and_parse(void **state)
{
	uint64_t seed = 20261122;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct sql text;
		char *printed, *printed_again;

		sql_init(&text);
		random_text(&text, &seed, 6);
		char *first = printed_sql(text.text, &printed);
		char *second = printed_sql(printed, &printed_again);
		if (strcmp(first, second) != 0 || strcmp(printed, printed_again) != 0) {
			print_error("%s\n%s\n%s\n%s\n", text.text, printed, first, second);
			fail();
		}
		free(first);
		free(second);
		free(printed);
		free(printed_again);
		sql_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sql),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_caret),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_missing_column),
		cmocka_unit_test(test_print_and_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
