#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <net/if_arp.h>

#include "observe/overlays.h"
#include "observe/packet.h"

static const struct {
	const char *what;
	struct interface interface;
	bool overlay;
	int link;
	const char *description;
} cases[] = {
	{"kernel WireGuard",
	 {.type = ARPHRD_NONE, .name = "home", .kind = "wireguard"},
	 true,
	 LINK_IP,
	 "wireguard"},
	{"a tun under any name", {.type = ARPHRD_NONE, .name = "x", .kind = "tun"}, true, LINK_IP, "tun"},
	{"a virtual machine's tap",
	 {.type = ARPHRD_ETHER, .name = "vnet3", .kind = "tun"},
	 false,
	 LINK_ETHERNET,
	 "tun"},
	{"another tap", {.type = ARPHRD_ETHER, .name = "tap1", .kind = "tun"}, false, LINK_ETHERNET, "tun"},
	{"Enclave's tap", {.type = ARPHRD_ETHER, .name = "tap0", .kind = "tun"}, true, LINK_ETHERNET, "tun"},
	{"ZeroTier", {.type = ARPHRD_ETHER, .name = "ztks5abcde", .kind = "tun"}, true, LINK_ETHERNET, "tun"},
	{"Nebula as tap",
	 {.type = ARPHRD_ETHER, .name = "nebula1", .kind = "tun"},
	 true,
	 LINK_ETHERNET,
	 "tun"},
	{"Tailscale", {.type = ARPHRD_NONE, .name = "tailscale0", .kind = "tun"}, true, LINK_IP, "tun"},
	{"NetBird", {.type = ARPHRD_NONE, .name = "wt0"}, true, LINK_IP, "ip"},
	{"a name that only begins like NetBird's",
	 {.type = ARPHRD_ETHER, .name = "wtf"},
	 false,
	 LINK_ETHERNET,
	 "ether"},
	{"OpenVPN in the kernel",
	 {.type = ARPHRD_NONE, .name = "vpn", .kind = "ovpn"},
	 true,
	 LINK_IP,
	 "ovpn"},
	{"an Ethernet port", {.type = ARPHRD_ETHER, .name = "eth0"}, false, LINK_ETHERNET, "ether"},
	{"a container's veth",
	 {.type = ARPHRD_ETHER, .name = "veth12", .kind = "veth"},
	 false,
	 LINK_ETHERNET,
	 "veth"},
	{"loopback", {.type = ARPHRD_LOOPBACK, .name = "lo"}, false, LINK_ETHERNET, "loopback"},
	{"a modem without kind", {.type = ARPHRD_NONE, .name = "wwan0"}, false, LINK_IP, "ip"},
	{"PPP", {.type = ARPHRD_PPP, .name = "ppp0", .kind = "ppp"}, false, LINK_IP, "ppp"},
	{"GRE has a header we do not read",
	 {.type = ARPHRD_IPGRE, .name = "gre1", .kind = "gre"},
	 false,
	 -1,
	 "gre"},
	{"a radio in monitor mode", {.type = ARPHRD_IEEE80211, .name = "mon0"}, false, -1, "unknown"},
};

static void test_table(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct interface *interface = &cases[i].interface;
		const struct overlay_rule *rule = overlay_rule_of(interface);

		if ((rule != NULL) != cases[i].overlay || interface_link_layer(interface) != cases[i].link)
			print_error("%s: overlay %s, link %d\n", cases[i].what, rule ? rule->reason : "no",
				    interface_link_layer(interface));
		assert_int_equal(rule != NULL, cases[i].overlay);
		assert_int_equal(interface_link_layer(interface), cases[i].link);
		assert_string_equal(interface_description(interface), cases[i].description);
		assert_true(!rule || rule->reason[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
