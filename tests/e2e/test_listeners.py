"""weir collect behind TLS and DTLS: its settings; and floods of half-open handshakes do not stop a good exporter. Versions and
certificates are tried in test_handshakes.py."""

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time

import collect_lib as cl
import lib
from tls_lib import certificate, identity

FLOWS = 2000
FAILED = "weir_receiver_handshakes_failed_total"


class Scene(lib.Lab):
    """Certificates, a capture file, and a collector that listens over TLS and DTLS."""

    def __enter__(self):
        super().__enter__()
        lib.need("openssl")
        certificate(self.folder, "ca")
        certificate(self.folder, "collector", "ca", "DNS:flows.example")
        certificate(self.folder, "probe", "ca", "DNS:probe.example")
        return self

    def tls_words(self, prefix="--tls-", certificate_of="collector"):
        return [f"{prefix}certificate", self.path(f"{certificate_of}.pem"), f"{prefix}key", self.path(f"{certificate_of}.key"),
                f"{prefix}ca", self.path("ca.pem")]  # fmt: skip

    def collector(self, *options):
        self.tls, self.dtls = cl.free_port(), cl.free_port()
        words = ["-l", f"Tls/127.0.0.1:{self.tls}", "-l", f"Dtls/127.0.0.1:{self.dtls}", *self.tls_words(), "--workers", "1"]
        return cl.Collector(self, *words, *options, listen=False)

    def profile(self, collectors, **tls):
        known = {"Certificate": "probe.pem", "Key": "probe.key", "Ca": "ca.pem"}
        settings = {k: str(self.path(v)) for k, v in known.items()} | {"ServerName": "flows.example"} | tls
        path = self.path("weir.json")
        content = {"FlowMetadata": {"IpFixCollectors": collectors, "ReconnectInterval": 1000, "Tls": settings}}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def export(self, collector, **tls):
        """What the exporter says while it sends FLOWS flows."""
        pcap = self.path("flows.pcap")
        if not pcap.exists():
            lib.write_pcap(pcap, [(1700000000 + i / 1000, lib.udp("10.0.0.1", 1000 + i, "10.0.0.2", 53)) for i in range(FLOWS)])
        return lib.run([lib.WEIR, "probe", "-p", self.profile([collector], **tls), "-r", pcap, "--stats"], timeout=120)[2]

    def s_client(self, port, *words):
        """`openssl s_client` that goes on until it is ended; one message is on its standard input."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-servername", "flows.example", *words]
        with open(self.path("message"), "wb") as f:
            f.write(cl.message(cl.template(256, cl.FLOW)))
        with open(self.path("message"), "rb") as f:
            return lib.Process(command, self.folder, stdin=f)



def test_profile_and_usage():
    with Scene() as scene:
        # The profile's Tls object serves the collector too; options stand over it.
        profile = scene.profile([])
        port = cl.free_port()
        collector = cl.Collector(scene, "-p", profile, "-l", f"Tls/127.0.0.1:{port}", "--tls-certificate",
                                 scene.path("collector.pem"), "--tls-key", scene.path("collector.key"), listen=False)  # fmt: skip
        scene.export(f"Tls/127.0.0.1:{port}")
        lib.wait_for("all flows", lambda: cl.count(collector.store) == FLOWS, 60, 0.5)
        lib.equal(len(collector.sql("select distinct sourceTransportPort as p from flows")), FLOWS, "distinct flows")
        collector.stop()
        # Without a certificate there is no listener, and it says what is missing.
        err = lib.run([lib.WEIR, "collect", "-l", f"Tls/127.0.0.1:{port}"], expected=2)[2]
        lib.check("no Tls.Certificate" in err, err)
        words = [*scene.tls_words(), "--tls-minimum", "1.3", "-l", f"Dtls/127.0.0.1:{port}"]
        err = lib.run([lib.WEIR, "collect", *words], expected=2)[2]
        lib.check("allowed for Dtls: 1.2" in err, err)
        # Others may read the key: a warning.
        os.chmod(scene.path("collector.key"), 0o644)
        with lib.Process([lib.WEIR, "collect", *scene.tls_words(), "-l", f"Tls/127.0.0.1:{port}"], scene.folder) as p:
            p.expect("every user can read this key", 30)


def end_alone(scene, version):
    """A session whose close_notify comes when all before it is read: what the exporter then hears of the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(scene.path("ca.pem"))
    context.load_cert_chain(scene.path("probe.pem"), scene.path("probe.key"))
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing)

    def step(connection, call, *words):
        while True:
            try:
                return call(*words)
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                if call == session.unwrap:
                    return None
                incoming.write(connection.recv(1 << 14))
            finally:
                connection.sendall(outgoing.read())

    with socket.create_connection(("127.0.0.1", scene.tls), timeout=30) as connection:
        step(connection, session.do_handshake)
        for _ in range(3):
            before = scene.heard.sum("weir_receiver_messages_total")
            step(connection, session.write, cl.message(cl.template(256, cl.FLOW)))
            lib.wait_for("the message", lambda b=before: scene.heard.sum("weir_receiver_messages_total") > b, 30)
        step(connection, session.unwrap)
        while connection.recv(1 << 14):
            pass  # session tickets


def test_an_end_in_order():
    """Everything was read, so the connection ends by a FIN and no reset, which would say the opposite."""
    with Scene() as scene:
        scene.heard = scene.collector()
        for n, version in enumerate((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), 1):
            end_alone(scene, version)
            ended = "weir_receiver_sessions_ended_total"
            lib.wait_for("the session's end", lambda: scene.heard.sum(ended) == n, 30)
            lib.equal(scene.heard.sum(ended, reason="peer"), n, "ended by the peer")
        scene.heard.stop()


class Flood(threading.Thread):
    """Half-open handshakes from many sources, as fast as this thread gets them out, until it is told to stop."""

    def __init__(self, tls, dtls, hello):
        super().__init__(daemon=True)
        self.tls, self.dtls, self.hello = tls, dtls, hello
        self.over = threading.Event()
        self.connections, self.cookies, self.rounds = [], 0, 0
        self.start()

    def run(self):
        while not self.over.is_set():
            source = f"127.{1 + self.rounds % 5}.{self.rounds // 250 % 250}.{1 + self.rounds % 250}"
            self.rounds += 1
            self.connect(source)
            self.spray(source)
            time.sleep(0.001)

    def connect(self, source):
        """A TLS handshake that never goes on: half of a ClientHello."""
        s = socket.socket()
        s.setblocking(False)
        with contextlib.suppress(OSError):
            s.bind((source, 0))
            s.connect_ex(("127.0.0.1", self.tls))
            self.connections.append(s)
        if len(self.connections) > 8:
            with contextlib.suppress(OSError):
                self.connections[-8].send(b"\x16\x03\x01\x02\x00\x01")
        if len(self.connections) > 400:
            self.connections.pop(0).close()

    def spray(self, source):
        """DTLS: strangers without a cookie, and one that shows his and then is silent."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((source, 0))
            s.settimeout(0.02)
            s.connect(("127.0.0.1", self.dtls))
            with contextlib.suppress(OSError):
                for _ in range(8):
                    s.send(self.hello)
                answer = s.recv(2048)
                s.send(with_cookie(self.hello, answer))
                self.cookies += 1

    def end(self):
        self.over.set()
        self.join()
        for s in self.connections:
            s.close()


def dtls_hello(scene):
    """The first ClientHello of `openssl s_client`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(20)
        with scene.s_client(s.getsockname()[1], "-dtls1_2"):
            return s.recv(4096)


def with_cookie(hello, answer):
    """The ClientHello again, with the cookie of a HelloVerifyRequest (RFC 6347 4.2.1, 4.2.2)."""
    cookie = answer[28 : 28 + answer[27]]
    body = hello[25:]
    session = body[34]
    at = 35 + session
    body = body[:at] + bytes([len(cookie)]) + cookie + body[at + 1 :]
    length = struct.pack("!I", len(body))[1:]
    fragment = b"\x01" + length + struct.pack("!H", 1) + b"\0\0\0" + length + body
    return hello[:3] + struct.pack("!HHI", 0, 0, 1) + struct.pack("!H", len(fragment)) + fragment


def test_floods_of_half_open_handshakes():
    with Scene() as scene:
        collector = scene.collector()
        hello = dtls_hello(scene)
        with scene.s_client(scene.tls, "-tls1_3", *identity(scene.folder, "probe")):
            lib.wait_for("a session before the flood", lambda: collector.sum("weir_receiver_sessions_open") == 1, 30)
            flood = Flood(scene.tls, scene.dtls, hello)
            try:
                lib.wait_for("handshakes are half open", lambda: flood.cookies > 300 and flood.rounds > 400, 60)
                # In a flood one try may be crowded out; the exporter tries again.
                for transport, port in (("Tls", scene.tls), ("Dtls", scene.dtls)):
                    known = cl.count(collector.store)
                    for _ in range(3):
                        log = scene.export(f"{transport}/127.0.0.1:{port}")
                        if "were not sent" not in log:
                            break
                    lib.check("were not sent" not in log, f"{transport}\n{log}")
                    lib.wait_for("its flows", lambda k=known: cl.count(collector.store) >= k + FLOWS, 60, 0.5)
            finally:
                flood.end()
            lib.equal(collector.sum("weir_receiver_sessions_ended_total", reason="idle"), 0, "sessions that ended")
        rows = collector.metrics()
        lib.check(cl.total(rows, FAILED, reason="flood") + cl.total(rows, FAILED, reason="timeout") > 0, "nothing was bounded")
        lib.check(cl.total(rows, "weir_receiver_dtls_cookies_total") > 300, "cookies asked")
        lib.check(cl.resident(collector.pid()) < 400_000, "memory of the collector")
        collector.stop(timeout=60)


lib.main(globals())
