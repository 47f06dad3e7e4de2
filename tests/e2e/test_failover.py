"""Failover groups between real sockets: who gets records and when, that none is lost, and that none comes twice."""

import struct
import time

import lib
from export_lib import Bench, TcpSink, ports_of


def wait_ports(what, sink, wanted, timeout=40):
    lib.wait_for(what, lambda: set(wanted) <= set(sink.ports()), timeout, poll=0.5)


HOLD_S = 3


def sets(octets):
    """(Export Time, Set ID, octets of the set) of all whole messages."""
    at = 0
    while at + 16 <= len(octets):
        _, length, when = struct.unpack_from("!HHI", octets, at)
        inside, end = at + 16, at + length
        while inside + 4 <= end <= len(octets):
            number, size = struct.unpack_from("!HH", octets, inside)
            yield when, number, octets[inside : inside + size]
            inside += size
        at = end


def check_order(octets, what):
    """A Transport Session begins anew: templates before what they describe, options before flows, the sequence from 0."""
    lib.equal(struct.unpack_from("!I", octets, 8)[0], 0, f"{what}: the first sequence number")
    options, known, seen = set(), set(), []
    for _, number, octets_of_set in sets(octets):
        if number in (2, 3):
            known |= set(template_ids(number, octets_of_set))
            options |= set(template_ids(number, octets_of_set)) if number == 3 else set()
            continue
        lib.check(number in known, f"{what}: data of {number} before its template")
        seen.append(number in options)
    lib.check(seen and seen[0], f"{what}: flows before options")
    lib.check(False in seen, f"{what}: no flows")


def template_ids(number, octets):
    at = 4
    while at + 4 <= len(octets):
        ident, fields = struct.unpack_from("!HH", octets, at)
        yield ident
        at += 6 if number == 3 else 4
        for _ in range(fields):
            at += 8 if octets[at] & 0x80 else 4


def test_tcp_away_and_back():
    """The primary comes back, and is not used before it has been there for the hold time."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        first, second = TcpSink(lab, bench.ns, 4801), TcpSink(lab, bench.ns, 4802)
        bench.write([[first.spec(), second.spec()]], FailoverHold=1000 * HOLD_S)
        probe = bench.start()
        bench.traffic(50)
        wait_ports("the primary has them", first, bench.sent())
        lib.equal(second.parts, [], "connections of the one that stands by")
        first.leave()
        probe.expect("is away: records go to")
        bench.traffic(50)
        wait_ports("the second has what came then", second, bench.sent()[50:])
        back = time.time()
        first.come()
        bench.traffic(10)
        probe.expect("is back: records go there", 60)
        bench.traffic(50)
        wait_ports("the primary has what came at last", first, bench.sent()[110:])
        statistics = bench.statistics()["collectors"][0]
        lib.equal(sorted(first.ports() + second.ports()), bench.sent(), "records, each at one of the two")
        lib.equal(statistics["switches"], 2, "switches counted")
        lib.equal(statistics["notSentFlows"], 0, "not sent")
        for what, octets in (("at first", first.parts[0]), ("at the second", second.parts[0]), ("back", first.parts[-1])):
            check_order(bytes(octets), what)
        used = next(sets(bytes(first.parts[-1])))[0]
        lib.check(used >= int(back + HOLD_S), f"used again at {used}, within the hold time after {back}")


def test_udp_refused_and_back():
    """Beside a mirror, which gets everything whatever the group does. A port without a socket refuses by ICMP."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        mirror = lib.UdpSink(lab, bench.ns, port=4811)
        second = lib.UdpSink(lab, bench.ns, port=4813)
        bench.write([mirror.spec(), ["Udp/127.0.0.1:4812", second.spec()]], FailoverHold=3000)
        probe = bench.start()
        probe.expect("is away: records go to", 30)
        bench.traffic(50)
        lib.wait_for("the second has them", lambda: ports_of(second.flows()) == bench.sent(), 40, poll=0.5)
        first = lib.UdpSink(lab, bench.ns, port=4812)
        # Tried again after each hold time; what was refused before cost templates, no record.
        lib.wait_for("the primary is asked again", lambda: first.messages > 0, 40)
        lib.wait_for("it is used again", lambda: probe.errors().count("is back: records go there") > 0, 40)
        bench.traffic(50)
        lib.wait_for("the primary has what came then", lambda: set(bench.sent()[50:]) <= set(ports_of(first.flows())), 40, poll=0.5)
        statistics = bench.statistics()["collectors"]
        lib.equal(ports_of(first.flows() + second.flows()), bench.sent(), "records, each at one of the two")
        lib.equal(ports_of(mirror.flows()), bench.sent(), "records at the mirror")
        lib.equal(statistics[1]["group"][1], second.spec(), "the group in the statistics")


lib.main(globals())
