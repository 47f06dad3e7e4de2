"""What users of other exporters complain about must be impossible here. complaints.md says which test holds which."""

import re
import socket
import time

import lib


def ready():
    lib.need_root()


def tun_probe(lab, ns, tun, *options, idle=400):
    """A sink and a probe on one tun device that is up."""
    sink = lib.UdpSink(lab, ns)
    return sink, lab.probe(ns, [tun.name], "-c", sink.spec(), "--idle", idle, *options)


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))


def test_direction_is_the_kernels():
    """1, 2: neither address order nor a setting decides; the interface's index is real, and never 0."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.100/24")
            sink, probe = tun_probe(lab, ns, tun)
            for peer in ("10.9.0.1", "10.9.0.200"):  # below and above our own address
                tun.deliver(lib.udp(peer, 4000, "10.9.0.100", 5000, b"in"))
                sender = ns.socket()
                sender.sendto(b"out", (peer, 5001))
                sender.close()
            time.sleep(1.5)
            probe.stop()
            index = ns.index_of("tun0")
            seen = {}
            for f in sink.flows():
                for name in ("ingressInterface", "egressInterface"):
                    lib.check(f.get(name, index) == index, f"{name} is {f.get(name)}, the device is {index}")
                seen[lib.address(f, "source"), f.get("destinationTransportPort")] = f
            for peer in ("10.9.0.1", "10.9.0.200"):
                lib.equal(seen[peer, 5000]["flowDirection"], 0, f"from {peer}")
                lib.equal(seen[peer, 5000].get("ingressInterface"), index, f"from {peer}")
                lib.check("egressInterface" not in seen[peer, 5000], "no interface is made up")
            mine = [f for (source, port), f in seen.items() if source == "10.9.0.100" and port == 5001]
            lib.check(mine and all(f["flowDirection"] == 1 and f["egressInterface"] == index for f in mine), f"egress: {mine}")


def test_several_interfaces_in_one_process():
    """3, 19: each record has the index of its own interface, whatever the order they were made or named in."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tunz") as z, lib.Tun(ns, "tuna") as a:
            z.up("10.8.0.1/24")
            a.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            probe = lab.probe(ns, ["tuna", "tunz"], "-c", sink.spec(), "--idle", 400)
            for _ in range(3):
                z.deliver(lib.udp("10.8.0.2", 1, "10.8.0.1", 5000, b"z"))
                a.deliver(lib.udp("10.9.0.2", 1, "10.9.0.1", 5000, b"a"))
            time.sleep(1.5)
            probe.stop()
            by_source = {lib.address(f, "source"): f for f in sink.flows() if f.get("destinationTransportPort") == 5000}
            lib.equal(by_source["10.8.0.2"]["ingressInterface"], ns.index_of("tunz"), "interface of tunz")
            lib.equal(by_source["10.9.0.2"]["ingressInterface"], ns.index_of("tuna"), "interface of tuna")
            lib.check(by_source["10.8.0.2"]["observationPointId"] != by_source["10.9.0.2"]["observationPointId"], "two observation points")


def test_interface_names_travel():
    """20: an options record ties the index to the name, also for an interface that comes later."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        sink = lib.UdpSink(lab, ns)
        probe = lab.weir("probe", "-i", "tun0", "-c", sink.spec(), "--template-refresh", 1000, netns=ns)
        time.sleep(1.0)
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            index = ns.index_of("tun0")

            def told():
                names = [r for r in sink.records() if r.get("interfaceName") == "tun0"] if sink.messages else []
                return any(index in (r["scope"].get("ingressInterface"), r["scope"].get("egressInterface"), r.get("ingressInterface")) for r in names)

            lib.wait_for("an interface record for tun0", told, 10, poll=0.3)
        probe.stop()


def narrow(lab, mtu):
    """Two namespaces on a link of that MTU; the probe's traffic is on a tun device in the first."""
    ns, far = lab.namespace("a"), lab.namespace("b")
    addresses = lab.join([ns, far])
    for end in (ns, far):
        end.ip("link", "set", "eth0", "mtu", str(mtu))
    return ns, far, addresses


def many_flows(tun, count=400):
    for port in range(20000, 20000 + count):
        tun.deliver(lib.udp("10.9.0.2", port, "10.9.0.1", 7, b"x"))
        if port % 50 == 0:
            time.sleep(0.02)


def check_no_fragments(path, mtu):
    lib.equal(lib.tshark(path, "-Y", "ip.flags.mf == 1 || ip.frag_offset > 0 || ipv6.fraghdr"), "", "fragments")
    sizes = [int(r[0][0]) for r in lib.tshark_fields(path, ["ip.len"], "cflow")]
    lib.check(sizes, "messages")
    lib.check(max(sizes) <= mtu, f"a message of {max(sizes)} octets on a link of {mtu}")
    return sizes


def test_messages_fit_the_path():
    """7, 8: a narrow link (WireGuard's 1280, a worse one of 700) never sees a fragment of our messages."""
    ready()
    for mtu in (1280, 700):
        with lib.Lab() as lab:
            ns, far, addresses = narrow(lab, mtu)
            host = addresses[1][0]
            with lib.Tun(ns, "tun0") as tun:
                tun.up("10.9.0.1/24")
                sink = lib.UdpSink(lab, far, host)
                capture = lib.Capture(lab, ns, "eth0", "udp")
                probe = lab.probe(ns, ["tun0"], "-c", sink.spec(), "--idle", 300)
                many_flows(tun)
                time.sleep(2.0)
                probe.stop()
                time.sleep(0.3)
                check_no_fragments(capture.stop(), mtu)
                ports = {f.get("sourceTransportPort") for f in sink.flows() if f.get("destinationTransportPort") == 7}
                lib.equal(len(ports), 400, f"flows that arrived over an MTU of {mtu}")


def test_path_that_gets_narrower():
    """8: the MTU shrinks while we export: later messages fit, and records go on arriving."""
    ready()
    with lib.Lab() as lab:
        ns, far, addresses = narrow(lab, 1500)
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, far, addresses[1][0])
            probe = lab.probe(ns, ["tun0"], "-c", sink.spec(), "--idle", 300, "--template-refresh", 1000)
            many_flows(tun, 200)
            time.sleep(1.5)
            ns.ip("link", "set", "eth0", "mtu", "600")
            capture = lib.Capture(lab, ns, "eth0", "udp")
            before = sink.messages
            many_flows(tun, 200)
            time.sleep(2.5)
            probe.stop()
            time.sleep(0.3)
            check_no_fragments(capture.stop(), 600)
            lib.check(sink.messages > before, "messages after the link shrank")


def test_templates_come_first_and_again():
    """11: the first record never stands before its template; templates return by time."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            capture = lib.Capture(lab, ns)
            _, probe = tun_probe(lab, ns, tun, "--template-refresh", 1000)
            for n in range(40):
                tun.deliver(lib.udp("10.9.0.2", 4000 + n, "10.9.0.1", 7, b"x"))
                time.sleep(0.1)
            probe.stop()
            path = capture.stop()
            lib.equal(lib.tshark(path, "-Y", "cflow.no_template_found"), "", "data before its template")
            sets = lib.tshark_fields(path, ["frame.time_relative", "cflow.flowset_id"])
            with_templates = [float(r[0][0]) for r in sets if "2" in r[1]]
            lib.check(len(with_templates) >= 3, f"templates only at {with_templates}")
            gaps = [b - a for a, b in zip(with_templates, with_templates[1:])]
            lib.check(max(gaps) < 3.0, f"a refresh of 1 s leaves a gap of {max(gaps)} s")


def test_two_processes_never_share_a_domain():
    """12: two probes on one host have their own Observation Domains, so a collector sees no false loss."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            capture = lib.Capture(lab, ns)
            sink, one = tun_probe(lab, ns, tun)
            two = lab.probe(ns, ["tun0"], "-c", sink.spec(), "--idle", 400)
            many_flows(tun, 100)
            time.sleep(1.5)
            one.stop()
            two.stop()
            domains = {r["observationDomainId"] for r in sink.records()}
            lib.equal(len(domains), 2, f"domains {domains}")
            lib.equal(lib.tshark_faults(capture.stop()), [], "complaints of tshark")


def test_times_are_the_packets():
    """14: over a capture file every time is packet time; on a live device no flow ends after its export."""
    ready()
    with lib.Lab() as lab:
        then = 1_000_000_000  # 2001
        path = lib.write_pcap(lab.path("x.pcap"), [(then + n * 0.25, lib.udp("10.0.0.1", 1, "10.0.0.2", 2)) for n in range(5)])
        lib.run([lib.WEIR, "probe", "-r", path, "-w", lab.path("o.ipfix")])
        records = lib.dump(lab.path("o.ipfix"))
        (flow,) = lib.flows(records)
        lib.equal(lib.clock_ms(flow["flowStartMilliseconds"]), then * 1000, "start")
        lib.equal(lib.clock_ms(flow["flowEndMilliseconds"]), then * 1000 + 1000, "end")
        for r in records:
            lib.check(then * 1000 <= lib.clock_ms(r["exportTime"]) <= (then + 120) * 1000, f"exportTime {r['exportTime']}")

        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink, probe = tun_probe(lab, ns, tun)
            began = time.time() * 1000
            many_flows(tun, 100)
            time.sleep(1.5)
            probe.stop()
            for f in sink.flows():
                start, end = lib.clock_ms(f["flowStartMilliseconds"]), lib.clock_ms(f["flowEndMilliseconds"])
                lib.check(start <= end < lib.clock_ms(f["exportTime"]) + 1000, f"times of {f}")
                if f.get("destinationTransportPort") == 7:
                    lib.check(began - 5 <= start <= time.time() * 1000, f"start of {f}")


def test_idle_flow_is_not_late():
    """15: one packet and then silence: no other traffic is needed to end the flow."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink, probe = tun_probe(lab, ns, tun)
            tun.deliver(lib.udp("10.9.0.2", 4000, "10.9.0.1", 7, b"x"))
            # 400 ms idle, one second late at most, one second until a message that is not full is sent.
            lib.wait_for("the record", lambda: any(f.get("destinationTransportPort") == 7 for f in sink.flows()), 6)
            (flow,) = [f for f in sink.flows() if f.get("destinationTransportPort") == 7]
            lib.equal(flow["flowEndReason"], 1, "flowEndReason")
            late = lib.clock_ms(flow["exportTime"]) - lib.clock_ms(flow["flowEndMilliseconds"])
            lib.check(late <= 400 + 2000 + 1000, f"exported {late} ms after its last packet")
            probe.stop()


def test_long_flow_is_seen_while_it_lasts():
    """16: with an Interval a flow that never ends is reported all the same."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink, probe = tun_probe(lab, ns, tun, "--interval", 1000, idle=60000)
            sent = 0

            def seen():
                return [f for f in sink.flows() if f.get("destinationTransportPort") == 7]

            def two_are_seen():
                nonlocal sent
                tun.deliver(lib.udp("10.9.0.2", 4000, "10.9.0.1", 7, b"x"))
                sent += 1
                return len(seen()) >= 2

            lib.wait_for("two interim records", two_are_seen, 60, poll=0.05)
            lib.check(all(f["flowEndReason"] == 2 for f in seen()), f"interim records: {seen()}")
            probe.stop()
            lib.wait_for("all packets sent", lambda: sum(f["packetDeltaCount"] for f in seen()) >= sent, 20)
            lib.equal(sum(f["packetDeltaCount"] for f in seen()), sent, "13: deltas add up")


def test_super_packets_count_as_their_segments():
    """17: TCP over veth with offloads on: no packet on average is larger than the link carries."""
    ready()
    with lib.Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        (one, _), (two, _) = lab.join([a, b])
        sink = lib.UdpSink(lab, a)
        probe = lab.probe(a, ["eth0"], "-c", sink.spec())
        listener, client = b.socket(kind=socket.SOCK_STREAM), a.socket(kind=socket.SOCK_STREAM)
        with listener, client:
            listener.bind((two, 9000))
            listener.listen(1)
            client.connect((two, 9000))
            server, _ = listener.accept()
            with server:
                total = 0
                client.setblocking(False)
                while total < 20_000_000:
                    try:
                        total += client.send(b"x" * 65536)
                    except BlockingIOError:
                        server.recv(1 << 20)
        time.sleep(0.5)
        probe.stop()
        flows = [f for f in sink.flows() if f.get("destinationTransportPort") == 9000 and f["flowDirection"] == 1]
        packets, octets = sum(f["packetDeltaCount"] for f in flows), sum(f["octetDeltaCount"] for f in flows)
        lib.check(octets > 1_000_000, f"the stream was metered: {octets} octets")
        lib.check(octets / packets <= 1500, f"{octets / packets:.0f} octets a packet on a link of 1500")


def test_one_socket_for_ever():
    """9, 21: the source port stays the same through collectors that refuse; who keys on it loses nothing."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            first, probe = tun_probe(lab, ns, tun)
            many_flows(tun, 20)
            lib.wait_for("messages", lambda: first.messages, 10)
            first.close()
            many_flows(tun, 20)
            time.sleep(1.5)
            second = lib.UdpSink(lab, ns)
            many_flows(tun, 20)
            lib.wait_for("messages", lambda: second.messages, 10)
            probe.stop()
            lib.equal(second.senders, first.senders, "sender")
            lib.equal(len(first.senders), 1, "senders")


def test_encryption_is_never_left_out():
    """23: a collector that asks for encryption is never served in the clear; what cannot be had is refused."""
    ready()
    for scheme in ("Tls", "Dtls", "DtlsSctp"):
        status, _, said = lib.run([lib.WEIR, "probe", "-c", f"{scheme}/127.0.0.1:4740", "-i", "lo"], expected=None, timeout=10)
        lib.equal(status, 2, f"exit status for {scheme} without certificates")
        lib.check(re.search(scheme, said, re.I), f"{scheme} is named: {said!r}")


def test_table_is_bounded():
    """25: a scan ends flows by pressure and loses no packet from the sums."""
    ready()
    with lib.Lab() as lab:
        count = 60000
        packets = []
        for n in range(count):
            packets.append((1_700_000_000 + n / 100000, lib.ip_packet(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "10.200.0.1", 17, b"\x00\x01\x00\x02\x00\x08\x00\x00")))
        path = lib.write_pcap(lab.path("scan.pcap"), packets)
        out = lab.path("o.ipfix")
        probe = lab.weir("probe", "-r", path, "-w", out, "--max-flows", 1000)
        lib.equal(probe.wait(120), 0, f"exit status: {probe.errors()}")
        seen = lib.flows(lib.dump(out))
        lib.equal(sum(f["packetDeltaCount"] for f in seen), count, "packets of all records")
        evicted = sum(f["flowEndReason"] == 5 for f in seen)
        lib.check(evicted >= count - 2000, f"{evicted} flows ended for lack of resources")


def test_collector_that_is_gone_costs_no_memory():
    """25: minutes of traffic to nowhere; the process does not grow."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            probe = lab.probe(ns, ["tun0"], "-c", "Udp/127.0.0.1:9", "-c", "Udp/203.0.113.9:4739", "--idle", 0)
            many_flows(tun, 2000)
            time.sleep(1.0)
            before = rss_kib(probe.pid)
            for _ in range(5):
                many_flows(tun, 2000)
            time.sleep(1.0)
            grown = rss_kib(probe.pid) - before
            lib.check(grown < 8192, f"grew by {grown} KiB")
            probe.stop()


def test_statistics_travel():
    """27: what was not metered is told in an options record, not left to be guessed from the sequence."""
    ready()
    with lib.Lab() as lab:
        good = [(1_700_000_000 + n, lib.udp("10.0.0.1", 1, "10.0.0.2", 2)) for n in range(3)]
        bad = [(1_700_000_004, b"\x45\x00\x00"), (1_700_000_005, b"\xf5" * 40)]
        path = lib.write_pcap(lab.path("x.pcap"), good + bad)
        lib.run([lib.WEIR, "probe", "-r", path, "-w", lab.path("o.ipfix")])
        options = [r for r in lib.dump(lab.path("o.ipfix")) if "scope" in r]
        ignored = [r["ignoredPacketTotalCount"] for r in options if "ignoredPacketTotalCount" in r]
        lib.check(ignored, f"an options record with ignoredPacketTotalCount: {options}")
        lib.equal(ignored[-1], 2, "ignored packets")


def test_configuration_traps():
    """29: nothing to do is said once and is no failure; a mistake is named with its place, and never crashes."""
    ready()
    with lib.Lab() as lab:
        ns = lab.namespace()
        status, _, said = ns.run(lib.WEIR, "probe", timeout=20)
        lib.check("collector" in said, f"no collector is said: {said!r}")
        bad = lab.write("bad.json", '{\n "FlowMetadata": {\n  "Direction": "Both"\n  "Interval": 0\n }\n}\n')
        status, _, said = lib.run([lib.WEIR, "probe", "-p", bad, "-i", "lo"], expected=None, timeout=20)
        lib.equal(status, 2, "exit status of a bad profile")
        lib.check(re.search(r"bad\.json:[34]:\d+:", said), f"file, line and column: {said!r}")
        status, _, said = lib.run([lib.WEIR, "probe", "-r", "/nonexistent.pcap", "-w", lab.path("o")], expected=None, timeout=20)
        lib.equal(status, 1, "exit status of a missing capture")
        lib.check("/nonexistent.pcap" in said, f"the file is named: {said!r}")


lib.main(globals())
