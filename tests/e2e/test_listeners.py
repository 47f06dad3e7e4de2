"""weir collect behind TLS and DTLS: `openssl s_client` with every version and every fault of a certificate ends as stated,
is counted by reason, and nothing of it is stored; the exporter likewise towards `openssl s_server`; floods of half-open
handshakes do not stop a good exporter."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import threading
import time

import collect_lib as cl
import lib

FLOWS = 2000
FAILED = "weir_receiver_handshakes_failed_total"
OLD = ("-cipher", "ALL:@SECLEVEL=0")


def certificate(folder, name, issuer=None, alternative=None):
    """NAME.pem and NAME.key, signed by the authority `issuer`, or by itself."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
    if issuer:
        words += ["-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    if alternative:
        words += ["-addext", f"subjectAltName={alternative}"]
    lib.run(words)


def expired_certificate(folder, name, issuer):
    request, config = folder / "old.csr", folder / "old.conf"
    (folder / "old.index").write_text("", encoding="ascii")
    (folder / "old.serial").write_text("01\n", encoding="ascii")
    config.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/old.index\nserial={folder}/old.serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n",
        encoding="ascii",
    )
    words = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"]
    lib.run([*words, "-keyout", folder / f"{name}.key", "-out", request])
    words = ["openssl", "ca", "-batch", "-notext", "-config", config, "-in", request, "-out", folder / f"{name}.pem"]
    words += ["-cert", folder / f"{issuer}.pem", "-keyfile", folder / f"{issuer}.key"]
    lib.run([*words, "-startdate", "20200101000000Z", "-enddate", "20210101000000Z"])


class Scene(lib.Lab):
    """Certificates, a capture file, and a collector that listens over TLS and DTLS."""

    def __enter__(self):
        super().__enter__()
        lib.need("openssl")
        certificate(self.folder, "ca")
        certificate(self.folder, "other")
        certificate(self.folder, "collector", "ca", "DNS:flows.example")
        certificate(self.folder, "probe", "ca", "DNS:probe.example")
        certificate(self.folder, "named", "ca", "DNS:elsewhere.example")
        certificate(self.folder, "foreign", "other", "DNS:probe.example")
        expired_certificate(self.folder, "expired", "ca")
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

    def identity(self, name):
        return ["-cert", self.path(f"{name}.pem"), "-key", self.path(f"{name}.key")]


def test_versions_and_faults_at_the_listeners():
    """Each case: which counter it moves, and only a good one brings a message."""
    good = "probe"
    cases = [
        ("TLS 1.2", "tls", ["-tls1_2"], good, None),
        ("TLS 1.3", "tls", ["-tls1_3"], good, None),
        ("TLS 1.1", "tls", ["-tls1_1", *OLD], good, "version"),
        ("TLS 1.0", "tls", ["-tls1", *OLD], good, "version"),
        ("DTLS 1.2", "dtls", ["-dtls1_2"], good, None),
        ("DTLS 1.0", "dtls", ["-dtls1", *OLD], good, "version"),
    ]
    for transport, words in (("tls", ["-tls1_2"]), ("tls", ["-tls1_3"]), ("dtls", ["-dtls1_2"])):
        cases += [
            (f"{words[0]}: no certificate", transport, words, None, "no_certificate"),
            (f"{words[0]}: another CA", transport, words, "foreign", "untrusted"),
            (f"{words[0]}: its own CA", transport, words, "other", "untrusted"),
            (f"{words[0]}: another name", transport, words, "named", "name"),
            (f"{words[0]}: expired", transport, words, "expired", "expired"),
        ]
    with Scene() as scene:
        collector = scene.collector("--tls-allow", "probe.example")
        ports = {"tls": scene.tls, "dtls": scene.dtls}
        messages = 0
        for what, transport, words, identity, reason in cases:
            before = collector.sum(FAILED, reason=reason) if reason else 0
            with scene.s_client(ports[transport], *words, *(scene.identity(identity) if identity else [])):
                if reason:
                    lib.wait_for(f"{what}: counted as {reason}", lambda r=reason, b=before: collector.sum(FAILED, reason=r) > b, 30)
                else:
                    messages += 1
                    lib.wait_for(f"{what}: its message", lambda m=messages: collector.sum("weir_receiver_messages_total") == m, 30)
            lib.equal(collector.sum("weir_receiver_messages_total"), messages, f"{what}: messages taken")
            lib.equal(collector.sum("weir_receiver_sessions_accepted_total"), messages, f"{what}: sessions")
        with socket.create_connection(("127.0.0.1", scene.tls)) as plain:
            plain.sendall(cl.message(cl.template(256, cl.FLOW)))
            lib.wait_for("octets that are no TLS", lambda: collector.sum(FAILED, reason="version") >= 4, 30)
        log = collector.process.errors()
        lib.check('is "probe"' in log and "refused: " in log, log)
        collector.stop()


def test_exporter_refuses_collectors():
    """The other side: s_server with each fault; not one octet of a record leaves."""
    cases = [
        ("another CA", "tls", ["-tls1_3"], "foreign", "is refused"),
        ("another name", "tls", ["-tls1_2"], "named", "it is not for the name"),
        ("expired", "tls", ["-tls1_3"], "expired", "expired"),
        ("TLS 1.1", "tls", ["-tls1_1", *OLD], "collector", "protocol version"),
        ("another CA", "dtls", ["-dtls1_2"], "foreign", "is refused"),
        ("DTLS 1.0", "dtls", ["-dtls1", *OLD], "collector", "it refuses us"),
    ]
    with Scene() as scene:
        for what, transport, words, identity, said in cases:
            port = cl.free_port()
            command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", *words, *scene.identity(identity)]
            with lib.Process(command, scene.folder, stdin=subprocess.PIPE) as server:
                lib.wait_for("s_server listens", lambda p=port: is_bound(p), 20)
                log = scene.export(f"{transport.capitalize()}/127.0.0.1:{port}")
                lib.check(said in log, f"{transport}, {what}: {said!r} expected\n{log}")
                lib.check(f"{FLOWS} flow records were not sent" in log, f"{transport}, {what}\n{log}")
                lib.equal(server.output(), "", f"{transport}, {what}: octets of records")


def is_bound(port):
    word = f":{port:04X} "
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{name}", encoding="ascii") as f:
            if any(word in line.split("  sl")[-1][:60] for line in f):
                return True
    return False


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
        with scene.s_client(scene.tls, "-tls1_3", *scene.identity("probe")):
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
