"""Records over TCP, TLS and DTLS to other people's programs: a plain socket, `openssl s_server`.

What the collector got is an IPFIX stream, and `weir dump` reads it: every flow is there once, the sequence has no gap.
Certificates are made by `openssl`; versions and faults of them are tried in test_handshakes.py."""

import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import lib
from tls_lib import certificate

FLOWS = 2000
DATAGRAM_FLOWS = 400  # what fits into the receive buffer of a program that does not hurry


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def capture(folder, flows):
    packets = [(1700000000 + i / 1000, lib.udp("10.0.0.1", 1000 + i, "10.0.0.2", 53, b"x" * (i % 50))) for i in range(flows)]
    return lib.write_pcap(Path(folder) / "flows.pcap", packets)


class Scene:
    """A folder with a capture file, an authority and three certificates."""

    def __init__(self, certificates=False, flows=FLOWS):
        self.certificates, self.flows = certificates, flows

    def __enter__(self):
        self.held = tempfile.TemporaryDirectory(prefix="weir-transports-")
        self.folder = Path(self.held.name)
        self.pcap = capture(self.folder, self.flows)
        if self.certificates:
            lib.need("openssl")
            certificate(self.folder, "ca")
            certificate(self.folder, "collector", "ca", "DNS:flows.example")
            certificate(self.folder, "probe", "ca", "DNS:probe.example")
        return self

    def __exit__(self, *unused):
        self.held.cleanup()

    def profile(self, collector, tls=True):
        settings = {"IpFixCollectors": [collector], "ReconnectInterval": 1000}
        if tls:
            settings["Tls"] = {
                "Certificate": str(self.folder / "probe.pem"),
                "Key": str(self.folder / "probe.key"),
                "Ca": str(self.folder / "ca.pem"),
                "ServerName": "flows.example",
            }
        path = self.folder / "weir.json"
        path.write_text(json.dumps({"FlowMetadata": settings}), encoding="utf-8")
        return path

    def export(self, collector, tls=True, expected=0):
        """What weir logs and counts while it sends the capture file's flows."""
        words = [lib.WEIR, "probe", "-p", self.profile(collector, tls), "-r", self.pcap, "--stats"]
        return lib.run(words, expected=expected)[2]

    def check_all(self, octets, what):
        path = self.folder / "received.ipfix"
        path.write_bytes(octets)
        ports = sorted(r["sourceTransportPort"] for r in lib.flows(lib.dump(path)))
        lib.equal(len(ports), self.flows, f"records over {what}")
        lib.check(ports == list(range(1000, 1000 + self.flows)), f"{what}: a record came twice")


class Collector(threading.Thread):
    """Takes one connection, reads it to its end, `most` octets at a time."""

    def __init__(self, most, context=None):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.most, self.context = most, context
        self.octets = b""
        self.start()

    def run(self):
        peer, _ = self.listener.accept()
        if self.context:
            peer = self.context.wrap_socket(peer, server_side=True)
        parts = []
        while part := peer.recv(self.most):
            parts.append(part)
        self.octets = b"".join(parts)
        peer.close()

    def received(self):
        self.join(20)
        lib.check(not self.is_alive(), "the connection was not ended")
        self.listener.close()
        return self.octets


class OpensslServer:
    """`openssl s_server`: what comes over the connection goes to a file."""

    def __init__(self, scene, *words, datagrams=False):
        self.port = free_port(socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        self.path = scene.folder / "s_server.out"
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-quiet", "-naccept", "9"]
        command += ["-cert", scene.folder / "collector.pem", "-key", scene.folder / "collector.key"]
        command += ["-CAfile", scene.folder / "ca.pem", "-Verify", "1", "-verify_return_error", *words]
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # it does not say when it is ready
        lib.check(self.process.poll() is None, f"s_server ended: {words}")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()

    def received(self, at_least):
        lib.wait_for("all octets are with s_server", lambda: len(self.path.read_bytes()) >= at_least)
        time.sleep(0.2)
        return self.path.read_bytes()


def test_80_81_tcp():
    with Scene() as scene:
        for most in (1, 7, 65536):
            collector = Collector(most)
            log = scene.export(f"Tcp/127.0.0.1:{collector.port}", tls=False)
            lib.check("were not sent" not in log, log)
            scene.check_all(collector.received(), f"TCP, read by {most}")


def test_82_tcp_refused():
    """Nobody listens: it ends within its patience, and says how many records were not sent."""
    with Scene() as scene:
        log = scene.export(f"Tcp/127.0.0.1:{free_port()}", tls=False)
        lib.check("cannot connect: Connection refused" in log, log)
        lib.check(f"{FLOWS} flow records were not sent" in log, log)


def test_90_92_tls():
    with Scene(certificates=True) as scene:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(scene.folder / "collector.pem", scene.folder / "collector.key")
        context.load_verify_locations(scene.folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        collector = Collector(1000, context)
        scene.export(f"Tls/127.0.0.1:{collector.port}")
        scene.check_all(collector.received(), "TLS")


def test_90_92_dtls():
    with Scene(certificates=True, flows=DATAGRAM_FLOWS) as scene:
        with OpensslServer(scene, "-dtls1_2", datagrams=True) as server:
            log = scene.export(f"Dtls/127.0.0.1:{server.port}")
            lib.check("DTLSv1.2" in log, log)
            scene.check_all(server.received(DATAGRAM_FLOWS * 50), "DTLS")


def test_92_no_certificate_of_ours():
    """Tls without a certificate is refused before anything is sent."""
    with Scene() as scene:
        log = scene.export("Tls/127.0.0.1:4740", tls=False, expected=2)
        lib.check("no Tls.Certificate" in log, log)
        words = [lib.WEIR, "probe", "-r", scene.pcap, "-c", "Tls/127.0.0.1:4740"]
        lib.check("no Tls.Certificate" in lib.run(words, expected=None)[2], "without a profile")


def test_85_sctp_without_kernel():
    with Scene(certificates=True) as scene:
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
            raise lib.Skip("this kernel has SCTP")
        except OSError:
            for scheme in ("Sctp", "DtlsSctp"):
                log = scene.export(f"{scheme}/127.0.0.1", tls=scheme == "DtlsSctp", expected=1)
                lib.check("this kernel has no SCTP" in log, log)


lib.main(globals())
