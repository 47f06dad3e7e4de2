# lib.sh: what the scripts stand on; each begins with `. /test/lib.sh` and closes with `finish`. Results go to
# descriptor 3, all else to the console. Nothing here is told by the clock: an emulated machine is slow by any factor, so
# there are only waits for something to come true, with an end that is far away.

# This busybox, its nsenter too, runs its own programs before those on the path.
ip() { /tools/ip "$@"; }

count=0
failed=0
PATIENCE=30 # seconds

note() { echo "# $*" >&3; }
ok() {
	count=$((count + 1))
	echo "ok $*" >&3
}
not_ok() {
	count=$((count + 1))
	failed=1
	echo "not ok $*" >&3
}
skip() { # WHAT REASON
	count=$((count + 1))
	echo "skip $1: $2" >&3
}
finish() {
	echo "end $count" >&3
	exit "$failed"
}
# The rest of the script makes no sense without this.
must() {
	local what=$1
	shift
	"$@" || {
		not_ok "$what: $*"
		finish
	}
}
check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what: $*"; fi
}
equal() { # WHAT EXPECTED GOT
	if [ "$2" = "$3" ]; then ok "$1 ($3)"; else not_ok "$1: expected $2, got $3"; fi
}
at_least() { # WHAT LEAST GOT
	if [ "$3" -ge "$2" ]; then ok "$1 ($3)"; else not_ok "$1: expected $2 or more, got $3"; fi
}
wait_for() { # COMMAND...
	local left=$((PATIENCE * 5))
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || {
			echo "not within $PATIENCE s: $*"
			return 1
		}
		usleep 200000
	done
}
# To wait for.
has_lines() { # COUNT PATTERN FILE
	[ "$(grep -c "$2" "$3")" = "$1" ]
}
has_octets() { # COUNT FILE
	[ "$(stat -c %s "$2")" = "$1" ]
}
# End a process that was asked to, and answer its exit status.
stop() { # PID
	kill -TERM "$1"
	wait "$1"
}

# Namespaces a and b, joined by va and vb: 192.0.2.1, .2 and 2001:db8::1, ::2

# As `ip netns exec` does, without its mounting of file systems, which takes an emulated machine a tenth of a second. So
# /sys shows the devices of the first namespace everywhere.
in_ns() { # NS COMMAND...
	local ns=$1 program=$2
	shift 2
	[ ! -x "/tools/$program" ] || program=/tools/$program
	nsenter -n"/run/netns/$ns" "$program" "$@"
}
# A process in the background, $! being its own pid; its standard output goes to FILE.
in_background() { # NS FILE COMMAND...
	local ns=$1 out=$2 program=$3
	shift 3
	exec nsenter -n"/run/netns/$ns" "/tools/$program" "$@" >"$out" &
}
join() {
	local ns host=0
	for ns in a b; do
		ip netns add $ns
		# A small window: the queues of an emulated machine overflow easily, and nothing is to be lost.
		in_ns $ns sh -c 'cd /proc/sys/net
			echo 0 >ipv6/conf/default/accept_dad
			echo 0 >ipv6/conf/default/router_solicitations
			echo 4096 131072 400000 >ipv4/tcp_rmem'
	done
	in_ns a ip link add va type veth peer name vb netns b || return 1
	for ns in a b; do
		host=$((host + 1))
		in_ns $ns ip -batch - <<-END || return 1
			link set lo up
			address add 192.0.2.$host/24 dev v$ns
			address add 2001:db8::$host/64 dev v$ns nodad
			link set v$ns up
		END
	done
	wait_for in_ns a ping -c 1 -W 5 192.0.2.2
}

# WireGuard over that: wg0 in both, 10.77.0.1, .2 and fd77::1, ::2. To b, a may also be 10.77.0.11.

overlay() { # NS HOST PEER ADDRESS ALLOWED
	in_ns "$1" ip link add wg0 type wireguard || return 1
	in_ns "$1" wg set wg0 listen-port 51820 private-key "/tmp/$1.key" \
		peer "$(cat "/tmp/$3.pub")" endpoint "$4:51820" allowed-ips "$5" || return 1
	in_ns "$1" ip -batch - <<-END
		address add 10.77.0.$2/24 dev wg0
		address add fd77::$2/64 dev wg0 nodad
		link set wg0 up
	END
}
wireguard_in_a() { # HOST
	overlay a "$1" b 192.0.2.2 10.77.0.2/32,fd77::2/128
}
wireguard() {
	local ns
	umask 077
	for ns in a b; do
		wg genkey >/tmp/$ns.key
		wg pubkey </tmp/$ns.key >/tmp/$ns.pub
	done
	wireguard_in_a 1 &&
		overlay b 2 a 192.0.2.1 10.77.0.1/32,10.77.0.11/32,fd77::1/128,fd77::11/128 &&
		wait_for in_ns a ping -c 1 -W 5 10.77.0.2
}

packet_counter() { # NS IFACE rx|tx: of the interface, in packets
	in_ns "$1" awk -v name="$2:" -v at=$([ "$3" = rx ] && echo 3 || echo 11) '$1 == name { print $at }' /proc/net/dev
}
tcp_counter() { # NS NAME...: their sum
	local ns=$1
	shift
	in_ns "$ns" awk -v names="$*" '
		$1 == "Tcp:" && !seen { for (i = 2; i <= NF; i++) at[$i] = i; seen = 1; next }
		$1 == "Tcp:" { n = split(names, name, " "); for (i = 1; i <= n; i++) sum += $at[name[i]] }
		END { printf "%d\n", sum }' /proc/net/snmp
}
# Receive datagrams into FILE until `stop $sink`.
start_udp_sink() { # NS PORT FILE
	in_background "$1" "$3.out" helper udp-sink "$2" "$3"
	sink=$!
	wait_for grep -q ready "$3.out"
}
# Send OCTETS from a to ADDRESS of b, port PORT, over TCP, to the end of the connection on both sides.
tcp_transfer() { # ADDRESS PORT OCTETS
	in_background b /tmp/tcp.out helper tcp-sink "$2"
	local sink=$!
	wait_for grep -q ready /tmp/tcp.out
	in_ns a helper tcp-send "$1" "$2" "$3"
	check "TCP transfer to $1" wait $sink
	equal "octets arrived at $1" "$3" "$(sed -n 's/^octets //p' /tmp/tcp.out)"
}

# Start weir in a namespace; its pid is $probe, its log /tmp/NS.log, its counters /tmp/NS.stats, its file /tmp/NS.ipfix.
start_probe() { # NS ARGUMENT...
	local ns=$1
	shift
	in_background "$ns" "/tmp/$ns.stats" weir probe --stats -w "/tmp/$ns.ipfix" "$@" 2>"/tmp/$ns.log"
	probe=$!
}
# Start the driver of the packet source (tests/e2e/observe_live.c) on interfaces of a; `drive COMMAND` tells it what to do.
start_driver() { # IFACE,IFACE
	mkfifo /tmp/driver
	# Both ways, so that opening it waits for nobody.
	exec 4<>/tmp/driver
	exec nsenter -n/run/netns/a observe_live -i "$1" </tmp/driver >/tmp/driver.out 2>/tmp/driver.log &
	driver=$!
	wait_for observes $driver 2
}
drive() {
	echo "$*" >&4
}
# To wait for: a process has so many packet sockets that receive. What it logs about an interface comes before that.
observes() { # PID COUNT
	local socket found=0
	for socket in $(awk 'NR > 1 && $5 > 0 && $6 == 1 { print $9 }' "/proc/$1/net/packet"); do
		if ls -l "/proc/$1/fd" | grep -q "socket:\[$socket\]"; then
			found=$((found + 1))
		fi
	done
	[ "$found" = "$2" ]
}
show() { # FILE...: onto the console, without the options records of weir
	local file
	for file; do
		echo "---- $file"
		grep -v '"scope":' "$file"
	done
}

# Over the output of `weir dump`: the sum of KEY in the flow records that have all the values; "records" counts them.
sum() { # FILE KEY [KEY=VALUE]...
	local file=$1 key=$2
	shift 2
	awk -v key="$key" -v wanted="$*" '
		function value(name) {
			if (!match($0, "\"" name "\":(\"[^\"]*\"|[0-9]+)"))
				return ""
			name = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
			gsub(/"/, "", name)
			return name
		}
		BEGIN { n = split(wanted, want, " ") }
		/"scope":/ { next }
		{
			for (i = 1; i <= n; i++) {
				at = index(want[i], "=")
				if (value(substr(want[i], 1, at - 1)) != substr(want[i], at + 1))
					next
			}
			total += key == "records" ? 1 : value(key)
		}
		END { printf "%d\n", total }' "$file"
}
