"""What the seed product promises of Direction, Interval, Enabled and IpFixCollectors, in namespaces."""

import json
import re
import socket
import time

import lib

PORT = 8443


def profile(lab, **properties):
    """A larger file with FlowMetadata inside, as the product has it."""
    text = json.dumps({"Id": "0", "VirtualAdapter": {"Mtu": 1280}, "FlowMetadata": properties}, indent=2)
    return lab.write(lab.unique("profile") + ".json", text)


class Overlay:
    """Two systems on a WireGuard overlay, a probe in each that is asked for, and a sink for every probe."""

    def __init__(self, lab, probes):
        self.lab = lab
        self.ns = [lab.namespace("a"), lab.namespace("b")]
        self.peers = lab.overlay(self.ns, lab.join(self.ns))
        self.peers[0].ns.run("ping", "-c", "1", "-W", "5", self.peers[1].v4)  # the handshake is over
        self.sinks, self.probes = [], []
        for peer, properties in zip(self.peers, probes):
            if properties is None:
                continue
            sink = lib.UdpSink(lab, peer.ns)
            path = profile(lab, IpFixCollectors=[sink.spec()], **properties)
            self.sinks.append(sink)
            self.probes.append(lab.probe(peer.ns, [peer.device], "-p", path))

    def session(self, family=socket.AF_INET, rounds=1, pause=0.0):
        """One TCP session from the first system to the second."""
        a, b = self.peers
        host = b.v4 if family == socket.AF_INET else b.v6
        listener = b.ns.socket(family, socket.SOCK_STREAM)
        client = a.ns.socket(family, socket.SOCK_STREAM)
        with listener, client:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, PORT))
            listener.listen(1)
            client.connect((host, PORT))
            server, _ = listener.accept()
            with server:
                for _ in range(rounds):
                    client.sendall(b"x" * 3000)
                    time.sleep(pause)
                    server.sendall(b"y" * 200)
                    lib.check(client.recv(1000), "an answer")

    def finish(self):
        """Records of the session, one list per probe."""
        time.sleep(0.5)
        for probe in self.probes:
            probe.stop()
        lib.wait_for("something was exported", lambda: all(s.messages for s in self.sinks), 5)
        return [
            [f for f in sink.flows() if PORT in (f.get("sourceTransportPort"), f.get("destinationTransportPort"))]
            for sink in self.sinks
        ]


def directions(records):
    return sorted(r["flowDirection"] for r in records)


def one_session(probes, family=socket.AF_INET, rounds=1, pause=0.0):
    lib.need_root()
    with lib.Lab() as lab:
        overlay = Overlay(lab, probes)
        overlay.session(family, rounds, pause)
        return overlay, overlay.finish()


def check_pair(overlay, records, observer):
    """One egress and one ingress record, each with the addresses its direction says."""
    lib.equal(directions(records), [0, 1], "directions of the records")
    for record in records:
        sends = record["flowDirection"] == 1
        mine, others = overlay.peers[observer], overlay.peers[1 - observer]
        source = lib.address(record, "source")
        lib.check(source in ((mine.v4, mine.v6) if sends else (others.v4, others.v6)), f"source {source} of a {record['flowDirection']}")
        lib.equal(record["protocolIdentifier"], 6, "protocol")
        lib.check(record["packetDeltaCount"] >= 4, "packets of a whole session")


def test_both_gives_two_records():
    overlay, (records,) = one_session([{"Direction": "Both"}, None])
    check_pair(overlay, records, 0)


def test_both_gives_two_records_ipv6():
    overlay, (records,) = one_session([{"Direction": "Both"}, None], socket.AF_INET6)
    check_pair(overlay, records, 0)


def test_default_is_both():
    overlay, (records,) = one_session([{}, None])
    check_pair(overlay, records, 0)


def test_sending_to_peer_gives_egress():
    _, (records,) = one_session([{"Direction": "SendingToPeer"}, None])
    lib.equal(directions(records), [1], "directions of the records")


def test_received_from_peer_gives_ingress():
    _, (records,) = one_session([{"Direction": "ReceivedFromPeer"}, None])
    lib.equal(directions(records), [0], "directions of the records")


def test_both_systems_give_four_records():
    overlay, (first, second) = one_session([{"Direction": "Both"}, {"Direction": "Both"}])
    check_pair(overlay, first, 0)
    check_pair(overlay, second, 1)
    # What one sends the other receives: the tunnel loses nothing here.
    for a, b in ((first, second), (second, first)):
        sent = next(r for r in a if r["flowDirection"] == 1)
        received = next(r for r in b if r["flowDirection"] == 0)
        for field in ("packetDeltaCount", "octetDeltaCount", "sourceTransportPort", "destinationTransportPort"):
            lib.equal(received[field], sent[field], f"{field} on both sides")


def test_interval_0_gives_one_record_per_direction():
    _, (records,) = one_session([{"Direction": "Both", "Interval": 0}, None], rounds=5, pause=0.5)
    lib.equal(directions(records), [0, 1], "directions of the records")
    lib.check(all(r["flowEndReason"] != 2 for r in records), f"no interim record: {records}")


def long_flow(lab):
    """A capture: UDP both ways every 7.3 s for 10 minutes."""
    packets = []
    for n in range(82):
        when = 1_700_000_000 + 7.3 * n
        packets.append((when + 0.125, lib.udp("10.1.0.1", 4000, "10.1.0.2", 5000, b"q" * (100 + n))))
        packets.append((when + 0.625, lib.udp("10.1.0.2", 5000, "10.1.0.1", 4000, b"a" * 50)))
    return lib.write_pcap(lab.path("long.pcap"), packets), packets


def interim_records(interval):
    with lib.Lab() as lab:
        path, packets = long_flow(lab)
        out = lab.path("o.ipfix")
        settings = profile(lab, Interval=interval)
        _, _, said = lib.run([lib.WEIR, "probe", "-p", settings, "-r", path, "-w", out, "--local", "10.1.0.1/32"])
        return packets, lib.flows(lib.dump(out)), said


def test_interval_60000_gives_records_a_minute_apart():
    packets, records, said = interim_records(60000)
    lib.check("documented" not in said, f"no warning about a multiple of a minute: {said!r}")
    for direction, source in ((1, "10.1.0.1"), (0, "10.1.0.2")):
        mine = sorted((r for r in records if r["flowDirection"] == direction), key=lambda r: r["flowStartMilliseconds"])
        wanted = [p for _, p in packets if p[12:16] == socket.inet_aton(source)]
        lib.equal({r["sourceIPv4Address"] for r in mine}, {source}, "source")
        lib.equal(sum(r["packetDeltaCount"] for r in mine), len(wanted), "packets of all records")
        lib.equal(sum(r["octetDeltaCount"] for r in mine), sum(map(len, wanted)), "octets of all records")
        lib.equal(len(mine), 10, "records in ten minutes")
        lib.equal(len({r["flowId"] for r in mine}), 1, "flow ids of one flow")
        lib.check(all(r["flowEndReason"] == 2 for r in mine[:-1]), f"interim records: {[r['flowEndReason'] for r in mine]}")
        lib.check(mine[-1]["flowEndReason"] != 2, "the last record ends the flow")
        born = lib.clock_ms(mine[0]["flowStartMilliseconds"])
        for minute, r in enumerate(mine):
            start, end = (lib.clock_ms(r[f"flow{which}Milliseconds"]) - born for which in ("Start", "End"))
            lib.equal(start // 60000, minute, f"minute in which record {minute} starts")
            # An interim record is due on the minute and may be late by one second.
            lib.check(start <= end <= (minute + 1) * 60000 + 1000, f"record {minute} ends {end} ms after the flow began")


def test_interval_0_over_a_capture_gives_one_record():
    packets, records, _ = interim_records(0)
    lib.equal(directions(records), [0, 1], "directions of the records")
    lib.equal([r["packetDeltaCount"] for r in records], [len(packets) // 2] * 2, "packets")


def test_odd_interval_is_honoured_with_a_warning():
    _, records, said = interim_records(90000)
    lib.equal(len(re.findall(r"(?i)interval", said)) >= 1, True, f"a warning: {said!r}")
    lib.check(any(r["flowEndReason"] == 2 for r in records), "interim records all the same")


def exports_nothing(properties, reason):
    """The exporter is off: it says so, once, and sends nothing."""
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.9.0.1/24")
            sink = lib.UdpSink(lab, ns)
            if "IpFixCollectors" not in properties:
                properties = {**properties, "IpFixCollectors": [sink.spec()]}
            probe = lab.weir("probe", "-p", profile(lab, **properties), "-i", "tun0", netns=ns)
            for _ in range(20):
                tun.deliver(lib.udp("10.9.0.2", 1, "10.9.0.1", 2, b"x"))
                time.sleep(0.05)
            if probe.running():
                probe.stop()
            else:
                lib.equal(probe.wait(), 0, "exit status of an exporter that is off")
            said = [line for line in probe.errors().splitlines() if "off" in line]
            lib.equal(len(said), 1, f"lines that say so in {probe.errors()!r}")
            lib.check(reason in said[0], f"the reason {reason!r} in {said[0]!r}")
            lib.equal(sink.messages, 0, "messages")


def test_enabled_false_exports_nothing():
    exports_nothing({"Enabled": False}, "Enabled")


def test_empty_collector_list_exports_nothing():
    exports_nothing({"Enabled": True, "IpFixCollectors": []}, "IpFixCollectors")


lib.main(globals())
