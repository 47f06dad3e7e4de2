# Super-packets: what TCP and UDP hand to a device in one piece is counted as the packets that it becomes.
. /test/lib.sh

must "namespaces and veth" join
must "WireGuard in the kernel and its handshake" wireguard

# How many frames the sources see, so that it is sure that there were super-packets: weir itself does not tell.
must "the driver observes va and wg0" start_driver va,wg0

# Send over TCP to ADDRESS of b, weir in both on the given interfaces; out_a, out_b: the segments by TCP's own count.
run() { # ADDRESS IFACE_A IFACE_B
	local ns
	start_probe a -i "$2"
	probe_a=$probe
	start_probe b -i "$3"
	probe_b=$probe
	must "weir observes $2 in a" wait_for observes $probe_a 1
	must "weir observes $3 in b" wait_for observes $probe_b 1
	for ns in a b; do
		eval "out_$ns=$(tcp_counter $ns OutSegs RetransSegs)"
	done
	tcp_transfer "$1" 5001 "$OCTETS"
	for ns in a b; do
		eval "out_$ns=$(($(tcp_counter $ns OutSegs RetransSegs) - out_$ns))"
	done
	stop $probe_a
	stop $probe_b
	for ns in a b; do
		must "weir reads what it wrote" weir dump /tmp/$ns.ipfix >/tmp/$ns.json
	done
	show /tmp/[ab].log /tmp/[ab].stats /tmp/[ab].json
}
OCTETS=1500000
tcp="protocolIdentifier=6"
for path in "192.0.2.2 va vb" "2001:db8::2 va vb" "10.77.0.2 wg0 wg0" "fd77::2 wg0 wg0"; do
	run $path
	# What arrives is counted against the sender: on veth even TCP counts super-packets that arrive as one segment.
	equal "$path: segments that left a" $out_a "$(sum /tmp/a.json packetDeltaCount flowDirection=1 $tcp)"
	equal "$path: segments that left b" $out_b "$(sum /tmp/b.json packetDeltaCount flowDirection=1 $tcp)"
	equal "$path: segments that came to b" $out_a "$(sum /tmp/b.json packetDeltaCount flowDirection=0 $tcp)"
	equal "$path: segments that came to a" $out_b "$(sum /tmp/a.json packetDeltaCount flowDirection=0 $tcp)"
	equal "$path: octets that left are those that arrive" "$(sum /tmp/a.json octetDeltaCount flowDirection=1 $tcp)" \
		"$(sum /tmp/b.json octetDeltaCount flowDirection=0 $tcp)"
	at_least "$path: segments of at most the MTU" $((OCTETS / 1460)) $out_a
done

drive totals
must "the driver answers" wait_for grep -q '^end' /tmp/driver.out
show /tmp/driver.out
supers() { # POINT
	awk -v point="$1" '$1 == "total" && $2 == point && $3 == "egress" && $6 == 6 { n += $10 } END { printf "%d\n", n }' /tmp/driver.out
}
at_least "super-packets on va" 10 "$(supers va)"
at_least "super-packets on wg0" 10 "$(supers wg0)"

# Ten super-packets of four and a half segments each.
release=$(uname -r)
minor=${release#*.}
if [ "${release%%.*}" -gt 6 ] || [ "${minor%%.*}" -ge 2 ]; then
	start_probe a -i va -i wg0
	must "weir observes va and wg0" wait_for observes $probe 2
	must "a receiver" start_udp_sink b 2000 /tmp/datagrams
	in_ns a helper udp-send 192.0.2.2 2000 10 2300 500
	in_ns a helper udp-send 10.77.0.2 2000 10 2300 500
	stop $probe
	stop $sink
	weir dump /tmp/a.ipfix >/tmp/a.json
	show /tmp/a.json
	for address in 192.0.2.2 10.77.0.2; do
		to="protocolIdentifier=17 destinationIPv4Address=$address destinationTransportPort=2000"
		equal "UDP segments to $address" 50 "$(sum /tmp/a.json packetDeltaCount $to)"
		equal "their octets" 24400 "$(sum /tmp/a.json octetDeltaCount $to)"
	done
else
	skip "UDP super-packets" "packet sockets cannot describe them before Linux 6.2 (src/observe/packet_ring.h)"
fi
drive quit
wait $driver
finish
