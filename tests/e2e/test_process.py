"""Process and user of flows (ExtraFields.Process): of sockets made since the probe began, and never a wrong one."""

import json
import os
import pwd
import re
import socket
import subprocess
import sys

import lib

CANNOT = r"process and user are not told: ([^\n]*)"
SOMEBODY = 54321  # a user that has no name
NOBODY = pwd.getpwnam("nobody")

# Speaks when it is told to: a line on standard input makes its sockets, sends and waits for the answer.
CLIENT = """
import ctypes, os, socket, sys
user, kind, family, host, port = int(sys.argv[1]), sys.argv[2], getattr(socket, sys.argv[3]), sys.argv[4], int(sys.argv[5])
ctypes.CDLL(None).prctl(15, sys.argv[6].encode(), 0, 0, 0)
os.setgid(user)
os.setuid(user)
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(60)
print("made", flush=True)
sys.stdin.readline()
s.connect((host, port))
print(s.getsockname()[1], flush=True)
for n in range(3):
    s.send(b"question")
    assert s.recv(100)
s.close()
"""

SERVER = """
import ctypes, os, socket, sys
user, kind, family, host = int(sys.argv[1]), sys.argv[2], getattr(socket, sys.argv[3]), sys.argv[4]
ctypes.CDLL(None).prctl(15, sys.argv[5].encode(), 0, 0, 0)
os.setgid(user)
os.setuid(user)
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.bind((host, 0))
if kind == "tcp":
    s.listen()
print(s.getsockname()[1], flush=True)
while True:
    if kind == "tcp":
        peer = s.accept()[0]
        while peer.recv(100):
            peer.send(b"answer")
        peer.close()
    else:
        s.sendto(b"answer", s.recvfrom(100)[1])
"""


class Program:
    """A Python program in a namespace; `ip netns exec` becomes it, so its pid is known."""

    def __init__(self, lab, ns, text, *words):
        words = ["ip", "netns", "exec", ns.name, sys.executable, "-c", text, *map(str, words)]
        self.popen = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.callback(self.end)
        self.pid = self.popen.pid
        self.first = self.popen.stdout.readline().strip()

    def go(self):
        """(its port, when it is done)."""
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()
        port = int(self.popen.stdout.readline())
        lib.equal(self.popen.wait(60), 0, "the client")
        return port

    def end(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def pair(lab):
    left, right = lab.namespace(), lab.namespace()
    a, b = lab.unique("va"), lab.unique("vb")
    left.ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", right.name)
    for ns, device, number in ((left, a, 1), (right, b, 2)):
        ns.ip("address", "add", f"10.8.0.{number}/24", "dev", device)
        ns.ip("address", "add", f"fd98::{number}/64", "dev", device, "nodad")
        ns.ip("link", "set", device, "up")
    return left, right, a, b


class Probe:
    def __init__(self, lab, ns, device, **more):
        self.file = lab.path(lab.unique("out") + ".ipfix")
        settings = {"ExtraFields": {"Process": True}, "IdleTimeout": 60000, "TcpLinger": 60000, **more}
        profile = lab.write(lab.unique("p") + ".json", json.dumps({"FlowMetadata": settings}))
        self.probe = lab.weir("probe", "-i", device, "-p", profile, "--stats", "-w", self.file, netns=ns)
        said = self.probe.expect(rf"interface .*index|{CANNOT}", 30)
        if said.group(1):
            raise lib.Skip(f"this kernel does not tell: {said.group(1)}")
        self.wait_until_programs_are_there(ns, device)

    def wait_until_programs_are_there(self, ns, device):
        """The last thing before it heeds signals."""

        def heeds():
            caught = re.search(r"^SigCgt:\s*(\w+)", lib.Path(f"/proc/{self.probe.pid}/status").read_text(encoding="ascii"), re.MULTILINE)
            return int(caught.group(1), 16) >> 14 & 1

        lib.wait_for("SIGTERM is heeded", heeds, 30)

    def finish(self):
        self.probe.stop(timeout=60)
        return lib.flows(lib.dump(self.file)), json.loads(self.probe.output())


def owner(r):
    return r["localProcessId"], r["localProcessName"], r["userName"]


def check_owner(records, protocol, port, expected, what):
    """Both directions of one conversation, by the port of one side, have one owner."""
    of = {r["flowDirection"]: owner(r) for r in records if r["protocolIdentifier"] == protocol and port in (r.get("sourceTransportPort"), r.get("destinationTransportPort"))}
    lib.equal(of, {0: expected, 1: expected}, what)


KINDS = [(k, f, a) for k in ("tcp", "udp") for f, a in (("AF_INET", ("10.8.0.1", "10.8.0.2")), ("AF_INET6", ("fd98::1", "fd98::2")))]


def clients_and_servers(capture):
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        old = [Program(lab, left, SERVER, 0, "udp", "AF_INET", "10.8.0.1", "old"), Program(lab, left, SERVER, 0, "tcp", "AF_INET", "10.8.0.1", "old")]
        old_client = Program(lab, left, CLIENT, 0, "udp", "AF_INET", "10.8.0.2", Program(lab, right, SERVER, 0, "udp", "AF_INET", "10.8.0.2", "far").first, "old")
        probe, expected = Probe(lab, left, a, Capture=capture), []
        for kind, family, (here, there) in KINDS:
            number = socket.IPPROTO_TCP if kind == "tcp" else socket.IPPROTO_UDP
            far = Program(lab, right, SERVER, 0, kind, family, there, "far")
            near = Program(lab, left, CLIENT, NOBODY.pw_uid, kind, family, there, far.first, f"client-{kind}")
            expected.append((number, near.go(), (near.pid, f"client-{kind}", NOBODY.pw_name), f"client, {kind}, {family}"))
            server = Program(lab, left, SERVER, SOMEBODY, kind, family, here, f"server-{kind}")
            asks = Program(lab, right, CLIENT, 0, kind, family, here, server.first, "far")
            expected.append((number, asks.go(), (server.pid, f"server-{kind}", str(SOMEBODY)), f"server, {kind}, {family}"))
        for server, kind in zip(old, ("udp", "tcp")):
            asks = Program(lab, right, CLIENT, 0, kind, "AF_INET", "10.8.0.1", server.first, "far")
            expected.append((17 if kind == "udp" else 6, asks.go(), (0, "", ""), f"a server from before, {kind}"))
        expected.append((17, old_client.go(), (0, "", ""), "a client from before"))
        records, told = probe.finish()
        for protocol, port, whose, what in expected:
            check_owner(records, protocol, port, whose, what)
        lib.equal(told["owners"]["lost"], 0, "events lost")
        pings = [owner(r) for r in records if r["protocolIdentifier"] not in (6, 17)]
        lib.check(all(o == (0, "", "") for o in pings), f"what has no socket: {pings}")
        print(f"{capture}: {len(expected)} conversations with the right owner")


def test_with_the_ring():
    clients_and_servers("ring")


def test_counted_in_the_kernel():
    clients_and_servers("ebpf")


def test_ports_that_are_used_again():
    """One port, one process after another, in one flow or two: the last one; and one from before has no name."""
    with lib.Lab() as lab:
        left, right, a, b = pair(lab)
        before = left.socket()
        before.bind(("10.8.0.1", 0))
        port = before.getsockname()[1]
        far = right.socket()
        far.bind(("10.8.0.2", 0))
        to = far.getsockname()
        probe = Probe(lab, left, a, Capture="ring")
        mine = left.socket()
        before.sendto(b"x", to)
        far.settimeout(30)
        far.recvfrom(10)
        before.close()
        mine.bind(("10.8.0.1", port))
        mine.sendto(b"x", to)
        far.recvfrom(10)
        other = mine.getsockname()
        far.sendto(b"y", other)
        mine.settimeout(30)
        mine.recv(10)
        records, _ = probe.finish()
        name = pwd.getpwuid(os.getuid()).pw_name
        found = {owner(r)[0::2] for r in records if r["protocolIdentifier"] == 17 and r["flowDirection"] == 1 and r["sourceTransportPort"] == port}
        lib.equal(found, {(os.getpid(), name)}, "the last one")


def test_what_lacks_is_said():
    """Without the right, and over a capture file: one line, and all else goes on."""
    with lib.Lab() as lab:
        lib.need("setpriv")
        left, right, a, b = pair(lab)
        profile = lab.write("p.json", json.dumps({"FlowMetadata": {"ExtraFields": {"Process": True}}}))
        bounds = "-all,+net_raw"
        words = ["setpriv", "--bounding-set", bounds, "--inh-caps", bounds, lib.WEIR, "probe", "-i", a, "-p", profile, "-w", lab.path("f.ipfix")]
        probe = lab.start(words, left)
        probe.expect(CANNOT, 30)
        probe.expect("interface .*index", 30)
        lib.wait_for("a ping", lambda: "1 received" in left.run("ping", "-c", "1", "-W", "1", "10.8.0.2", expected=None)[1], 30)
        probe.stop(timeout=60)
        lib.check(any(r["protocolIdentifier"] == 1 and owner(r) == (0, "", "") for r in lib.flows(lib.dump(lab.path("f.ipfix")))), "it meters")


lib.main(globals())
