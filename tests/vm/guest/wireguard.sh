# Kernel WireGuard between two namespaces, weir in each of them on what it finds by itself, against the kernel's counters.
. /test/lib.sh

must "namespaces and veth" join
must "WireGuard in the kernel and its handshake" wireguard
for ns in a b; do
	check "handshake seen in $ns" test "$(in_ns $ns wg show wg0 latest-handshakes | cut -f 2)" -gt 0
done

# What WireGuard counts as packets of wg0 and no user sent: handshakes and keepalives, known by their length on the wire
# (with 8 octets of UDP header); a data message is 24 octets beyond a multiple of 16 and never as short.
for ns in a b; do
	must "nftables" in_ns $ns nft -f - <<-'END'
		table inet overhead {
			chain out {
				type filter hook output priority 0
				udp dport 51820 udp length { 40, 72, 100, 156 } counter
			}
			chain in {
				type filter hook input priority 0
				udp dport 51820 udp length { 40, 72, 100, 156 } counter
			}
		}
	END
done
overhead() { # NS CHAIN
	in_ns "$1" nft list chain inet overhead "$2" | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p'
}
user_packets() { # NS tx|rx
	local chain=out
	[ "$2" = tx ] || chain=in
	echo $(($(packet_counter "$1" wg0 "$2") - $(overhead "$1" $chain)))
}
for ns in a b; do
	for way in tx rx; do
		eval "before_${ns}_$way=$(user_packets $ns $way)"
	done
done

must "a collector" start_udp_sink b 4739 /tmp/export.ipfix
export_sink=$sink
start_probe a -c Udp/192.0.2.2:4739
probe_a=$probe
start_probe b
probe_b=$probe
for ns in a b; do
	eval "probe=\$probe_$ns"
	check "weir observes one interface in $ns" wait_for observes $probe 1
	check "it is wg0" grep -q 'interface wg0: wireguard' /tmp/$ns.log
	check "and nothing else" test "$(grep -c 'interface .*, index' /tmp/$ns.log)" = 1
done

in_ns a ping -c 5 -i 0.1 -W 20 10.77.0.2
in_ns b ping6 -c 4 -i 0.1 -W 20 fd77::1
must "a receiver" start_udp_sink b 2000 /tmp/datagrams
in_ns a helper udp-send 10.77.0.2 2000 7 100
in_ns a helper udp-send fd77::2 2000 3 1200
wait_for has_octets 4300 /tmp/datagrams
tcp_transfer 10.77.0.2 5001 1000000
tcp_transfer fd77::2 5002 200000
segments_a=$(tcp_counter a OutSegs RetransSegs)
segments_b=$(tcp_counter b OutSegs RetransSegs)
for ns in a b; do
	for way in tx rx; do
		eval "sent_${ns}_$way=\$(($(user_packets $ns $way) - before_${ns}_$way))"
	done
done

# Another wg0 after the first, with a host number that tells its flows from those before.
in_ns a ip link del wg0
check "weir sees wg0 go" wait_for grep -q 'interface wg0: gone' /tmp/a.log
must "wg0 again" wireguard_in_a 11
check "weir sees the new wg0" wait_for has_lines 2 'interface wg0: wireguard' /tmp/a.log
must "and observes it" wait_for observes $probe_a 1
must "handshake again" wait_for in_ns a ping -c 1 -W 5 10.77.0.2
in_ns a helper udp-send 10.77.0.2 2000 6 300

stop $probe_a
equal "exit status of weir in a" 0 $?
stop $probe_b
equal "exit status of weir in b" 0 $?
stop $sink
stop $export_sink
for ns in a b; do
	must "weir reads what it wrote in $ns" weir dump /tmp/$ns.ipfix >/tmp/$ns.json
done
must "weir reads what it sent over UDP" weir dump /tmp/export.ipfix >/tmp/export.json
show /tmp/*.log /tmp/*.stats /tmp/*.json

# The same flow leaves one side and arrives at the other: WHAT, packets and octets, conditions without the direction.
flow() {
	local what=$1 packets=$2 octets=$3 from=$4 to=$5
	shift 5
	equal "$what: packets leaving $from" "$packets" "$(sum /tmp/$from.json packetDeltaCount flowDirection=1 "$@")"
	equal "$what: packets arriving at $to" "$packets" "$(sum /tmp/$to.json packetDeltaCount flowDirection=0 "$@")"
	equal "$what: octets leaving $from" "$octets" "$(sum /tmp/$from.json octetDeltaCount flowDirection=1 "$@")"
	equal "$what: octets arriving at $to" "$octets" "$(sum /tmp/$to.json octetDeltaCount flowDirection=0 "$@")"
}
forth4="sourceIPv4Address=10.77.0.1 destinationIPv4Address=10.77.0.2"
back4="sourceIPv4Address=10.77.0.2 destinationIPv4Address=10.77.0.1"
forth6="sourceIPv6Address=fd77::1 destinationIPv6Address=fd77::2"
back6="sourceIPv6Address=fd77::2 destinationIPv6Address=fd77::1"
flow "ping" 5 420 a b $forth4 protocolIdentifier=1
flow "its answers" 5 420 b a $back4 protocolIdentifier=1
flow "ping over IPv6" 4 416 b a $back6 protocolIdentifier=58
flow "its answers" 4 416 a b $forth6 protocolIdentifier=58
flow "UDP" 7 896 a b $forth4 protocolIdentifier=17 destinationTransportPort=2000
flow "UDP over IPv6" 3 3744 a b $forth6 protocolIdentifier=17 destinationTransportPort=2000
flow "UDP through the second wg0" 6 1968 a b sourceIPv4Address=10.77.0.11 destinationIPv4Address=10.77.0.2 protocolIdentifier=17

tcp=protocolIdentifier=6
for side in "a 1 0" "b 0 1"; do
	set -- $side
	equal "TCP records of $1, forth" 1 "$(sum /tmp/$1.json records flowDirection=$2 $forth4 $tcp destinationTransportPort=5001)"
	equal "TCP records of $1, back" 1 "$(sum /tmp/$1.json records flowDirection=$3 $back4 $tcp sourceTransportPort=5001)"
	equal "TCP over IPv6 records of $1, forth" 1 "$(sum /tmp/$1.json records flowDirection=$2 $forth6 $tcp destinationTransportPort=5002)"
	equal "TCP over IPv6 records of $1, back" 1 "$(sum /tmp/$1.json records flowDirection=$3 $back6 $tcp sourceTransportPort=5002)"
done
equal "segments leaving a, by TCP's own count" "$segments_a" "$(sum /tmp/a.json packetDeltaCount flowDirection=1 $tcp)"
equal "segments leaving b, by TCP's own count" "$segments_b" "$(sum /tmp/b.json packetDeltaCount flowDirection=1 $tcp)"
equal "TCP octets that left a arrive" "$(sum /tmp/a.json octetDeltaCount flowDirection=1 $tcp)" "$(sum /tmp/b.json octetDeltaCount flowDirection=0 $tcp)"
at_least "TCP octets with their headers" 1240000 "$(sum /tmp/a.json octetDeltaCount flowDirection=1 $tcp)"

# Everything that the first wg0 carried, by its own counters.
metered() { # NS DIRECTION WHICH: without what the second wg0 carried
	echo $(($(sum /tmp/$1.json packetDeltaCount flowDirection=$2) - $(sum /tmp/$1.json packetDeltaCount flowDirection=$2 $3=10.77.0.11)))
}
equal "packets sent by wg0 of a" $sent_a_tx "$(metered a 1 sourceIPv4Address)"
equal "packets received by wg0 of a" $sent_a_rx "$(metered a 0 destinationIPv4Address)"
equal "packets sent by wg0 of b" $sent_b_tx "$(metered b 1 destinationIPv4Address)"
equal "packets received by wg0 of b" $sent_b_rx "$(metered b 0 sourceIPv4Address)"

equal "records that came over UDP" "$(sum /tmp/a.json records)" "$(sum /tmp/export.json records)"
equal "packets in them" "$(sum /tmp/a.json packetDeltaCount)" "$(sum /tmp/export.json packetDeltaCount)"
finish
