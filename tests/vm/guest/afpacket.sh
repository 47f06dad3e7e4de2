# The packet source by itself, on an Ethernet device and on kernel WireGuard, in both directions.
. /test/lib.sh

must "namespaces and veth" join
must "WireGuard in the kernel and its handshake" wireguard
# Learn all neighbours before counting.
in_ns a ping6 -c 1 -W 20 2001:db8::2
in_ns a ping6 -c 1 -W 20 fd77::2

must "the driver observes va and wg0" start_driver va,wg0

in_ns a ping -c 3 -i 0.1 -W 20 192.0.2.2
in_ns b ping6 -c 4 -i 0.1 -W 20 2001:db8::1
in_ns a ping -c 5 -i 0.1 -W 20 10.77.0.2
in_ns b ping6 -c 6 -i 0.1 -W 20 fd77::1
must "a receiver" start_udp_sink b 2000 /tmp/datagrams_b
sink_b=$sink
must "a receiver" start_udp_sink a 2001 /tmp/datagrams_a
in_ns a helper udp-send 10.77.0.2 2000 7 100
in_ns b helper udp-send fd77::1 2001 8 200

# Ask again and again until the line is there: the last packets may still be on their way.
total() { # POINT DIRECTION LINK VERSION PROTOCOL FRAMES PACKETS OCTETS SUPERS
	drive totals
	usleep 100000
	grep -qx "total $*" /tmp/driver.out
}
seen() { # WHAT TOTAL...
	local what=$1
	shift
	check "$what" wait_for total "$@"
}
# Frames of Ethernet with their header of 14 octets; IP packets begin with their IP header.
seen "echo requests leave va" va egress ethernet 4 1 3 3 294 0
seen "echo replies come in on va" va ingress ethernet 4 1 3 3 294 0
seen "IPv6 through wg0, in" wg0 ingress ip 6 58 6 6 624 0
seen "IPv6 through wg0, out" wg0 egress ip 6 58 6 6 624 0
seen "UDP out of wg0" wg0 egress ip 4 17 7 7 896 0
seen "UDP into wg0" wg0 ingress ip 6 17 8 8 1984 0
drive statistics
must "statistics" wait_for grep -q '^statistics' /tmp/driver.out
equal "packets lost" 0 "$(awk '/^statistics/ { print $3 }' /tmp/driver.out)"
drive quit
wait $driver
equal "exit status of the driver" 0 $?
stop $sink
stop $sink_b
show /tmp/driver.log /tmp/driver.out
finish
