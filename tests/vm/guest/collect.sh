# From weir to weir over the kernel's SCTP: every record that the probe wrote to a file is received, and printed.
. /test/lib.sh

must "namespaces and veth" join
must "the module of SCTP loads" modprobe sctp
export LD_LIBRARY_PATH=/tools # the module of the collector lies there

in_background b /tmp/collected.json weir collect -l Sctp/192.0.2.2 --json - 2>/tmp/collect.log
collector=$!
must "the collector listens" wait_for in_ns b grep -q 4739 /proc/net/sctp/eps
start_probe a -i va -c Sctp/192.0.2.2
must "weir observes va" wait_for observes $probe 1
check "weir's association" wait_for sh -c 'grep -q "192.0.2.2" /proc/$0/net/sctp/remaddr' $probe
for port in 7001 7002 7003 7004 7005 7006 7007 7008 7009 7010; do
	in_ns a helper udp-send 192.0.2.2 $port 3 100
done
stop $probe
equal "exit status of the probe" 0 $?
weir dump /tmp/a.ipfix >/tmp/a.json
written=$(sum /tmp/a.json records)
collected() { [ "$(sum /tmp/collected.json records)" -ge "$written" ]; }
check "the records arrive" wait_for collected
stop $collector
equal "exit status of the collector" 0 $?
show /tmp/a.log /tmp/a.stats /tmp/collect.log /tmp/collected.json
at_least "records written" 10 "$written"
equal "records received over SCTP" "$written" "$(sum /tmp/collected.json records)"
equal "packets in them" "$(sum /tmp/a.json packetDeltaCount)" "$(sum /tmp/collected.json packetDeltaCount)"
finish
