"""Packets and records that are chosen, and what the collector is told of it: RFC 5470 5.2 and 5.5, RFC 5475, RFC 5476 6.5."""

import collections
import json

import export_lib
import lib
from collect_lib import Collector

START = export_lib.START


def capture(lab, count=1000, flows=10, link=lib.LINK_RAW, gap=0.001):
    """`count` UDP packets of 100 octets, one every `gap` seconds, of `flows` flows in turn: ports 5000 and on."""
    packets = [
        (START + n * gap, lib.udp("10.1.0.1", 4000, "10.1.0.2", 5000 + n % flows, b"x" * 72)) for n in range(count)
    ]
    if link == 1:
        packets = [(t, bytes.fromhex("020000000002020000000001") + b"\x08\x00" + p) for t, p in packets]
    return lib.write_pcap(lab.path(lab.unique("in") + ".pcap"), packets, link)


def packets_of(records):
    return sum(r["packetDeltaCount"] for r in records)


def last(options, element, **scope):
    """The newest options record that has the element."""
    found = [r for r in options if element in r and all(r["scope"].get(k) == v for k, v in scope.items())]
    lib.check(found, f"an options record with {element}: {options}")
    return found[-1]


def test_without_a_chain_nothing_is_said():
    with lib.Lab() as lab:
        records, options, told, *_ = export_lib.meter(lab, capture(lab))
        lib.equal(packets_of(records), 1000, "packets")
        lib.check(all("selectorId" not in r for r in records), "no selector in records")
        lib.check(all("selectorAlgorithm" not in r and "selectionSequenceId" not in r["scope"] for r in options), "no selector told of")
        lib.check({r["templateId"] for r in records} <= set(range(256, 296)), "the templates that everybody has")


def test_systematic_count_based():
    with lib.Lab() as lab:
        path = capture(lab)
        records, options, told, *_ = export_lib.meter(lab, path, Selection=["Count/3/10"])
        lib.equal(packets_of(records), 300, "three of ten packets")
        ports = collections.Counter({r["destinationTransportPort"]: r["packetDeltaCount"] for r in records})
        lib.equal(ports, {5000: 100, 5001: 100, 5002: 100}, "the first three of each ten")
        one = last(options, "samplingPacketInterval")
        lib.equal((one["scope"]["selectorId"], one["selectorAlgorithm"]), (1, 1), "selector and algorithm")
        lib.equal((one["samplingPacketInterval"], one["samplingPacketSpace"]), (3, 7), "interval and space")
        lib.equal({r["selectorId"] for r in records}, {1}, "selector of the records")
        sequence = last(options, "selectorId")
        lib.equal(sequence["scope"]["selectionSequenceId"], sequence["observationPointId"], "sequence of the point")
        counted = last(options, "selectorIdTotalPktsObserved")
        lib.equal((counted["selectorIdTotalPktsObserved"], counted["selectorIdTotalPktsSelected"]), (1000, 300), "observed, selected")
        lib.equal(told["meter"]["selection"], [{"point": told["meter"]["selection"][0]["point"], "selector": 1, "observed": 1000, "selected": 300}], "counters")


def test_systematic_time_based():
    with lib.Lab() as lab:
        records, options, *_ = export_lib.meter(lab, capture(lab), Selection=["Time/20/100"])
        lib.equal(packets_of(records), 200, "what came in 20 of each 100 ms")
        one = last(options, "samplingTimeInterval")
        lib.equal((one["selectorAlgorithm"], one["samplingTimeInterval"], one["samplingTimeSpace"]), (2, 20_000, 80_000), "microseconds")


def test_random_n_out_of_n():
    with lib.Lab() as lab:
        path = capture(lab)
        seen = set()
        for _ in range(3):
            records, options, *_ = export_lib.meter(lab, path, Selection=["Random/1/10"])
            lib.equal(packets_of(records), 100, "exactly one of each ten")
            seen.add(tuple(sorted((r["destinationTransportPort"], r["packetDeltaCount"]) for r in records)))
        lib.check(len(seen) > 1, "another choice each time")
        lib.check(all(len(s) > 3 for s in seen), "of all flows, not of one")
        one = last(options, "samplingSize")
        lib.equal((one["selectorAlgorithm"], one["samplingSize"], one["samplingPopulation"]), (3, 1, 10), "n and N")


def test_uniform_probabilistic():
    with lib.Lab() as lab:
        records, options, *_ = export_lib.meter(lab, capture(lab, 4000), Selection=["Probability/0.25"])
        # 1000 expected, 27 standard deviation: eight of them.
        lib.check(780 < packets_of(records) < 1220, f"about a quarter: {packets_of(records)}")
        one = last(options, "samplingProbability")
        lib.equal((one["selectorAlgorithm"], one["samplingProbability"]), (4, 0.25), "probability")


def test_filter_on_any_link():
    with lib.Lab() as lab:
        for link in (lib.LINK_RAW, 1):
            records, options, *_ = export_lib.meter(lab, capture(lab, link=link), Selection=["Filter/udp dst port 5003 or port 5004"])
            lib.equal({r["destinationTransportPort"]: r["packetDeltaCount"] for r in records}, {5003: 100, 5004: 100}, "filtered")
            one = last(options, "selectorName")
            lib.equal((one["selectorAlgorithm"], one["selectorName"]), (5, "udp dst port 5003 or port 5004"), "the filter is told of")
        records, *_ = export_lib.meter(lab, capture(lab, link=1), Selection=["Filter/ether src 02:00:00:00:00:01"])
        lib.equal(packets_of(records), 1000, "an Ethernet address on Ethernet")
        records, *_ = export_lib.meter(lab, capture(lab), Selection=["Filter/ether src 02:00:00:00:00:01"])
        lib.equal(packets_of(records), 0, "an Ethernet address where there is no Ethernet")


def test_order_of_the_chain():
    """A filter before a sampler is another thing than behind it."""
    with lib.Lab() as lab:
        path = capture(lab)
        first, options, *_ = export_lib.meter(lab, path, Selection=["Filter/port 5003", "Count/1/10"])
        lib.equal(packets_of(first), 10, "one in ten of what the filter leaves")
        rows = [r for r in options if "selectorIdTotalPktsObserved" in r][-2:]
        lib.equal([(r["scope"]["selectorId"], r["selectorIdTotalPktsObserved"], r["selectorIdTotalPktsSelected"]) for r in rows],
                  [(1, 1000, 100), (2, 100, 10)], "each one's counters")  # fmt: skip
        lib.equal({r["selectorId"] for r in first}, {2}, "records name what samples")
        second, *_ = export_lib.meter(lab, path, Selection=["Count/1/10", "Filter/port 5003"])
        lib.equal(packets_of(second), 0, "of every tenth packet none is of the flow")


def test_a_point_with_a_chain_of_its_own():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as one, lib.Tun(ns, "tun1") as two:
            one.up("10.8.0.1/24")
            two.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            path = export_lib.profile(lab, IpFixCollectors=[sink.spec()], Selection=["Filter/udp"],
                           ObservationPoints=[{"Name": "tun0", "Selection": ["Filter/udp", "Count/1/4"]}, "tun1"])  # fmt: skip
            probe = lab.probe(ns, [], "-p", path)
            lib.wait_for("both are observed", lambda: packet_sockets(ns, ["tun0", "tun1"]), 20)
            for n in range(40):
                one.deliver(lib.udp("10.8.0.2", 1000, "10.8.0.1", 2000, b"x"))
                two.deliver(lib.udp("10.9.0.2", 1000, "10.9.0.1", 2000, b"x"))
            probe.stop()
            lib.wait_for("records", lambda: sum(r["packetDeltaCount"] for r in ingress(sink)) >= 50, 10)
            counts = {r["sourceIPv4Address"]: (r["packetDeltaCount"], r["selectorId"]) for r in ingress(sink)}
            lib.equal(counts, {"10.8.0.2": (10, 3), "10.9.0.2": (40, 1)}, "each by its own chain")


def packet_sockets(ns, devices):
    rows = [line.split() for line in ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]]
    return all(any(row[4] == str(ns.index_of(d)) and row[5] == "1" for row in rows) for d in devices)


def ingress(sink):
    return [r for r in sink.flows() if r["flowDirection"] == 0 and r.get("destinationTransportPort") == 2000]


def test_collector_scales_what_was_sampled():
    """From the probe over the wire into the store: raw counters and what they stand for."""
    chains = [
        (["Count/1/10"], 100, 1000),
        (["Filter/udp", "Random/1/4", "Count/1/5"], 50, 1000),
        (["Filter/udp"], 1000, 1000),
        (["Time/10/100"], 100, 1000),
    ]
    with lib.Lab() as lab:
        path = capture(lab, 1000, 1)
        collector = Collector(lab)
        for domain, (chain, _, _) in enumerate(chains, 1):
            settings = export_lib.profile(lab, Selection=chain, ObservationDomainId=domain)
            lib.run([lib.WEIR, "probe", "-q", "-p", settings, "-r", path, "-c", f"Tcp/127.0.0.1:{collector.port}"])
        rows = lib.wait_for("the records are stored", lambda: answer(collector.store, len(chains)), 60)
        expected = {domain: [packets, scaled, packets * 100] for domain, (_, packets, scaled) in enumerate(chains, 1)}
        lib.equal(rows, expected, "packets, what they stand for, and octets, by chain")
        collector.process.stop()


def answer(store, count):
    """{domain: [packets, scaled, octets]} once there are so many."""
    sql = (
        "SELECT observationDomainId, sum(packetDeltaCount)::BIGINT, sum(packetDeltaCount_scaled)::BIGINT,"
        " sum(octetDeltaCount)::BIGINT FROM flows GROUP BY 1 ORDER BY 1"
    )
    status, out, _ = lib.run([lib.WEIR, "query", "-s", store, "--sql", sql, "-o", "json"], expected=None)
    rows = [list(json.loads(line).values()) for line in out.splitlines()] if status == 0 else []
    return {row[0]: row[1:] for row in rows} if len(rows) == count else None


def test_bad_chains_are_refused():
    with lib.Lab() as lab:
        for chain, words in (
            (["Count/0/10"], "Count/0/10"),
            (["Count/11/10"], "Count/11/10"),
            (["Every/10"], "Every/10"),
            (["Filter/"], "Filter/"),
            (["Filter/udp and"], "udp and"),
            (["Count/1/2"] * 5, "at most 4"),
        ):
            status, _, said = lib.run([lib.WEIR, "check", export_lib.profile(lab, Selection=chain)], expected=None)
            lib.equal(status, 2, f"exit status for {chain}: {said}")
            lib.check(words in said and "Selection" in said, f"{chain}: {said}")


def test_refused_frames_are_never_left_out():
    """What was not chosen and then refused is in its refused record, and in no other."""
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.8.0.1/24")
            export_lib.refuse_udp(ns)
            sink = lib.UdpSink(lab, ns)
            path = export_lib.profile(lab, IpFixCollectors=[sink.spec()], Selection=["Count/1/4"], NflogGroups=[5])
            probe = lab.probe(ns, ["tun0"], "-p", path)
            for n in range(40):
                tun.deliver(lib.udp("10.8.0.2", 1000, "10.8.0.1", 2000, b"x"))
            probe.stop()
            lib.wait_for("the refused record", lambda: [r for r in ingress(sink) if "firewallEvent" in r], 10)
            refused = [r for r in ingress(sink) if "firewallEvent" in r]
            lib.equal(packets_of(refused), 40, "every refused packet")
            others = [r for r in ingress(sink) if "firewallEvent" not in r]
            lib.equal(packets_of(others), 0, f"packets that were let through: {others}")


# Records at export: RFC 5470 5.5, RFC 7014


def test_records_by_match():
    with lib.Lab() as lab:
        path = capture(lab)
        for expression, ports in (
            ("destinationTransportPort=5003,5004", [5003, 5004]),
            ("destinationTransportPort>5007", [5008, 5009]),
            ("sourceIPv4Address!=10.1.0.0/16", []),
            ("sourceIPv4Address=10.1.0.1", list(range(5000, 5010))),
        ):
            m = export_lib.meter(lab, path, RecordSelection=[f"Match/{expression}"])
            lib.equal(sorted(r["destinationTransportPort"] for r in m.flows), ports, expression)
            one = last(m.options, "flowSelectorAlgorithm", selectorId=1)
            lib.equal((one["flowSelectorAlgorithm"], one["selectorName"]), (5, expression), "property match, told of")
            lib.equal((one["selectorIDTotalFlowsObserved"], one["selectorIDTotalFlowsSelected"]), (10, len(ports)), "observed, selected")


def test_every_nth_record():
    """What is not selected is no loss: the sequence goes by what is exported."""
    with lib.Lab() as lab:
        path = capture(lab, flows=100)
        m = export_lib.meter(lab, path, RecordSelection=["Count/1/4"], ObservationDomainId=7)
        lib.equal(len(m.flows), 25, "one of four records")
        one = last(m.options, "samplingFlowInterval")
        lib.equal((one["flowSelectorAlgorithm"], one["samplingFlowInterval"], one["samplingFlowSpacing"]), (1, 1, 3), "systematic")
        lib.equal(m.counters["recordSelection"], [{"observationDomainId": 7, "selector": 1, "observed": 100, "selected": 25}], "counters")
        lib.equal((m.counters["collectors"][0]["flowRecords"], m.counters["collectors"][0]["notSentFlows"]), (25, 0), "exported, not sent")
        lib.equal(lib.tshark_faults(export_lib.as_capture(lab, m.out)), [], "complaints of Wireshark, sequence included")
        m = export_lib.meter(lab, path, RecordSelection=["Random/1/10"])
        lib.equal(len(m.flows), 10, "one of ten at random")
        one = last(m.options, "flowSelectorAlgorithm")
        lib.equal((one["flowSelectorAlgorithm"], one["samplingSize"], one["samplingPopulation"]), (3, 1, 10), "random")
        m = export_lib.meter(lab, path, RecordSelection=["Probability/1"])
        lib.equal((len(m.flows), last(m.options, "flowSelectorAlgorithm")["samplingProbability"]), (100, 1), "uniform")


def test_records_behind_packets():
    """Both chains at once: selectors of records have numbers behind those of packets."""
    with lib.Lab() as lab:
        m = export_lib.meter(lab, capture(lab), Selection=["Filter/udp", "Count/1/2"], RecordSelection=["Match/packetDeltaCount>=100", "Count/1/2"])
        lib.equal([(r["packetDeltaCount"], r["selectorId"]) for r in m.flows], [(100, 2)] * 3, "of five flows every second")
        told = {r["scope"]["selectorId"]: (r["selectorIDTotalFlowsObserved"], r["selectorIDTotalFlowsSelected"]) for r in m.options if "flowSelectorAlgorithm" in r}
        lib.equal(told, {3: (5, 5), 4: (5, 3)}, "selectors of records")
        plain = export_lib.meter(lab, capture(lab))
        lib.check(not any("flowSelectorAlgorithm" in r for r in plain.options) and "recordSelection" not in plain.counters, "nothing is said where nothing is selected")


def test_collector_does_not_scale_by_records():
    """Packets of a record that was selected are all of its packets."""
    with lib.Lab() as lab:
        collector = Collector(lab)
        settings = export_lib.profile(lab, RecordSelection=["Random/1/10"], ObservationDomainId=1)
        lib.run([lib.WEIR, "probe", "-q", "-p", settings, "-r", capture(lab), "-c", f"Tcp/127.0.0.1:{collector.port}"])
        rows = lib.wait_for("the record is stored", lambda: answer(collector.store, 1), 60)
        lib.check(rows[1] in ([100, 100, 10_000], [100, None, 10_000]), f"packets, what they stand for, octets: {rows}")
        collector.process.stop()


def test_bad_record_chains_are_refused():
    with lib.Lab() as lab:
        for chain, words in (
            (["Time/1/10"], "Match/ELEMENT"),
            (["Filter/udp"], "Match/ELEMENT"),
            (["Match/noSuchElement=1"], "noSuchElement"),
            (["Match/sourceIPv4Address=10.0.0.0/40"], "10.0.0.0/40"),
            (["Count/1/2"] * 5, "at most 4"),
        ):
            status, _, said = lib.run([lib.WEIR, "check", export_lib.profile(lab, RecordSelection=chain)], expected=None)
            lib.equal(status, 2, f"exit status for {chain}: {said}")
            lib.check(words in said and "RecordSelection" in said, f"{chain}: {said}")


lib.main(globals())
