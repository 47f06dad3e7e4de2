"""Frames that WireGuard cannot send: the peers say why, and each is a refused flow."""

import json
import socket
import time

import lib

NOBODY, UNREACHABLE, SILENT = 99, 50, 60  # host numbers
NO_PEER, NO_ENDPOINT, NO_SESSION = 3, 4, 5  # denialReason
STATUS = {NO_PEER: 131, NO_ENDPOINT: 132, NO_SESSION: 132}


def key(lab):
    return lib.run(["wg", "pubkey"], stdin_text=lib.run(["wg", "genkey"])[1].strip())[1].strip()


def address(host, version):
    return f"10.77.0.{host}" if version == 4 else f"fd77::{host:x}"


def ask(ns, host, port):
    for version, family in (4, socket.AF_INET), (6, socket.AF_INET6):
        with ns.socket(family) as s:
            s.sendto(b"question", (address(host, version), port))


def mine(flows, host, port):
    wanted = {address(host, 4), address(host, 6)}
    return [
        f for f in flows
        if f.get("destinationTransportPort") == port and f.get("destinationIPv4Address", f.get("destinationIPv6Address")) in wanted
    ]  # fmt: skip


def start(lab, peer, sink, **more):
    section = {"IpFixCollectors": [sink.spec()], "ObservationPoints": [peer.device], "IdleTimeout": 60000, "PeerCheck": True, **more}
    path = lab.write(lab.unique("profile") + ".json", json.dumps({"FlowMetadata": section}))
    probe = lab.weir("probe", "-p", path, "--stats", netns=peer.ns)
    probe.expect(f"interface {peer.device}: .* up")
    lib.wait_for("a packet socket", lambda: any(r.split()[5] == "1" for r in peer.ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]), 20)
    return probe


def check_refused(flows, host, port, reason, packets, index):
    found = mine(flows, host, port)
    what = f"{host}, port {port}"
    lib.equal(len(found), 2, f"{what}: records, one for IPv4 and one for IPv6")
    for f in found:
        lib.equal((f.get("denialReason"), f.get("denialClass"), f.get("denialRuleName")), (reason, 0, ""), f"{what}: reason, and no trust")
        lib.equal((f["forwardingStatus"], f["firewallEvent"]), (STATUS[reason], 3), f"{what}: status")
        lib.equal((f["flowDirection"], f["egressInterface"]), (1, index), f"{what}: side")
        lib.equal((f["droppedPacketDeltaCount"], f["packetDeltaCount"]), (packets, packets), f"{what}: packets")


def test_reasons():
    """No peer, no endpoint, no session; and a peer that comes and goes while it is asked for."""
    with lib.Lab() as lab:
        a, b = lab.namespace("pa"), lab.namespace("pb")
        one, two = lab.overlay([a, b], lab.join([a, b]))
        lib.wait_for("the overlay", lambda: a.run("ping", "-c", "1", "-W", "1", two.v4, expected=None)[0] == 0, 30)
        for host, more in (UNREACHABLE, []), (SILENT, ["endpoint", "198.51.100.77:51820"]):
            a.run("wg", "set", one.device, "peer", key(lab), *more, "allowed-ips", f"{address(host, 4)}/32,{address(host, 6)}/128")
        sink = lib.UdpSink(lab, a)
        probe = start(lab, one, sink)
        ask(a, SILENT, 7000)  # from now on it is waited for
        waited = time.monotonic()
        for host in NOBODY, UNREACHABLE, 2:
            ask(a, host, 7001)
        late = key(lab)
        words = ["wg", "set", one.device, "peer", late, "endpoint", f"{two.underlay}:51820", "allowed-ips"]
        time.sleep(0.2)  # the peers may be read every 50 ms
        a.run(*words, f"{address(NOBODY, 4)}/32,{address(NOBODY, 6)}/128")
        time.sleep(0.2)
        ask(a, NOBODY, 7002)
        time.sleep(1)
        a.run("wg", "set", one.device, "peer", late, "remove")
        time.sleep(2)
        ask(a, NOBODY, 7003)
        time.sleep(max(0, waited + 8 - time.monotonic()))
        ask(a, SILENT, 7004)
        time.sleep(0.3)
        probe.stop()
        flows, index = sink.flows(), a.index_of(one.device)
        check_refused(flows, NOBODY, 7001, NO_PEER, 1, index)
        check_refused(flows, UNREACHABLE, 7001, NO_ENDPOINT, 1, index)
        check_refused(flows, NOBODY, 7003, NO_PEER, 1, index)
        check_refused(flows, SILENT, 7004, NO_SESSION, 1, index)
        for host, port, what in (2, 7001, "a peer"), (NOBODY, 7002, "a peer that has come"), (SILENT, 7000, "the first to a silent peer"):
            found = mine(flows, host, port)
            lib.equal(["forwardingStatus" in f for f in found], [False, False], f"{what}: not told as refused")
        stats = json.loads(probe.output())["denied"]["peerCheck"]
        lib.equal((stats["failedReads"], stats["peers"]), (0, 3), "reads that failed, and peers")


def test_direction():
    """A refused frame is told under each Direction."""
    with lib.Lab() as lab:
        a, b = lab.namespace("da"), lab.namespace("db")
        one, _ = lab.overlay([a, b], lab.join([a, b]))
        for port, word in enumerate(("Both", "SendingToPeer", "ReceivedFromPeer"), 4740):
            sink = lib.UdpSink(lab, a, port=port)
            probe = start(lab, one, sink, Direction=word)
            ask(a, NOBODY, 7001)
            time.sleep(0.3)
            probe.stop()
            check_refused(sink.flows(), NOBODY, 7001, NO_PEER, 1, a.index_of(one.device))


if __name__ == "__main__":
    lib.main(globals())
