"""An interface that goes down, is deleted and comes back under another index: metering resumes within 2 s each time."""

import time

import lib

CYCLES = 12
RESUME_MS = 2000


def resume_delay(ns, tun, port):
    """Feed packets to `port` for a while; when the first went in."""
    began = time.time() * 1000
    until = time.monotonic() + RESUME_MS / 1000 + 0.2
    while time.monotonic() < until:
        tun.deliver(lib.udp("10.9.0.2", 4000, "10.9.0.1", port, b"x"))
        time.sleep(0.05)
    return began


def flap(cycle_of):
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        sink = lib.UdpSink(lab, ns)
        probe = lab.weir("probe", "-i", "wtun", "-c", sink.spec(), "--idle", 500, "--template-refresh", 1000, netns=ns)
        began = cycle_of(ns, sink)
        lib.check(probe.running(), f"the probe ended: {probe.errors()}")
        time.sleep(1.5)
        probe.stop()
        first = {}
        interfaces = {}
        for f in sink.flows():
            port = f.get("destinationTransportPort")
            if f.get("flowDirection") == 0 and port in began:
                first[port] = min(first.get(port, 1 << 62), lib.clock_ms(f["flowStartMilliseconds"]))
                interfaces.setdefault(port, set()).add(f.get("ingressInterface"))
        for port, (when, index) in began.items():
            lib.check(port in first, f"cycle {port}: nothing was metered")
            lib.check(first[port] - when <= RESUME_MS, f"cycle {port}: metered after {first[port] - when:.0f} ms")
            lib.equal(interfaces[port], {index}, f"cycle {port}: ingressInterface")


def test_deleted_and_recreated():
    def cycle(ns, sink):
        began = {}
        for port in range(1000, 1000 + CYCLES):
            with lib.Tun(ns, "wtun") as tun:
                tun.up("10.9.0.1/24")
                index = ns.index_of("wtun")
                began[port] = resume_delay(ns, tun, port), index
        lib.check(len({index for _, index in began.values()}) > 1, "the index changes")
        return began

    flap(cycle)


def test_down_and_up():
    def cycle(ns, sink):
        began = {}
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24")
            for port in range(1000, 1000 + CYCLES):
                ns.ip("link", "set", "wtun", "down")
                ns.ip("link", "set", "wtun", "up")
                began[port] = resume_delay(ns, tun, port), ns.index_of("wtun")
        return began

    flap(cycle)


def test_quick_cycles_end_well():
    """No pause at all between delete and create; what counts is that it meters afterwards."""

    def cycle(ns, sink):
        for _ in range(100):
            with lib.Tun(ns, "wtun") as tun:
                tun.up()
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24")
            return {999: (resume_delay(ns, tun, 999), ns.index_of("wtun"))}

    flap(cycle)


lib.main(globals())
