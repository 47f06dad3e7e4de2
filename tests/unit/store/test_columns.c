/* Every abstract data type and every awkward encoding of it, from a message to a column. */
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"

struct value_case {
	const char *what;
	uint16_t id, length; /* of the field; FIELD_VARIABLE: `octets` has its own length in front */
	uint32_t pen;
	const char *octets;
	size_t size;
	const char *sql; /* what is asked of the one row in flows */
	const char *expected;
};

#define OCTETS(text) text, sizeof(text) - 1

static const struct value_case cases[] = {
	{"unsigned8", IE_protocolIdentifier, 1, 0, OCTETS("\x06"), "protocolIdentifier", "6"},
	{"unsigned16", IE_sourceTransportPort, 2, 0, OCTETS("\x01\xbb"), "sourceTransportPort", "443"},
	{"unsigned32", IE_ingressInterface, 4, 0, OCTETS("\xff\xff\xff\xfe"), "ingressInterface",
	 "4294967294"},
	{"unsigned64", IE_octetDeltaCount, 8, 0, OCTETS("\xff\xff\xff\xff\xff\xff\xff\xff"),
	 "octetDeltaCount", "18446744073709551615"},
	{"unsigned64 in 3 octets", IE_octetDeltaCount, 3, 0, OCTETS("\x01\x00\x02"), "octetDeltaCount",
	 "65538"},
	{"unsigned64 in 2 octets", IE_packetDeltaCount, 2, 0, OCTETS("\x13\x88"), "packetDeltaCount", "5000"},
	{"unsigned8 in 4 octets that add nothing", IE_protocolIdentifier, 4, 0, OCTETS("\0\0\0\x11"),
	 "protocolIdentifier", "17"},
	{"unsigned8 over its range", IE_protocolIdentifier, 2, 0, OCTETS("\x01\x00"), "protocolIdentifier",
	 "NULL"},
	{"signed32", IE_mibObjectValueInteger, 4, 0, OCTETS("\xff\xff\xff\xff"), "mibObjectValueInteger",
	 "-1"},
	{"signed in 1 octet", IE_mibObjectValueInteger, 1, 0, OCTETS("\x80"), "mibObjectValueInteger",
	 "-128"},
	{"float64", IE_samplingProbability, 8, 0, OCTETS("\x3f\xe0\0\0\0\0\0\0"), "samplingProbability",
	 "0.5"},
	{"float64 in 4 octets", IE_samplingProbability, 4, 0, OCTETS("\x3e\x80\0\0"), "samplingProbability",
	 "0.25"},
	{"boolean true", IE_dataRecordsReliability, 1, 0, OCTETS("\x01"), "dataRecordsReliability", "true"},
	{"boolean false", IE_dataRecordsReliability, 1, 0, OCTETS("\x02"), "dataRecordsReliability", "false"},
	{"boolean undefined", IE_dataRecordsReliability, 1, 0, OCTETS("\x07"), "dataRecordsReliability",
	 "NULL"},
	{"IPv4 address", IE_sourceIPv4Address, 4, 0, OCTETS("\x0a\x01\x02\x03"), "sourceIPv4Address",
	 "167838211"},
	{"IPv4 address as text", IE_sourceIPv4Address, 4, 0, OCTETS("\x0a\x01\x02\x03"), "sourceAddress",
	 "10.1.2.3"},
	{"IPv4 address of 50 octets", IE_sourceIPv4Address, 50, 0,
	 OCTETS("12345678901234567890123456789012345678901234567890"), "sourceIPv4Address", "NULL"},
	{"IPv6 address", IE_destinationIPv6Address, 16, 0,
	 OCTETS("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"), "destinationIPv6Address",
	 "20010db8-0000-0000-0000-000000000001"},
	{"IPv6 address as text", IE_destinationIPv6Address, 16, 0,
	 OCTETS("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"), "destinationAddress", "2001:db8::1"},
	{"MAC address", IE_sourceMacAddress, 6, 0, OCTETS("\x02\0\0\0\xab\xcd"), "sourceMacAddress",
	 "02:00:00:00:ab:cd"},
	{"seconds", IE_flowStartSeconds, 4, 0, OCTETS("\x65\x53\xf1\0"), "flowStartSeconds",
	 "2023-11-14 22:13:20"},
	{"milliseconds", IE_flowStartMilliseconds, 8, 0, OCTETS("\0\0\x01\x8b\xcf\xe5\x68\x7b"),
	 "flowStartMilliseconds", "2023-11-14 22:13:20.123"},
	{"milliseconds after the year 9999", IE_flowEndMilliseconds, 8, 0,
	 OCTETS("\xff\xff\xff\xff\xff\xff\xff\xff"), "flowEndMilliseconds", "NULL"},
	{"start of a flow from seconds", IE_flowStartSeconds, 4, 0, OCTETS("\x65\x53\xf1\0"), "flowStart",
	 "2023-11-14 22:13:20"},
	{"microseconds", IE_flowStartMicroseconds, 8, 0, OCTETS("\xe8\xfe\x6f\x80\x80\0\0\0"),
	 "flowStartMicroseconds", "2023-11-14 22:13:20.5"},
	{"nanoseconds", IE_flowEndNanoseconds, 8, 0, OCTETS("\xe8\xfe\x6f\x80\x40\0\0\0"),
	 "flowEndNanoseconds", "2023-11-14 22:13:20.25"},
	{"string", IE_interfaceName, FIELD_VARIABLE, 0, OCTETS("\x03wg0"), "interfaceName", "wg0"},
	{"string longer than a word", IE_interfaceName, FIELD_VARIABLE, 0,
	 OCTETS("\x1ethirty characters are in there."), "interfaceName", "thirty characters are in there"},
	{"string padded with zeros", IE_interfaceName, 8, 0, OCTETS("eth0\0\0\0\0"), "interfaceName", "eth0"},
	{"string that is no UTF-8", IE_interfaceName, 2, 0, OCTETS("\xff\xfe"), "interfaceName", "0xfffe"},
	{"empty string", IE_interfaceName, FIELD_VARIABLE, 0, OCTETS("\0"), "interfaceName", ""},
	{"octetArray", IE_mplsTopLabelStackSection, 3, 0, OCTETS("\x01\x02\xff"),
	 "hex(mplsTopLabelStackSection)", "0102FF"},
	{"unknown element", 7, 3, 99999, OCTETS("abc"), "hex(\"e99999.7\")", "616263"},
	{"unknown element of variable length", 7, FIELD_VARIABLE, 99999, OCTETS("\x02hi"),
	 "hex(\"e99999.7\")", "6869"},
	{"reverse element", IE_octetDeltaCount, 8, REVERSE_PEN, OCTETS("\0\0\0\0\0\0\0\x09"),
	 "reverseOctetDeltaCount", "9"},
	{"element 149 beside the header's", IE_observationDomainId, 4, 0, OCTETS("\0\0\0\x63"),
	 "observationDomainId || ' ' || \"e0.149\"", "1 99"},
	{"basicList", IE_basicList, FIELD_VARIABLE, 0, OCTETS("\x07\x03\0\x0a\0\x01\x07\x08"), "basicList",
	 "{\"semantic\":\"allOf\",\"element\":\"ingressInterface\",\"values\":[7,8]}"},
	{"denied by firewallEvent", IE_firewallEvent, 1, 0, OCTETS("\x03"), "denied", "true"},
	{"denied by forwardingStatus", IE_forwardingStatus, 1, 0, OCTETS("\x80"), "denied", "true"},
	{"forwarded", IE_forwardingStatus, 1, 0, OCTETS("\x40"), "denied", "false"},
	{"not denied", IE_protocolIdentifier, 1, 0, OCTETS("\x06"), "denied", "false"},
};

/* Options in the batch of flows: the faults of both count. */
static void add_options(struct build *b, uint32_t sequence)
{
	static const struct field fields[] = {{IE_meteringProcessId, 4, 0}, {IE_applicationName, 2, 0}};

	build_begin(b, sequence, 1);
	build_template(b, 999, 1, fields, 2);
	build_set(b, 999);
	build_number(b, 1, 4);
	build_octets(b, "\xff\xfe", 2);
}

/* A folder stands where the manifest is to be: what was counted on the way does not count. */
static void flush_in_vain(struct loader *l, const char *folder)
{
	char path[256];

	snprintf(path, sizeof path, "%s/manifest.json", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_not_equal(loader_flush(l, RECEIVED_MS, NULL), OK);
	assert_int_equal(rmdir(path), 0);
}

/* All of them in one store, each record with its number, so that one load serves all. */
static void every_type(void **state)
{
	const size_t count = sizeof cases / sizeof cases[0];
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct asking a;

	for (size_t i = 0; i < count; i++) {
		const struct field fields[] = {{IE_flowId, 4, 0},
					       {cases[i].id, cases[i].length, cases[i].pen}};

		build_begin(b, (uint32_t)i, 1);
		build_template(b, (uint16_t)(256 + i), 0, fields, 2);
		build_set(b, (uint16_t)(256 + i));
		build_number(b, i, 4);
		build_octets(b, cases[i].octets, cases[i].size);
		take(l, b, 1, i + 1);
	}
	add_options(b, (uint32_t)count);
	take(l, b, 1, count + 1);
	flush_in_vain(l, folder);
	flush(l);
	ask_open(&a, folder);
	assert_int_equal(a.coverage.records, count + 1);
	for (size_t i = 0; i < count; i++) {
		char sql[512];

		snprintf(sql, sizeof sql, "SELECT %s FROM flows WHERE flowId = %zu", cases[i].sql, i);
		char *answer = ask(&a, sql);
		if (strcmp(answer, cases[i].expected) != 0)
			fail_msg("%s: expected %s, got %s", cases[i].what, cases[i].expected, answer);
		free(answer);
	}
	assert_counter(&a, "value_wrong_size", "1");
	assert_counter(&a, "value_out_of_range", "2");
	assert_counter(&a, "value_undefined_boolean", "1");
	assert_counter(&a, "value_bad_utf8", "2"); /* one of them an option */
	assert_int_equal(a.coverage.wrong_values, 6);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

static void the_same_element_again(void **state)
{
	static const struct field fields[] = {
		{IE_ingressInterface, 4, 0}, {IE_ingressInterface, 4, 0}, {IE_ingressInterface, 2, 0}};
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct asking a;

	build_begin(b, 0, 1);
	build_template(b, 256, 0, fields, 3);
	build_set(b, 256);
	build_number(b, 71, 4);
	build_number(b, 72, 4);
	build_number(b, 73, 2);
	take(l, b, 1, 1);
	flush(l);
	ask_open(&a, folder);
	assert_answer(
		&a,
		"SELECT concat_ws(' ', ingressInterface, ingressInterface_2, ingressInterface_3) FROM flows",
		"71 72 73");
	assert_answer(&a, "SELECT exporterAddress || ' ' || exporterPort || ' ' || templateId FROM flows",
		      "192.0.2.1 2055 256");
	assert_answer(&a, "SELECT receiveTime FROM flows", "2023-11-14 22:13:20.001");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* What weir adds has names that no element has. */
static void names_do_not_meet(void **state)
{
	for (size_t i = 0; i < ie_registry_count; i++) {
		assert_null(strchr(ie_registry[i].name, '_'));
		assert_null(strchr(ie_registry[i].name, '.'));
		for (unsigned k = 0; k < BASE_COLUMN_COUNT; k++)
			if (k != BASE_DOMAIN && k != BASE_TEMPLATE)
				assert_int_not_equal(strcasecmp(ie_registry[i].name, base_columns[k].name),
						     0);
	}
}

/* A template with more elements than a partition has columns: what fits is stored, the rest is counted. */
static void more_fields_than_columns(void **state)
{
	enum { FIELDS = 3000 };
	struct field *fields = calloc(FIELDS, sizeof *fields);
	struct build *b = malloc(sizeof *b);
	char *folder = folder_new();
	struct loader *l = open_loader(folder);
	struct asking a;

	for (unsigned i = 0; i < FIELDS; i++)
		fields[i] = (struct field){(uint16_t)(i + 1), 1, 99999};
	build_begin(b, 0, 1);
	build_template(b, 256, 0, fields, FIELDS);
	build_set(b, 256);
	memset(b->octets + b->length, 7, FIELDS);
	b->length += FIELDS;
	take(l, b, 1, 1);
	/* Another layout, with columns of its own, in the same batch. */
	for (unsigned i = 0; i < 500; i++)
		fields[i].id = (uint16_t)(10000 + i);
	build_begin(b, 1, 1);
	build_template(b, 257, 0, fields, 500);
	build_set(b, 257);
	memset(b->octets + b->length, 8, 500);
	b->length += 500;
	take(l, b, 1, 2);
	flush(l);
	ask_open(&a, folder);
	assert_int_equal(a.coverage.records, 2);
	assert_answer(&a, "SELECT hex(max(\"e99999.900\")) FROM flows", "07");
	assert_answer(&a, "SELECT hex(max(\"e99999.10499\")) FROM flows", "08");
	char *left = counter(&a, "columns_left_out");
	assert_true(atol(left) > 1900);
	free(left);
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(fields);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type),
		cmocka_unit_test(the_same_element_again),
		cmocka_unit_test(names_do_not_meet),
		cmocka_unit_test(more_fields_than_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
