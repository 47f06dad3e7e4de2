"""Counting in the kernel (Capture: ebpf): the same records as the ring gives of the same traffic, and no packet less."""

import collections
import json
import random
import re
import signal
import socket
import struct
import threading

import lib

CANNOT = r"packets are not counted in the kernel, packet rings are used: ([^\n]*)"


# No flow of these tests ends by a timeout: two probes that end one after the other would not agree on it.
def profile(lab, capture, **more):
    settings = {"Capture": capture, "IdleTimeout": 60000, "TcpLinger": 60000, **more}
    return lab.write(lab.unique("p") + ".json", json.dumps({"FlowMetadata": settings}))


def wait_until_it_heeds_signals(probe):
    """It tells of its interfaces before."""

    def heeds():
        caught = re.search(r"^SigCgt:\s*(\w+)", lib.Path(f"/proc/{probe.pid}/status").read_text(encoding="ascii"), re.MULTILINE)
        return int(caught.group(1), 16) >> (signal.SIGTERM - 1) & 1

    lib.wait_for("SIGTERM is heeded", heeds, 30)


class Meter:
    """A probe that writes a file."""

    def __init__(self, lab, ns, devices, capture, *words, **more):
        self.file = lab.path(lab.unique("out") + ".ipfix")
        devices = [w for device in devices for w in ("-i", device)]
        self.probe = lab.weir("probe", *devices, "-p", profile(lab, capture, **more), "--stats", "-w", self.file, *words, netns=ns)
        if capture == "ring":
            self.probe.expect("interface .*index", 30)
            wait_until_it_heeds_signals(self.probe)
            return
        said = self.probe.expect(rf"packets are counted in the kernel|packets are taken, and counted|{CANNOT}", 30)
        if said.group(1):
            raise lib.Skip(f"this kernel does not count: {said.group(1)}")
        wait_until_it_heeds_signals(self.probe)

    def finish(self):
        """(flow records, counters)."""
        self.probe.stop(timeout=60)
        return lib.flows(lib.dump(self.file)), json.loads(self.probe.output())


def key(r):
    return (
        r["flowDirection"],
        r["protocolIdentifier"],
        lib.address(r, "source"),
        lib.address(r, "destination"),
        r.get("sourceTransportPort", 0),
        r.get("destinationTransportPort", 0),
        r.get("icmpTypeCodeIPv4") or r.get("icmpTypeCodeIPv6") or 0,
    )


def is_own(r):
    """Not of the test: what neighbours say to each other comes at any time, also between the ends of two probes."""
    return r["protocolIdentifier"] == 58 and (r.get("icmpTypeCodeIPv6") or 0) >> 8 in range(130, 144)


def same_records(ring, kernel, what):
    """Record by record: counters, flags, reason of the end alike, and the times nearly."""
    lib.check(ring, f"{what}: the ring shows no flows")
    both = []
    for records in (ring, kernel):
        of = collections.defaultdict(list)
        for r in records:
            if not is_own(r):
                of[key(r)].append(r)
        both.append({k: sorted(v, key=lambda r: r["flowStartMilliseconds"]) for k, v in of.items()})
    lib.equal(sorted(both[1]), sorted(both[0]), f"{what}: keys")
    worst = 0
    for k, expected in both[0].items():
        got = both[1][k]
        lib.equal(len(got), len(expected), f"{what}: records of {k}: {got} {expected}")
        for a, b in zip(expected, got):
            for name in ("packetDeltaCount", "octetDeltaCount", "tcpControlBits", "flowEndReason", "ipClassOfService"):
                lib.equal(b.get(name), a.get(name), f"{what}: {name} of {k}")
            for name in ("flowStartMilliseconds", "flowEndMilliseconds"):
                worst = max(worst, abs(lib.clock_ms(a[name]) - lib.clock_ms(b[name])))
    # A pause of the machine between the two stamps of one packet is all that is let pass.
    lib.check(worst < 500, f"{what}: times differ by {worst} ms")
    print(f"{what}: {len(kernel)} records alike, times within {worst} ms")


def both(lab, ns, devices, traffic, what, capture="ebpf", **more):
    ring, kernel = Meter(lab, ns, devices, "ring", **more), Meter(lab, ns, devices, capture, **more)
    traffic()
    (a, told_a), (b, told_b) = ring.finish(), kernel.finish()
    same_records(a, b, what)
    lib.equal(told_a["source"]["droppedPackets"], 0, "lost by the ring")
    lib.equal(told_b["source"]["droppedPackets"], 0, "lost by the kernel's counting")
    return b, told_b


def fragment(packet, offset, more, identification=7):
    """An IPv4 packet made a fragment."""
    head = packet[:4] + struct.pack("!HH", identification, (0x2000 if more else 0) | offset // 8) + packet[8:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", lib.checksum(head)) + head[12:] + packet[20:]


def crafted():
    """One of each kind of packet that is decoded in a way of its own."""
    a, b, a6, b6 = "10.9.0.2", "10.9.0.1", "fd99::2", "fd99::1"
    yield lib.udp(a, 1000, b, 2000, b"x" * 100, tos=0xB8)
    yield lib.udp(a, 1000, b, 2000, b"x" * 100)
    for size in (0, 1, 5, 6, 18, 1200):
        yield lib.udp(a, 1100 + size, b, 9, b"y" * size)
        yield lib.udp(a6, 1100 + size, b6, 9, b"y" * size, tos=0x40)
    for s, d in ((a, b), (a6, b6)):
        yield lib.icmp_echo(s, d)
        yield lib.icmp_echo(s, d, request=False)
        yield lib.tcp(s, 4000, d, 80, "S")
        yield lib.tcp(s, 4000, d, 80, "A")
        yield lib.tcp(s, 4000, d, 80, "PA", b"GET /")
        yield lib.tcp(s, 4000, d, 80, "FA")
        yield lib.tcp(s, 4000, d, 80, "A")
        yield lib.tcp(s, 4000, d, 80, "SEC")  # a new connection with the same ports, after one FIN
        yield lib.tcp(s, 4001, d, 80, "S")
        yield lib.tcp(s, 4001, d, 80, "R")
        yield lib.tcp(s, 4001, d, 80, "S")
        yield lib.tcp(s, 4001, d, 80, "A", b"z")
        for protocol in (47, 50, 89, 132, 33, 136, 253):
            yield lib.ip_packet(s, d, protocol, bytes(range(40)))
            yield lib.ip_packet(s, d, protocol, b"\1\2")
        yield lib.ip_packet(s, d, 6, bytes(range(13)))  # TCP, cut short
        yield lib.ip_packet(s, d, 17, bytes(range(6)))
        yield lib.ip_packet(s, d, 1, b"\3")
    whole = lib.udp(a, 5000, b, 53, b"f" * 64)
    yield fragment(whole, 0, True)
    yield fragment(lib.ip_packet(a, b, 17, b"f" * 64), 72, True)
    yield fragment(lib.ip_packet(a, b, 17, b"f" * 8), 136, False)
    yield fragment(lib.ip_packet(a, b, 17, b"f" * 64), 72, True, 9)  # its first is not there
    options = whole[:1].replace(b"\x45", b"\x46") + whole[1:2] + struct.pack("!H", len(whole) + 4) + whole[4:20] + b"\1\1\1\0" + whole[20:]
    yield options[:10] + struct.pack("!H", lib.checksum(options[:10] + b"\0\0" + options[12:24])) + options[12:]
    hop_by_hop = b"\x11\0\1\4\0\0\0\0"
    yield lib.ip_packet(a6, b6, 0, hop_by_hop + lib.udp(a6, 5001, b6, 53, b"e" * 16)[40:])
    yield lib.ip_packet(a6, b6, 44, b"\x11\0\0\1\0\0\0\5" + lib.udp(a6, 5002, b6, 53, b"e" * 16)[40:])
    yield lib.ip_packet(a6, b6, 59, b"")
    yield b"\x45\0\0\x10" + whole[4:]  # shorter than its header
    yield b"\x44" + whole[1:]
    yield whole[:19]


def test_every_kind_of_packet():
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, lab.unique("t")) as tun:
            tun.up("10.9.0.1/24", "fd99::1/64")

            def traffic():
                packets = list(crafted())
                for _ in range(3):
                    for packet in packets:
                        try:
                            tun.deliver(packet)
                        except OSError:  # the kernel wants a version at least
                            pass
                ns.run("ping", "-c", "3", "-i", "0.2", "-W", "1", "10.9.0.3", expected=None)

            both(lab, ns, [tun.name], traffic, "tun")
            both(lab, ns, [tun.name], traffic, "tun, one by one", capture="auto")
            records, _ = both(lab, ns, [tun.name], traffic, "tun, DSCP is a key", DscpKey=True)
            lib.check({0, 0xB8} <= {r["ipClassOfService"] for r in records if r.get("sourceTransportPort") == 1000}, "DSCP tells flows apart")
            received, _ = both(lab, ns, [tun.name], traffic, "tun, one direction", Direction="ReceivedFromPeer")
            lib.equal({r["flowDirection"] for r in received}, {0}, "directions")


def pair(lab):
    """Two namespaces with a veth between them; the devices and addresses."""
    left, right = lab.namespace(), lab.namespace()
    a, b = lab.unique("va"), lab.unique("vb")
    left.ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", right.name)
    for ns, device, number in ((left, a, 1), (right, b, 2)):
        ns.ip("address", "add", f"10.8.0.{number}/24", "dev", device)
        ns.ip("address", "add", f"fd98::{number}/64", "dev", device, "nodad")
        ns.ip("link", "set", device, "up")
    return left, right, a, b


def tcp_exchange(left, right, family, addresses, octets):
    """Connections one after the other, each with so many octets from left to right and an answer."""
    listener = right.socket(family, socket.SOCK_STREAM)
    listener.bind((addresses[1], 0))
    listener.listen()

    def serve():
        for _ in octets:
            peer, _ = listener.accept()
            with peer:
                while peer.recv(1 << 16):
                    pass
                peer.sendall(b"thanks")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    for n in octets:
        s = left.socket(family, socket.SOCK_STREAM)
        s.connect((addresses[1], listener.getsockname()[1]))
        s.sendall(bytes(n))
        s.shutdown(socket.SHUT_WR)
        while s.recv(1 << 16):
            pass
        s.close()
    thread.join(30)
    listener.close()


def test_super_packets_and_connections():
    """GSO counts as the packets on the wire, at both ends; each connection is its own record with its own end."""
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)

        def traffic():
            tcp_exchange(left, right, socket.AF_INET, ("10.8.0.1", "10.8.0.2"), [10, 4 << 20, 100_000])
            tcp_exchange(left, right, socket.AF_INET6, ("fd98::1", "fd98::2"), [10, 4 << 20])
            left.run("ping", "-c", "2", "-i", "0.2", "10.8.0.2")

        records, told = both(lab, left, [a], traffic, "veth")
        most = max(r["packetDeltaCount"] for r in records)
        lib.check(most > told["source"]["packets"] / 4, f"super-packets are many packets: {most} {told['source']}")
        lib.check(any(r["tcpControlBits"] & 1 for r in records if r["protocolIdentifier"] == 6), "connections have ended")
        both(lab, right, [b], traffic, "veth, the other end", capture="auto")


def test_nothing_is_lost_while_it_is_taken_out():
    """More flows than slots, on all processors, while the counters are taken out many times: the sum is exact."""
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        # The smallest caches: nearly every packet displaces another flow.
        left.run("ping", "-c", "1", "10.8.0.2")  # neighbours know each other: nothing waits and is given up
        kernel = Meter(lab, left, [a], "ebpf", RingSize=65536 * 16)  # where nothing can be lost on the way to it
        counts = []

        def send(seed):
            chosen, sent = random.Random(seed), 0
            sockets = [left.socket() for _ in range(60)]
            for _ in range(20_000):
                try:
                    chosen.choice(sockets).sendto(b"x" * 22, ("10.8.0.2", chosen.randrange(20000, 20100)))
                    sent += 1
                except OSError:
                    pass
            counts.append(sent)

        threads = [threading.Thread(target=send, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        records, told = kernel.finish()
        mine = [r for r in records if 20000 <= r.get("destinationTransportPort", 0) < 20100]
        total = sum(r["packetDeltaCount"] for r in mine)
        print(f"{total} packets in {len(mine)} records, lost {told['source']['droppedPackets']}")
        lib.check(0 <= total + told["source"]["droppedPackets"] - sum(counts) <= 200, f"packets metered {total} and lost of {sum(counts)}")
        if told["source"]["droppedPackets"] == 0:
            lib.equal(total, sum(counts), "packets metered")
        lib.equal(sum(r["octetDeltaCount"] for r in mine), total * 50, "octets")
        lib.equal(len({key(r) for r in mine}), len(mine), "each flow in one record")


CHANGE = r"packets are (counted in the kernel|taken one by one), \d+ a second"


def test_changes_under_traffic():
    """Between counting and one by one, forth and back, while two threads send: every packet is in a record, once."""
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        left.run("ping", "-c", "1", "10.8.0.2")
        kernel = Meter(lab, left, [a], "auto", RingSize=65536 * 512)
        changes = lambda: len(re.findall(CHANGE, kernel.probe.errors()))
        sockets, counts = [left.socket() for _ in range(40)], [0, 0]
        scattered, done = threading.Event(), threading.Event()

        def send(half):
            flows, n = [(s, ("10.8.0.2", 20000 + port)) for port in range(400) for s in sockets[half::2]], 0
            while not done.is_set():
                for _ in range(100):
                    n += 1
                    s, to = flows[n % len(flows)] if scattered.is_set() else flows[0]
                    try:
                        s.sendto(b"x" * 22, to)
                        counts[half] += 1
                    except OSError:  # an answer of before: nothing was sent
                        pass

        threads = [threading.Thread(target=send, args=(half,)) for half in range(2)]
        for thread in threads:
            thread.start()
        try:
            for n in range(4):
                scattered.set() if n % 2 else scattered.clear()
                lib.wait_for(f"change {n + 1}", lambda n=n: changes() > n, 60)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        records, told = kernel.finish()
        mine = [r for r in records if 20000 <= r.get("destinationTransportPort", 0) < 20400]
        total, lost = sum(r["packetDeltaCount"] for r in mine), told["source"]["droppedPackets"]
        print(f"{total} packets in {len(mine)} records, lost {lost}, {told['source']['captureChanges']} changes")
        lib.check(0 <= total + lost - sum(counts) <= (200 if lost else 0), f"packets metered {total}, lost {lost} of {sum(counts)}")
        lib.equal(sum(r["octetDeltaCount"] for r in mine), total * 50, "octets")
        lib.equal(len({key(r) for r in mine}), len(mine), "each flow in one record")
        lib.check(told["source"]["captureChanges"] >= 4, "changes are counted")


def test_what_finds_no_room_is_counted():
    """A reader that stands still: what the ring cannot hold is lost, and known to the packet."""
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        left.run("ping", "-c", "1", "10.8.0.2")
        kernel = Meter(lab, left, [a], "ebpf", RingSize=65536)
        kernel.probe.popen.send_signal(signal.SIGSTOP)
        sent = 0
        sockets = [left.socket() for _ in range(100)]
        for n in range(30_000):
            sockets[n % 100].sendto(b"x", ("10.8.0.2", 30000 + n % 97))
            sent += 1
        kernel.probe.popen.send_signal(signal.SIGCONT)
        records, told = kernel.finish()
        total = sum(r["packetDeltaCount"] for r in records if r.get("destinationTransportPort", 0) >= 30000)
        lost = told["source"]["droppedPackets"]
        print(f"{sent} sent, {total} metered, {lost} lost")
        lib.check(lost > 0, "nothing was lost")
        # Answers of the other side (ICMP) and what neighbours say to each other may be among the lost.
        lib.check(sent <= total + lost <= sent + 200, f"sent {sent}, metered {total}, lost {lost}")


def test_interfaces_that_come_and_go():
    """Twenty times made anew: what came through each of them is in a record."""
    with lib.Lab() as lab:
        ns = lab.namespace()
        name = lab.unique("t")
        with lib.Tun(ns, name) as tun:
            tun.up("10.9.0.1/24")
            kernel = Meter(lab, ns, [name], "ebpf")
            for packet in range(3):
                tun.deliver(lib.udp("10.9.0.2", 6000, "10.9.0.1", 7, b"x"))
        for n in range(1, 21):
            with lib.Tun(ns, name) as tun:
                tun.up("10.9.0.1/24")
                index = ns.index_of(name)
                kernel.probe.expect(rf"interface {name}: tun, index {index}[^\n]*\n", 30)
                for packet in range(n):
                    tun.deliver(lib.udp("10.9.0.2", 6000 + n, "10.9.0.1", 7, b"x"))
                if n % 5 == 0:  # set down and up again
                    ns.ip("link", "set", name, "down")
                    ns.ip("link", "set", name, "up")
                    tun.deliver(lib.udp("10.9.0.2", 6000 + n, "10.9.0.1", 7, b"x"))
        records, told = kernel.finish()
        got = collections.Counter()
        for r in records:
            got[r.get("sourceTransportPort")] += r["packetDeltaCount"]
        want = {6000 + n: n + (n % 5 == 0) for n in range(1, 21)}
        lib.equal({p: got[p] for p in want}, want, "packets of each interface")
        lib.equal(got[6000], 3, "packets of the first interface")
        lib.equal(told["source"]["droppedPackets"], 0, "lost")


def test_own_messages_are_left_out():
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        sink = lib.UdpSink(lab, right, "10.8.0.2")
        kernel = Meter(lab, left, [a], "ebpf", "-c", sink.spec(), IdleTimeout=1000)
        left.run("ping", "-c", "3", "-i", "0.2", "10.8.0.2")
        lib.wait_for("messages", lambda: sink.messages >= 2, 30)
        left.run("ping", "-c", "2", "-i", "0.2", "10.8.0.2")
        records, _ = kernel.finish()
        lib.check(any(r["protocolIdentifier"] == 1 for r in records), f"pings: {records}")
        lib.check(all(r.get("destinationTransportPort") != sink.port for r in records), f"our own messages: {records}")


def test_falls_back_to_the_ring():
    """What wants packets one by one, and who has not the right, gets the ring, and one line says why."""
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, lab.unique("t")) as tun:
            tun.up("10.9.0.1/24")
            for more, why in (
                ({"Biflows": True}, "does not go with Biflows"),
                ({"PeerCheck": True}, "does not go with PeerCheck"),
                ({"IdleTimeout": 0}, "does not go with IdleTimeout 0"),
                ({"Capture": "auto", "Biflows": True}, "Capture: auto does not go with Biflows"),
            ):
                file = lab.path(lab.unique("out") + ".ipfix")
                probe = lab.weir("probe", "-i", tun.name, "-p", profile(lab, "ebpf", **more), "-w", file, netns=ns)
                probe.expect(why)
                probe.expect("interface .*index", 30)
                wait_until_it_heeds_signals(probe)
                tun.deliver(lib.udp("10.9.0.2", 6000, "10.9.0.1", 7, b"x"))
                probe.stop(timeout=60)
                lib.check(any(r.get("sourceTransportPort") == 6000 for r in lib.flows(lib.dump(file))), f"{why}: the ring meters")
            if lib.shutil.which("setpriv"):
                bounds = "-all,+net_raw"
                words = ["setpriv", "--bounding-set", bounds, "--inh-caps", bounds]
                probe = lab.start([*words, lib.WEIR, "probe", "-i", tun.name, "-p", profile(lab, "ebpf"), "-w", lab.path("f.ipfix")], ns)
                lib.wait_for("it says why", lambda: re.search(CANNOT, probe.errors()), 30)
                probe.expect("interface .*index", 30)
                wait_until_it_heeds_signals(probe)
                probe.stop(timeout=60)


lib.main(globals())
