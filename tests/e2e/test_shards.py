"""Live interfaces metered by several threads: the records of one meter, every packet once.

Three probes watch one interface at the same time, with one, two and three meters; what they say must be the same."""

import json
import os
import random
import re
import signal
import socket
import struct
import time
from collections import Counter

import lib

SHARDS = (1, 2, 3)
PACKETS = 6000
# No flow ends but by the end of the probe: what a record holds does not depend on when it was made.
CALM = {"IdleTimeout": 3600000, "TcpLinger": 60000}
VARIES = ("flowId", "exportTime", "observationDomainId", "flowStartMilliseconds", "flowEndMilliseconds",
          "reverseFlowStartMilliseconds", "reverseFlowEndMilliseconds")


def records(path):
    """How often each record is there, without what differs between two runs."""
    return Counter(
        tuple(sorted((k, str(v)) for k, v in r.items() if k not in VARIES)) for r in lib.dump(path) if "scope" not in r
    )


def wait_for_loop(probe):
    """Until SIGTERM ends it in order."""

    def caught():
        with open(f"/proc/{probe.pid}/status", encoding="ascii") as status:
            mask = next(line for line in status if line.startswith("SigCgt:")).split()[1]
        return int(mask, 16) >> (signal.SIGTERM - 1) & 1

    lib.wait_for("the probe heeds signals", caught, 30)


class Probes:
    """One probe for each number of meters, all on the same interfaces."""

    def __init__(self, lab, ns, devices, **properties):
        self.lab, self.all = lab, {}
        collector = {"IpFixCollectors": []}
        for shards in SHARDS:
            settings = {**CALM, **collector, "Shards": shards, "ObservationPoints": devices, **properties}
            profile = lab.write(f"{shards}.json", json.dumps({"FlowMetadata": settings}))
            out = lab.path(f"{shards}.ipfix")
            self.all[shards] = lab.weir("probe", "-p", profile, "--stats", "-w", out, netns=ns), out
        for probe, _ in self.all.values():
            for device in devices:
                probe.expect(rf"interface {device}: .*up", 30)
            wait_for_loop(probe)

    def end(self):
        """What each says: {shards: (records, counters)}."""
        time.sleep(0.5)
        said = {}
        for shards, (probe, out) in self.all.items():
            probe.stop(timeout=60)
            lib.check("Sanitizer" not in probe.errors() and "Shards is 1" not in probe.errors(), probe.errors())
            said[shards] = records(out), json.loads(probe.output())
        return said


def same(said):
    """All agree, and nothing is lost."""
    one, counters = said[1]
    lib.equal(counters["source"]["droppedPackets"], 0, "lost by one meter")
    lib.check(sum(one.values()) > 20, f"{sum(one.values())} records")
    for shards, (rows, stats) in said.items():
        lib.equal(stats["source"]["droppedPackets"], 0, f"lost by {shards} meters")
        lib.equal(stats["source"]["packets"], counters["source"]["packets"], f"packets read by {shards} meters")
        lib.equal(stats["source"]["octets"], counters["source"]["octets"], f"octets read by {shards} meters")
        for name in "packets", "octets", "frames", "flows", "fragmentsJoined", "fragmentsUnjoined":
            lib.equal(stats["meter"][name], counters["meter"][name], f"{name} of {shards} meters")
        lib.equal((rows - one, one - rows), (Counter(), Counter()), f"records of {shards} meters, beside one")


def sums(rows):
    """Packets and octets of each flow key and interface."""
    told = ("packetDeltaCount", "octetDeltaCount", "tcpControlBits", "flowEndReason", "templateId")
    found = Counter()
    for row, times in rows.items():
        fields = dict(row)
        key = tuple((k, v) for k, v in row if k not in told)
        found[key, "packets"] += times * int(fields["packetDeltaCount"])
        found[key, "octets"] += times * int(fields["octetDeltaCount"])
    return found


# ---- packets of all kinds ----


def fragments(source, destination, number, payload):
    """The pieces of one IPv4 packet, in order."""
    whole = lib.udp(source, 4000 + number % 3, destination, 53, payload)
    head, data = whole[:20], whole[20:]
    for at in range(0, len(data), 64):
        piece = data[at : at + 64]
        more = 0x2000 if at + 64 < len(data) else 0
        h = head[:2] + struct.pack("!HHH", 20 + len(piece), number & 0xFFFF, more | at // 8) + head[8:10] + b"\0\0" + head[12:]
        yield h[:10] + struct.pack("!H", lib.checksum(h)) + h[12:] + piece


def with_extensions(packet, chance):
    """IPv6 with headers between, a fragment header among them."""
    protocol, rest = packet[6], packet[40:]
    for kind in chance.sample((0, 60, 43, 44), chance.randint(1, 3)):
        if kind == 44:
            header = struct.pack("!BBHI", protocol, 0, chance.choice((0, 1, 0x40)), chance.randint(1, 9))
        elif kind == 43:
            header = struct.pack("!BBBBI", protocol, 0, 0, 0, 0)
        else:
            header = struct.pack("!BBBBI", protocol, 0, 1, 4, 0)
        rest, protocol = header + rest, kind
    return packet[:4] + struct.pack("!HB", len(rest), protocol) + packet[7:40] + rest


def packets_of_all_kinds(chance, count):
    """IP packets between few hosts, both ways."""
    out = []
    while len(out) < count:
        v6 = chance.random() < 0.4
        a, b = (f"fd09::{chance.randint(1, 9):x}" if v6 else f"10.20.{chance.randint(1, 9)}.7" for _ in "ab")
        port, payload = chance.randint(1000, 1004), b"x" * chance.randint(0, 300)
        kind = chance.choice(("udp", "tcp", "tcp", "icmp", "other", "odd"))
        if kind == "udp":
            packet = lib.udp(a, port, b, 443, payload)
        elif kind == "tcp":
            packet = lib.tcp(a, port, b, 443, chance.choice(("A", "PA", "S")), payload)
        elif kind == "icmp":
            packet = lib.icmp_echo(a, b, chance.random() < 0.5)
        else:
            packet = lib.ip_packet(a, b, chance.choice((47, 50, 89, 132)), payload + b"y" * 20)
        if kind == "odd" and v6:
            packet = with_extensions(packet, chance)
        elif kind == "odd":
            # Few: the table of fragments is small, and which of them go when it is full is chance.
            out += fragments("10.20.1.7", f"10.20.{chance.randint(1, 5)}.7", chance.randint(1, 4), b"f" * chance.randint(65, 300))
            continue
        elif not v6 and chance.random() < 0.1:
            packet = bytes([0x46]) + packet[1:2] + struct.pack("!H", len(packet) + 4) + packet[4:20] + b"\1\1\1\0" + packet[20:]
        out.append(packet)
    return out


def frames_of_all_kinds(chance, packets):
    """The packets behind Ethernet, some behind more than that, and frames without any."""
    ethernet = bytes.fromhex("020000000001020000000002")
    for packet in packets:
        kind = packet[0] >> 4
        ether_type = b"\x08\x00" if kind == 4 else b"\x86\xdd"
        ppp = b"\x00\x21" if kind == 4 else b"\x00\x57"
        yield ethernet + chance.choices(
            (
                ether_type + packet,
                bytes.fromhex("88a8001481000064") + ether_type + packet,
                bytes.fromhex("8847000013ff000021ff") + packet,
                bytes.fromhex("886411000001") + struct.pack("!H", len(packet) + 2) + ppp + packet,
                struct.pack("!H", len(packet) + 8) + bytes.fromhex("aaaa03000000") + ether_type + packet,
                bytes.fromhex("080600010800060400010200000000020a14010702000000000b0a140207") + bytes(18),
                ether_type + packet[: chance.randint(1, 19)],
                b"\x90\x00" + bytes(50),
            ),
            (80, 4, 4, 4, 2, 2, 2, 2),
        )[0]


def send_frames(ns, device, frames):
    with ns.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind((device, 0))
        for frame in frames:
            sender.send(frame)


def quiet(ns):
    """No packets but those of the test."""
    for which in "all", "default":
        ns.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{which}/disable_ipv6")


def pair(lab):
    a, b = lab.namespace(), lab.namespace()
    for ns in a, b:
        quiet(ns)
    a.ip("link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", b.name)
    for ns, device in (a, "va"), (b, "vb"):
        ns.ip("link", "set", device, "up")
    return a, b


# ---- tests ----


def test_ethernet():
    """Tags, labels and tunnels, fragments and extension headers, ARP and nonsense, in and out."""
    chance = random.Random(6)
    lib.need_root()
    with lib.Lab() as lab:
        a, b = pair(lab)
        probes = Probes(lab, a, ["va"])
        send_frames(b, "vb", frames_of_all_kinds(chance, packets_of_all_kinds(chance, PACKETS)))
        send_frames(a, "va", frames_of_all_kinds(chance, packets_of_all_kinds(chance, PACKETS)))
        same(probes.end())


def test_tun():
    """No link header: what the device gets, and what it is sent."""
    chance = random.Random(7)
    with lib.Lab() as lab:
        ns = lab.namespace()
        quiet(ns)
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.20.1.1/16")
            probes = Probes(lab, ns, ["tun0"], Biflows=True, TotalCounters=True, ExtraFields={"Ttl": True})
            for packet in packets_of_all_kinds(chance, PACKETS):
                tun.deliver(packet)
            for host in range(2, 60):
                for _ in range(3):
                    lib.send_out(ns, f"10.20.9.{host}", lib.udp("10.20.1.1", 99, f"10.20.9.{host}", 100, b"out"))
            said = probes.end()
        same(said)


def between(rows, addresses):
    """The records of what these said to each other."""
    return Counter({row: n for row, n in rows.items() if sum(value in addresses for name, value in row if name.endswith("Address")) == 2})


def test_wireguard():
    """An overlay with real traffic, IPv4 and IPv6."""
    lib.need_root()
    with lib.Lab() as lab:
        a, b = lab.namespace(), lab.namespace()
        mine, other = lab.overlay([a, b], lab.join([a, b]))
        probes = Probes(lab, a, [mine.device])
        for address in other.v4, other.v6:
            lib.run(["ping", "-c", "20", "-i", "0.01", "-s", "3000", address], netns=a.name, timeout=60)
        for host in range(40):
            for family, at in (socket.AF_INET, other.v4), (socket.AF_INET6, other.v6):
                with a.entered():
                    s = socket.socket(family, socket.SOCK_DGRAM)
                with s:
                    for _ in range(5):
                        s.sendto(b"x" * 50, (at, 7000 + host))
        said = probes.end()
        ours = {mine.v4, mine.v6, other.v4, other.v6}
        one = between(said[1][0], ours)
        lib.check(len(one) >= 84, f"{len(one)} records")
        for shards, (rows, stats) in said.items():  # neighbours and routers are looked for at any time
            lib.equal(stats["source"]["droppedPackets"], 0, f"lost by {shards} meters")
            lib.equal(between(rows, ours), one, f"records of {shards} meters")


def ups(probe):
    return len(re.findall(r"interface tun0: (?:up,|.*, up$)", probe.errors(), re.M))


def test_flap():
    """An interface that goes down and up, and one that is made anew. All packets are told, once; how many records tell
    of a key depends on whether a probe had time to see the interface down."""
    with lib.Lab() as lab:
        ns = lab.namespace()
        quiet(ns)
        sent, expected, probes = 0, 0, None
        for turn in range(3):
            with lib.Tun(ns, "tun0") as tun:
                tun.up("10.20.1.1/16")
                probes = probes or Probes(lab, ns, ["tun0"])
                for again in range(2):
                    if again:
                        ns.ip("link", "set", "tun0", "down")
                        ns.ip("link", "set", "tun0", "up")
                    expected += 1
                    for probe, _ in probes.all.values():
                        lib.wait_for("the probe has seen it", lambda: ups(probe) >= expected, 30)
                    for packet in packets_of_all_kinds(random.Random(turn), 300):
                        tun.deliver(packet)
                        sent += 1
                    time.sleep(0.3)  # the kernel hands over the last of them
        said = probes.end()
        for shards, (rows, stats) in said.items():
            lib.equal(stats["meter"]["packets"], sent, f"packets of {shards} meters")
            lib.equal(sums(rows), sums(said[1][0]), f"sums of {shards} meters")


def test_reload():
    """SIGHUP while they run: another timeout is taken by all of them."""
    with lib.Lab() as lab:
        ns = lab.namespace()
        quiet(ns)
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.20.1.1/16")
            probes = Probes(lab, ns, ["tun0"])
            packets = packets_of_all_kinds(random.Random(8), 500)
            for packet in packets:
                tun.deliver(packet)
            for shards, (probe, _) in probes.all.items():
                path = lab.path(f"{shards}.json")
                text = path.read_text(encoding="utf-8").replace(str(CALM["IdleTimeout"]), "1000")
                path.write_text(text, encoding="utf-8")
                os.kill(probe.pid, signal.SIGHUP)
                probe.expect("the profile is taken: 1 properties changed", 30)
            before = {out: out.stat().st_size for _, out in probes.all.values()}
            for host in range(200):
                tun.deliver(lib.udp(f"10.20.77.{host}", 5000, "10.20.78.1", 53, b"new"))
            for out, size in before.items():
                lib.wait_for("idle flows end", lambda: out.stat().st_size > size + 200 * 50, 60)
            said = probes.end()
        for shards, (_, stats) in said.items():
            lib.check(stats["meter"]["records"]["idle"] > 0, f"{shards} meters end idle flows")
            lib.equal(stats["meter"]["packets"], stats["source"]["packets"] - undecoded(stats), f"{shards} meters: all are counted")


def undecoded(stats):
    return sum(count for name, count in stats["meter"]["frames"].items() if name != "flow")


def test_overload():
    """A ring that is much too small: what is not in records is told as lost."""
    lib.need_root()
    with lib.Lab() as lab:
        a, b = pair(lab)
        probes = Probes(lab, a, ["va"], RingSize=65536)
        frames = [bytes.fromhex("020000000001020000000002") + b"\x08\x00" + p for p in packets_of_all_kinds(random.Random(9), 2000) if p[0] >> 4 == 4]
        for probe, _ in probes.all.values():
            os.kill(probe.pid, signal.SIGSTOP)
        for _ in range(5):
            send_frames(b, "vb", frames)
        for probe, _ in probes.all.values():
            os.kill(probe.pid, signal.SIGCONT)
        said = probes.end()
        for shards, (rows, stats) in said.items():
            lost, seen = stats["source"]["droppedPackets"], stats["meter"]["packets"]
            lib.check(lost > 0, f"{shards} meters lose")
            lib.equal(lost + seen, 5 * len(frames), f"{shards} meters: lost and seen")


def test_what_is_one_meter():
    """Where packets have to be in one place there is one meter, and the log says why."""
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.20.1.1/16")
            for properties, why in (
                ({"Selection": ["Count/1/2"]}, "packets are selected"),
                ({"RecordSelection": ["Count/1/2"]}, "records are selected"),
                ({"NflogGroups": [5]}, "refused frames are told of"),
                ({"Capture": "ebpf"}, "Capture is not ring"),
            ):
                settings = {"Shards": 2, "ObservationPoints": ["tun0"], **properties}
                profile = lab.write("one.json", json.dumps({"FlowMetadata": settings}))
                probe = lab.weir("probe", "-p", profile, "-w", lab.path("one.ipfix"), netns=ns)
                probe.expect(f"Shards is 1, because {why}", 30)
                wait_for_loop(probe)
                probe.stop()


lib.main(globals())
