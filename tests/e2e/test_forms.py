"""Forms of records that a profile asks for: biflows (RFC 5103), total counters, microseconds, more fields."""

import json
import struct

import export_lib
import lib
from collect_lib import Collector

START = export_lib.START
A, B = "10.1.0.1", "10.1.0.2"


def session(rounds=1):
    """A TCP session that A begins: packets and octets each way."""
    packets = []

    def add(a, b, flags, payload=b""):
        ports = (40000, 443) if a == A else (443, 40000)
        packets.append(((START, 1000 * len(packets)), lib.tcp(a, ports[0], b, ports[1], flags, payload)))

    add(A, B, "S"), add(B, A, "SA"), add(A, B, "A")
    for _ in range(rounds):
        add(A, B, "PA", b"q" * 10), add(B, A, "PA", b"a" * 100)
    add(A, B, "FA"), add(B, A, "FA"), add(A, B, "A")
    return packets


def sums(packets, source):
    mine = [p for _, p in packets if p[12:16] == bytes(map(int, source.split(".")))]
    return len(mine), sum(map(len, mine))


def test_biflow_of_the_initiator():
    with lib.Lab() as lab:
        packets = session(5)
        later = [(START + 10, lib.udp("10.1.0.9", 1, B, 2))]
        (record, _), _, _, out, _ = export_lib.meter(lab, packets + later, "--local", f"{B}/32", Biflows=True)
        lib.equal((record["sourceIPv4Address"], record["destinationTransportPort"]), (A, 443), "the source began")
        lib.equal((record["packetDeltaCount"], record["octetDeltaCount"]), sums(packets, A), "packets and octets there")
        lib.equal((record["reversePacketDeltaCount"], record["reverseOctetDeltaCount"]), sums(packets, B), "… and back")
        lib.equal((record["biflowDirection"], record["flowDirection"], record["flowEndReason"]), (1, 0, 3), "direction, end")
        lib.equal(record["flowEndMilliseconds"], "2023-11-14T22:13:20.015Z", "the time of the last packet")
        # RFC 5103 6.1: the element itself under PEN 29305.
        lib.check(struct.pack("!HHI", 0x8001, 8, 29305) in out.read_bytes(), "(1 | 0x8000, 8, 29305) in the template")
        for element in (148, 145, 149, 137, 210, 239):
            lib.check(struct.pack("!H", 0x8000 | element) + b"\0\x08" + struct.pack("!I", 29305) not in out.read_bytes(), f"no reverse of {element}")


def test_biflow_of_one_way_only():
    with lib.Lab() as lab:
        (record,), *_ = export_lib.meter(lab, [(START, lib.udp(A, 1, B, 2, b"x"))], Biflows=True)
        lib.equal((record["packetDeltaCount"], record["reversePacketDeltaCount"], record["reverseOctetDeltaCount"]), (1, 0, 0), "nothing came back")
        lib.check("reverseTcpControlBits" not in record, "only counters may be zero")


def test_biflow_keeps_its_source_over_interim_records():
    with lib.Lab() as lab:
        packets = []
        for n in range(100):
            packets.append((START + 2 * n, lib.udp(A, 4000, B, 5000, b"q")))
            packets.append((START + 2 * n + 1, lib.udp(B, 5000, A, 4000, b"answer")))
        records, *_ = export_lib.meter(lab, packets, Biflows=True, Interval=60000)
        lib.check(len(records) >= 3, f"interim records: {len(records)}")
        lib.equal({(r["sourceIPv4Address"], r["flowId"]) for r in records}, {(A, records[0]["flowId"])}, "source and flow")
        lib.equal((sum(r["packetDeltaCount"] for r in records), sum(r["reversePacketDeltaCount"] for r in records)), (100, 100), "packets")


def test_total_counters():
    with lib.Lab() as lab:
        packets = [(START + n, lib.udp(A, 4000, B, 5000, b"q" * 72)) for n in range(150)]
        records, *_ = export_lib.meter(lab, packets, TotalCounters=True, Interval=60000)
        total = 0
        for r in sorted(records, key=lambda r: r["packetTotalCount"]):
            total += r["packetDeltaCount"]
            lib.equal((r["packetTotalCount"], r["octetTotalCount"]), (total, total * 100), "what came since the flow began")
        lib.equal(total, 150, "all packets")


def test_microseconds():
    with lib.Lab() as lab:
        packets = [((START, us), lib.udp(A, 4000, B, 5000, b"q")) for us in (1, 500_000, 999_999)]
        (record,), *_ = export_lib.meter(lab, packets, Microseconds=True)
        lib.check("flowStartMilliseconds" not in record, "one pair of times")
        lib.equal((record["flowStartMicroseconds"], record["flowEndMicroseconds"]),
                  ("2023-11-14T22:13:20.000001Z", "2023-11-14T22:13:20.999999Z"), "to the microsecond")  # fmt: skip


def test_ttl_mac_vlan():
    def frame(ttl, vlan=None):
        p = bytearray(lib.udp(A, 4000, B, 5000, b"q"))
        p[8] = ttl
        tag = struct.pack("!HH", 0x8100, 0x2000 | vlan) if vlan else b""
        return bytes.fromhex("020000000002" "020000000001") + tag + b"\x08\x00" + bytes(p)

    with lib.Lab() as lab:
        packets = [(START, frame(64, 7)), (START + 1, frame(3, 7)), (START + 2, frame(200, 7))]
        fields = {"Ttl": True, "Mac": True, "Vlan": True}
        (record,), _, _, out, _ = export_lib.meter(lab, packets, link=1, ExtraFields=fields)
        lib.equal((record["ipTTL"], record["minimumTTL"], record["maximumTTL"]), (64, 3, 200), "TTL")
        lib.equal((record["sourceMacAddress"], record["destinationMacAddress"]), ("02:00:00:00:00:01", "02:00:00:00:00:02"), "MAC")
        lib.equal((record["vlanId"], record["dot1qVlanId"]), (7, 7), "VLAN")
        (plain,), *_ = export_lib.meter(lab, [(START, lib.udp(A, 1, B, 2))], ExtraFields=fields)
        lib.equal((plain["ipTTL"], plain["sourceMacAddress"], plain["vlanId"]), (64, "00:00:00:00:00:00", 0), "a link without Ethernet")


def test_template_ids_of_forms():
    """A Template ID means one layout, whatever the profile."""
    with lib.Lab() as lab:
        everything = {"Biflows": True, "TotalCounters": True, "Microseconds": True, "Selection": ["Count/1/1"],
                      "ExtraFields": {"Ttl": True, "Mac": True, "Vlan": True}}  # fmt: skip
        seen = {}
        for properties in ({}, {"TotalCounters": True}, {"Microseconds": True}, everything):
            records, _, _, out, _ = export_lib.meter(lab, session(2), **properties)
            for r in records:
                fields = tuple(k for k in r if k not in ("exportTime", "observationDomainId", "templateId"))
                lib.equal(seen.setdefault(r["templateId"], fields), fields, f"layout of template {r['templateId']}")
            lib.equal(lib.tshark_faults(export_lib.as_capture(lab, out)), [], "complaints of Wireshark")
        lib.equal(sorted(seen), [256, 1024 + 64 * 2, 1024 + 64 * 4, 1024 + 64 * 127], "IPv4 TCP ingress in each form")


def test_biflow_in_the_store():
    with lib.Lab() as lab:
        path = lib.write_pcap(lab.path("in.pcap"), session(5))
        collector = Collector(lab)
        settings = export_lib.profile(lab, Biflows=True, TotalCounters=True, Microseconds=True, IpFixCollectors=[f"Tcp/127.0.0.1:{collector.port}"])
        lib.run([lib.WEIR, "probe", "-q", "-p", settings, "-r", path])
        sql = "SELECT packetDeltaCount, reversePacketDeltaCount, packetTotalCount FROM flows"

        def answer():
            status, out, _ = lib.run([lib.WEIR, "query", "-s", collector.store, "--sql", sql, "-o", "json"], expected=None)
            return status == 0 and [list(json.loads(line).values()) for line in out.splitlines()]

        lib.equal(lib.wait_for("the record is stored", answer, 30), [[9, 7, 9]], "the biflow at rest")
        collector.process.stop()


def test_without_biflows_when_they_would_be_wrong():
    with lib.Lab() as lab:
        records, _, _, _, said = export_lib.meter(lab, session(), "--local", f"{A}/32", Biflows=True, Direction="SendingToPeer")
        lib.check("Biflows goes neither" in said, f"a warning: {said}")
        lib.check(all("biflowDirection" not in r for r in records) and len(records) == 1, f"uniflows: {records}")


lib.main(globals())
