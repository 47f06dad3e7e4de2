/* What a loader understands beside the records, and what senders may do to it. */
#include "build.h"

struct bench {
	char *folder;
	struct loader *loader;
	struct build *b;
	struct asking a;
	uint64_t number;
};

static void begin(struct bench *t)
{
	*t = (struct bench){.folder = folder_new(), .b = malloc(sizeof *t->b)};
	t->loader = open_loader(t->folder);
}

static void deliver(struct bench *t)
{
	take(t->loader, t->b, 1, ++t->number);
}

static void look(struct bench *t)
{
	flush(t->loader);
	ask_open(&t->a, t->folder);
}

static void end(struct bench *t)
{
	ask_close(&t->a);
	loader_close(t->loader);
	folder_free(t->folder);
	free(t->b);
}

static void sampling_scales_beside(void **state)
{
	static const struct field rate[] = {
		{IE_selectorId, 8, 0}, {IE_samplingPacketInterval, 4, 0}, {IE_samplingPacketSpace, 4, 0}};
	static const struct field flow[] = {
		{IE_selectorId, 8, 0}, {IE_octetDeltaCount, 8, 0}, {IE_packetDeltaCount, 4, 0}};
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1);
	build_template(t.b, 256, 1, rate, 3);
	build_template(t.b, 257, 0, flow, 3);
	build_set(t.b, 257); /* data first: the rate comes in the same message */
	for (unsigned selector = 1; selector <= 3; selector++) {
		build_number(t.b, selector, 8);
		build_number(t.b, 1000, 8);
		build_number(t.b, 10, 4);
	}
	build_set(t.b, 256);
	build_number(t.b, 1, 8), build_number(t.b, 1, 4), build_number(t.b, 99, 4);
	build_number(t.b, 2, 8), build_number(t.b, 2, 4), build_number(t.b, 1, 4);
	deliver(&t);
	look(&t);
	assert_answer(
		&t.a,
		"SELECT string_agg(octetDeltaCount || ':' || coalesce(octetDeltaCount_scaled::VARCHAR, '-')"
		" || ':' || coalesce(packetDeltaCount_scaled::VARCHAR, '-'), ' ' ORDER BY selectorId) FROM "
		"flows",
		"1000:100000:1000 1000:1500:15 1000:-:-");
	assert_answer(&t.a, "SELECT count(*) FROM options", "2");
	end(&t);
}

static void one_in_a_hundred_for_the_domain(void **state)
{
	static const struct field rate[] = {{IE_observationDomainId, 4, 0}, {IE_samplingInterval, 4, 0}};
	static const struct field flow[] = {{IE_octetDeltaCount, 8, 0}};
	struct bench t;

	begin(&t);
	for (uint32_t domain = 1; domain <= 2; domain++) {
		build_begin(t.b, 0, domain);
		build_template(t.b, 257, 0, flow, 1);
		build_template(t.b, 256, 1, rate, 2);
		if (domain == 1) {
			build_set(t.b, 256);
			build_number(t.b, 1, 4), build_number(t.b, 100, 4);
		}
		build_set(t.b, 257);
		build_number(t.b, 7, 8);
		deliver(&t);
	}
	look(&t);
	assert_answer(&t.a,
		      "SELECT string_agg(coalesce(octetDeltaCount_scaled::VARCHAR, '-'), ' ' "
		      "ORDER BY observationDomainId) FROM flows",
		      "700 -");
	end(&t);
}

static void names_and_start_from_options(void **state)
{
	static const struct field name[] = {{IE_ingressInterface, 4, 0},
					    {IE_interfaceName, FIELD_VARIABLE, 0}};
	static const struct field start[] = {{IE_observationDomainId, 4, 0},
					     {IE_systemInitTimeMilliseconds, 8, 0}};
	static const struct field flow[] = {{IE_ingressInterface, 4, 0},
					    {IE_egressInterface, 4, 0},
					    {IE_flowStartSysUpTime, 4, 0},
					    {IE_flowEndSysUpTime, 4, 0}};
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1);
	build_template(t.b, 258, 0, flow, 4);
	build_set(t.b, 258);
	build_number(t.b, 3, 4), build_number(t.b, 4, 4);
	build_number(t.b, 1000, 4), build_number(t.b, 2500, 4);
	deliver(&t);
	/* The exporter's start and the name come after the data. */
	build_begin(t.b, 1, 1);
	build_template(t.b, 256, 1, name, 2);
	build_template(t.b, 257, 1, start, 2);
	build_set(t.b, 256);
	build_number(t.b, 3, 4), build_octets(t.b, "\x03wg0", 4);
	build_set(t.b, 257);
	build_number(t.b, 1, 4), build_number(t.b, EXPORTED * UINT64_C(1000) - 10000, 8);
	deliver(&t);
	look(&t);
	assert_answer(&t.a,
		      "SELECT ingressInterface_name || ' ' || coalesce(egressInterface_name, '-') FROM flows",
		      "wg0 -");
	assert_answer(&t.a, "SELECT flowStart || ' ' || flowEnd FROM flows",
		      "2023-11-14 22:13:11 2023-11-14 22:13:12.5");
	end(&t);
}

static void types_from_exporters(void **state)
{
	static const struct field type[] = {{IE_privateEnterpriseNumber, 4, 0},
					    {IE_informationElementId, 2, 0},
					    {IE_informationElementDataType, 1, 0},
					    {IE_informationElementName, FIELD_VARIABLE, 0}};
	static const struct field flow[] = {{5, 4, 99999}, {6, 4, 99999}, {IE_octetDeltaCount, 8, 0}};
	static const char *const names[] = {"\x0eroundTripTimes", "\x0foctetdeltacount"};
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1);
	build_template(t.b, 256, 2, type, 4);
	build_template(t.b, 257, 0, flow, 3);
	build_set(t.b, 256);
	for (unsigned i = 0; i < 2; i++) {
		build_number(t.b, 99999, 4), build_number(t.b, 5 + i, 2), build_number(t.b, IE_UNSIGNED32, 1);
		build_octets(t.b, names[i], 1 + (size_t)names[i][0]);
	}
	deliver(&t);
	build_begin(t.b, 2, 1);
	build_set(t.b, 257);
	build_number(t.b, 42, 4), build_number(t.b, 43, 4), build_number(t.b, 44, 8);
	deliver(&t);
	look(&t);
	/* The second would have taken IANA's name. */
	assert_answer(
		&t.a,
		"SELECT roundTripTimes || ' ' || hex(\"e99999.6\") || ' ' || octetDeltaCount FROM flows",
		"42 0000002B 44");
	assert_counter(&t.a, "elements_refused", "1");
	end(&t);
}

static void losses_that_exporters_report(void **state)
{
	static const struct field loss[] = {{IE_observationDomainId, 4, 0},
					    {IE_ignoredPacketTotalCount, 8, 0},
					    {IE_notSentFlowTotalCount, 8, 0}};
	static const unsigned totals[] = {10, 25, 5}; /* the last after a restart */
	struct bench t;

	begin(&t);
	for (unsigned i = 0; i < 3; i++) {
		build_begin(t.b, i, 1);
		build_template(t.b, 256, 1, loss, 3);
		build_set(t.b, 256);
		build_number(t.b, 1, 4), build_number(t.b, totals[i], 8), build_number(t.b, 2, 8);
		deliver(&t);
	}
	loader_add_kernel_drops(t.loader, 17);
	look(&t);
	assert_counter(&t.a, "exporter_ignored_packets", "30");
	assert_counter(&t.a, "exporter_not_sent_flows", "2");
	assert_int_equal(t.a.coverage.reported_by_exporters, 30);
	assert_int_equal(t.a.coverage.lost_kernel, 17);
	end(&t);
}

static const struct field one[] = {{IE_flowId, 8, 0}};

static void data_before_its_template(void **state)
{
	struct bench t;

	begin(&t);
	for (unsigned i = 0; i < 4; i++) {
		build_begin(t.b, i, 1);
		if (i == 2)
			build_template(t.b, 256, 0, one, 1);
		build_set(t.b, 256);
		build_number(t.b, i, 8);
		deliver(&t);
	}
	look(&t);
	assert_answer(&t.a, "SELECT count(*) || ' ' || sum(flowId) FROM flows", "4 6");
	assert_counter(&t.a, "sets_decoded_late", "2");
	assert_counter(&t.a, "sequence_lost", "0");
	end(&t);
}

static void data_whose_template_never_comes(void **state)
{
	enum { SETS = 5000 };
	struct bench t;

	begin(&t);
	for (unsigned i = 0; i < SETS; i++) {
		build_begin(t.b, i, 1);
		build_set(t.b, 300);
		build_number(t.b, i, 8);
		deliver(&t);
	}
	/* Another exporter is served all the same. */
	build_begin(t.b, 0, 1);
	build_set(t.b, 300);
	build_number(t.b, 1, 8);
	take(t.loader, t.b, 2, ++t.number);
	build_begin(t.b, 0, 1);
	build_template(t.b, 300, 0, one, 1);
	take(t.loader, t.b, 2, ++t.number);
	/* Long after. */
	build_begin(t.b, 1, 1);
	build_template(t.b, 256, 0, one, 1);
	take(t.loader, t.b, 2, t.number += 3600 * 1000);
	look(&t);
	assert_answer(&t.a, "SELECT count(*) FROM flows", "1");
	assert_counter(&t.a, "sets_waiting", "0");
	assert_int_equal(t.a.coverage.undecodable, SETS);
	assert_counter(&t.a, "sets_no_room", "2952"); /* 5000 less a quarter of 8192 */
	end(&t);
}

/* COLLECTORS' hostile rows: each is taken, counted, and leaves the honest record. */
static void hostile_rows(void **state)
{
	static const struct field empty[] = {{IE_flowId, 0, 0}};
	static const struct field twice[] = {{IE_flowId, 8, 0}, {IE_octetDeltaCount, 8, 0}};
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1); /* fields of no octets and a set of many */
	build_template(t.b, 256, 0, empty, 1);
	build_set(t.b, 256);
	for (unsigned i = 0; i < 8; i++)
		build_number(t.b, 0, 8);
	deliver(&t);
	build_begin(t.b, 0, 1); /* a template, its withdrawal (none over UDP), data */
	build_template(t.b, 257, 0, one, 1);
	build_template(t.b, 257, 0, one, 0);
	build_set(t.b, 257);
	build_number(t.b, 1, 8);
	deliver(&t);
	build_begin(t.b, 1, 1); /* another layout without withdrawal */
	build_template(t.b, 257, 0, twice, 2);
	build_set(t.b, 257);
	build_number(t.b, 2, 8), build_number(t.b, 99, 8);
	deliver(&t);
	build_begin(t.b, 1002, 1); /* a jump of 1000 */
	build_set(t.b, 257);
	build_number(t.b, 3, 8), build_number(t.b, 98, 8);
	deliver(&t);
	build_begin(t.b, 1003, 1); /* a record cut in the middle: padding to a fixed layout */
	build_set(t.b, 257);
	build_number(t.b, 4, 8), build_number(t.b, 97, 8), build_number(t.b, 0, 3);
	deliver(&t);
	build_begin(t.b, 1004, 1); /* no IPFIX */
	t.b->octets[1] = 9;
	build_set(t.b, 257);
	(void)build_end(t.b);
	t.b->octets[1] = 9;
	deliver(&t);
	look(&t);
	assert_answer(&t.a, "SELECT count(*) || ' ' || sum(flowId) || ' ' || sum(octetDeltaCount) FROM flows",
		      "4 10 294");
	assert_counter(&t.a, "templates_empty", "1");
	assert_counter(&t.a, "templates_withdrawal_ignored", "1");
	assert_counter(&t.a, "templates_replaced", "1");
	assert_counter(&t.a, "sequence_lost", "1000");
	assert_counter(&t.a, "malformed_version", "1");
	assert_int_equal(t.a.coverage.lost_sequence, 1000);
	assert_int_equal(t.a.coverage.malformed, 1);
	end(&t);
}

static void many_templates_in_many_domains(void **state)
{
	struct bench t;

	begin(&t);
	for (uint32_t domain = 0; domain < 3000; domain++) {
		build_begin(t.b, 0, domain);
		build_template(t.b, (uint16_t)(256 + domain), 0, one, 1);
		build_set(t.b, (uint16_t)(256 + domain));
		build_number(t.b, domain, 8);
		deliver(&t);
	}
	look(&t);
	assert_answer(&t.a, "SELECT count(*) || ' ' || count(DISTINCT observationDomainId) FROM flows",
		      "3000 3000");
	end(&t);
}

/* More exporters than are kept: the one idle for longest makes room, its counters stay in the sum. */
static void more_exporters_than_are_kept(void **state)
{
	char *folder = folder_new();
	const struct loader_options options = {.store = folder, .peers = 8};
	struct error err = {0};
	struct loader *l;
	struct build *b = malloc(sizeof *b);
	struct asking a;

	assert_int_equal(loader_open(&l, &options, &err), OK);
	for (unsigned host = 1; host <= 100; host++) {
		struct input_message m;

		build_begin(b, 0, 1);
		build_template(b, 256, 0, one, 1);
		build_set(b, 256);
		build_number(b, host, 8);
		m = from_host(build_end(b), (uint8_t)host, host);
		if (loader_take(l, &m) == AGAIN) { /* all eight have records that wait */
			flush(l);
			assert_int_equal(loader_take(l, &m), OK);
		}
	}
	flush(l);
	ask_open(&a, folder);
	assert_answer(&a, "SELECT count(DISTINCT exporterAddress) || ' ' || sum(flowId) FROM flows",
		      "100 5050");
	assert_counter(&a, "messages", "100");
	assert_counter(&a, "sessions_forgotten", "92");
	ask_close(&a);
	loader_close(l);
	folder_free(folder);
	free(b);
}

/* Templates, rates, names and sequences live over a restart. */
static void a_restart_forgets_nothing(void **state)
{
	static const struct field rate[] = {{IE_observationDomainId, 4, 0}, {IE_samplingInterval, 4, 0}};
	static const struct field flow[] = {{IE_octetDeltaCount, 8, 0}};
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1);
	build_template(t.b, 257, 0, flow, 1);
	build_template(t.b, 256, 1, rate, 2);
	build_set(t.b, 256);
	build_number(t.b, 1, 4), build_number(t.b, 10, 4);
	deliver(&t);
	flush(t.loader);
	loader_close(t.loader);
	t.loader = open_loader(t.folder);
	assert_int_equal(loader_position(t.loader, 0).offset, 1);
	build_begin(t.b, 6, 1); /* five records were lost while we were away */
	build_set(t.b, 257);
	build_number(t.b, 3, 8);
	deliver(&t);
	look(&t);
	assert_answer(&t.a, "SELECT octetDeltaCount_scaled FROM flows", "30");
	assert_counter(&t.a, "sequence_lost", "5");
	assert_counter(&t.a, "messages", "2");
	end(&t);
}

/* Over UDP a template that nobody gives again ends after a while. */
static void templates_end_over_udp(void **state)
{
	struct bench t;

	begin(&t);
	build_begin(t.b, 0, 1);
	build_template(t.b, 256, 0, one, 1);
	deliver(&t);
	t.number += 23 * 3600 * 1000; /* milliseconds */
	for (unsigned i = 0; i < 2; i++) {
		build_begin(t.b, i, 1);
		build_set(t.b, 256);
		build_number(t.b, 7, 8);
		deliver(&t);
		t.number += 2 * 3600 * 1000;
	}
	build_begin(t.b, 2, 1); /* the look that is taken once a minute was at the last one */
	build_set(t.b, 256);
	build_number(t.b, 8, 8);
	deliver(&t);
	flush(t.loader);
	ask_open(&t.a, t.folder);
	assert_answer(&t.a, "SELECT count(*) FROM flows", "2");
	assert_counter(&t.a, "sets_without_template", "1");
	end(&t);
}

/* A list of eight octets is a text of seventy: the batch is full by what it holds, not by what was sent. */
static void lists_fill_a_batch(void **state)
{
	static const struct field fields[] = {{IE_basicList, FIELD_VARIABLE, 0}};
	char *folder = folder_new();
	const struct loader_options options = {.store = folder, .flush_octets = 64 << 10};
	struct build *b = malloc(sizeof *b);
	struct loader *l;
	uint32_t taken = 0;

	assert_int_equal(loader_open(&l, &options, NULL), OK);
	for (enum status s = OK; s == OK; taken += s == OK) {
		build_begin(b, 100 * taken, 1);
		build_template(b, 256, 0, fields, 1);
		build_set(b, 256);
		for (unsigned i = 0; i < 100; i++)
			build_octets(b, "\x07\x03\0\x0a\0\x01\x07\x08", 8);
		const struct input_message m = from_host(build_end(b), 1, taken + 1);
		s = loader_take(l, &m);
		assert_true(s == OK || s == AGAIN);
		assert_true(taken < 82); /* 64 KiB of records alone */
	}
	assert_in_range(taken, 5, 12);
	flush(l);
	loader_close(l);
	folder_free(folder);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_fill_a_batch),
		cmocka_unit_test(sampling_scales_beside),
		cmocka_unit_test(one_in_a_hundred_for_the_domain),
		cmocka_unit_test(names_and_start_from_options),
		cmocka_unit_test(types_from_exporters),
		cmocka_unit_test(losses_that_exporters_report),
		cmocka_unit_test(data_before_its_template),
		cmocka_unit_test(data_whose_template_never_comes),
		cmocka_unit_test(hostile_rows),
		cmocka_unit_test(many_templates_in_many_domains),
		cmocka_unit_test(more_exporters_than_are_kept),
		cmocka_unit_test(a_restart_forgets_nothing),
		cmocka_unit_test(templates_end_over_udp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
