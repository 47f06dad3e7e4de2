# Frames that kernel WireGuard cannot send, frames from an address that is not the peer's, and what the kernel says of
# frames that a rule drops.
. /test/lib.sh

must "namespaces and veth" join
must "WireGuard in the kernel and its handshake" wireguard
wg genkey | wg pubkey >/tmp/other.pub
must "a peer without an endpoint" in_ns a wg set wg0 peer "$(cat /tmp/other.pub)" allowed-ips 10.77.0.50/32,fd77::50/128
cat >/tmp/a.json <<-'END'
	{ "FlowMetadata": { "IpFixCollectors": [ "File//tmp/a.ipfix" ], "PeerCheck": true, "DropReasons": true,
	                    "IdleTimeout": 60000 } }
END
in_background a /tmp/a.stats weir probe --stats -p /tmp/a.json 2>/tmp/a.log
probe=$!
check "weir observes wg0" wait_for observes $probe 1
check "it says whether the kernel tells of drops" wait_for grep -q 'told of by kfree_skb' /tmp/a.log

# One each: the kernel answers with an error, which ends the sender.
for address in 10.77.0.99 fd77::99; do
	in_ns a helper udp-send $address 7001 1 100
done
for address in 10.77.0.50 fd77::50; do
	in_ns a helper udp-send $address 7002 1 100
done
in_ns a helper udp-send 10.77.0.2 7003 1 100

# A rule that tells nobody, out and in; b sends from an address that a does not allow it.
must "rules" in_ns a nft -f - <<-'END'
	table inet quiet {
		chain out {
			type filter hook output priority 0
			oifname "wg0" udp dport 7004 drop
		}
		chain in {
			type filter hook input priority 0
			iifname "wg0" udp dport 7005 drop
		}
	}
END
in_ns a helper udp-send 10.77.0.2 7004 1 100
in_ns b helper udp-send 10.77.0.1 7005 2 100
before=$(in_ns a awk '$1 == "wg0:" { print $7 }' /proc/net/dev) # frame errors
in_ns b ip address add 10.77.0.77/32 dev wg0
in_ns b ping -c 3 -i 0.2 -W 1 -I 10.77.0.77 10.77.0.1 >/dev/null 2>&1
after=$(in_ns a awk '$1 == "wg0:" { print $7 }' /proc/net/dev)
at_least "frames from an address that is not the peer's, by the interface's counter" 3 $((after - before))
sleep 1

must "weir ends" stop $probe
weir dump /tmp/a.ipfix >/tmp/a.flows
denied() { # WHAT PORT REASON PACKETS
	equal "$1: refused packets" "$4" "$(sum /tmp/a.flows droppedPacketDeltaCount destinationTransportPort="$2" denialReason="$3")"
	equal "$1: no other record has them" "$4" "$(sum /tmp/a.flows packetDeltaCount destinationTransportPort="$2")"
}
denied "no peer" 7001 3 2
denied "no endpoint" 7002 4 2
equal "a peer: let through" 1 "$(sum /tmp/a.flows packetDeltaCount destinationTransportPort=7003)"
equal "a peer: not refused" 0 "$(sum /tmp/a.flows droppedPacketDeltaCount destinationTransportPort=7003)"
if grep -q 'refused frames are told of by kfree_skb' /tmp/a.log; then
	denied "a rule, on the way out" 7004 1 1
	denied "a rule, on the way in" 7005 1 2
else
	skip "drop reasons" "$(grep kfree_skb /tmp/a.log)"
fi
# Frames from an address that is not the peer's have no flow; the interface's counter is told by an options record.
told=$(sed -n '/"scope":{"observationPointId":1,"flowDirection":0}/s/.*"droppedPacketTotalCount":\([0-9]*\).*/\1/p' /tmp/a.flows | tail -n 1)
equal "frames from an address that is not the peer's, by the options record" "$after" "${told:-none}"
equal "nothing from 10.77.0.77 got through" 0 "$(sum /tmp/a.flows records sourceIPv4Address=10.77.0.77)"
[ "$failed" = 0 ] || show /tmp/a.log /tmp/a.flows
finish
