"""The probe's UDP stream, read by programs that are not ours: tshark, nfcapd with nfdump, nfacctd."""

import collections
import datetime
import ipaddress
import time

import lib

# Ours and the other end of the tun device, by IP version.
SYSTEMS = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}

Flow = collections.namedtuple("Flow", "source destination sport dport protocol direction")


class Sums:
    def __init__(self):
        self.packets = self.octets = 0
        self.first = self.last = None

    def add(self, packets, octets, first, last):
        self.packets += packets
        self.octets += octets
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def row(self):
        return self.packets, self.octets, self.first, self.last


def traffic(tun, ns, seconds=2.5):
    """Packets in both directions, both families, TCP, UDP and ICMP: {Flow: (packets, octets)} of those we made."""
    sent = collections.defaultdict(Sums)
    senders = {}
    for version, (mine, _) in SYSTEMS.items():
        senders[version] = ns.socket(lib.socket.AF_INET if version == 4 else lib.socket.AF_INET6)
        senders[version].bind((mine, 20053))

    def deliver(packet, key):
        tun.deliver(packet)
        sent[key].add(1, len(packet), 0, 0)

    until = time.monotonic() + seconds
    n = 0
    while time.monotonic() < until:
        n += 1
        for version, (mine, theirs) in SYSTEMS.items():
            port, icmp, header = 20001 + n % 5, 1 if version == 4 else 58, 28 if version == 4 else 48
            deliver(lib.udp(theirs, port, mine, 20053, b"u" * n), Flow(theirs, mine, port, 20053, 17, 0))
            deliver(lib.tcp(theirs, 30001, mine, 30080, "PA", b"t" * 10, seq=n), Flow(theirs, mine, 30001, 30080, 6, 0))
            deliver(lib.icmp_echo(theirs, mine), Flow(theirs, mine, 0, 0, icmp, 0))
            senders[version].sendto(b"d" * 100, (theirs, 20001))
            sent[Flow(mine, theirs, 20053, 20001, 17, 1)].add(1, 100 + header, 0, 0)
        time.sleep(0.05)
    for sender in senders.values():
        sender.close()
    return {key: sums.row()[:2] for key, sums in sent.items()}


def run_probe(lab, ns, collectors, options=()):
    """Traffic through a tun device while the probe exports to `collectors`; what was sent."""
    words = [w for c in collectors for w in ("-c", c)]
    with lib.Tun(ns, "tun0") as tun:
        tun.up("10.9.0.1/24", "fd09::1/64")
        probe = lab.probe(ns, ["tun0"], *words, "--idle", 400, "--template-refresh", 1000, *options)
        sent = traffic(tun, ns)
        time.sleep(1.0)
        probe.stop()
    return sent


def exported(sink):
    """Sums per flow of what weir's own reader finds."""
    sums = collections.defaultdict(Sums)
    for r in sink.flows():
        protocol = r["protocolIdentifier"]
        key = Flow(lib.address(r, "source"), lib.address(r, "destination"), r.get("sourceTransportPort", 0), r.get("destinationTransportPort", 0), protocol, r["flowDirection"])  # fmt: skip
        sums[key].add(r["packetDeltaCount"], r["octetDeltaCount"], lib.clock_ms(r["flowStartMilliseconds"]), lib.clock_ms(r["flowEndMilliseconds"]))
    return sums


def check_sent(sums, sent):
    for key, (packets, octets) in sent.items():
        lib.check(key in sums, f"{key} was not exported")
        lib.equal(sums[key].row()[:2], (packets, octets), f"packets and octets of {key}")


def compare(theirs, ours, who):
    """Same flows, same sums, same times to the millisecond."""
    lib.equal(sorted(k for k in theirs if k not in ours), [], f"flows that only {who} has")
    lib.equal(sorted(k for k in ours if k not in theirs), [], f"flows that {who} lacks")
    for key, sums in theirs.items():
        lib.equal(sums.row(), ours[key].row(), f"{who}: packets, octets, first, last of {key}")


def test_tshark_has_nothing_to_complain():
    lib.need_root()
    lib.need("tshark", "tcpdump")
    with lib.Lab() as lab:
        ns = lab.namespace()
        sink = lib.UdpSink(lab, ns)
        capture = lib.Capture(lab, ns)
        sent = run_probe(lab, ns, [sink.spec()])
        path = capture.stop()
        lib.equal(lib.tshark_faults(path), [], "complaints of tshark")
        lib.equal(lib.tshark(path, "-Y", "udp.port == 4739 && !cflow"), "", "frames that are no IPFIX")
        rows = lib.tshark_fields(path, ["cflow.version", "cflow.sequence", "cflow.od_id"])
        lib.equal({r[0][0] for r in rows}, {"10"}, "versions")
        lib.equal(len({r[2][0] for r in rows}), 1, "observation domains")
        check_sent(exported(sink), sent)
        starts = [t for r in lib.tshark_fields(path, ["cflow.abstimestart"], "cflow.abstimestart") for t in r[0]]
        lib.check(len(starts) >= len(sent), f"tshark decodes flow times: {len(starts)}")


def test_tshark_and_dump_agree():
    """Octets and packets of every record, summed over the capture, by both readers."""
    lib.need_root()
    lib.need("tshark", "tcpdump")
    with lib.Lab() as lab:
        ns = lab.namespace()
        sink = lib.UdpSink(lab, ns)
        capture = lib.Capture(lab, ns)
        run_probe(lab, ns, [sink.spec()])
        path = capture.stop()
        rows = lib.tshark_fields(path, ["cflow.octets", "cflow.packets"], "cflow.packets")
        octets = sum(int(v) for r in rows for v in r[0])
        packets = sum(int(v) for r in rows for v in r[1])
        own = lib.flows(lib.dump(path))
        lib.check(packets > 100, f"tshark decodes counters: {packets} packets")
        sums = sum(r["octetDeltaCount"] for r in own), sum(r["packetDeltaCount"] for r in own)
        lib.equal(sums, (octets, packets), "octets and packets")


def iso_ms(text):
    """Milliseconds since 1970; nfdump writes local time, and lib runs it in UTC."""
    when = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return round(when.timestamp() * 1000)


def nfdump_flow(r):
    source = ipaddress.ip_address(r.get("src4_addr") or r.get("src6_addr")).compressed
    destination = ipaddress.ip_address(r.get("dst4_addr") or r.get("dst6_addr")).compressed
    protocol = r["proto"]
    ports = (0, 0) if protocol in (1, 58) else (r.get("src_port", 0), r.get("dst_port", 0))
    return Flow(source, destination, *ports, protocol, r.get("direction", 0))


def test_nfcapd_stores_every_record():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        nfcapd = lib.Nfcapd(lab, ns, port=2055)
        sink = lib.UdpSink(lab, ns)
        sent = run_probe(lab, ns, [nfcapd.spec, sink.spec()])
        ours = exported(sink)
        check_sent(ours, sent)
        theirs = collections.defaultdict(Sums)
        records = nfcapd.stop().records()
        for r in records:
            theirs[nfdump_flow(r)].add(r["in_packets"], r["in_bytes"], iso_ms(r["first"]), iso_ms(r["last"]))
        lib.equal(len(records), len(sink.flows()), "records")
        compare(theirs, ours, "nfcapd")


PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "icmp6": 58}


def epoch_ms(text):
    seconds, _, fraction = str(text).partition(".")
    return int(seconds) * 1000 + int(fraction.ljust(6, "0")[:3] or 0)


def test_nfacctd_stores_every_record():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        nfacctd = lib.Nfacctd(lab, ns, port=2056)
        sink = lib.UdpSink(lab, ns)
        sent = run_probe(lab, ns, [nfacctd.spec, sink.spec()])
        time.sleep(2.5)  # it prints once a second
        ours = exported(sink)
        check_sent(ours, sent)
        theirs = collections.defaultdict(Sums)
        for r in nfacctd.stop().records():
            protocol = r["ip_proto"]
            protocol = PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)
            ports = (0, 0) if protocol in (1, 58) else (r["port_src"], r["port_dst"])
            direction = 1 if r["iface_out"] else 0
            key = Flow(ipaddress.ip_address(r["ip_src"]).compressed, ipaddress.ip_address(r["ip_dst"]).compressed, *ports, protocol, direction)
            theirs[key].add(r["packets"], r["bytes"], epoch_ms(r["timestamp_start"]), epoch_ms(r["timestamp_end"]))
        compare(theirs, ours, "nfacctd")


lib.main(globals())
