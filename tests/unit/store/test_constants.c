/* Columns of one value: in the manifest, not in the file, and everywhere else as any other. */
#include "build.h"

#include "store/constant_value.h"
#include "store/keep.h"

static struct loader *open_lifting(const char *folder, uint64_t from)
{
	const struct loader_options options = {.store = folder, .lift_records = from};
	struct error err = {0};
	struct loader *l;

	if (loader_open(&l, &options, &err) != OK)
		fail_msg("%s", err.text);
	return l;
}

static const char *constant_of(const struct loader *l, uint32_t partition, const char *column)
{
	const struct manifest *m = loader_manifest(l);

	return constants_find(manifest_constants(m, &m->partitions[partition]), column);
}

#define assert_constant(l, partition, column, expected)                                                      \
	do {                                                                                                 \
		const char *seen = constant_of(l, partition, column);                                        \
		if (!seen || strcmp(seen, expected) != 0)                                                    \
			fail_msg("%s: expected %s, got %s", column, expected, seen ? seen : "no constant");  \
	} while (0)

/* Every kind of value that may be lifted, and those that may not. */
static const struct {
	struct field field;
	const char *octets;
	size_t size;
	const char *sql, *expected;
	const char *constant; /* NULL: it stays in the file */
} values[] = {
	{{IE_protocolIdentifier, 1, 0}, "\x11", 1, "protocolIdentifier", "17", "17"},
	{{IE_octetDeltaCount, 4, 0}, "\xff\xff\xff\xff", 4, "octetDeltaCount", "4294967295", "4294967295"},
	{{IE_sourceIPv4Address, 4, 0}, "\xc0\x00\x02\x07", 4, "sourceAddress", "192.0.2.7", "3221225991"},
	{{IE_destinationIPv6Address, 16, 0},
	 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1",
	 16,
	 "destinationAddress",
	 "2001:db8::1",
	 "20010db8-0000-0000-0000-000000000001"},
	{{IE_sourceMacAddress, 6, 0},
	 "\2\0\0\0\xab\xcd",
	 6,
	 "sourceMacAddress",
	 "02:00:00:00:ab:cd",
	 "02:00:00:00:ab:cd"},
	{{IE_dataRecordsReliability, 1, 0}, "\1", 1, "dataRecordsReliability", "true", "true"},
	{{IE_mibObjectValueInteger, 4, 0}, "\xff\xff\xff\xfe", 4, "mibObjectValueInteger", "-2", "-2"},
	{{7, 3, 32473}, "'\0\\", 3, "\"e32473.7\"", "\\x27\\x00\\x5C", "\\x27\\x00\\x5C"},
	{{IE_interfaceName, 8, 0}, "it's \"a\"", 8, "interfaceName", "it's \"a\"", "it's \"a\""},
	{{IE_VRFname, 4, 0}, "\xc3\xa9\0\0", 4, "VRFname", "\xc3\xa9", "\xc3\xa9"},
	{{IE_userName, 3, 0}, "a\xff\xff", 3, "userName", "0x61ffff", NULL},           /* counted */
	{{IE_applicationName, 3, 0}, "a\0b", 3, "length(applicationName)", "3", NULL}, /* has no end in SQL */
	{{IE_samplingProbability, 8, 0}, "\x3f\xe0\0\0\0\0\0\0", 8, "samplingProbability", "0.5", NULL},
	{{IE_flowStartSeconds, 4, 0}, "\x65\x53\xf1\0", 4, "flowStart", "2023-11-14 22:13:20", NULL},
};
enum { VALUES = sizeof values / sizeof values[0] };

static void values_come_back(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_lifting(folder, 1);
	struct field fields[VALUES + 1];
	struct asking a;

	for (unsigned i = 0; i < VALUES; i++)
		fields[i] = values[i].field;
	fields[VALUES] = (struct field){IE_flowId, 8, 0};
	for (unsigned n = 0; n < 5; n++) {
		build_begin(b, 3 * n, 1);
		if (n == 0)
			build_template(b, 256, 0, fields, VALUES + 1);
		build_set(b, 256);
		for (unsigned k = 0; k < 3; k++) {
			for (unsigned i = 0; i < VALUES; i++)
				build_octets(b, values[i].octets, values[i].size);
			build_number(b, 3 * n + k, 8);
		}
		take(l, b, 1, n + 1);
	}
	flush(l);
	ask_open(&a, folder);
	for (unsigned i = 0; i < VALUES; i++) {
		char sql[256];

		snprintf(sql, sizeof sql, "SELECT string_agg(DISTINCT %s, '|') FROM flows", values[i].sql);
		assert_answer(&a, sql, values[i].expected);
		const struct schema *layout = &loader_manifest(l)->layouts[0];
		const char *name = layout->columns[BASE_COLUMN_COUNT + i].name;
		if (values[i].constant)
			assert_constant(l, 0, name, values[i].constant);
		else
			assert_null(constant_of(l, 0, name));
	}
	assert_constant(l, 0, "exporterAddress", "192.0.2.1");
	assert_constant(l, 0, "templateId", "256");
	assert_null(constant_of(l, 0, "receiveTime"));
	assert_null(constant_of(l, 0, "flowId"));
	assert_answer(&a, "SELECT count(*) || ' ' || sum(flowId) FROM flows", "15 105");
	assert_answer(&a, "SELECT sum(octetDeltaCount) FROM flows WHERE exporterAddress = '192.0.2.1'",
		      "64424509425");
	assert_answer(&a, "SELECT count(*) FROM flows WHERE protocolIdentifier = 6", "0");
	assert_counter(&a, "value_bad_utf8", "15");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* One record that differs, the last, in a later message and another template. */
static void one_that_differs(void **state)
{
	static const struct field fields[] = {
		{IE_flowId, 8, 0}, {IE_protocolIdentifier, 1, 0}, {IE_ingressInterface, 4, 0}};
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_lifting(folder, 1);
	struct asking a;

	for (unsigned n = 0; n < 3; n++) {
		build_begin(b, n, 1);
		build_template(b, (uint16_t)(256 + n), 0, fields, n == 2 ? 2 : 3);
		build_set(b, (uint16_t)(256 + n));
		build_number(b, n, 8);
		build_number(b, n == 1 ? 17 : 6, 1);
		if (n < 2)
			build_number(b, 9, 4);
		take(l, b, 1, n + 1);
	}
	flush(l);
	assert_constant(l, 0, "exporterPort", "2055");
	assert_null(constant_of(l, 0, "protocolIdentifier"));
	assert_null(constant_of(l, 0, "ingressInterface")); /* the third has none */
	assert_null(constant_of(l, 0, "templateId"));
	ask_open(&a, folder);
	assert_answer(&a,
		      "SELECT string_agg(protocolIdentifier || ' ' || coalesce(ingressInterface, 0), ',' "
		      "ORDER BY flowId) FROM flows",
		      "6 9,17 9,6 0");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* Partition `n`: records 10 n to 10 n + 9 of one exporter; interface n % 20 in all of them, or none, or
 * another in each. */
static void put_partition(struct loader *l, struct build *b, unsigned n)
{
	static const struct field fields[] = {
		{IE_flowId, 8, 0}, {IE_octetDeltaCount, 8, 0}, {IE_ingressInterface, 4, 0}};
	const bool none = n % 7 == 5, many = n % 7 == 6;

	build_begin(b, n, n % 3);
	build_template(b, (uint16_t)(256 + none), 0, fields, none ? 2 : 3);
	build_set(b, (uint16_t)(256 + none));
	for (unsigned i = 0; i < 10; i++) {
		build_number(b, 10 * n + i, 8);
		build_number(b, 5, 8);
		if (!none)
			build_number(b, many ? 100 + i : n % 20, 4);
	}
	take(l, b, (uint8_t)(1 + n % 2), n + 1);
	flush(l);
}

/* What all of them are together, by a view and by the columns that one statement names. */
static void check_partitions(struct asking *a, unsigned count)
{
	char *expected = NULL;
	size_t length;
	FILE *f = open_memstream(&expected, &length);
	uint64_t of[110] = {0}, none = 0;
	struct sql sql;

	for (unsigned n = 0; n < count; n++)
		for (unsigned i = 0; i < 10; i++)
			*(n % 7 == 5 ? &none : &of[n % 7 == 6 ? 100 + i : n % 20]) += 10 * n + i;
	for (unsigned i = 0; i < 110; i++)
		if (of[i])
			fprintf(f, "%u:%llu ", i, (unsigned long long)of[i]);
	if (none)
		fprintf(f, "none:%llu ", (unsigned long long)none);
	fclose(f);
	expected[length - 1] = '\0'; /* the blank */
	static const char question[] = "SELECT string_agg(k || ':' || n, ' ' ORDER BY i NULLS LAST) FROM "
				       "(SELECT \"ingressInterface\" AS i, "
				       "coalesce(\"ingressInterface\"::VARCHAR, 'none') AS k, "
				       "sum(\"flowId\") AS n FROM flows GROUP BY ALL "
				       "HAVING n > 0)";
	assert_answer(a, question, expected);
	sql_init(&sql);
	store_flows(a->store, &sql, question);
	sql_put(&sql, question);
	assert_false(sql.failed);
	assert_answer(a, sql.text, expected);
	sql_fini(&sql);
	assert_answer(a,
		      "SELECT count(DISTINCT exporterAddress) || ' ' || count(DISTINCT observationDomainId) "
		      "|| ' ' || "
		      "(sum(octetDeltaCount) = 5 * count(*)) FROM flows",
		      "2 3 true");
	assert_answer(a,
		      "SELECT count(*) FROM flows WHERE exporterAddress = '192.0.2.2' AND flowId % 20 < 10",
		      "0");
	free(expected);
}

static void partitions_of_different_values(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_lifting(folder, 1);
	unsigned n = 0;
	struct asking a;

	for (; n < 8; n++) /* few enough to be a part each */
		put_partition(l, b, n);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	for (; n < COMPACT_FILES - 1; n++)
		put_partition(l, b, n);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	for (; n < COMPACT_FILES; n++)
		put_partition(l, b, n);
	assert_int_equal(loader_manifest(l)->partition_count, 1);
	assert_constant(l, 0, "octetDeltaCount", "5");
	assert_constant(l, 0, "exporterPort", "2055");
	assert_null(constant_of(l, 0, "ingressInterface"));
	assert_null(constant_of(l, 0, "exporterAddress"));
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	for (; n < COMPACT_FILES + 6; n++)
		put_partition(l, b, n);
	loader_close(l);
	l = open_lifting(folder, 1);
	/* Sets that no partition has any more are not kept for ever. */
	assert_in_range(loader_manifest(l)->constants_count, 2, 7);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* More different ones than are read one by one. */
static void very_many_different_values(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_lifting(folder, 1);
	struct manifest *m = (struct manifest *)(uintptr_t)loader_manifest(l);
	unsigned n = 0;
	struct asking a;

	for (; n < 45; n++) {
		put_partition(l, b, n);
		m->partitions[n].records = COMPACT_SMALL; /* large enough to stay apart */
	}
	assert_int_equal(m->partition_count, n);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* A store of layout 1 has everything in its files; it is read, and the next step makes it layout 2. */
static void the_older_layout_is_read(void **state)
{
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new(), path[512], text[65536];
	struct loader *l = open_lifting(folder, UINT64_MAX);
	unsigned n = 0;
	struct asking a;

	for (; n < 5; n++)
		put_partition(l, b, n);
	assert_int_equal(loader_manifest(l)->constants_count, 0);
	loader_close(l);
	snprintf(path, sizeof path, "%s/manifest.json", folder);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	char *layout = strstr(text, "\"layout\":2"), *constants = strstr(text, "\"constants\":[],");
	assert_non_null(layout);
	assert_non_null(constants);
	layout[9] = '1';
	memset(constants, ' ', 15);
	rewind(f);
	fputs(text, f);
	fclose(f);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	l = open_lifting(folder, 1);
	for (; n < 10; n++)
		put_partition(l, b, n);
	assert_null(constant_of(l, 0, "exporterPort"));
	assert_constant(l, 7, "exporterPort", "2055");
	loader_close(l);
	ask_open(&a, folder);
	check_partitions(&a, n);
	ask_close(&a);
	folder_free(folder);
	free(b);
}

/* What columns.h reads of such a text, held against the width of its kind. */
static void texts_become_values(void **state)
{
	static const struct {
		enum column_kind kind;
		const char *text;
		bool good;
		int64_t value;
	} numbers[] = {
		{COLUMN_UNSIGNED8, "255", true, 255},
		{COLUMN_UNSIGNED8, "256", false, 0},
		{COLUMN_UNSIGNED16, "-1", false, 0},
		{COLUMN_UNSIGNED64, " -1", false, 0},
		{COLUMN_UNSIGNED64, "18446744073709551615", true, -1},
		{COLUMN_UNSIGNED64, "18446744073709551616", false, 0},
		{COLUMN_UNSIGNED32, "", false, 0},
		{COLUMN_UNSIGNED32, "7a", false, 0},
		{COLUMN_IPV4, "3221225991", true, 3221225991},
		{COLUMN_SIGNED8, "-128", true, -128},
		{COLUMN_SIGNED8, "-129", false, 0},
		{COLUMN_SIGNED16, "32768", false, 0},
		{COLUMN_SIGNED32, "-2", true, -2},
		{COLUMN_SIGNED32, "--2", false, 0},
		{COLUMN_SIGNED64, "-9223372036854775808", true, INT64_MIN},
		{COLUMN_SIGNED64, "-9223372036854775809", false, 0},
		{COLUMN_SIGNED64, "-", false, 0},
		{COLUMN_BOOLEAN, "true", true, 1},
		{COLUMN_BOOLEAN, "false", true, 0},
		{COLUMN_BOOLEAN, "1", false, 0},
		{COLUMN_TIME_MS, "2026-11-22 00:00:00", false, 0},
		{COLUMN_FLOAT64, "1", false, 0},
		{COLUMN_BLOB, "a", false, 0},
		{COLUMN_IPV6, "20010db8-0000-0000-0000-00000000000", false, 0},
		{COLUMN_IPV6, "20010db8-0000-0000-0000-0000000000011", false, 0},
		{COLUMN_IPV6, "20010db8-0000-0000-0000-00000000000g", false, 0},
	};
	struct constant_value v;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct parquet_bounds bounds;
		const bool good = constant_value_read(&v, numbers[i].kind, numbers[i].text);

		if (good != numbers[i].good || (good && v.value.i != numbers[i].value))
			fail_msg("'%s' is %s, %lld", numbers[i].text, good ? "good" : "none",
				 (long long)v.value.i);
		constant_value_bounds(&v, &bounds);
		assert_int_equal(bounds.nulls, 0);
		if (good && bounds.bounded)
			assert_true(bounds.least.i == numbers[i].value &&
				    bounds.greatest.i == bounds.least.i);
	}
	assert_true(constant_value_read(&v, COLUMN_IPV6, "20010db8-0000-0000-0000-0000000000aB"));
	assert_memory_equal(v.value.octets, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\xab", 16);
	for (size_t i = 0; i < 3; i++) {
		const char *text = (const char *[]){"", "it's \"a\"", "a text of more than twelve octets"}[i];

		assert_true(constant_value_read(&v, COLUMN_STRING, text));
		assert_int_equal(v.value.text.near.length, strlen(text));
		assert_memory_equal(parquet_text_octets(&v.value.text), text, strlen(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(one_that_differs),
		cmocka_unit_test(partitions_of_different_values),
		cmocka_unit_test(very_many_different_values),
		cmocka_unit_test(the_older_layout_is_read),
		cmocka_unit_test(texts_become_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
