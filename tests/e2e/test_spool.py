"""Records that wait on disk: the collector away, the probe killed, a torn file, a disk that is full."""

import signal

import lib
from export_lib import Bench, TcpSink, ports_of


def spooled(folder):
    """Source ports of what lies in the spool."""
    ports = []
    for path in folder.glob("*/*.ipfix"):
        ports += ports_of(lib.flows(lib.dump(path, expected=None)))
    return ports


def test_killed_and_torn():
    """What was spooled outlives SIGKILL; half a message at the end is cut; all arrives, in order, once."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        folder = lab.path("spool")
        bench.write(["Tcp/127.0.0.1:4821"], Spool={"Folder": str(folder)})
        probe = bench.start()
        bench.traffic(200)
        lib.wait_for("all is in the spool", lambda: sorted(spooled(folder)) == bench.sent(), 40, poll=0.5)
        probe.stop(expected=-signal.SIGKILL, number=signal.SIGKILL)
        with open(next(folder.glob("*/*.ipfix")), "ab") as file:
            file.write(b"\0\x0a\x02\0half a message")
        probe = bench.start()
        probe.expect("octets wait from before")
        bench.traffic(20)
        sink = TcpSink(lab, bench.ns, 4821)
        lib.wait_for("all has arrived", lambda: len(sink.ports()) >= 220, 40, poll=0.5)
        statistics = bench.statistics()["collectors"][0]
        lib.equal(sink.ports(), bench.sent(), "records, each once")
        lib.equal(statistics["notSentFlows"], 0, "not sent")
        lib.equal(list(folder.glob("*/*.ipfix")), [], "files left")
        lib.check(statistics["replayedFlows"] >= 200, f"counted: {statistics}")


def test_weir_collect_comes_late():
    """The same with our own collector, which leaves in the middle and comes back."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        bench.write(["Tcp/127.0.0.1:4822"], Spool={"Folder": str(lab.path("spool")), "Rate": 0})
        bench.start()
        bench.traffic(100)
        lib.wait_for("all is in the spool", lambda: sorted(spooled(lab.path("spool"))) == bench.sent(), 40, poll=0.5)

        def collected(number):
            records = [r for r in lab.path(f"{number}.json").read_text(encoding="utf-8").splitlines()]
            return [r for r in records if '"destinationTransportPort":7' in r]

        for number in (1, 2):
            out = lab.path(f"{number}.json")
            collect = lab.weir("collect", "-l", "Tcp/127.0.0.1:4822", "--json", out, netns=bench.ns)
            lib.wait_for("records are printed", lambda n=number, o=out: o.exists() and len(collected(n)) >= (100 if n == 1 else 50), 60, poll=0.5)
            if number == 1:
                collect.stop(expected=None)
                bench.traffic(50)
        statistics = bench.statistics()["collectors"][0]
        lib.equal(statistics["notSentFlows"], 0, "not sent")


def test_disk_full():
    """A full disk is said once and counted; the probe goes on, and nothing is uncounted."""
    with lib.Lab() as lab:
        bench = Bench(lab)
        folder = lab.path("spool")
        folder.mkdir()
        lib.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder])
        lab.callback(lib.run, ["umount", folder], expected=None)
        bench.write(["Tcp/127.0.0.1:4823"], Spool={"Folder": str(folder), "Rate": 0})
        probe = bench.start()
        for _ in range(10):
            bench.traffic(200, 0.001)
        probe.expect("No space left on device", 60)
        sink = TcpSink(lab, bench.ns, 4823)
        lib.wait_for("all has arrived", lambda: len(sink.ports()) >= 2000, 60, poll=0.5)
        statistics = bench.statistics()
        lib.equal(probe.errors().count("No space left on device"), 1, "lines about it")
        collector = statistics["collectors"][0]
        made = sum(statistics["meter"]["records"].values())
        lib.equal(collector["flowRecords"] + collector["notSentFlows"], made, "every record is counted")
        lib.equal(sink.ports(), bench.sent(), "the ring held the rest")
        lib.check(collector["spoolFailures"] > 0, f"counted: {collector}")


lib.main(globals())
