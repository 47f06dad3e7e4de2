/* Which flow records are exported: matches by every kind of field, and sampling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "export/record_selection.h"

static struct flow_record record_of(uint8_t protocol, uint16_t port, const char *source)
{
	struct flow_record r = {
		.key = {.kind = KIND_PORTS, .protocol = protocol, .destination_port = htons(port)},
		.octets = 1000,
		.packets = 10,
		.start_ms = 1700000000000,
		.interface = 7,
		.tcp_flags = 0x12,
		.direction = DIRECTION_EGRESS,
	};

	if (strchr(source, ':')) {
		r.key.kind |= KIND_IPV6;
		assert_int_equal(inet_pton(AF_INET6, source, &r.key.source), 1);
	} else {
		assert_int_equal(inet_pton(AF_INET, source, &r.key.source), 1);
	}
	return r;
}

static struct record_selection *selection_of(const char *const *text)
{
	struct layout *layout = calloc(FLOW_LAYOUT_COUNT, sizeof *layout);
	struct record_selection *out = NULL;
	struct selector_chain chain = {0};
	struct error err = {""};

	assert_non_null(layout);
	layout_make_flows(layout, 0);
	for (; *text; text++)
		assert_int_equal(selector_parse(&chain.selector[chain.count++], *text), OK);
	assert_int_equal(record_selection_new(&out, &chain, layout, 5, 1, &err), OK);
	free(layout);
	return out;
}

static bool takes(struct record_selection *s, const struct flow_record *r)
{
	return record_selection_takes(s, layout_of(r), r);
}

static void test_matches(void **state)
{
	/* T: TCP 443 of 10.1.2.3, U: UDP 53 of 10.1.2.3, I: ICMP of 192.0.2.1, 6: TCP 443 of 2001:db8::1 */
	const struct flow_record records[] = {
		record_of(IPPROTO_TCP, 443, "10.1.2.3"),
		record_of(IPPROTO_UDP, 53, "10.1.2.3"),
		record_of(IPPROTO_ICMP, 0x0800, "192.0.2.1"),
		record_of(IPPROTO_TCP, 443, "2001:db8::1"),
	};
	const struct {
		const char *match, *taken;
	} cases[] = {
		{"destinationTransportPort=443", "T6"},
		{"destinationTransportPort=53,443,80", "TU6"},
		{"destinationTransportPort!=443", "U"}, /* ICMP has no port */
		{"destinationTransportPort<443", "U"},
		{"destinationTransportPort<=443", "TU6"},
		{"destinationTransportPort>53", "T6"},
		{"destinationTransportPort>=53", "TU6"},
		{"protocolIdentifier=1", "I"},
		{"icmpTypeCodeIPv4=2048", "I"},
		{"sourceIPv4Address=10.1.2.3", "TU"},
		{"sourceIPv4Address=10.0.0.0/8", "TU"},
		{"sourceIPv4Address=10.1.2.128/25", ""},
		{"sourceIPv4Address=10.1.2.2/31,192.0.2.1", "TUI"},
		{"sourceIPv4Address=0.0.0.0/0", "TUI"},
		{"sourceIPv4Address!=10.0.0.0/8", "I"},
		{"sourceIPv6Address=2001:db8::/32", "6"},
		{"octetDeltaCount>=1000", "TUI6"},
		{"octetDeltaCount>1000", ""},
		{"flowStartMilliseconds>1699999999999", "TUI6"},
		{"tcpControlBits=18", "T6"},
		{"egressInterface=7", "TUI6"},
		{"ingressInterface=7", ""},
		{"packetTotalCount>0", ""}, /* of a form that is off */
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[SELECTOR_TEXT_MAX], taken[8] = "";
		size_t n = 0;

		snprintf(text, sizeof text, "Match/%s", cases[i].match);
		struct record_selection *s = selection_of((const char *[]){text, NULL});
		for (size_t k = 0; k < 4; k++)
			if (takes(s, &records[k]))
				taken[n++] = "TUI6"[k];
		if (strcmp(taken, cases[i].taken) != 0)
			fail_msg("%s: %s, expected %s", cases[i].match, taken, cases[i].taken);
		record_selection_free(s);
	}
}

static void test_what_is_no_match(void **state)
{
	static const char *const bad[] = {
		"destinationTransportPort",
		"destinationTransportPort=",
		"=443",
		"destinationTransportPort=a",
		"destinationTransportPort=1,",
		"destinationTransportPort==1",
		"destinationTransportPort=-1",
		"destinationTransportPort=18446744073709551616",
		"destinationTransportPort<1,2",
		"DestinationTransportPort=1",
		"interfaceName=1",
		"bgpSourceAsNumber=1",
		"denialReason=1",
		"sourceIPv4Address=10.0.0.0/33",
		"sourceIPv4Address=2001:db8::1",
		"sourceIPv4Address<10.0.0.1",
		"sourceIPv6Address=10.0.0.1",
		"packetDeltaCount=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
	};
	struct error err;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err = (struct error){""};
		if (record_match_check(bad[i], &err) != ERR_USAGE || !*err.text)
			fail_msg("%s is taken: %s", bad[i], err.text);
	}
	assert_int_equal(record_match_check("packetTotalCount>0", &err), OK); /* of a form that may be on */
}

static void test_sampling_and_counters(void **state)
{
	struct record_selection *s =
		selection_of((const char *[]){"Match/protocolIdentifier=6", "Count/1/4", "Random/1/2", NULL});
	struct flow_record r = record_of(IPPROTO_TCP, 443, "10.1.2.3");
	const struct flow_record other = record_of(IPPROTO_UDP, 53, "10.1.2.3");
	struct record_selector_item item;
	uint32_t taken = 0;

	for (uint32_t i = 0; i < 80; i++) {
		taken += takes(s, &r);
		assert_false(takes(s, &other));
	}
	assert_int_equal(taken, 10);
	const uint64_t expected[][2] = {{160, 80}, {80, 20}, {20, 10}};
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(record_selection_item(s, i, &item));
		assert_int_equal(item.id, 5 + i);
		assert_int_equal(item.observed, expected[i][0]);
		assert_int_equal(item.selected, expected[i][1]);
	}
	assert_false(record_selection_item(s, 3, &item));
	assert_false(record_selection_item(NULL, 0, &item));

	/* Records of refused frames are none of the population. */
	r.key.kind |= KIND_DENIED;
	assert_true(takes(s, &r));
	assert_true(record_selection_item(s, 0, &item));
	assert_int_equal(item.observed, 160);
	record_selection_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_what_is_no_match),
		cmocka_unit_test(test_sampling_and_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
