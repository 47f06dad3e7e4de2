"""RFC 5471 from the exporter's side: what the probe sends is read by other people's collectors, every field of every
record with the values that weir reads. libfixbuf by tests/e2e/fixbuf_reader.c; tshark, nfcapd as they come."""

import collections
import datetime
import ipaddress
import json
import os
import re
import xml.etree.ElementTree

import export_lib
import lib
from collect_lib import Collector, free_port

ALL_FORMS = {"Biflows": True, "TotalCounters": True, "Microseconds": True, "ExtraFields": {"Ttl": True, "Mac": True, "Vlan": True},
             "Selection": ["Filter/ip or ip6", "Count/1/1", "Random/1/1", "Probability/1"]}  # fmt: skip
LOCAL = ("--local", "10.1.0.1", "--local", "2001:db8::1")
NTP_EPOCH = 2_208_988_800


def export(lab, *collectors, packets=None, **properties):
    """One probe to all of them at once."""
    path = lib.write_pcap(lab.path(lab.unique("in") + ".pcap"), packets or export_lib.all_kinds())
    words = [w for c in collectors for w in ("-c", c)]
    lib.run([lib.WEIR, "probe", "-q", "-p", export_lib.profile(lab, **properties), "-r", path, *LOCAL, *words])


# One form for the records of all readers: (Template ID, ((name, value), …)) with numbers and texts


def number_of(name, value):
    """A value of `weir dump` as it stands in the record: times as numbers."""
    m = isinstance(value, str) and re.fullmatch(r"(\d+-\d+-\d+T\d+:\d+:\d+)(?:\.(\d+))?Z", value)
    if not m:
        return "0x" + value.replace(":", "") if name.endswith("MacAddress") else value
    seconds = int(datetime.datetime.fromisoformat(m[1] + "+00:00").timestamp())
    fraction = m[2] or "0"
    if name.endswith("Microseconds"):
        return (seconds + NTP_EPOCH, int(fraction.ljust(6, "0")))
    return seconds * 1000 + int(fraction.ljust(3, "0")[:3]) if name.endswith("Milliseconds") else seconds


def of_dump(record):
    fields = []
    own = [(n, v) for n, v in record.items() if n not in ("exportTime", "observationDomainId", "templateId", "scope")]
    for name, value in [*record.get("scope", {}).items(), *own]:
        fields += [(name, number_of(name, v)) for v in (value if isinstance(value, list) else [value])]
    return record["templateId"], tuple(sorted(fields, key=str))


def of_fixbuf(record):
    fields = []
    for name, value in record["fields"]:
        if name.endswith("Microseconds"):
            value = ((value >> 32), round((value & 0xFFFFFFFF) * 1_000_000 / 2**32))
        fields.append((name, value))
    return record["templateId"], tuple(sorted(fields, key=str))


def same(theirs, ours, who):
    theirs, ours = collections.Counter(theirs), collections.Counter(ours)
    lib.equal(sorted((theirs - ours).items(), key=str)[:3], [], f"what only {who} has")
    lib.equal(sorted((ours - theirs).items(), key=str)[:3], [], f"what {who} lacks")
    lib.check(ours, "there are records")


def with_templates(records, scopes):
    return [of_dump(r) for r in records if scopes or "scope" not in r]


# libfixbuf


class Fixbuf:
    """Our reader over libfixbuf, as a collector over UDP or TCP."""

    def __init__(self, lab, transport, ns=None):
        self.port = free_port()
        self.spec = f"{transport}/127.0.0.1:{self.port}"
        self.process = lab.start([need_fixbuf(), transport.lower(), "127.0.0.1", self.port], ns)
        self.process.expect("listening", 20)

    def records(self):
        lines = self.process.output().splitlines(keepends=True)
        return [of_fixbuf(json.loads(line)) for line in lines if line.endswith("\n")]

    def wait(self, flows):
        lib.wait_for(f"libfixbuf reads {flows} flows", lambda: sum(r[0] not in range(512, 1024) for r in self.records()) >= flows, 30)
        lib.check(self.process.running(), f"libfixbuf found nothing wrong: {self.process.errors()}")
        return self.records()


def need_fixbuf():
    program = os.environ.get("FIXBUF_READER")
    if not program:
        raise lib.Skip("built without libfixbuf; scripts/setup --test installs it")
    return program


def read_by_fixbuf(path):
    _, out, _ = lib.run([need_fixbuf(), "file", path])
    return [of_fixbuf(json.loads(line)) for line in out.splitlines()]


def test_fixbuf_reads_files():
    """Every record, flows and options, of every form."""
    for properties in ({}, ALL_FORMS, {"MaxMessageSize": 500}):
        with lib.Lab() as lab:
            out = lab.path("out.ipfix")
            export(lab, f"File/{out}", **properties)
            same(read_by_fixbuf(out), with_templates(lib.dump(out), True), "libfixbuf")


def test_3_1_1_fixbuf_over_udp_and_tcp():
    """Templates come first and in order over both, and nothing of the stream stops the other side's library."""
    for properties in ({}, ALL_FORMS):
        with lib.Lab() as lab:
            udp, tcp, out = Fixbuf(lab, "Udp"), Fixbuf(lab, "Tcp"), lab.path("out.ipfix")
            export(lab, udp.spec, tcp.spec, f"File/{out}", **properties)
            ours = with_templates(lib.dump(out), False)
            for reader in (udp, tcp):
                theirs = [r for r in reader.wait(len(ours)) if r[0] not in range(512, 1024)]
                same(theirs, ours, f"libfixbuf over {reader.spec}")


def test_3_3_1_fixbuf_and_our_elements():
    """Elements of our own pass a library that has never heard of them, values and all; what they are, our options records tell it."""
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.8.0.1/24")
            export_lib.refuse_udp(ns)
            sink = lib.UdpSink(lab, ns)
            settings = export_lib.profile(lab, IpFixCollectors=[sink.spec()], NflogGroups=[5])
            probe = lab.probe(ns, ["tun0"], "-p", settings)
            tun.deliver(lib.udp("10.8.0.2", 1000, "10.8.0.1", 2000, b"x"))
            probe.stop()
            lib.wait_for("the refused flow", lambda: any("firewallEvent" in r for r in sink.flows()), 20)
            lib.wait_for("the last message", lambda: export_lib.settled(sink), 20)
        theirs, ours = read_by_fixbuf(sink.path), lib.flows(lib.dump(sink.path))
        # It has the elements by number; their names and types are in our options records, as it reads those (RFC 5610).
        types = [dict(r[1]) for r in theirs if "informationElementName" in dict(r[1])]
        numbers = {t["informationElementName"]: f"e{t['privateEnterpriseNumber']}.{t['informationElementId']}" for t in types}
        refused = [r for r in ours if "firewallEvent" in r]
        mine = [n for n in refused[0] if n in numbers]
        lib.equal(mine, ["denialReason", "denialClass", "denialRuleName"], f"elements of ours: {refused[0]}")
        expected = []
        for template, fields in with_templates(ours, False):
            octets = lambda v: "0x" + (v.encode().hex() if isinstance(v, str) else f"{v:02x}")  # noqa: E731
            named = [(numbers[n], octets(v)) if n in numbers else (n, v) for n, v in fields]
            expected.append((template, tuple(sorted(named, key=str))))
        same([r for r in theirs if r[0] not in range(512, 1024)], expected, "libfixbuf")


# tshark: the octets of each field, as it has taken the record apart

TSHARK = {
    "cflow.srcaddr": "sourceIPv4Address", "cflow.dstaddr": "destinationIPv4Address", "cflow.srcaddrv6": "sourceIPv6Address",
    "cflow.dstaddrv6": "destinationIPv6Address", "cflow.srcport": "sourceTransportPort", "cflow.dstport": "destinationTransportPort",
    "cflow.protocol": "protocolIdentifier", "cflow.tcpflags": "tcpControlBits", "cflow.tos": "ipClassOfService",
    "cflow.octets": "octetDeltaCount", "cflow.packets": "packetDeltaCount", "cflow.abstimestart": "flowStartMilliseconds",
    "cflow.abstimeend": "flowEndMilliseconds", "cflow.inputint": "ingressInterface", "cflow.outputint": "egressInterface",
    "cflow.direction": "flowDirection", "cflow.flow_end_reason": "flowEndReason", "cflow.flow_id": "flowId",
    "cflow.observation_point_id": "observationPointId",
}  # fmt: skip


def tshark_flows(capture):
    """What Wireshark names in each flow record, by IANA's names."""
    out = lib.tshark(capture, "-Y", "cflow", "-T", "pdml")
    records = []
    for flow in xml.etree.ElementTree.fromstring(out).iter("field"):
        if not flow.get("show", "").startswith("Flow "):
            continue
        record = {}
        for field in flow.iter("field"):
            name = TSHARK.get(field.get("name"))
            octets = bytes.fromhex(field.get("value", "")) if name else b""
            if name:
                record[name] = str(ipaddress.ip_address(octets)) if name.endswith("Address") else int.from_bytes(octets, "big")
        if "octetDeltaCount" in record:
            records.append(tuple(sorted(record.items())))
    return records


def test_tshark_reads_every_field():
    with lib.Lab() as lab:
        out = lab.path("out.ipfix")
        export(lab, f"File/{out}")
        capture = export_lib.as_capture(lab, out)
        lib.equal(lib.tshark_faults(capture), [], "complaints of Wireshark")
        ours = []
        for r in lib.flows(lib.dump(out)):
            fields = {n: number_of(n, v) for n, v in r.items() if n in TSHARK.values()}
            ours.append(tuple(sorted(fields.items())))
        same(tshark_flows(capture), ours, "tshark")


# nfcapd


def nfdump_fields(r):
    v6 = "src6_addr" in r
    icmp = r["proto"] in (1, 58)
    letters = {"C": 128, "E": 64, "U": 32, "A": 16, "P": 8, "R": 4, "S": 2, "F": 1}
    ms = lambda text: round(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)  # noqa: E731
    return (
        str(ipaddress.ip_address(r["src6_addr" if v6 else "src4_addr"])), str(ipaddress.ip_address(r["dst6_addr" if v6 else "dst4_addr"])),
        0 if icmp else r.get("src_port", 0), 0 if icmp else r.get("dst_port", 0), r["proto"],
        sum(letters.get(c, 0) for c in r.get("tcp_flags", "")) if r["proto"] == 6 else 0,
        r["in_packets"], r["in_bytes"], ms(r["first"]), ms(r["last"]),
        r.get("input_snmp", 0), r.get("output_snmp", 0), r.get("direction", 0),
    )  # fmt: skip


def test_nfcapd_reads_every_record():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        nfcapd = lib.Nfcapd(lab, ns, port=2055)
        out = lab.path("out.ipfix")
        # An overlay has no ports to speak of in GRE or SCTP without ports, and nfdump makes some up: not those.
        packets = [(t, p) for t, p in export_lib.all_kinds() if (p[9] if p[0] >> 4 == 4 else p[6]) in (1, 6, 17, 58)]
        path = lib.write_pcap(lab.path("in.pcap"), packets)
        lib.run([lib.WEIR, "probe", "-q", "-r", path, *LOCAL, "-c", nfcapd.spec, "-c", f"File/{out}"], netns=ns.name)
        ours = [
            (lib.address(r, "source"), lib.address(r, "destination"), r.get("sourceTransportPort", 0), r.get("destinationTransportPort", 0),
             r["protocolIdentifier"], r.get("tcpControlBits", 0), r["packetDeltaCount"], r["octetDeltaCount"],
             lib.clock_ms(r["flowStartMilliseconds"]), lib.clock_ms(r["flowEndMilliseconds"]),
             r.get("ingressInterface", 0), r.get("egressInterface", 0), r["flowDirection"])
            for r in lib.flows(lib.dump(out))
        ]  # fmt: skip
        same([nfdump_fields(r) for r in nfcapd.stop().records()], ours, "nfcapd")


# Several at once, and ours


def test_3_5_6_several_collectors_at_once():
    """One exporter, collectors over UDP and TCP, IPv4 and IPv6, a file: each has every record once, with its values."""
    with lib.Lab() as lab:
        first, second = Collector(lab), Collector(lab)
        out = lab.path("out.ipfix")
        to = [f"Udp/127.0.0.1:{first.port}", f"Tcp/[::1]:{first.port}", f"Udp/[::1]:{second.port}", f"Tcp/127.0.0.1:{second.port}", f"File/{out}"]
        export(lab, *to, **ALL_FORMS)
        flows = lib.flows(lib.dump(out))
        names = [n for n in flows[0] if n.endswith(("Count", "Port", "Reason", "Id", "Interface", "Bits", "TTL")) and n != "templateId"]
        ours = collections.Counter(tuple(r.get(n) for n in names) for r in flows)
        for collector in (first, second):
            lib.wait_for("all are stored", lambda c=collector: c.sum("weir_ledger_records_total") >= 2 * len(flows), 60)
            columns = ", ".join(f'"{n}"' for n in names)
            rows = collector.sql(f"select transport, {columns} from flows join (select distinct exporterAddress, exporterPort, transport from ledger) using (exporterAddress, exporterPort)")
            for transport in ("udp", "tcp"):
                theirs = [tuple(r[n] for n in names) for r in rows if r["transport"] == transport]
                same(theirs, ours.elements(), f"weir collect over {transport}")


lib.main(globals())
