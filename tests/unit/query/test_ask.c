/* Questions -> SQL, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "query/ask.h"

static void test_sql(void **state)
{
	static const struct {
		const char *keys;
		bool grouped;
		uint8_t order;
		int64_t limit, from_ms, to_ms;
		const char *filter, *sql;
	} cases[] = {
		{"src", true, ORDER_DEFAULT, 0, 0, 0, NULL,
		 "SELECT \"sourceIPv4Address\" AS k0, \"sourceIPv6Address\" AS w0, sum(\"octetDeltaCount\") "
		 "AS octets, "
		 "sum(\"packetDeltaCount\") AS packets, count(*) AS flows FROM flows GROUP BY ALL ORDER BY "
		 "octets DESC NULLS "
		 "LAST, k0, w0 LIMIT 20"},
		{"dst port", true, ORDER_FLOWS, 5, 1000, 2000, "tcp",
		 "SELECT \"destinationTransportPort\" AS k0, sum(\"octetDeltaCount\") AS octets, "
		 "sum(\"packetDeltaCount\") AS "
		 "packets, count(*) AS flows FROM flows WHERE coalesce(\"flowEnd\", \"receiveTime\") >= "
		 "make_timestamp(1000000) "
		 "AND coalesce(\"flowStart\", \"receiveTime\") < make_timestamp(2000000) AND "
		 "\"protocolIdentifier\" = 6 GROUP BY "
		 "ALL ORDER BY flows DESC NULLS LAST, k0 LIMIT 5"},
		{"proto,time 5m", true, ORDER_DEFAULT, 0, 0, 0, NULL,
		 "SELECT \"protocolIdentifier\" AS k0, epoch_ms(\"flowStart\") // 300000 * 300000 AS k1, "
		 "sum(\"octetDeltaCount\") AS octets, sum(\"packetDeltaCount\") AS packets, count(*) AS "
		 "flows FROM flows GROUP BY "
		 "ALL ORDER BY k1, k0"},
		{"port", true, ORDER_PACKETS, -1, 0, 0, NULL,
		 "SELECT CASE WHEN \"sourceTransportPort\" <= \"destinationTransportPort\" OR "
		 "\"destinationTransportPort\" IS NULL THEN \"sourceTransportPort\" ELSE "
		 "\"destinationTransportPort\" END AS k0, "
		 "sum(\"octetDeltaCount\") AS octets, "
		 "sum(\"packetDeltaCount\") AS packets, count(*) AS flows FROM flows GROUP BY ALL ORDER BY "
		 "packets DESC NULLS "
		 "LAST, k0"},
		{"srcport, flowEndReason", false, ORDER_DEFAULT, 0, 0, 0, "any",
		 "SELECT \"sourceTransportPort\" AS k0, \"flowEndReason\" AS k1 FROM flows WHERE true ORDER "
		 "BY "
		 "coalesce(\"flowEnd\", \"receiveTime\") DESC NULLS LAST LIMIT 50"},
		{"octets", false, ORDER_OCTETS, -1, 0, 0, NULL,
		 "SELECT \"octetDeltaCount\" AS k0 FROM flows ORDER BY \"octetDeltaCount\" DESC NULLS LAST"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ask ask = {.grouped = cases[i].grouped,
				  .order = cases[i].order,
				  .limit = cases[i].limit,
				  .from_ms = cases[i].from_ms,
				  .to_ms = cases[i].to_ms};
		struct ask_column columns[ASK_COLUMNS_MAX];
		struct filter_error err;
		struct filter *filter = NULL;
		struct sql sql;
		uint32_t count;

		if (ask_keys(&ask, cases[i].keys, cases[i].grouped, &err) != OK)
			fail_msg("%s: %s", cases[i].keys, err.text);
		if (cases[i].filter)
			assert_int_equal(
				filter_parse(&filter, cases[i].filter, strlen(cases[i].filter), 0, &err), OK);
		ask.filter = filter;
		sql_init(&sql);
		assert_int_equal(ask_sql(&ask, NULL, &sql, columns, &count), OK);
		assert_string_equal(sql.text, cases[i].sql);
		assert_int_equal(count, ask.key_count + (ask.grouped ? 3 : 0));
		assert_string_equal(columns[0].name, ask.keys[0].name);
		sql_fini(&sql);
		filter_free(filter);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *keys;
		bool grouped;
		size_t at, length;
		const char *message;
	} cases[] = {
		{"", true, 0, 0, "nothing seen"},
		{"src,", true, 4, 0, "nothing seen"},
		{"src,prto", true, 4, 4, "perhaps 'proto'"},
		{"host", true, 0, 4, "a side expected"},
		{"tcp", true, 0, 3, "a word that has a value"},
		{"time", true, 0, 4, "time 5m"},
		{"time 5", true, 0, 6, "time 5m"},
		{"time 10ms", true, 0, 9, "a second or more"},
		{"time 5m", false, 0, 7, "'start' or 'end'"},
		{"src dst port", true, 0, 12, "more words"},
		{"src proto", true, 0, 9, "more words"},
		{"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", true, 0, 1, "'a' seen"},
		{"src,src,src,src,src,src,src,src,src,src,src,src,src,src,src,src,dst", true, 64, 3,
		 "more than 16"},
		{"proto\"; DROP", true, 0, 7, "'proto\";' seen"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct ask ask = {0};
		struct filter_error err = {0};
		const enum status s = ask_keys(&ask, cases[i].keys, cases[i].grouped, &err);

		if (s != ERR_USAGE || err.at != cases[i].at || err.length != cases[i].length ||
		    !strstr(err.text, cases[i].message))
			fail_msg("%s: status %d, %zu+%zu: %s", cases[i].keys, s, err.at, err.length,
				 err.text);
	}
}

/* Every word can be a key or is refused with a reason; its SQL names only columns that are known. */
static void test_every_word(void **state)
{
	unsigned taken = 0;

	(void)state;
	for (size_t i = 0; i < word_count; i++) {
		struct ask ask = {.grouped = true};
		struct ask_column columns[ASK_COLUMNS_MAX];
		struct filter_error err;
		struct schema none = {0};
		struct sql sql;
		uint32_t count;

		assert_ptr_equal(word_find(words[i].name, strlen(words[i].name)), &words[i]);
		if (words[i].also)
			assert_ptr_equal(word_find(words[i].also, strlen(words[i].also)), &words[i]);
		assert_non_null(words[i].help);
		if (ask_keys(&ask, words[i].name, true, &err) != OK) {
			assert_true(err.text[0]);
			continue;
		}
		taken++;
		sql_init(&sql);
		assert_int_equal(ask_sql(&ask, &none, &sql, columns, &count), OK);
		assert_null(strchr(sql.text, '"')); /* all columns are missing: no name is left */
		sql_fini(&sql);
	}
	assert_true(taken > 20);
}

static void test_elements(void **state)
{
	static const struct {
		const char *name, *column; /* NULL: there is none */
		enum word_type type;
	} cases[] = {
		{"sourceTransportPort", "sourceTransportPort", WORD_NUMBER},
		{"SOURCETRANSPORTPORT", "sourceTransportPort", WORD_NUMBER},
		{"sourceIPv6Address", "sourceIPv6Address", WORD_IPV6},
		{"reverseoctetdeltacount", "reverseOctetDeltaCount", WORD_NUMBER},
		{"exporterAddress", "exporterAddress", WORD_TEXT},
		{"flowStart", "flowStart", WORD_TIME},
		{"ingressInterface_name", "ingressInterface_name", WORD_TEXT},
		{"interfaceName_2", "interfaceName_2", WORD_TEXT},
		{"flowStartSysUpTime_time", "flowStartSysUpTime_time", WORD_TIME},
		{"e32473.7", "e32473.7", WORD_OCTETS},
		{"e032473.7", NULL, WORD_BARE},
		{"interfaceName_02", NULL, WORD_BARE},
		{"interfaceName_\"", NULL, WORD_BARE},
		{"interfaceName_", NULL, WORD_BARE},
		{"reverse", NULL, WORD_BARE},
		{"", NULL, WORD_BARE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct column column;
		enum word_type type;
		const bool found = word_element(&column, &type, cases[i].name, strlen(cases[i].name));

		if (found != (cases[i].column != NULL) ||
		    (found && (strcmp(column.name, cases[i].column) != 0 || type != cases[i].type)))
			fail_msg("%s: %d %s %d", cases[i].name, found, column.name, (int)type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sql), cmocka_unit_test(test_refused),
					   cmocka_unit_test(test_every_word),
					   cmocka_unit_test(test_elements)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
