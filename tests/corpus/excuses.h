/* excuses.h: captures whose reference we do not match, each with the reason. A row that is no longer needed
 * fails the test. */
#pragma once

#define FUZZED "regression_samples__clusterfuzz-testcase-minimized-FuzzTarget-"
#define SUB_SECOND                                                                                           \
	"a fuzzed time stamp whose sub-second field is over a second: weir adds it up, tshark prints a "     \
	"negative or wrapped number"
#define JUMBOGRAM                                                                                            \
	"RFC 2675 jumbogram: its length is in the hop-by-hop option (no more of it is believed than the "    \
	"frame had); the reference adds up the Payload Length field, which is 0"

static const struct excuse {
	const char *path;   /* part of the capture's path; NULL: by link type */
	unsigned link_type; /* LINKTYPE_… that observe/capture does not support */
	const char *reason;
} excuses[] = {
	{NULL, 6, "link type 6, Token Ring, is not supported"},
	{NULL, 8, "link type 8, SLIP, is not supported"},
	{NULL, 10, "link type 10, FDDI, is not supported"},
	{NULL, 100, "link type 100, RFC 1483 ATM, is not supported"},
	{NULL, 105, "link type 105, 802.11, is not supported"},
	{NULL, 107, "link type 107, Frame Relay, is not supported"},
	{NULL, 127, "link type 127, 802.11 with radiotap, is not supported"},
	{NULL, 129, "link type 129, ARCNET, is not supported"},
	{NULL, 137, "link type 137, Juniper, is not supported"},
	{NULL, 140, "link type 140, SS7 MTP2, is not supported"},
	{NULL, 165, "link type 165, BACnet MS/TP, is not supported"},
	{NULL, 178, "link type 178, Juniper Ethernet, is not supported"},
	{NULL, 195, "link type 195, 802.15.4, is not supported"},
	{NULL, 227, "link type 227, CAN, is not supported"},
	{NULL, 230, "link type 230, 802.15.4, is not supported"},
	{NULL, 235, "link type 235, DVB-CI, is not supported"},
	{NULL, 239, "link type 239, NFLOG, is not supported"},
	{NULL, 255, "link type 255, Bluetooth, is not supported"},
	{"ntop+nDPI/fuzz-2021-06-07-c6c72a0a56.pcap", 0, SUB_SECOND},
	{FUZZED "4829420752470016", 0, SUB_SECOND},
	{FUZZED "4981601846820864", 0, SUB_SECOND},
	{FUZZED "5421416466481152", 0, SUB_SECOND},
	{FUZZED "5468403752632320", 0, SUB_SECOND},
	{FUZZED "5766939894087680", 0, SUB_SECOND},
	{"PcapExamples__pcapng-example.pcapng", 0,
	 "time stamps of the year 586524, negative numbers that pcapng has not: weir keeps packet time from "
	 "1970 "
	 "to 2116"},
	{"pcapgo__tests__be__test202.pcapng", 0,
	 "simple packet blocks have no time: weir gives them that of the packet before, the reference none"},
	{"PacketExamples__ipv4-options.pcap", 0,
	 "source routing: IANA 12 is the destination in the IP header, tshark shows the last address of the "
	 "option"},
	{"PcapExamples__ip4_bad_fragment.pcap", 0,
	 "an IPv4 header length of 60 octets in a packet of 42: ip_header_length, which tshark finds "
	 "malformed "
	 "after it has shown the addresses"},
	{"tests__icmp-icmp_print-oobr-1.pcap", 0,
	 "an ICMP message of 3 octets: type and code are there and read, tshark gives up on it"},
	{"tests__bigtcp-ipv6-hbh.pcap", 0, JUMBOGRAM},
	{"tests__ipv6-too-long-jumbo.pcap", 0, JUMBOGRAM},
	{"tests__ipv6_jumbogram_invalid_length.pcap", 0, JUMBOGRAM},
	{"tests__quic_32_bit_pointer_overflow.pcap", 0, JUMBOGRAM},
	{"tests__arista_ether.pcap", 0, "Arista's time stamp header (0xd28b) is not walked: not_ip"},
	{"cisco-fabric-path.pcap", 0, "Cisco FabricPath (0x8903) is not walked: not_ip"},
};

enum { EXCUSE_COUNT = sizeof excuses / sizeof excuses[0] };
