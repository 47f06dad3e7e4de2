"""Failover groups between real sockets: who gets records, that none is lost, and that none comes twice."""

import lib
from export_lib import Bench, TcpSink, ports_of


def wait_ports(what, sink, wanted, timeout=40):
    lib.wait_for(what, lambda: set(wanted) <= set(sink.ports()), timeout, poll=0.5)


def test_tcp_away_and_back():
    with lib.Lab() as lab:
        bench = Bench(lab)
        first, second = TcpSink(lab, bench.ns, 4801), TcpSink(lab, bench.ns, 4802)
        bench.write([[first.spec(), second.spec()]], FailoverHold=1000)
        probe = bench.start()
        bench.traffic(50)
        wait_ports("the primary has them", first, bench.sent())
        lib.equal(second.parts, [], "connections of the one that stands by")
        first.leave()
        probe.expect("is away: records go to")
        bench.traffic(50)
        wait_ports("the second has what came then", second, bench.sent()[50:])
        first.come()
        probe.expect("is back: records go there", 40)
        bench.traffic(50)
        wait_ports("the primary has what came at last", first, bench.sent()[100:])
        statistics = bench.statistics()["collectors"][0]
        lib.equal(sorted(first.ports() + second.ports()), bench.sent(), "records, each at one of the two")
        lib.equal(statistics["switches"], 2, "switches counted")
        lib.equal(statistics["notSentFlows"], 0, "not sent")


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
