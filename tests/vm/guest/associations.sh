# associations.sh: many records from weir to the store of weir over the kernel's SCTP, each a flow of its own, so that the
# store shows which are there and how often. For sctp.sh and dtls_sctp.sh, which set before they read it:
# $scheme of the collector, $collector_words for it, $profile_words for the probe's profile, and $up: what the probe logs
# when records can go out, if that takes longer than the probe waits at the end of a file. $few: records, if not 6000.
records=${weir_records:-${few:-6000}}
kills=${weir_kills:-3}
message=${weir_message:-1400} # octets; a record takes about 65
[ -z "$weir_records" ] || PATIENCE=600

must "namespaces and veth" join
must "the module of SCTP loads" modprobe sctp
export LD_LIBRARY_PATH=/tools # the modules of collector and query lie there
export TMPDIR=/tmp

start_collector() {
	in_background b /tmp/collect.out weir collect -l $scheme/192.0.2.2 $collector_words -s /tmp/store --http 127.0.0.1:8080 2>>/tmp/collect.log
	collector=$!
	wait_for messages
}
messages() { # that it has received since it began
	in_ns b wget -q -O - http://127.0.0.1:8080/metrics 2>/dev/null |
		awk '/^weir_receiver_messages_total/ { n += $NF; seen = 1 } END { if (!seen) exit 1; printf "%d\n", n }'
}
# The chunks that pass b, until stop_watch; then `watched WHAT` is a count of them.
start_watch() {
	in_background b /tmp/watch.out helper sctp-watch vb
	watch=$!
	wait_for grep -q ready /tmp/watch.out
}
stop_watch() {
	stop $watch
	cat /tmp/watch.out
}
watched() { # WHAT
	sed -n "s/^$1 \([0-9]*\)\$/\1/p" /tmp/watch.out
}
seconds() { cut -d. -f1 /proc/uptime; }
counted() { # NAME: of the probe's last line
	sed -n 's/.*"collectors":\[{//; s/.*"'"$1"'":\([0-9]*\).*/\1/p' /tmp/probe.stats | tail -n 1
}
sctp_counter() { # NAME: of a's kernel
	in_ns a awk -v name="$1" '$1 == name { print $2 }' /proc/net/sctp/snmp
}
stored() { # FIELD: n, d
	sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p' /tmp/answer | tail -n 1
}
# Spread over the messages that are still to come. Every second one stands still before it is killed, so that its kernel
# has much to throw away.
kill_often() {
	local left=$kills goal done=0 got
	while [ "$left" -gt 0 ]; do
		goal=$(((records * 65 / message - done) / (left + 1)))
		[ "$goal" -gt 0 ] || goal=1
		while [ -d "/proc/$probe" ] && got=$(messages || echo 0) && [ "$got" -lt "$goal" ]; do usleep 5000; done
		[ -d "/proc/$probe" ] || break
		[ $(((kills - left) % 2)) = 1 ] || {
			kill -STOP "$collector"
			usleep 300000
		}
		kill -KILL "$collector"
		wait "$collector"
		done=$((done + got))
		start_collector
		left=$((left - 1))
	done
	killed=$((kills - left))
}
# A probe that reads all records, but only some of them until FILE tells TEXT.
start_export() { # TEXT FILE
	rm -f /tmp/flows.pcap
	if [ -z "$1" ]; then
		helper capture /tmp/flows.pcap "$records"
	else
		: >/tmp/waiting
		mkfifo /tmp/flows.pcap
		helper capture /tmp/flows.pcap "$records" /tmp/waiting &
	fi
	exec nsenter -n/run/netns/a /tools/weir probe -p /tmp/weir.json -r /tmp/flows.pcap --stats >/tmp/probe.stats 2>&1 &
	probe=$!
	[ -z "$1" ] || check "the probe's session: $1" wait_for grep -q "$1" "$2"
	rm -f /tmp/waiting
}
run() { # KILLS
	local began
	rm -rf /tmp/store
	must "the collector starts" start_collector
	began=$(seconds)
	start_export "$up" /tmp/probe.stats
	killed=0
	[ "$1" = 0 ] || kill_often
	wait $probe
	took=$(($(seconds) - began))
	stop $collector
	equal "exit status of the collector" 0 $?
	# What a collector had in its journal when it ended is stored by the next one.
	must "the collector starts again" start_collector
	stop $collector
	weir query -s /tmp/store -o json --sql 'select count(*) as n, count(distinct sourceIPv4Address) as d from flows' >/tmp/answer
	cat /tmp/probe.stats /tmp/answer
	lost=$((records - $(stored d)))
	twice=$(($(stored n) - $(stored d)))
	not_sent=$(counted notSentFlows)
	note "records $records, kills $killed, stored $(stored n), missing $lost, twice $twice, not sent $not_sent, unsure $(counted unsureFlows), seconds $took"
}
# First undisturbed, then with the collector killed and started again meanwhile: none is there twice, and what is missing
# is counted as not sent.
prepare() {
	cat >/tmp/weir.json <<-END
		{"FlowMetadata": {"IpFixCollectors": ["$scheme/192.0.2.2"], "ReconnectInterval": 1000, "MaxMessageSize": $message, "MaxFlows": 4194304$profile_words}}
	END
}
undisturbed() {
	run 0
	equal "stored twice" 0 "$twice"
	at_least "not sent, for those missing" "$lost" "$not_sent"
	# Small runs are part of a larger test and say nothing that an exporter's patience of seconds could change.
	[ -z "$weir_records" ] || equal "records stored" "$records" "$(stored d)"
	[ "$not_sent" != 0 ] || {
		equal "associations aborted" 0 "$(sctp_counter SctpAborteds)"
		at_least "associations shut down" 1 "$(sctp_counter SctpShutdowns)"
	}
}
with_kills() {
	run "$kills"
	equal "stored twice, with kills" 0 "$twice"
	at_least "not sent, for those missing" "$lost" "$not_sent"
	if [ "$killed" = 0 ]; then
		skip "an association after an abort" "the export was over before the first kill"
	else
		at_least "associations aborted, with kills" 1 "$(sctp_counter SctpAborteds)"
	fi
	cat /tmp/collect.log
}
