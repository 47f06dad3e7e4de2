"""Observation Domains of points (RFC 7011 3.1), and what is done, and told, when the meter cannot keep up (RFC 5470 6.4)."""

import json
import os
import signal
import struct
import time

import export_lib
import lib


def running(ns, devices):
    rows = [line.split() for line in ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]]
    return all(any(row[4] == str(ns.index_of(d)) and row[5] == "1" for row in rows) for d in devices)


def messages(path):
    """(domain, sequence, sets) of each message of a file; a set is (id, octets)."""
    octets, at, found = path.read_bytes(), 0, []
    while at < len(octets):
        _, length, _, sequence, domain = struct.unpack_from("!HHIII", octets, at)
        sets, inner = [], at + 16
        while inner < at + length:
            number, size = struct.unpack_from("!HH", octets, inner)
            sets.append((number, octets[inner + 4 : inner + size]))
            inner += size
        found.append((domain, sequence, sets))
        at += length
    return found


def packets(tun, net, count, start=0):
    """UDP that nobody answers: the system does not forward."""
    for n in range(count):
        tun.deliver(lib.udp(f"{net}.2", 1000 + (start + n) % 50, f"{net}.77", 2000, b"x"))


def test_each_domain_has_its_own_sequence_and_templates():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as one, lib.Tun(ns, "tun1") as two, lib.Tun(ns, "tun2") as three:
            for n, tun in enumerate((one, two, three)):
                tun.up(f"10.{n}.0.1/24")
            sink = lib.UdpSink(lab, ns)
            points = [{"Name": "tun0", "DomainId": 7}, {"Name": "tun1", "DomainId": 8}, "tun2"]
            path = export_lib.profile(lab, IpFixCollectors=[sink.spec()], ObservationPoints=points, ObservationDomainId=5, IdleTimeout=1000)
            probe = lab.weir("probe", "--stats", "-p", path, netns=ns)
            lib.wait_for("all are observed", lambda: running(ns, ["tun0", "tun1", "tun2"]), 20)
            packets(one, "10.0.0", 30)
            packets(two, "10.1.0", 20)
            packets(three, "10.2.0", 10)
            probe.stop()
            lib.wait_for("records", lambda: len([r for r in sink.flows() if r.get("destinationTransportPort") == 2000]) >= 60, 20)
            by_domain = {}
            for r in sink.flows():
                if r.get("destinationTransportPort") == 2000:
                    by_domain.setdefault(r["observationDomainId"], []).append(r["sourceIPv4Address"])
            lib.equal({d: (len(a), set(a)) for d, a in by_domain.items()}, {7: (30, {"10.0.0.2"}), 8: (20, {"10.1.0.2"}), 5: (10, {"10.2.0.2"})}, "records")
            names = {}
            for r in sink.records():
                if "interfaceName" in r:
                    names.setdefault(r["observationDomainId"], set()).add(r["interfaceName"])
            lib.equal(names, {7: {"tun0"}, 8: {"tun1"}, 5: {"tun2"}}, "interfaces told of in each domain")
            check_sequences(messages(sink.path))
            told = {c["observationDomainId"]: c["flowRecords"] for c in json.loads(probe.output())["collectors"]}
            lib.check(told[7] >= 30 and told[8] >= 20 and told[5] >= 10, f"counters by domain: {told}")


def check_sequences(all_messages):
    """Each domain begins at 0 and counts its own records; each has sent the templates that it uses."""
    expected, known = {}, {}
    for domain, sequence, sets in all_messages:
        lib.equal(sequence, expected.setdefault(domain, 0), f"sequence of domain {domain}")
        lengths = known.setdefault(domain, {})
        for number, body in sets:
            if number in (2, 3):
                at = 0
                while at < len(body):
                    template, count = struct.unpack_from("!HH", body, at)
                    at += 4 if number == 2 else 6
                    length = 0
                    for _ in range(count):
                        element, size = struct.unpack_from("!HH", body, at)
                        at += 8 if element & 0x8000 else 4
                        length = None if size == 65535 or length is None else length + size
                    lengths[template] = length
            else:
                lib.check(number in lengths, f"domain {domain}: template {number} goes before its data")
                expected[domain] += records_in(body, lengths[number])


def records_in(body, length):
    if length:
        return len(body) // length
    # The only record of variable length in this test is that of the interface table: 4 + 8 octets, two strings.
    at = count = 0
    while at < len(body):
        at += 12
        for _ in range(2):
            at += 1 + body[at]
        count += 1
    return count


def test_domains_in_files():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as one, lib.Tun(ns, "tun1") as two:
            one.up("10.0.0.1/24")
            two.up("10.1.0.1/24")
            out = lab.path("o.ipfix")
            path = export_lib.profile(lab, IpFixCollectors=[f"File/{out}"], ObservationPoints=[{"Name": "tun0", "DomainId": 7}, "tun1"])
            probe = lab.weir("probe", "-p", path, netns=ns)
            lib.wait_for("both are observed", lambda: running(ns, ["tun0", "tun1"]), 20)
            packets(one, "10.0.0", 5)
            packets(two, "10.1.0", 5)
            probe.stop()
            for file, source, domain in ((lab.path("o.ipfix.domain-7"), "10.0.0.2", 7), (out, "10.1.0.2", 1)):
                mine = [r for r in lib.flows(lib.dump(file)) if r.get("destinationTransportPort") == 2000]
                lib.equal({(r["sourceIPv4Address"], r["observationDomainId"]) for r in mine}, {(source, domain)}, f"records in {file.name}")


def overload(mode):
    """A probe that stood still while packets came, and then went on; its counters and its last options records."""
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.0.0.1/24")
            sink = lib.UdpSink(lab, ns)
            path = export_lib.profile(lab, IpFixCollectors=[sink.spec()], ObservationPoints=["tun0"], RingSize=65536, Overload=mode)
            began = time.time()
            probe = lab.weir("probe", "--stats", "-p", path, netns=ns)
            lib.wait_for("it is observed", lambda: running(ns, ["tun0"]), 20)
            os.killpg(probe.pid, signal.SIGSTOP)
            packets(tun, "10.0.0", 4000)
            os.killpg(probe.pid, signal.SIGCONT)
            probe.expect("packets lost in the kernel's ring", 30)
            if mode == "Sample":
                probe.expect("overload: one packet in 2 is looked at", 30)
            for n in range(20):
                packets(tun, "10.0.0", 10, n)
                time.sleep(0.05)
            probe.stop()
            told = json.loads(probe.output())
            lib.wait_for("the last options", lambda: any(r.get("ignoredPacketTotalCount", 0) >= told["source"]["droppedPackets"] for r in sink.records()), 20)
            options = [r for r in sink.records() if "ignoredPacketTotalCount" in r][-1]
            return told, options, began


def check_overload(told, options, began):
    meter, source = told["meter"], told["source"]
    lib.check(source["droppedPackets"] > 0, "the kernel dropped packets")
    undecoded = sum(count for name, count in meter["frames"].items() if name != "flow")
    lib.equal(meter["packets"] + meter["shedPackets"] + undecoded, source["packets"], "what was read is metered or left out, and counted")
    lib.equal(options["ignoredPacketTotalCount"], source["droppedPackets"] + meter["shedPackets"] + undecoded - meter["frames"]["not_ip"], "told of")
    first, last = (lib.clock_ms(t) / 1000 for t in options["observationTimeMilliseconds"])
    lib.check(began - 1 <= first <= last <= time.time() + 1, f"the time span: {first} to {last}, since {began}")


def test_overload_is_counted_with_its_time_span():
    told, options, began = overload("Drop")
    check_overload(told, options, began)
    lib.equal(told["meter"]["shedPackets"], 0, "nothing is left out by the meter")


def test_overload_is_met_by_looking_at_fewer_packets():
    told, options, began = overload("Sample")
    check_overload(told, options, began)
    lib.check(told["meter"]["shedPackets"] > 0, f"packets were left out: {told['meter']}")
    lib.check(options["ignoredOctetTotalCount"] >= 29 * told["meter"]["shedPackets"], f"with their octets: {options}")


lib.main(globals())
