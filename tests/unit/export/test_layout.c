/* Flow records to octets: which layout, which fields, which values; and docs/wire.md says the same. */
#include "parse.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "export/options.h"
#include "export/ring.h"
#include "ie/ie.h"
#include "message/writer.h"

static struct flow_record example(uint8_t protocol, uint8_t kind, uint8_t direction)
{
	struct flow_record r = {
		.octets = 0x0102030405060708,
		.packets = 0x1112131415161718,
		.dropped_octets = 7,
		.dropped_packets = 8,
		.start_ms = 1700000000123,
		.end_ms = 1700000001456,
		.flow_id = 0x2122232425262728,
		.interface = 0x31323334,
		.point_id = 0x41424344,
		.tcp_flags = 0x0d1b,
		.class_of_service = 0xb8,
		.direction = direction,
		.end_reason = END_DETECTED,
	};

	for (uint8_t i = 0; i < (kind & KIND_IPV6 ? 16 : 4); i++) {
		r.key.source[i] = (uint8_t)(0x50 + i);
		r.key.destination[i] = (uint8_t)(0x70 + i);
	}
	r.denial = DENIAL_FIRST;
	r.key.source_port = htobe16(51820);
	r.key.destination_port = htobe16(443);
	r.key.protocol = protocol;
	r.key.kind = kind;
	return r;
}

static const struct {
	const char *what;
	uint8_t protocol, kind, direction;
	uint32_t template_id;
} choices[] = {
	{"IPv4 TCP in", 6, KIND_PORTS, 0, 256},
	{"IPv4 TCP out", 6, KIND_PORTS, 1, 257},
	{"IPv4 UDP in", 17, KIND_PORTS, 0, 258},
	{"IPv4 UDP-Lite out", 136, KIND_PORTS, 1, 259},
	{"IPv4 DCCP in", 33, KIND_PORTS, 0, 258},
	{"IPv4 ICMP in", 1, KIND_PORTS, 0, 260},
	{"IPv4 SCTP out", 132, KIND_PORTS, 1, 263},
	{"IPv4 GRE in", 47, 0, 0, 264},
	{"IPv4 TCP whose ports are unknown", 6, 0, 1, 265},
	{"ICMPv6 inside IPv4 is raw", 58, KIND_PORTS, 0, 264},
	{"IPv6 TCP in", 6, KIND_PORTS | KIND_IPV6, 0, 266},
	{"IPv6 ICMPv6 out", 58, KIND_PORTS | KIND_IPV6, 1, 271},
	{"ICMP inside IPv6 is raw", 1, KIND_PORTS | KIND_IPV6, 0, 274},
	{"ICMPv6 cut short is raw", 58, KIND_IPV6, 0, 274},
	{"IPv6 raw out", 89, KIND_IPV6, 1, 275},
	{"denied IPv4 TCP in", 6, KIND_PORTS | KIND_DENIED, 0, 276},
	{"denied IPv6 raw out", 50, KIND_IPV6 | KIND_DENIED, 1, 295},
};

static void test_choice(void **state)
{
	for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
		const struct flow_record r =
			example(choices[i].protocol, choices[i].kind, choices[i].direction);

		if (FLOW_TEMPLATE_FIRST + layout_of(&r) != choices[i].template_id)
			fail_msg("%s: template %u, expected %u", choices[i].what,
				 FLOW_TEMPLATE_FIRST + layout_of(&r), choices[i].template_id);
	}
}

/* DESIGN 8 word for word: the elements of each layout, in order. */
static uint32_t expected_fields(const struct flow_record *r, uint16_t *out)
{
	const bool v6 = r->key.kind & KIND_IPV6, ports = r->key.kind & KIND_PORTS;
	const uint8_t p = r->key.protocol;
	uint32_t n = 0;

	out[n++] = v6 ? 27 : 8;
	out[n++] = v6 ? 28 : 12;
	if (ports && (p == 6 || p == 17 || p == 132 || p == 136 || p == 33)) {
		out[n++] = 7;
		out[n++] = 11;
	}
	if (ports && p == (v6 ? 58 : 1))
		out[n++] = v6 ? 139 : 32;
	out[n++] = 4;
	if (ports && p == 6)
		out[n++] = 6;
	for (uint32_t i = 0; i < 5; i++)
		out[n++] = (const uint16_t[]){5, 1, 2, 152, 153}[i];
	out[n++] = r->direction ? 14 : 10;
	for (uint32_t i = 0; i < 4; i++)
		out[n++] = (const uint16_t[]){61, 136, 148, 138}[i];
	if (r->key.kind & KIND_DENIED) {
		for (uint32_t i = 0; i < 7; i++)
			out[n++] = (const uint16_t[]){132, 133, 89, 233, 0x8001, 0x8002, 0x8003}[i];
	}
	return n;
}

static void check_values(const struct parsed_record *got, const struct flow_record *r)
{
	const bool v6 = r->key.kind & KIND_IPV6;
	const struct parsed_field *source = parsed_nth(got, v6 ? 27 : 8, 0);

	assert_int_equal(source->length, v6 ? 16 : 4);
	assert_memory_equal(source->at, r->key.source, source->length);
	assert_memory_equal(parsed_nth(got, v6 ? 28 : 12, 0)->at, r->key.destination, source->length);
	if (parsed_has(got, 7)) {
		assert_int_equal(parsed_number(got, 7), 51820);
		assert_int_equal(parsed_number(got, 11), 443);
	}
	if (parsed_has(got, 32))
		assert_int_equal(parsed_number(got, 32), 443);
	assert_int_equal(parsed_number(got, 4), r->key.protocol);
	if (parsed_has(got, 6)) {
		assert_int_equal(parsed_nth(got, 6, 0)->length, 2);
		assert_int_equal(parsed_number(got, 6), 0x0d1b);
	}
	assert_int_equal(parsed_number(got, 5), 0xb8);
	assert_int_equal(parsed_number(got, 1), r->octets);
	assert_int_equal(parsed_number(got, 2), r->packets);
	assert_int_equal(parsed_number(got, 152), r->start_ms);
	assert_int_equal(parsed_number(got, 153), r->end_ms);
	assert_int_equal(parsed_number(got, r->direction ? 14 : 10), 0x31323334);
	assert_int_equal(parsed_number(got, 61), r->direction);
	assert_int_equal(parsed_number(got, 136), 3);
	assert_int_equal(parsed_number(got, 148), r->flow_id);
	assert_int_equal(parsed_number(got, 138), 0x41424344);
	if (r->key.kind & KIND_DENIED) {
		const struct parsed_field *rule = &got->field[got->count - 1];

		assert_int_equal(parsed_number(got, 132), 7);
		assert_int_equal(parsed_number(got, 133), 8);
		assert_int_equal(parsed_nth(got, 89, 0)->length, 1);
		assert_int_equal(parsed_number(got, 89), 129);
		assert_int_equal(parsed_number(got, 233), 3);
		assert_int_equal(got->field[got->count - 3].at[0], REASON_REJECTED);
		assert_int_equal(got->field[got->count - 2].at[0], CLASS_TRUST);
		assert_int_equal(rule->length, strlen("no-printer"));
		assert_memory_equal(rule->at, "no-printer", rule->length);
	}
}

struct expectation {
	const struct flow_record *record;
	uint32_t seen;
};

static void compare(void *arg, const struct parsed_record *got)
{
	struct expectation *e = arg;
	uint16_t ids[PARSE_FIELDS];

	assert_int_equal(got->count, expected_fields(e->record, ids));
	for (uint32_t i = 0; i < got->count; i++)
		assert_int_equal(got->field[i].id, ids[i]);
	check_values(got, e->record);
	e->seen++;
}

/* Points 20, 21, 25: numbers big-endian, addresses whole, times in milliseconds; point 28: full size. */
static void test_every_layout_read_back(void **state)
{
	static struct layout layouts[FLOW_LAYOUT_COUNT];
	static const uint8_t protocols[] = {6, 17, 1, 58, 132, 136, 33, 47, 255, 0};
	struct denial_table denials = {0};

	layout_make_flows(layouts, 0);
	assert_int_equal(denial_table_add(&denials, REASON_REJECTED, CLASS_TRUST, "no-printer"),
			 DENIAL_FIRST);
	for (uint32_t i = 0; i < sizeof protocols * 16; i++) {
		const uint8_t kind = (uint8_t)((i & 1 ? KIND_IPV6 : 0) | (i & 2 ? KIND_PORTS : 0) |
					       (i & 4 ? KIND_DENIED : 0));
		const struct flow_record r = example(protocols[i / 16], kind, i & 8 ? 1 : 0);
		const struct layout *layout = &layouts[layout_of(&r)];
		struct expectation e = {.record = &r};
		struct parser p = {.on_record = compare, .arg = &e};
		uint8_t buffer[512], octets[1024];
		struct message_writer w;

		message_begin(&w, buffer, sizeof buffer);
		const size_t template = layout_template(layout, octets);
		assert_true(template <= TEMPLATE_RECORD_MAX);
		assert_int_equal(message_put_record(&w, 2, span_of(octets, template)), OK);
		struct denied_record denied;
		const bool refused = kind & KIND_DENIED;
		denied_record_of(&denied, &r, &denials);
		const size_t length =
			encode_record(layout, refused ? (const void *)&denied : (const void *)&r, octets);
		assert_in_range(length, layout->least_length, layout->record_length);
		assert_true(refused || length == layout->record_length);
		assert_int_equal(message_put_record(&w, layout->template_id, span_of(octets, length)), OK);
		const struct span m = message_finish(&w, 1, 0, 1);
		parse_message(&p, m.data, m.length);
		assert_int_equal(e.seen, 1);
	}
}

/* The quick way to the same octets as the plain one, for all forms, and not an octet beyond. */
static void test_shuffles_are_the_steps(void **state)
{
	static struct layout layouts[FLOW_LAYOUT_COUNT];
	uint64_t random = 99, planned = 0;

	for (uint32_t forms = 0; forms <= FORMS_ALL; forms++) {
		layout_make_flows(layouts, forms);
		for (uint32_t i = 0; i < FLOW_LAYOUT_COUNT; i++) {
			const struct layout *layout = &layouts[i];
			uint8_t plain[RING_RECORD_MAX + 1], quick[RING_RECORD_MAX + 1];
			struct flow_record *r = malloc(sizeof *r);

			assert_non_null(r);
			if (layout->shuffle_count == 0) {
				free(r);
				continue;
			}
			for (size_t n = 0; n < sizeof *r; n++) {
				random = random * 6364136223846793005 + 1442695040888963407;
				((uint8_t *)r)[n] = (uint8_t)(random >> 56);
			}
			memset(plain, 0xee, sizeof plain);
			memset(quick, 0xee, sizeof quick);
			assert_int_equal(encode_by_steps(layout, r, plain), layout->record_length);
			assert_int_equal(encode_record(layout, r, quick), layout->record_length);
			assert_memory_equal(plain, quick, sizeof plain);
			planned++;
			free(r);
		}
	}
#if defined(__x86_64__)
	/* All but those with the texts of FORM_PROCESS. */
	assert_true(planned >= (uint64_t)FLOW_LAYOUT_ALLOWED * (FORMS_ALL + 1) / 2 ||
		    !__builtin_cpu_supports("ssse3"));
#endif
}

/* Every row's length is the element's own, and no layout comes near the 60 fields that some readers stop at.
 */
static void test_lengths_are_the_registry_s(void **state)
{
	static struct layout layouts[FLOW_LAYOUT_COUNT + OPTIONS_COUNT];

	layout_make_flows(layouts, 0);
	options_make(layouts + FLOW_LAYOUT_COUNT);
	for (uint32_t i = 0; i < FLOW_LAYOUT_COUNT + OPTIONS_COUNT; i++) {
		assert_in_range(layouts[i].field_count, 2, FIELDS_MAX);
		for (uint32_t f = 0; f < layouts[i].field_count; f++) {
			const struct field *row = &layouts[i].field[f];
			const struct information_element *ie = ie_find(row->pen, row->element);
			uint32_t size = ie ? ie_type_size(ie->type) : 0;

			assert_non_null(ie);
			assert_false(ie->deprecated);
			size = size ? size : FIELD_VARIABLE;
			size = row->element == 89 ? 1 : size; /* RFC 7270 4.12: reduced-size */
			if (size != row->length)
				fail_msg("%s: %u octets, its type has %u", ie->name, row->length, size);
		}
	}
}

/* Point 24: strings are UTF-8, cut at a character, without NUL. Point 32: the length in front. */
static void test_conformance_24_strings(void **state)
{
	static const struct {
		const char *what, *text, *expect;
	} cases[] = {
		{"plain", "wg0", "wg0"},
		{"empty", "", ""},
		{"two octets", "caf\xc3\xa9", "caf\xc3\xa9"},
		{"four octets", "\xf0\x9f\xa6\x8a", "\xf0\x9f\xa6\x8a"},
		{"lone continuation", "a\x80z", "a?z"},
		{"second octet wrong", "\xc3(", "?("},
		{"overlong", "\xc0\xaf", "??"},
		{"overlong of three", "\xe0\x80\xaf", "???"},
		{"surrogate", "\xed\xa0\x80", "???"},
		{"past the last code point", "\xf4\x90\x80\x80", "????"},
		{"cut inside a character", "eth\xe2\x82", "eth"},
		{"0xff", "\xff", "?"},
	};
	static struct layout layouts[OPTIONS_COUNT];
	const struct layout *interfaces = &layouts[OPTIONS_INTERFACES];

	options_make(layouts);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct options_facts facts = {.interface = 5, .point_id = 1};
		uint8_t out[256];

		strcpy(facts.name, cases[i].text);
		const size_t length = encode_record(interfaces, &facts, out);
		assert_in_range(length, 14, interfaces->record_length);
		if (out[12] != strlen(cases[i].expect) || memcmp(out + 13, cases[i].expect, out[12]) != 0)
			fail_msg("%s: \"%.*s\", expected \"%s\"", cases[i].what, out[12], out + 13,
				 cases[i].expect);
	}
	struct options_facts full = {.interface = 5};
	uint8_t out[256];
	memset(full.name, 'n', sizeof full.name); /* no NUL at all */
	memset(full.description, 'd', sizeof full.description);
	assert_int_equal(encode_record(interfaces, &full, out), interfaces->record_length);
}

/* Point 75: bit n of flowKeyIndicator is field n. */
static void test_conformance_75_key_bits(void **state)
{
	static struct layout layouts[FLOW_LAYOUT_COUNT];

	layout_make_flows(layouts, 0);
	/* IPv4 TCP ingress: 8 12 7 11 4 | 6 5 1 2 152 153 | 10 61 | 136 148 | 138 */
	assert_int_equal(layout_key_bits(&layouts[0]), 0x1f | 1 << 11 | 1 << 12 | 1 << 15);
}

/* docs/wire.md */

static void write_fields(FILE *out, const struct layout *layout, const char *name)
{
	fprintf(out, "\n### %u: %s\n\n| # | element | id | octets | |\n|---|---|---|---|---|\n",
		layout->template_id, name);
	for (uint32_t i = 0; i < layout->field_count; i++) {
		const struct field *f = &layout->field[i];
		char length[16];

		snprintf(length, sizeof length, "%u", f->length);
		char id[24];

		snprintf(id, sizeof id, "%u%s", f->element, f->pen ? ", ours" : "");
		fprintf(out, "| %u | %s | %s | %s | %s |\n", i + 1, ie_find(f->pen, f->element)->name, id,
			f->length == FIELD_VARIABLE ? "variable" : length,
			i < layout->scope_count          ? "scope"
			: f->key && !layout->scope_count ? "key"
							 : "");
	}
}

static bool layout_has(const struct layout *layout, const struct field *f)
{
	for (uint32_t i = 0; i < layout->field_count; i++)
		if (layout->field[i].element == f->element && layout->field[i].pen == f->pen)
			return true;
	return false;
}

static void write_form(FILE *out, uint32_t form, const struct field *f)
{
	const bool reverse = f->pen == REVERSE_PEN;

	fprintf(out, "| %u | %s%s | %u", form, reverse ? "reverse of " : "",
		ie_find(reverse ? 0 : f->pen, f->element)->name, f->element);
	if (f->pen)
		fprintf(out, ", enterprise %u", f->pen);
	if (f->length == FIELD_VARIABLE)
		fprintf(out, " | variable |\n");
	else
		fprintf(out, " | %u |\n", f->length);
}

/* What a form adds to the first layout. */
static void write_forms(FILE *out, const struct layout *plain)
{
	static struct layout with[FLOW_LAYOUT_COUNT];

	fprintf(out, "\n## Forms\n\n| form | element | id | octets |\n|---|---|---|---|\n");
	for (uint32_t form = 1; form < FORMS_ALL; form *= 2) {
		layout_make_flows(with, form);
		for (uint32_t i = 0; i < with[0].field_count; i++) {
			const struct field *f = &with[0].field[i];

			if (!layout_has(plain, f))
				write_form(out, form, f);
		}
	}
}

static void write_tables(FILE *out)
{
	static struct layout flows[FLOW_LAYOUT_COUNT], options[OPTIONS_COUNT];
	char name[64];

	layout_make_flows(flows, 0);
	options_make(options);
	fprintf(out, "\n## Flow records\n");
	for (uint32_t i = 0; i < FLOW_LAYOUT_COUNT; i++) {
		layout_name(i, name, sizeof name);
		write_fields(out, &flows[i], name);
	}
	write_forms(out, flows);
	fprintf(out, "\n## Options records\n");
	for (uint32_t i = 0; i < OPTIONS_COUNT; i++)
		write_fields(out, &options[i], options_name(i));
}

/* What stands below the mark is made from the tables: WEIR_WRITE_WIRE=1 writes it. */
static void test_wire_document(void **state)
{
	static const char mark[] =
		"<!-- From here on made from the field tables: see the end of the introduction. -->\n";
	const char *source = getenv("WEIR_SOURCE");
	auto_free char *made = NULL, *text = NULL;
	size_t made_length = 0;
	char path[512];
	long length;

	if (!source)
		skip();
	FILE *memory = open_memstream(&made, &made_length);
	write_tables(memory);
	fclose(memory);
	snprintf(path, sizeof path, "%s/docs/wire.md", source);
	auto_file f = fopen(path, getenv("WEIR_WRITE_WIRE") ? "r+" : "r");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	length = ftell(f);
	rewind(f);
	text = calloc(1, (size_t)length + 1);
	assert_int_equal(fread(text, 1, (size_t)length, f), length);
	char *tables = strstr(text, mark);
	assert_non_null(tables);
	tables += sizeof mark - 1;
	if (getenv("WEIR_WRITE_WIRE")) {
		fseek(f, tables - text, SEEK_SET);
		assert_int_equal(fwrite(made, 1, made_length, f), made_length);
		fflush(f);
		assert_int_equal(ftruncate(fileno(f), tables - text + (long)made_length), 0);
	} else if (strcmp(tables, made) != 0) {
		fail_msg("%s is not what the field tables say: run this test with WEIR_WRITE_WIRE=1", path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_every_layout_read_back),
		cmocka_unit_test(test_shuffles_are_the_steps),
		cmocka_unit_test(test_lengths_are_the_registry_s),
		cmocka_unit_test(test_conformance_24_strings),
		cmocka_unit_test(test_conformance_75_key_bits),
		cmocka_unit_test(test_wire_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
