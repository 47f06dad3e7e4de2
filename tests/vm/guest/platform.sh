# What this kernel offers beyond the ordinary, as notes; kernel SCTP must work, and weir over it where it can.
. /test/lib.sh

must "namespaces and veth" join
note "Linux $(uname -r)"

check "the module of SCTP loads" modprobe sctp
in_background b /tmp/sink.out helper sctp-sink 9900 /tmp/messages
sink=$!
must "an SCTP socket" wait_for grep -q ready /tmp/sink.out
check "an SCTP association over IPv4" in_ns a helper sctp-send 192.0.2.2 9900 10 1300
check "an SCTP association over IPv6" in_ns a helper sctp-send 2001:db8::2 9900 5 700
check "all messages arrive" wait_for has_octets 16500 /tmp/messages
stop $sink

# weir's own SCTP, when the binary has it.
weir probe -r /dev/null -c Sctp/192.0.2.2:4739 2>/tmp/sctp.log
if grep -q 'not supported yet' /tmp/sctp.log; then
	skip "weir over SCTP" "this weir has no Sctp transport"
else
	in_background b /tmp/sink.out helper sctp-sink 4739 /tmp/export.ipfix
	sink=$!
	wait_for grep -q ready /tmp/sink.out
	start_probe a -i va -c Sctp/192.0.2.2:4739
	must "weir observes va" wait_for observes $probe 1
	must "its ring is open" wait_for grep -q 'interface va' /tmp/a.log
	check "weir's association" wait_for sh -c 'grep -q "192.0.2.2" /proc/$0/net/sctp/remaddr' $probe
	in_ns a ping -c 5 -i 0.1 -W 20 192.0.2.2
	stop $probe
	equal "exit status of weir" 0 $?
	check "records arrive over SCTP" wait_for test -s /tmp/export.ipfix
	stop $sink
	check "weir reads what came over SCTP" weir dump /tmp/export.ipfix >/tmp/export.json
	check "weir reads what it wrote" weir dump /tmp/a.ipfix >/tmp/a.json
	show /tmp/a.log /tmp/a.stats /tmp/export.json
	equal "records that came over SCTP" "$(sum /tmp/a.json records)" "$(sum /tmp/export.json records)"
	equal "echo requests in them" 5 "$(sum /tmp/export.json packetDeltaCount flowDirection=1 protocolIdentifier=1)"
fi

# Facts, for what is still to be built on them.
available() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@" >/dev/null 2>&1; then note "$what: yes"; else note "$what: no"; fi
}
available "BTF of the kernel" test -s /sys/kernel/btf/vmlinux
available "BTF of modules" test -s /sys/kernel/btf/veth
available "kprobes" test -s /sys/kernel/debug/kprobes/list -o -e /proc/sys/debug/kprobes-optimization
available "PR-SCTP" test "$(cat /proc/sys/net/sctp/prsctp_enable)" = 1
in_ns a nft -f - <<-'END'
	table inet facts {
		chain out {
			type filter hook output priority 0
			ip protocol icmp meta nftrace set 1
			ip protocol icmp log prefix "weir" group 5 counter
		}
	}
END
available "NFLOG rule" in_ns a nft list chain inet facts out
in_background a /tmp/trace nft monitor trace
monitor=$!
traced() {
	in_ns a ping -c 1 -W 5 192.0.2.2
	grep -q 'trace id' /tmp/trace
}
available "nft trace" wait_for traced
kill $monitor
available "NFLOG backend (nfnetlink_log)" test -d /sys/module/nfnetlink_log
available "conntrack over netlink" modprobe nf_conntrack_netlink
finish
