/* COLLECTOR and LISTEN as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transport/transport.h"

static const struct {
	const char *what, *text;
	enum status status;
	const char *expect; /* the canonical form, or words of the message */
} cases[] = {
	{"the manual's example", "Udp/172.16.1.100:4739", OK, "Udp/172.16.1.100:4739"},
	{"port left out", "Udp/172.16.1.100", OK, "Udp/172.16.1.100:4739"},
	{"scheme in capitals", "UDP/172.16.1.100:1", OK, "Udp/172.16.1.100:1"},
	{"scheme in small letters", "udp/10.0.0.1:65535", OK, "Udp/10.0.0.1:65535"},
	{"IPv6 with port", "Udp/[2001:db8::1]:9995", OK, "Udp/[2001:db8::1]:9995"},
	{"IPv6 without port", "Udp/[fd00::1]", OK, "Udp/[fd00::1]:4739"},
	{"link-local with zone", "Udp/[fe80::1%wg0]", OK, "Udp/[fe80::1%wg0]:4739"},
	{"host name", "Udp/collector.example.net", OK, "Udp/collector.example.net:4739"},
	{"host name with port", "Udp/flows_1:2055", OK, "Udp/flows_1:2055"},
	{"name that begins with a digit", "Udp/1st.example", OK, "Udp/1st.example:4739"},
	{"relative path", "File/out.ipfix", OK, "File/out.ipfix"},
	{"absolute path", "file//var/lib/weir/a:b.ipfix", OK, "File//var/lib/weir/a:b.ipfix"},
	{"standard output", "FILE/-", OK, "File/-"},
	{"TCP", "Tcp/10.0.0.1:4739", OK, "Tcp/10.0.0.1:4739"},
	{"SCTP, port left out", "sctp/10.0.0.1", OK, "Sctp/10.0.0.1:4739"},
	{"88: TLS, port left out", "TLS/collector", OK, "Tls/collector:4740"},
	{"88: DTLS, port left out", "Dtls/[::1]", OK, "Dtls/[::1]:4740"},
	{"88: DTLS over SCTP, port left out", "dtlssctp/10.0.0.1", OK, "DtlsSctp/10.0.0.1:4740"},
	{"nothing", "", ERR_USAGE, "no transport"},
	{"no scheme", "172.16.1.100:4739", ERR_USAGE,
	 "Udp/HOST[:PORT], Tcp/…, Sctp/…, Tls/…, Dtls/…, DtlsSctp/…, File/PATH"},
	{"URL", "udp://172.16.1.100:4739", ERR_USAGE, "unknown transport \"udp:\""},
	{"unknown scheme", "Quic/10.0.0.1", ERR_USAGE, "unknown transport \"Quic\""},
	{"scheme cut short", "Ud/10.0.0.1", ERR_USAGE, "unknown transport \"Ud\""},
	{"no host", "Udp/", ERR_USAGE, "no host"},
	{"no host but a port", "Udp/:4739", ERR_USAGE, "no host"},
	{"port nought", "Udp/10.0.0.1:0", ERR_USAGE, "1 to 65535"},
	{"port too big", "Udp/10.0.0.1:65536", ERR_USAGE, "port \"65536\""},
	{"port that wraps", "Udp/10.0.0.1:4294971635", ERR_USAGE, "1 to 65535"},
	{"port not a number", "Udp/10.0.0.1:ipfix", ERR_USAGE, "port \"ipfix\""},
	{"port empty", "Udp/10.0.0.1:", ERR_USAGE, "port \"\""},
	{"port with sign", "Udp/10.0.0.1:+1", ERR_USAGE, "port \"+1\""},
	{"IPv6 without brackets", "Udp/fd00::1", ERR_USAGE, "brackets: Udp/[fd00::1]"},
	{"bracket left open", "Udp/[fd00::1", ERR_USAGE, "without ']'"},
	{"IPv4 in brackets", "Udp/[10.0.0.1]", ERR_USAGE, "not an IPv6 address"},
	{"junk after bracket", "Udp/[::1]4739", ERR_USAGE, "after ']'"},
	{"brackets empty", "Udp/[]", ERR_USAGE, "not an IPv6 address"},
	{"zone empty", "Udp/[fe80::1%]", ERR_USAGE, "not an IPv6 address"},
	{"IPv4 out of range", "Udp/1.2.3.400", ERR_USAGE, "not an IPv4 address"},
	{"IPv4 too short", "Udp/10.1:99", ERR_USAGE, "not an IPv4 address"},
	{"space in name", "Udp/my collector", ERR_USAGE, "no host name"},
	{"slash in name", "Udp/host/path", ERR_USAGE, "no host name"},
	{"empty label", "Udp/a..b", ERR_USAGE, "no host name"},
	{"file without path", "File/", ERR_USAGE, "no path"},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct error err = {""};
		struct endpoint e;
		char printed[512] = "";
		const enum status st = endpoint_parse(&e, cases[i].text, &err);

		if (st == OK)
			endpoint_print(&e, printed, sizeof printed);
		if (st != cases[i].status || !strstr(st == OK ? printed : err.text, cases[i].expect) ||
		    (st == OK && strcmp(printed, cases[i].expect) != 0))
			fail_msg("%s: %s: status %d, \"%s\", expected %d, \"%s\"", cases[i].what,
				 cases[i].text, st, st == OK ? printed : err.text, cases[i].status,
				 cases[i].expect);
	}
}

static void test_length_limits(void **state)
{
	char text[600];
	struct error err;
	struct endpoint e;

	for (size_t n = 1; n < 500; n++) {
		strcpy(text, "File/");
		memset(text + 5, 'p', n);
		text[5 + n] = 0;
		assert_int_equal(endpoint_parse(&e, text, &err), n < sizeof e.host ? OK : ERR_USAGE);
		memcpy(text, "Udp/[", 5);
		assert_int_equal(endpoint_parse(&e, text, &err), ERR_USAGE);
		text[5 + n - 1] = ']';
		assert_int_equal(endpoint_parse(&e, text, &err), ERR_USAGE);
		memmove(text + 4, text + 5, n + 1);
		memset(text + 4, 'h', n);
		assert_int_equal(endpoint_parse(&e, text, &err), n <= 63 ? OK : ERR_USAGE);
	}
}

/* What is printed parses to the same endpoint. */
static void test_print_round_trip(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct endpoint a, b;
		char printed[512];

		if (cases[i].status != OK)
			continue;
		assert_int_equal(endpoint_parse(&a, cases[i].text, NULL), OK);
		endpoint_print(&a, printed, sizeof printed);
		assert_int_equal(endpoint_parse(&b, printed, NULL), OK);
		assert_ptr_equal(a.type, b.type);
		assert_string_equal(a.host, b.host);
		assert_int_equal(a.port, b.port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_length_limits),
		cmocka_unit_test(test_print_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
