"""SIGHUP: what changes, what stays, and what a bad profile does."""

import signal

import lib
from export_lib import Bench, TcpSink, ports_of


def test_sessions_and_flows_stay():
    """A connection that is in both profiles goes on; an open flow is one record; a new collector is served."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        first = TcpSink(lab, bench.ns, 4831)
        bench.write([first.spec()], IdleTimeout=600000)
        probe = bench.start()
        lib.wait_for("it connects", lambda: len(first.parts) == 1, 20)
        bench.traffic(1)
        lib.wait_for("the packet is metered", lambda: "tun0" in probe.errors(), 20)
        second = lib.UdpSink(lab, bench.ns, port=4832)
        bench.write([first.spec(), second.spec()], IdleTimeout=500000, MaxFlows=100000)
        probe.popen.send_signal(signal.SIGHUP)
        probe.expect("the profile is taken: 3 properties changed")
        probe.expect("the profile has changed in MaxFlows: that takes effect at the next start")
        bench.next_port -= 1
        bench.traffic(1)  # the same flow
        statistics = bench.statistics()
        lib.equal(len(first.parts), 1, "connections")
        for what, flows in (("the old collector", first.flows()), ("the new one", second.flows())):
            mine = [f for f in flows if f.get("destinationTransportPort") == 7]
            lib.equal([f["packetDeltaCount"] for f in mine], [2], f"packets of the one flow at {what}")
        lib.equal(len(statistics["collectors"]), 2, "sessions in the end")


def test_bad_profile():
    with lib.Lab() as lab:
        bench = Bench(lab)
        sink = lib.UdpSink(lab, bench.ns, port=4833)
        bench.write([sink.spec()])
        probe = bench.start()
        good = bench.profile.read_text(encoding="utf-8")
        bench.profile.write_text(good.replace("IdleTimeout", "IdleTimeuot"), encoding="utf-8")
        probe.popen.send_signal(signal.SIGHUP)
        probe.expect(r'weir.json:1:\d+: .*IdleTimeuot.*did you mean "IdleTimeout"')
        probe.expect("the profile of before stays in force")
        # Good in itself, but what it asks for cannot be had: nothing changes either.
        bench.write(["Tls/127.0.0.1:4834"], Tls={"Certificate": "/nowhere", "Key": "/nowhere", "Ca": "/nowhere"})
        probe.popen.send_signal(signal.SIGHUP)
        probe.expect("the profile is not taken, the one of before stays in force")
        bench.traffic(20)
        lib.wait_for("records go on", lambda: ports_of(sink.flows()) == bench.sent(), 30, poll=0.5)
        bench.statistics()


def test_storm():
    """Signals without end, the profile changing under them: each collector's share is whole or counted."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        stays = TcpSink(lab, bench.ns, 4835)
        comes = lib.UdpSink(lab, bench.ns, port=4836)
        bench.write([stays.spec()])
        probe = bench.start()
        lib.wait_for("it connects", lambda: len(stays.parts) == 1, 20)
        for n in range(300):
            bench.write([stays.spec(), comes.spec()] if n % 2 == 0 else [stays.spec()])
            probe.popen.send_signal(signal.SIGHUP)
            bench.traffic(2, 0.002)
        probe.expect("the profile is taken")
        lib.wait_for("the one that stays has all", lambda: set(bench.sent()) <= set(stays.ports()), 40, poll=0.5)
        statistics = bench.statistics()
        lib.equal(stays.ports(), bench.sent(), "records of the session that stays, each once")
        lib.equal(len(stays.parts), 1, "connections")
        lib.equal(statistics["collectors"][0]["notSentFlows"], 0, "not sent")


lib.main(globals())
