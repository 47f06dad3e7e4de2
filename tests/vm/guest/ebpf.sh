# Counting in the kernel on kernel WireGuard: a counts by tcx where its kernel can (6.6), and by the ring with one line in
# the log where not, and tells of processes and users in the same kernels; b uses the ring. What leaves one side arrives at the other.
. /test/lib.sh

must "namespaces and veth" join
must "WireGuard in the kernel and its handshake" wireguard
in_ns a ping6 -c 1 -W 20 fd77::2

echo '{"FlowMetadata": {"Capture": "ebpf", "ObservationPoints": ["wg0"], "IdleTimeout": 600000, "ExtraFields": {"Process": true}}}' >/tmp/a.profile
echo '{"FlowMetadata": {"ObservationPoints": ["wg0"], "IdleTimeout": 600000}}' >/tmp/b.profile
start_probe a -p /tmp/a.profile
probe_a=$probe
start_probe b -p /tmp/b.profile
probe_b=$probe
for ns in a b; do
	must "weir observes wg0 in $ns" wait_for grep -q 'interface wg0: wireguard' /tmp/$ns.log
done
case "$(uname -r)" in
[0-5].* | 6.[0-5].*)
	check "the ring is used, and the log says why" grep -q 'packet rings are used: the kernel does not take' /tmp/a.log
	equal "lines about it" 1 "$(grep -c 'packet rings' /tmp/a.log)"
	equal "lines about processes" 1 "$(grep -c 'process and user are not told: the kernel does not take' /tmp/a.log)"
	;;
*) check "the kernel counts" grep -q 'packets are counted in the kernel' /tmp/a.log ;;
esac

in_ns a ping -c 5 -i 0.1 -W 20 10.77.0.2
in_ns b ping6 -c 4 -i 0.1 -W 20 fd77::1
must "a receiver" start_udp_sink b 2000 /tmp/datagrams
in_ns a helper udp-send 10.77.0.2 2000 7 100
in_ns a helper udp-send fd77::2 2000 3 1200
wait_for has_octets 4300 /tmp/datagrams
tcp_transfer 10.77.0.2 5001 1000000
stop $sink
for ns in a b; do
	eval "stop \$probe_$ns"
	equal "exit status of weir in $ns" 0 $?
	must "weir reads what it wrote in $ns" weir dump /tmp/$ns.ipfix >/tmp/$ns.json
done
show /tmp/*.log /tmp/*.stats /tmp/*.json

alike() { # WHAT CONDITION...
	local what=$1 key
	shift
	for key in packetDeltaCount octetDeltaCount; do
		equal "$what: $key from a" "$(sum /tmp/b.json $key flowDirection=0 "$@")" "$(sum /tmp/a.json $key flowDirection=1 "$@")"
		equal "$what: $key to a" "$(sum /tmp/b.json $key flowDirection=1 "$@")" "$(sum /tmp/a.json $key flowDirection=0 "$@")"
	done
}
equal "echo requests" 5 "$(sum /tmp/a.json packetDeltaCount flowDirection=1 protocolIdentifier=1)"
alike "ICMP" protocolIdentifier=1
alike "ICMPv6 echo" protocolIdentifier=58 icmpTypeCodeIPv6=32768
equal "UDP" 7 "$(sum /tmp/a.json packetDeltaCount flowDirection=1 protocolIdentifier=17 destinationIPv4Address=10.77.0.2)"
alike "UDP" protocolIdentifier=17
alike "TCP" protocolIdentifier=6
case "$(uname -r)" in
[0-5].* | 6.[0-5].*) equal "records with a process" 0 "$(grep -c '"localProcessName":"[^"]' /tmp/a.json)" ;;
*) check "records have their process" grep -q '"localProcessName":"[^"]' /tmp/a.json ;;
esac
finish
