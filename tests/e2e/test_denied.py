"""Refused frames, in rule sets shaped as overlay programs shape theirs: one record each, with side, reason and rule."""

import json
import os
import random
import re
import signal
import struct
import time

import lib

GROUP = 5
DENIED, ALLOWED = 1001, 2001
FRAMES = 3
HERE = {4: "10.9.0.1", 6: "fd09::1"}
THERE = {4: "10.9.0.2", 6: "fd09::2"}
DROP, REJECT = 1, 2  # denialReason
STATUS = {DROP: 130, REJECT: 129}


# What a foreign program has written; {log NAME} stands for the way its owner lets the rule tell of refusals.

NETBIRD = f"""
table inet netbird {{
    chain netbird-acl-input-filter {{
        type filter hook input priority 0; policy accept
        iifname "wtun" jump netbird-acl-input-rules
        iifname "wtun" log prefix "acl:input-default" group {GROUP} snaplen 128 drop
    }}
    chain netbird-acl-input-rules {{
        tcp dport {ALLOWED} accept comment "policy-web"
        udp dport {ALLOWED} accept comment "policy-dns"
        icmp type echo-reply accept
        icmpv6 type {{ echo-reply, nd-neighbor-solicit, nd-router-solicit, nd-router-advert, mld2-listener-report }} accept
    }}
    chain netbird-acl-output {{
        type filter hook output priority 0; policy accept
        oifname "wtun" tcp dport {DENIED} log prefix "trust:disk-encryption" group {GROUP} snaplen 128 drop
        oifname "wtun" udp dport {DENIED} log prefix "trust:disk-encryption" group {GROUP} snaplen 128 drop
        oifname "wtun" icmp type echo-request log prefix "trust:disk-encryption" group {GROUP} snaplen 128 drop
        oifname "wtun" icmpv6 type echo-request log prefix "trust:disk-encryption" group {GROUP} snaplen 128 drop
    }}
}}
"""


def iptables(ns, v6, text):
    ns.run("ip6tables-nft-restore" if v6 else "iptables-nft-restore", stdin_text=text)


def netbird(ns):
    ns.run("nft", "-f", "-", stdin_text=NETBIRD)
    return {0: ("input-default", 1, DROP), 1: ("disk-encryption", 2, DROP)}


def logged(chain, match, prefix, target):
    return f"-A {chain} {match} -j NFLOG --nflog-group {GROUP} --nflog-prefix {prefix}\n-A {chain} {match} -j {target}\n"


def echo(v6):
    return "-p icmpv6 --icmpv6-type echo-request" if v6 else "-p icmp --icmp-type echo-request"


def by_iptables(ns, incoming, outgoing, jumps, target="DROP", prefix="acl:"):
    for v6 in (False, True):
        text = f"*filter\n:{incoming} - [0:0]\n:{outgoing} - [0:0]\n"
        text += f"-A INPUT -i wtun -j {jumps.get('in', incoming)}\n-A OUTPUT -o wtun -j {jumps.get('out', outgoing)}\n"
        for chain in incoming, outgoing:
            for match in f"-p tcp --dport {DENIED}", f"-p udp --dport {DENIED}", echo(v6):
                text += logged(chain, match, f"{prefix}{chain}", target)
            text += logged(chain, f"-p tcp --dport {ALLOWED}", "seen:not-a-refusal", "ACCEPT")
            text += f"-A {chain} -j RETURN\n"
        iptables(ns, v6, text + "COMMIT\n")
    reason = REJECT if prefix == "reject:" else DROP
    return {0: (incoming, 1, reason), 1: (outgoing, 1, reason)}


def netmaker(ns):
    return by_iptables(ns, "NETMAKER-ACL-IN", "NETMAKER-ACL-OUT", {})


def tailscale(ns):
    return by_iptables(ns, "ts-input", "ts-output", {}, prefix="deny:")


def rejecting(ns):
    return by_iptables(ns, "ACL-REJECT-IN", "ACL-REJECT-OUT", {}, target="REJECT", prefix="reject:")


# Traffic


def packets(version, source, destination, port):
    a, b = source[version], destination[version]
    yield lib.tcp(a, 4000, b, port, "S")
    yield lib.udp(a, 4000, b, port, b"question")
    if port == DENIED:
        yield lib.icmp_echo(a, b)


def traffic(ns, tun, port):
    for number in range(FRAMES):
        for version in 4, 6:
            for packet in packets(version, THERE, HERE, port):
                tun.deliver(lib.distinct(packet, number))
            for packet in packets(version, HERE, THERE, port):
                lib.send_out(ns, THERE[version], packet)
        time.sleep(0.05)


def profile(lab, sink, **more):
    section = {
        "IpFixCollectors": [sink],
        "ObservationPoints": ["wtun"],
        "NflogGroups": [GROUP],
        "IdleTimeout": 60000,
        **more,
    }
    return lab.write(lab.unique("profile") + ".json", json.dumps({"FlowMetadata": section}))


def start(lab, ns, sink, *words, **more):
    probe = lab.weir("probe", "-p", profile(lab, sink, **more), "--stats", *words, netns=ns)
    def running():
        rows = ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]
        return any(row.split()[5] == "1" for row in rows) and ns.run("cat", "/proc/net/netfilter/nfnetlink_log")[1].strip()

    lib.wait_for("packet socket and NFLOG group", running, 20)
    return probe


def is_denied(flow):
    return "forwardingStatus" in flow


def name_of(flow):
    return (4 if "sourceIPv4Address" in flow else 6, flow["protocolIdentifier"], flow["flowDirection"])


def ours(flows):
    """Flows of the frames that were sent here on purpose, by who is asked for what."""
    for f in flows:
        v6 = "sourceIPv6Address" in f
        code = f.get("icmpTypeCodeIPv6" if v6 else "icmpTypeCodeIPv4")
        if f.get("destinationTransportPort") == DENIED or code == (0x8000 if v6 else 0x0800):
            yield f


WANTED = {(v, p, d) for v in (4, 6) for p in (6, 17, 58 if v == 6 else 1) for d in (0, 1)}


def check_denied(flows, rules, index, what):
    mine = list(ours(flows))
    for f in mine:
        lib.check(is_denied(f), f"{what}: a refused frame in a record of those let through: {f}")
    lib.equal(sorted(map(name_of, mine)), sorted(WANTED), f"{what}: records of refused frames")
    for f in mine:
        rule, policy, reason = rules[f["flowDirection"]]
        text = f"{what}: {name_of(f)}"
        lib.equal((f["denialRuleName"], f["denialClass"], f["denialReason"]), (rule, policy, reason), f"{text}: rule")
        lib.equal((f["forwardingStatus"], f["firewallEvent"]), (STATUS[reason], 3), f"{text}: status")
        lib.equal((f["droppedPacketDeltaCount"], f["packetDeltaCount"]), (FRAMES, FRAMES), f"{text}: packets")
        lib.equal(f["droppedOctetDeltaCount"], f["octetDeltaCount"], f"{text}: octets")
        lib.equal(f.get("egressInterface" if f["flowDirection"] else "ingressInterface"), index, f"{text}: interface")


def check_allowed(flows, direction, what):
    through = [f for f in flows if f.get("destinationTransportPort") == ALLOWED]
    lib.check(not any(map(is_denied, through)), f"{what}: traffic that was let through is told as refused")
    wanted = list((v, p, d) for v in (4, 6) for p in (6, 17) for d in (0, 1) if direction in (d, None))
    packets = {}
    for f in through:  # a SYN that was answered by RST ends its flow: the next one is another
        packets[name_of(f)] = packets.get(name_of(f), 0) + f["packetDeltaCount"]
    lib.equal(packets, dict.fromkeys(wanted, FRAMES), f"{what}: packets that were let through")


DIRECTIONS = {"Both": None, "SendingToPeer": 1, "ReceivedFromPeer": 0}


def rule_set(write):
    lib.need("nft", "iptables-nft-restore")
    for word, direction in DIRECTIONS.items():
        with lib.Lab() as lab:
            ns = lab.namespace("deny")
            sink = lib.UdpSink(lab, ns)
            with lib.Tun(ns, "wtun") as tun:
                tun.up("10.9.0.1/24", "fd09::1/64")
                rules = write(ns)
                probe = start(lab, ns, sink.spec(), Direction=word)
                traffic(ns, tun, DENIED)
                traffic(ns, tun, ALLOWED)
                time.sleep(0.3)
                probe.stop()
                stats = json.loads(probe.output())
                lib.equal(stats["denied"]["sources"]["nflog"]["droppedPackets"], 0, "refusals lost")
                lib.wait_for("the last message", lambda: any(map(is_denied, sink.flows())))
                flows = sink.flows()
                check_denied(flows, rules, ns.index_of("wtun"), f"{write.__name__}, {word}")
                check_allowed(flows, direction, f"{write.__name__}, {word}")


def test_netbird():
    rule_set(netbird)


def test_netmaker():
    rule_set(netmaker)


def test_tailscale():
    rule_set(tailscale)


def test_reject():
    rule_set(rejecting)


def silent(text):
    """The same rules, which tell nobody."""
    return re.sub(r'log prefix "[^"]*" group \d+ snaplen \d+ ', "", text)


def our_tables(ns):
    return [line for line in ns.run("nft", "list", "tables")[1].splitlines() if "weir" in line]


def test_trace():
    """Rules that log nothing: the kernel's trace says which one refused, and nothing of ours stays behind."""
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("trace")
        sink = lib.UdpSink(lab, ns)
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            ns.run("nft", "-f", "-", stdin_text=silent(NETBIRD).replace("drop\n    }\n    chain netbird-acl-input-rules", 'drop comment "default"\n    }\n    chain netbird-acl-input-rules'))
            foreign = ns.run("nft", "-a", "list", "table", "inet", "netbird")[1]
            probe = lab.weir("probe", "-p", profile(lab, sink.spec(), NflogGroups=[], TraceRules=True), "--stats", netns=ns)
            lib.wait_for("our table", lambda: our_tables(ns))
            lib.wait_for("its rules", lambda: "nftrace" in ns.run("nft", "list", "ruleset")[1])
            lib.equal(ns.run("nft", "-a", "list", "table", "inet", "netbird")[1], foreign, "the foreign table")
            traffic(ns, tun, DENIED)
            traffic(ns, tun, ALLOWED)
            time.sleep(0.3)
            probe.stop()
            lib.equal(our_tables(ns), [], "tables of ours after the end")
            flows = sink.flows()
            lib.equal(sorted(map(name_of, ours(flows))), sorted(WANTED), "records of refused frames")
            handle = re.search(r'drop comment "default" # handle (\d+)', foreign)[1]
            for f in ours(flows):
                chain = "netbird-acl-output" if f["flowDirection"] else "netbird-acl-input-filter"
                lib.check(f["denialRuleName"].startswith(f"netbird/{chain}#"), f"rule: {f['denialRuleName']}")
                if not f["flowDirection"]:
                    lib.equal(f["denialRuleName"], f"netbird/{chain}#{handle} default", "handle and comment")
                lib.equal((f["forwardingStatus"], f["firewallEvent"], f["droppedPacketDeltaCount"]), (130, 3, FRAMES), "status, event, packets")
            check_allowed(flows, None, "trace")


def test_trace_and_log():
    """Both tell of a frame: one record, with the name that the log gives."""
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("both")
        sink = lib.UdpSink(lab, ns)
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            rules = netbird(ns)
            probe = start(lab, ns, sink.spec(), TraceRules=True)
            lib.wait_for("our rules", lambda: "nftrace" in ns.run("nft", "list", "ruleset")[1])
            traffic(ns, tun, DENIED)
            time.sleep(0.3)
            probe.stop()
            check_denied(sink.flows(), rules, ns.index_of("wtun"), "both")
            lib.equal(json.loads(probe.output())["denied"]["repeatedReports"], len(WANTED) * FRAMES, "repeated reports")


def need_drop_reasons(lab, ns):
    """A probe with DropReasons alone, or a skip that says why there is none."""
    sink = lib.UdpSink(lab, ns)
    probe = lab.weir("probe", "-p", profile(lab, sink.spec(), NflogGroups=[], DropReasons=True), "--stats", netns=ns)
    probe.expect("refused frames are (not )?told of by kfree_skb")
    if "not told of" in probe.errors():
        probe.stop()
        raise lib.Skip(probe.errors().strip().splitlines()[-1])
    return probe, sink


def test_drop_reasons():
    """Rules that tell nobody, and a source address that does not belong there: the kernel's reasons, both ways."""
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("drop")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            ns.run("nft", "-f", "-", stdin_text=silent(NETBIRD))
            probe, sink = need_drop_reasons(lab, ns)
            traffic(ns, tun, DENIED)
            traffic(ns, tun, ALLOWED)
            time.sleep(0.3)
            probe.stop()
            check_denied(sink.flows(), {0: ("", 0, DROP), 1: ("", 0, DROP)}, ns.index_of("wtun"), "drop reasons")
            check_allowed(sink.flows(), None, "drop reasons")
            lib.equal(json.loads(probe.output())["denied"]["sources"]["kfree_skb"]["droppedPackets"], 0, "lost")


def test_all_sources():
    """Three sources tell of a frame: one record, and the name that the log gives."""
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("all")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            need_drop_reasons(lab, ns)[0].stop()
            rules = netbird(ns)
            sink = lib.UdpSink(lab, ns, port=4740)
            probe = start(lab, ns, sink.spec(), TraceRules=True, DropReasons=True)
            lib.wait_for("our rules", lambda: "nftrace" in ns.run("nft", "list", "ruleset")[1])
            traffic(ns, tun, DENIED)
            time.sleep(0.3)
            probe.stop()
            check_denied(sink.flows(), rules, ns.index_of("wtun"), "all sources")
            lib.equal(json.loads(probe.output())["denied"]["repeatedReports"], 2 * len(WANTED) * FRAMES, "repeated reports")


def test_trace_numbers():
    """The kernel numbers traced frames by address and flow: one after the other they have the same number."""
    lib.need("nft")
    count = 40
    with lib.Lab() as lab:
        ns = lab.namespace("same")
        sink = lib.UdpSink(lab, ns)
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            netbird(ns)
            probe = start(lab, ns, sink.spec(), TraceRules=True)
            lib.wait_for("our rules", lambda: "nftrace" in ns.run("nft", "list", "ruleset")[1])
            for number in range(count):
                tun.deliver(lib.distinct(lib.udp(THERE[4], 4000, HERE[4], DENIED, b"question"), number))
                time.sleep(0.005)
            time.sleep(0.3)
            probe.stop()
            lib.equal([f["droppedPacketDeltaCount"] for f in ours(sink.flows())], [count], "refused frames")
            lib.equal(json.loads(probe.output())["denied"]["repeatedReports"], count, "repeated reports")


def test_killed():
    """SIGKILL: the kernel takes our table away."""
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("kill")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24")
            probe = lab.weir("probe", "-p", profile(lab, "Udp/127.0.0.1:4739", NflogGroups=[], TraceRules=True), netns=ns)
            lib.wait_for("our table", lambda: our_tables(ns))
            probe.stop(expected=None, number=signal.SIGKILL)
            lib.wait_for("no table", lambda: not our_tables(ns), 5)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_flood():
    """Refused SYNs from all over: every frame is counted, memory stays, and nobody else's flow has to go."""
    # Exact while the two reports of a frame are read within the half second that they wait for each other: a build with
    # sanitizers is too slow for a long burst.
    with open(lib.WEIR, "rb") as f:
        sanitized = b"__asan_init" in f.read()
    frames, budget, talkers = int(os.environ.get("WEIR_FLOOD", 4000 if sanitized else 200_000)), 2000, 50
    with lib.Lab() as lab:
        ns = lab.namespace("flood")
        out = lab.path("flood.ipfix")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            ns.run("nft", "-f", "-", stdin_text=NETBIRD)
            probe = start(lab, ns, f"File/{out}", MaxDeniedFlows=budget, MaxFlows=100000)
            for port in range(talkers):
                tun.deliver(lib.udp("10.9.0.2", 5000 + port, "10.9.0.1", ALLOWED, b"x"))
            template = bytearray(lib.tcp("10.9.0.2", 4000, "10.9.0.1", DENIED, "S"))
            chance = random.Random(5)
            before, most = resident(probe.pid), 0
            for number in range(frames):
                template[12:16] = struct.pack("!I", 0x0A090100 | chance.getrandbits(24) & 0xFFFFFF)
                template[4:6] = struct.pack("!H", number & 0xFFFF)
                template[20:22] = struct.pack("!H", 1024 + number % 50000)
                template[10:12] = b"\0\0"
                template[10:12] = struct.pack("!H", lib.checksum(bytes(template[:20])))
                tun.deliver(template)
                if number % 20000 == 0:
                    most = max(most, resident(probe.pid))
            most = max(most, resident(probe.pid))
            time.sleep(0.5)
            probe.stop(timeout=60)
        stats = json.loads(probe.output())
        flows = lib.flows(lib.dump(out))
        denied = [f for f in flows if is_denied(f) and f["flowDirection"] == 0]
        lost = stats["denied"]["sources"]["nflog"]["droppedPackets"] + stats["source"]["droppedPackets"]
        lib.equal(lost, 0, "lost in the kernel")
        lib.equal(sum(f["droppedPacketDeltaCount"] for f in denied), frames, "refused frames counted")
        lib.equal(sum(f["droppedOctetDeltaCount"] for f in denied), frames * 40, "refused octets counted")
        lib.equal(sum(f["denialReason"] == 7 for f in denied), 1, "summaries")
        lib.check(len(denied) <= budget + 1, f"{len(denied)} records of refused flows, {budget} and a summary allowed")
        through = [f for f in flows if not is_denied(f)]
        lib.equal(sum(f.get("destinationTransportPort") == ALLOWED for f in through), talkers, "flows let through")
        lib.check(not list(f for f in ours(flows) if not is_denied(f)), "a refused frame among those let through")
        lib.equal(stats["meter"]["evictedFlows"], 0, "flows that had to go")
        lib.check(most - before < 64 << 10, f"memory grew by {most - before} KiB")


def test_no_listener_allowed():
    """Another program listens to the group: all else goes on, and the log says why."""
    with lib.Lab() as lab:
        ns = lab.namespace("busy")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            start(lab, ns, sink.spec())
            second = lab.weir("probe", "-p", profile(lab, sink.spec()), netns=ns)
            second.expect("refused frames are not told of by nflog: NFLOG group 5: .*another program listens to it")
            second.stop()


def test_other_readers():
    """Wireshark and nfdump see the standard elements."""
    lib.need("tshark", "nfdump")
    with lib.Lab() as lab:
        ns = lab.namespace("read")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            ns.run("nft", "-f", "-", stdin_text=NETBIRD)
            collector = lib.Nfcapd(lab, ns)
            capture = lib.Capture(lab, ns)
            probe = start(lab, ns, collector.spec)
            traffic(ns, tun, DENIED)
            time.sleep(0.3)
            probe.stop()
            time.sleep(0.5)
            path = capture.stop()
            rows = collector.stop().records()
        lib.equal(lib.tshark_faults(path), [], "what Wireshark complains of")
        text = lib.tshark(path, "-V", "-Y", "cflow")
        for line in "ForwardingStatusDropCode: Drop ACL drop", "Firewall Event: Flow denied":
            lib.equal(text.count(line), len(WANTED), f"Wireshark: {line}")
        mine = [row for row in rows if row.get("dst_port") == DENIED]
        lib.equal(len(mine), 8, "nfdump's records of refused TCP and UDP")
        lib.equal({row["in_packets"] for row in mine}, {FRAMES}, "packets in nfdump's records")
        version = tuple(map(int, re.search(r"(\d+)\.(\d+)\.(\d+)", lib.run(["nfdump", "-V"])[1]).groups()))
        # Before 1.7.2 nothing in an IPFIX record makes nfdump show a refusal: docs/design.md.
        shown = STATUS[DROP] if version >= (1, 7, 2) else 0
        lib.equal({row["fwd_status"] for row in mine}, {shown}, f"nfdump {version}: forwarding status")


if __name__ == "__main__":
    lib.main(globals())
