/* A policy without the kernel: prefixes, what it says of a frame, the caller's own session, names of
 * counters. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "observe/rules.h"
#include "policy/own_session.h"
#include "policy/prefix.h"
#include "policy/table.h"

static void prefixes(void **state)
{
	static const struct {
		const char *text, *again; /* NULL: no prefix */
	} cases[] = {
		{"10.0.0.1", "10.0.0.1"},
		{"10.0.0.1/32", "10.0.0.1"},
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"fd00::/8", "fd00::/8"},
		{"fd00::1/128", "fd00::1"},
		{"::/0", "::/0"},
		{"10.0.0.1/8", NULL},
		{"10.0.0.0/33", NULL},
		{"10.0.0.0/", NULL},
		{"10.0.0.0/ 8", NULL},
		{"10.0.0.0/8x", NULL},
		{"10.0.0", NULL},
		{"fd00::1/64", NULL},
		{"fd00::/129", NULL},
		{"bob", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct policy_prefix p;
		char text[64] = "";
		const bool good = policy_prefix_parse(&p, cases[i].text);

		if (good)
			policy_prefix_text(&p, text, sizeof text);
		if (good != (cases[i].again != NULL) || (good && strcmp(text, cases[i].again) != 0))
			fail_msg("%s: %d %s", cases[i].text, good, text);
	}
}

static void tidy_prefixes(void **state)
{
	static const char *const in[] = {"fd00::1",   "10.1.0.0/16", "10.0.0.0/8", "10.1.2.3",
					 "192.0.2.1", "192.0.2.1",   "fd00::/16"};
	static const char *const out[] = {"10.0.0.0/8", "192.0.2.1", "fd00::/16"};
	struct policy_prefix p[sizeof in / sizeof in[0]];

	(void)state;
	for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
		assert_true(policy_prefix_parse(&p[i], in[i]));
	assert_int_equal(policy_prefixes_tidy(p, sizeof in / sizeof in[0]), 3);
	for (size_t i = 0; i < 3; i++) {
		char text[64];

		policy_prefix_text(&p[i], text, sizeof text);
		assert_string_equal(text, out[i]);
	}
}

static const char policy_text[] =
	"{ \"Interfaces\": [\"wg0\"], \"Peers\": { \"bob\": [\"10.0.0.2\", \"fd00::2\"] },"
	"  \"TrustRequirements\": [\"t\", \"u\"], \"Rules\": ["
	"  { \"Name\": \"no-telnet\", \"Allow\": false, \"Protocol\": \"tcp\", \"Ports\": 23 },"
	"  { \"Name\": \"files\", \"Senders\": \"bob\", \"Receivers\": \"10.0.0.0/8\", \"Protocol\": \"tcp\","
	"    \"Ports\": [2049, \"20-30\"], \"Trust\": [\"t\", \"u\"] },"
	"  { \"Name\": \"ping\", \"Protocol\": \"icmp\" },"
	"  { \"Name\": \"udp-all\", \"Protocol\": \"udp\", \"Receivers\": [\"fd00::/8\"] } ] }";

static void verdicts(void **state)
{
	static const struct {
		const char *source, *destination;
		uint8_t protocol;
		bool egress;
		uint16_t port;
		const char *name;
		bool allowed, trust;
	} cases[] = {
		{"10.0.0.1", "10.0.0.3", IPPROTO_TCP, false, 23, "no-telnet", false, false},
		{"10.0.0.2", "10.0.0.3", IPPROTO_TCP, false, 23, "no-telnet", false, false}, /* the first */
		{"10.0.0.2", "10.0.0.3", IPPROTO_TCP, false, 2049, "files", true, false},
		{"10.0.0.2", "10.0.0.3", IPPROTO_TCP, true, 2049, "t", false, true}, /* the far end is .3 */
		{"10.0.0.2", "10.0.0.4", IPPROTO_TCP, true, 22, "u", false, true},
		{"10.0.0.2", "10.0.0.3", IPPROTO_TCP, false, 31, "default-deny", false, false},
		{"10.0.0.9", "10.0.0.3", IPPROTO_TCP, false, 2049, "default-deny", false, false},
		{"10.0.0.9", "10.0.0.3", IPPROTO_ICMP, false, 0, "ping", true, false},
		{"fd00::9", "fd00::3", IPPROTO_ICMPV6, true, 0, "ping", true, false},
		{"fd00::9", "fd00::3", IPPROTO_ICMP, true, 0, "default-deny", false, false},
		{"fd00::9", "fd00::3", IPPROTO_UDP, true, 9, "udp-all", true, false},
		{"10.0.0.9", "10.0.0.3", IPPROTO_UDP, true, 9, "default-deny", false, false},
	};
	struct trust_member member[3] = {{.trust = "t"}, {.trust = "u"}, {.trust = "t"}};
	const struct trust_members members = {.count = 3, .member = member};
	struct policy *policy;
	struct error err;

	(void)state;
	assert_true(policy_prefix_parse(&member[0].peer, "10.0.0.2"));
	assert_true(policy_prefix_parse(&member[1].peer, "10.0.0.2"));
	assert_true(policy_prefix_parse(&member[2].peer, "10.0.0.4"));
	if (policy_parse(&policy, "test", policy_text, strlen(policy_text), &err) != OK)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct policy_frame f = {
			.egress = cases[i].egress, .protocol = cases[i].protocol, .port = cases[i].port};

		assert_true(policy_prefix_parse(&f.source, cases[i].source));
		assert_true(policy_prefix_parse(&f.destination, cases[i].destination));
		const struct policy_verdict v = policy_judge(policy, &members, &f);
		if (strcmp(v.name, cases[i].name) != 0 || v.allowed != cases[i].allowed ||
		    v.trust != cases[i].trust)
			fail_msg("case %zu: %s, allowed %d, trust %d", i, v.name, v.allowed, v.trust);
	}
	policy_free(policy);
}

static void own_sessions(void **state)
{
	struct policy_frame f;

	(void)state;
	assert_true(own_session_parse(&f, "10.0.0.9 50000 10.0.0.1 22"));
	assert_int_equal(f.port, 22);
	assert_int_equal(f.protocol, IPPROTO_TCP);
	assert_false(f.egress);
	assert_true(own_session_parse(&f, "fd00::9 50000 fd00::1 2222"));
	assert_int_equal(f.source.family, AF_INET6);
	assert_false(own_session_parse(&f, ""));
	assert_false(own_session_parse(&f, "10.0.0.9 50000 10.0.0.1"));
	assert_false(own_session_parse(&f, "10.0.0.9 50000 10.0.0.1 99999"));
	assert_false(own_session_parse(&f, "somebody 50000 10.0.0.1 22"));
}

static void lists(void **state)
{
	static const char text[] = "[{\"metainfo\": {}}, {\"set\": {\"name\": \"trust/disk/4\", \"elem\": "
				   "[\"10.0.0.1\", {\"elem\": "
				   "{\"val\": \"10.0.0.2\", \"timeout\": 60, \"expires\": 0}}, 7]}}, "
				   "{\"set\": {\"name\": \"trust/disk/6\","
				   " \"elem\": [{\"elem\": {\"val\": \"fd00::1\", \"timeout\": 60, "
				   "\"expires\": 59}}]}}, {\"set\": {\"name\":"
				   " \"peer/bob/4\", \"elem\": [\"10.0.0.9\"]}}, {\"set\": {\"name\": "
				   "\"peer/net/4\", \"elem\": [{\"prefix\": "
				   "{\"addr\": \"10.1.0.0\", \"len\": 16}}]}}, {\"counter\": {\"name\": "
				   "\"allow/web/ingress\", \"packets\": 5, "
				   "\"bytes\": 500}}, {\"counter\": {\"name\": \"other\"}}]";
	json_t *list = json_loads(text, 0, NULL);
	struct trust_members members;
	struct policy_prefix host[4];
	struct rule_count count;
	struct error err;
	size_t at = 0;
	bool wide;

	(void)state;
	assert_non_null(list);
	assert_int_equal(policy_list_members(list, &members, &err), OK);
	assert_int_equal(members.count, 3);
	assert_int_equal(members.member[0].seconds, 0);
	assert_int_equal(members.member[1].seconds, 1); /* never for ever */
	assert_int_equal(members.member[2].seconds, 59);
	free(members.member);
	assert_true(policy_list_has_trust(list, "disk"));
	assert_false(policy_list_has_trust(list, "dis"));
	assert_int_equal(policy_list_peer(list, "bob", host, 4, &wide), 1);
	assert_false(wide);
	assert_int_equal(policy_list_peer(list, "net", host, 4, &wide), 1);
	assert_true(wide);
	assert_int_equal(policy_list_peer(list, "bo", host, 4, &wide), 0);
	assert_true(policy_list_next_counter(list, &at, &count));
	assert_string_equal(count.name, "web");
	assert_int_equal(count.packets, 5);
	assert_false(policy_list_next_counter(list, &at, &count));
	json_decref(list);
}

static void counters(void **state)
{
	static const struct {
		const char *counter, *name; /* NULL: none of ours */
		uint8_t action, direction;
	} cases[] = {
		{"allow/web/ingress", "web", RULE_ALLOW, 0},
		{"acl/default-deny/egress", "default-deny", RULE_REFUSE, 1},
		{"trust/disk-encryption/egress", "disk-encryption", RULE_REFUSE_TRUST, 1},
		{"pass/answers/ingress", "answers", RULE_PASS, 0},
		{"allow/web", NULL, 0, 0},
		{"allow//ingress", NULL, 0, 0},
		{"other/web/ingress", NULL, 0, 0},
		{"allow/web/inside", NULL, 0, 0},
		{"", NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct rule_count c;
		const bool good = rule_counter_parse(&c, cases[i].counter);

		if (good != (cases[i].name != NULL) ||
		    (good && (strcmp(c.name, cases[i].name) != 0 || c.action != cases[i].action ||
			      c.direction != cases[i].direction)))
			fail_msg("%s: %d %s %u %u", cases[i].counter, good, c.name, c.action, c.direction);
	}
}

static void rule_tables(void **state)
{
	struct rule_table *t = calloc(1, sizeof *t);
	char name[16];

	(void)state;
	assert_non_null(t);
	for (int i = 0; i < RULE_TABLE_MAX; i++) {
		snprintf(name, sizeof name, "r%d", i);
		struct rule_count *r = rule_table_find(t, RULE_ALLOW, SOURCE_COUNTER, 0, name);
		assert_non_null(r);
		r->packets = (uint64_t)i;
	}
	assert_null(rule_table_find(t, RULE_ALLOW, SOURCE_COUNTER, 1, "r0"));
	assert_int_equal(t->left_out, 1);
	assert_int_equal(rule_table_find(t, RULE_ALLOW, SOURCE_COUNTER, 0, "r77")->packets, 77);
	assert_int_equal(rule_table_find(t, RULE_ALLOW, SOURCE_COUNTER, 0, "r78")->packets, 78);
	assert_int_equal(rule_table_find(t, RULE_ALLOW, SOURCE_COUNTER, 0, "r5")->packets, 5);
	assert_int_equal(t->count, RULE_TABLE_MAX);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes),     cmocka_unit_test(tidy_prefixes), cmocka_unit_test(verdicts),
		cmocka_unit_test(own_sessions), cmocka_unit_test(lists),         cmocka_unit_test(counters),
		cmocka_unit_test(rule_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
