"""What the tests of the Exporting Process share: a profile, traffic, and a collector over TCP that is told when to go."""

import collections
import json
import socket
import struct
import threading
import time

import lib


START = 1_700_000_000  # when the packets of our captures were seen


def profile(lab, **properties):
    return lab.write(lab.unique("p") + ".json", json.dumps({"FlowMetadata": properties}))


# What a probe made of a capture file: its records, its counters, the file that it wrote, and its log.
Metered = collections.namedtuple("Metered", "flows options counters out said")


def meter(lab, packets, *words, link=lib.LINK_RAW, **properties):
    """`packets` is a capture file or what goes into one; `properties` are those of the profile."""
    if not isinstance(packets, lib.Path):
        packets = lib.write_pcap(lab.path(lab.unique("in") + ".pcap"), packets, link)
    out = lab.path(lab.unique("out") + ".ipfix")
    _, counters, said = lib.run([lib.WEIR, "probe", "--stats", "-p", profile(lab, **properties), "-r", packets, "-w", out, *words])
    records = lib.dump(out)
    return Metered(lib.flows(records), [r for r in records if "scope" in r], json.loads(counters), out, said)


def all_kinds():
    """All kinds of layouts: both versions, TCP, UDP, ICMP, another protocol; both directions by --local."""
    packets = []
    for a, b in (("10.1.0.1", "10.1.0.2"), ("2001:db8::1", "2001:db8::2")):
        for n in range(20):
            packets += [lib.tcp(a, 1000 + n, b, 443, "S"), lib.tcp(b, 443, a, 1000 + n, "SA"), lib.udp(a, 1000 + n, b, 53, b"?"), lib.udp(b, 53, a, 1000 + n, b"!")]
        packets += [lib.icmp_echo(a, b), lib.icmp_echo(b, a, False), lib.ip_packet(a, b, 47, b"\0" * 8), lib.ip_packet(b, a, 132, b"\0\1\0\2" + b"\0" * 8)]
    return [(START + 0.01 * n, p) for n, p in enumerate(packets)]


def as_capture(lab, out):
    """The messages of an IPFIX file as UDP packets to a collector."""
    octets, packets, at = out.read_bytes(), [], 0
    while at < len(octets):
        length = struct.unpack_from("!H", octets, at + 2)[0]
        packets.append((START + len(packets), lib.udp("192.0.2.1", 50000, "192.0.2.2", 4739, octets[at : at + length])))
        at += length
    return lib.write_pcap(lab.path(lab.unique("cap") + ".pcap"), packets)


def settled(sink):
    before = sink.messages
    time.sleep(0.5)
    return before > 0 and sink.messages == before


class Bench:
    """A namespace with a TUN device, and a probe on it with a profile that may change."""

    def __init__(self, lab):
        lib.need_root()
        self.lab = lab
        self.ns = lab.namespace()
        self.tun = lab.enter_context(lib.Tun(self.ns, "tun0"))
        self.tun.up("10.9.0.1/24")
        self.profile = lab.path("weir.json")
        self.next_port = 10000
        self.device = None

    def write(self, collectors, **more):
        settings = {"IpFixCollectors": collectors, "IdleTimeout": 200, "ReconnectInterval": 1000, **more}
        self.profile.write_text(json.dumps({"FlowMetadata": settings}), encoding="utf-8")

    def start(self, *words):
        self.device = self.lab.probe(self.ns, ["tun0"], "-p", self.profile, "--stats", *words)
        return self.device

    def statistics(self):
        """End the probe; what it counted."""
        self.device.stop()
        return json.loads(self.device.output())

    def traffic(self, flows, pause=0.0):
        """So many flows, each known by its source port."""
        for _ in range(flows):
            self.tun.deliver(lib.udp("10.9.0.2", self.next_port, "10.9.0.1", 7, b"x" * 64))
            self.next_port += 1
            if pause:
                time.sleep(pause)

    def sent(self):
        return list(range(10000, self.next_port))


def ports_of(flows):
    """Source ports of the test's own flows, sorted, as often as they came."""
    return sorted(f["sourceTransportPort"] for f in flows if f.get("destinationTransportPort") == 7)


EMPTY = b"\x00\x0a\x00\x10"  # how a message without sets begins


class TcpSink:
    """Collects over TCP. `leave` ends in order: the exporter finishes its message, all of it is read, and the exporter's question
    whether anybody is there finds nobody."""

    def __init__(self, lab, ns, port):
        self.lab, self.ns, self.port = lab, ns, port
        self.parts = []  # octets of each connection
        self.listener = None
        self.peers = []
        lab.callback(self.leave)
        self.come()

    def spec(self):
        return f"Tcp/127.0.0.1:{self.port}"

    def come(self):
        self.listener = self.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            octets = bytearray()
            self.parts.append(octets)
            reader = threading.Thread(target=self._read, args=(peer, octets), daemon=True)
            self.peers.append((peer, reader))
            reader.start()

    def _read(self, peer, octets):
        try:
            while part := peer.recv(65536):
                octets += part
                if not self.listener and octets[-16:-12] == EMPTY:
                    break
        except OSError:
            pass
        peer.close()

    def leave(self):
        if not self.listener:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        for peer, reader in self.peers:
            try:
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            reader.join(20)
        self.peers = []

    def flows(self):
        """Of all connections; each stands for itself, with its own templates."""
        result = []
        for octets in list(self.parts):
            whole = bytes(octets)
            if whole:
                path = self.lab.path(self.lab.unique("tcp") + ".ipfix")
                path.write_bytes(whole)
                result += lib.flows(lib.dump(path, expected=None))
        return result

    def ports(self):
        return ports_of(self.flows())


def refuse_udp(ns):
    """A rule that refuses UDP to port 2000 and tells NFLOG group 5 of it: rule "no"."""
    status, _, said = ns.run("nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }", expected=None)
    if status:
        raise lib.Skip(f"no nftables: {said}")
    ns.run("nft", 'add rule inet t in udp dport 2000 log prefix "acl:no" group 5 drop')
