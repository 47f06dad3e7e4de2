"""RFC 5471 3.6.1 to 3.6.3: a probe, a collector, and whatever goes away between them and comes back."""

import contextlib
import json
import signal
import time

import collect_lib as cl
import export_lib
import lib


class Path(contextlib.ExitStack):
    """A probe in one namespace, a collector in another, a link between them."""

    def __init__(self, transport):
        super().__init__()
        self.transport = transport

    def __enter__(self):
        super().__enter__()
        lib.need_root()
        self.lab = self.enter_context(lib.Lab())
        self.bench = export_lib.Bench(self.lab)
        self.there = self.lab.namespace()
        (_, _), (self.host, _) = self.lab.join([self.bench.ns, self.there])
        self.store = self.lab.path("store")
        self.port = 4739
        return self

    def collect(self):
        words = ["collect", "-l", f"{self.transport}/{self.host}:{self.port}", "-s", self.store, "--workers", 1, "-q"]
        process = self.lab.weir(*words, netns=self.there)
        table = f"/proc/net/{self.transport.lower()}"
        lib.wait_for("the collector listens", lambda: f":{self.port:04X} " in self.there.run("cat", table)[1], 20)
        return process

    def probe(self, **more):
        self.bench.write([f"{self.transport}/{self.host}:{self.port}"], ObservationDomainId=7, TemplateRefresh=1000, **more)
        return self.bench.start()

    def ports(self):
        """Source ports of the test's flows in the store, each as often as it is there."""
        status, out, _ = lib.run([lib.WEIR, "query", "-s", self.store, "-o", "json", "--sql",
                                  "select sourceTransportPort as p from flows where destinationTransportPort = 7 order by p"], expected=None)  # fmt: skip
        return [json.loads(line)["p"] for line in out.splitlines()] if status == 0 else []

    def wait_ports(self, expected):
        lib.wait_for(f"{len(expected)} flows are stored", lambda: len(self.ports()) >= len(expected), 60, 0.5)
        lib.equal(self.ports(), expected, "each flow once")


def test_3_6_1_link_down_and_up():
    """A short and a longer break: over TCP nothing is lost; over UDP what is lost is told as missing."""
    for transport in ("Tcp", "Udp"):
        with Path(transport) as p:
            collector = p.collect()
            p.probe()
            p.bench.traffic(5)
            lib.wait_for("the first flows", lambda p=p: len(p.ports()) >= 5, 60, 0.5)
            for seconds in (0.3, 1.5):
                p.there.ip("link", "set", "eth0", "down")
                p.bench.traffic(5)
                time.sleep(seconds)  # the length of the break; nothing is measured by it
                p.there.ip("link", "set", "eth0", "up")
                p.bench.traffic(5)
                if transport == "Tcp":
                    p.wait_ports(p.bench.sent())
            if transport == "Udp":
                last = p.bench.sent()[-1]
                lib.wait_for("flows come again", lambda p=p, last=last: last in p.ports(), 60, 0.5)
            p.bench.device.stop()
            if transport == "Udp":
                known = lambda p=p: cl.ledger(p.store).get("sequence_lost", 0)  # noqa: E731
                missing = len(p.bench.sent()) - len(p.ports())
                lib.check(known() >= missing, f"{missing} flows are missing, {known()} records are told as lost")
            collector.stop()


def test_3_6_2_exporter_killed_and_started_again():
    """The connection ends with it, its templates are forgotten, and the next one is taken with its own."""
    with Path("Tcp") as p:
        collector = p.collect()
        probe = p.probe()
        p.bench.traffic(5)
        p.wait_ports(p.bench.sent())
        probe.stop(expected=-signal.SIGKILL, number=signal.SIGKILL)
        established = lambda: " 01 " in "".join(line[:60] for line in p.there.run("cat", "/proc/net/tcp")[1].splitlines(True)[1:])  # noqa: E731
        lib.wait_for("no connection is left", lambda: not established(), 30)
        p.probe()
        p.bench.traffic(5)
        p.wait_ports(p.bench.sent())
        p.bench.device.stop()
        collector.stop()
        sessions = cl.sql(p.store, "select exporterPort, sum(count)::bigint as n from ledger where counter = 'templates_new' group by 1")
        lib.equal(len(sessions), 2, f"two sessions with templates of their own: {sessions}")


def test_3_6_3_collector_killed_and_started_again():
    """The exporter connects again, sends its templates again, and what waited meanwhile."""
    with Path("Tcp") as p:
        collector = p.collect()
        p.probe()
        p.bench.traffic(5)
        p.wait_ports(p.bench.sent())
        collector.stop(expected=-signal.SIGKILL, number=signal.SIGKILL)
        p.bench.traffic(5)
        collector = p.collect()
        p.bench.traffic(5)
        p.wait_ports(p.bench.sent())
        p.bench.device.stop()
        collector.stop()


lib.main(globals())
