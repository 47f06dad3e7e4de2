"""The harness itself: what the other end-to-end tests take for granted."""

import os
import time

import lib


def test_overlay_carries_both_families():
    before = lib.residue()
    with lib.Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        one, two = lab.overlay([a, b], lab.join([a, b]))
        a.run("ping", "-c", "2", "-i", "0.2", "-W", "5", two.v4)
        a.run("ping", "-c", "2", "-i", "0.2", "-W", "5", two.v6)
        lib.check(one.device != two.device, "overlay devices have names of their own")
    after = lib.residue()
    for kind in before:
        mine = [n for n in after[kind] if n not in before[kind] and f"{os.getpid()}x" in n]
        lib.equal(mine, [], f"{kind} left behind")


def test_tun_and_capture():
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            capture = lib.Capture(lab, ns, "tun0", "udp port 5000")
            tun.deliver(lib.udp("10.9.0.2", 1234, "10.9.0.1", 5000, b"in"))
            tun.deliver(lib.udp("fd09::2", 1234, "fd09::1", 5000, b"in"))
            sender = ns.socket()
            sender.sendto(b"out", ("10.9.0.7", 5000))
            sender.close()
            time.sleep(0.3)
            path = capture.stop()
        rows = lib.tshark_fields(path, ["ip.src", "ipv6.src", "udp.checksum.status", "udp.length"], "udp", "-o", "udp.check_checksum:TRUE")
        sources = [(r[0] or r[1])[0] for r in rows]
        lib.equal(sources, ["10.9.0.2", "fd09::2", "10.9.0.1"], "sources of the packets on tun0")
        lib.equal([r[2] for r in rows[:2]], [["1"], ["1"]], "checksums that tshark calls good")


def test_packet_builders():
    lib.need("tshark")
    with lib.Lab() as lab:
        frames = [
            lib.tcp("10.0.0.1", 40000, "10.0.0.2", 80, "S"),
            lib.tcp("fd00::1", 40000, "fd00::2", 80, "SA", b"x"),
            lib.icmp_echo("10.0.0.1", "10.0.0.2"),
            lib.icmp_echo("fd00::1", "fd00::2", request=False),
        ]
        path = lib.write_pcap(lab.path("x.pcap"), [(1700000000.25 + n, f) for n, f in enumerate(frames)])
        rows = lib.tshark_fields(path, ["frame.time_epoch", "tcp.flags", "icmp.type", "icmpv6.type"], "ip or ipv6")
        lib.equal([r[0][0] for r in rows], [f"170000000{n}.250000000" for n in range(4)], "packet times")
        lib.equal([r[1] for r in rows[:2]], [["0x0002"], ["0x0012"]], "TCP flags")
        lib.equal([rows[2][2], rows[3][3]], [["8"], ["129"]], "ICMP types")
        lib.equal(lib.tshark(path, "-Y", "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0"), "", "faults")


def test_times():
    lib.equal(lib.clock_ms("1970-01-01T00:00:00.001Z"), 1, "the first millisecond")
    lib.equal(lib.clock_ms("2026-11-22T01:02:03Z"), 1795309323000, "a time without fraction")


def test_process_is_held_to_its_status():
    with lib.Lab() as lab:
        good = lab.start(["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"])
        good.expect("ready")
        good.stop()
        bad = lab.start(["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"])
        bad.expect("ready")
        lib.equal(bad.stop(expected=None), 3, "its own exit status")


lib.main(globals())
