"""A collector that is down, comes up and goes down again never stops the exporter, and can decode within one refresh."""

import threading
import time

import lib

REFRESH_MS = 1000


class Traffic:
    """Packets through a tun device without pause, each flow with a port of its own so that records keep coming."""

    def __init__(self, tun):
        self.tun = tun
        self.port = 10000
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def _run(self):
        while not self.stopping:
            self.port += 1
            self.tun.deliver(lib.udp("10.9.0.2", self.port, "10.9.0.1", 7, b"x" * 64))
            time.sleep(0.02)

    def __exit__(self, *unused):
        self.stopping = True
        self.thread.join(5)


def ingress_ports(sink):
    return {f["sourceTransportPort"] for f in sink.flows() if f.get("destinationTransportPort") == 7}


def flap(lab, ns, host, collector):
    """Down, up, down, up: each time up it gets records of traffic that came after it was up."""
    with lib.Tun(ns, "tun0") as tun:
        tun.up("10.9.0.1/24", "fd09::1/64")
        probe = lab.probe(ns, ["tun0"], "-c", collector, "--idle", 200, "--template-refresh", REFRESH_MS)
        with Traffic(tun) as traffic:
            time.sleep(2.0)
            for _ in range(3):
                lib.check(probe.running(), f"the exporter stopped: {probe.errors()}")
                sink = lib.UdpSink(lab, ns, host)
                began = traffic.port
                lib.wait_for(
                    "records of new traffic are decoded",
                    lambda s=sink, b=began: s.messages and any(p > b for p in ingress_ports(s)),
                    (REFRESH_MS + 6000) / 1000,
                    poll=0.3,
                )
                sink.close()
                time.sleep(1.0)
        probe.stop()
    return probe


def test_port_that_refuses():
    lib.need_root()
    with lib.Lab() as lab:
        flap(lab, lab.namespace(), "127.0.0.1", "Udp/127.0.0.1:4739")


def test_port_that_refuses_ipv6():
    lib.need_root()
    with lib.Lab() as lab:
        flap(lab, lab.namespace(), "::1", "Udp/[::1]:4739")


def test_templates_reach_a_new_collector_within_one_refresh():
    """By the stream itself: no Data Set in the new collector's first messages stays undecoded beyond one refresh."""
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            probe = lab.probe(ns, ["tun0"], "-c", "Udp/127.0.0.1:4739", "--idle", 200, "--template-refresh", REFRESH_MS)
            with Traffic(tun):
                time.sleep(2.0)
                sink = lib.UdpSink(lab, ns)
                lib.wait_for("messages", lambda: sink.messages > 20, 30)
            probe.stop()
            times = [lib.clock_ms(r["exportTime"]) for r in sink.flows()]
            lib.check(times, "decoded flows")
            with open(sink.path, "rb") as f:
                first = int.from_bytes(f.read(8)[4:8], "big") * 1000
            # Export Time has whole seconds.
            lib.check(min(times) - first <= REFRESH_MS + 1000, f"first decoded {min(times) - first} ms after the first message")


def test_no_route_then_a_route():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            probe = lab.probe(ns, ["tun0"], "-c", "Udp/203.0.113.5:4739", "--idle", 200, "--template-refresh", REFRESH_MS)
            with Traffic(tun):
                time.sleep(1.5)
                lib.check(probe.running(), f"the exporter stopped: {probe.errors()}")
                ns.ip("address", "add", "203.0.113.5/32", "dev", "lo")
                sink = lib.UdpSink(lab, ns, "203.0.113.5")
                lib.wait_for("records arrive", lambda: sink.messages and ingress_ports(sink), 10, poll=0.3)
            probe.stop()


def test_one_dead_collector_does_not_starve_the_other():
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            probe = lab.probe(ns, ["tun0"], "-c", "Udp/127.0.0.1:4740", "-c", sink.spec(), "-c", "Udp/203.0.113.5:4739", "--idle", 200)
            with Traffic(tun) as traffic:
                time.sleep(3.0)
                last = traffic.port
            time.sleep(1.0)
            probe.stop()
            ports = ingress_ports(sink)
            lib.check(len(ports) >= 50, f"only {len(ports)} flows arrived")
            missing = set(range(min(ports), last + 1)) - ports
            lib.equal(missing, set(), "flows that the living collector did not get")


def test_host_name_that_does_not_resolve():
    """A name is looked up beside the loop: metering goes on and ends in good order."""
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            probe = lab.probe(ns, ["tun0"], "-c", "Udp/collector.invalid:4739", "-c", sink.spec(), "--idle", 200)
            with Traffic(tun):
                lib.wait_for("records arrive", lambda: sink.messages and ingress_ports(sink), 10, poll=0.3)
            probe.stop(timeout=15)


lib.main(globals())
