"""Every version of TLS and DTLS and every fault of a certificate, at the exporter (`openssl s_server`) and at the collector
(`openssl s_client`): one row each, with what the log has to say. Rows are tried side by side."""

import collections
import concurrent.futures
import json
import socket
import subprocess

import collect_lib as cl
import lib
from tls_lib import EXPIRED, FUTURE, certificate, identity

FLOWS = 100
AT_ONCE = 6
OLD = ("-cipher", "ALL:@SECLEVEL=0")
VERSIONS = ("tls1_2", "tls1_3", "dtls1_2")
SPOKEN = {"tls1_2": "TLSv1.2", "tls1_3": "TLSv1.3", "dtls1_2": "DTLSv1.2"}
VERIFY = ("-Verify", "1", "-verify_return_error", "-CAfile")

# What the collector shows (a certificate, words of s_server), what else is in our Tls, what our log says.
Row = collections.namedtuple("Row", "what shown words tls said", defaults=[(), {}, None])
LIST = {"AllowedNames": ["flows.example"]}
NOT_FOR = 'it is not for the name "flows.example"'
NOT_LISTED = "no name of it is in Tls.AllowedNames"
GOOD_COLLECTORS = (
    Row("both authenticated", "collector", (*VERIFY, "ca.pem")),
    Row("a DNS-ID on the list", "collector", tls=LIST),
    Row("a common name on the list, no DNS-ID", "cn", tls=LIST),
    Row("any DNS-ID of several", "several"),
)
BAD_COLLECTORS = (
    Row("another CA", "foreign", said="is refused: unable to get local issuer certificate"),
    Row("signed by itself", "other", said="is refused: self-signed certificate"),
    Row("another DNS-ID", "elsewhere", said=NOT_FOR),
    Row("the common name alone", "cn", said=NOT_FOR),
    Row("a common name that a DNS-ID contradicts", "contradicted", said=NOT_FOR),
    Row("no name on the list", "elsewhere", tls=LIST, said=NOT_LISTED),
    Row("the DNS-ID of ServerName, not on the list", "several", tls={"AllowedNames": ["b.example"]}, said=NOT_LISTED),
    Row("expired", "expired", said="is refused: certificate has expired"),
    Row("not yet valid", "future", said="is refused: certificate is not yet valid"),
    Row("our CA is unknown there", "collector", (*VERIFY, "other.pem"), said="it refuses us: tlsv1 alert unknown ca"),
    Row("ours is expired", "collector", (*VERIFY, "ca.pem"), {"Certificate": "expired.pem", "Key": "expired.key"}, "it refuses us: sslv3 alert certificate expired"),
)
# Of an older version nothing that we offer is left to choose: the alert is the server's.
OLD_COLLECTORS = (
    ("tls1", "it refuses us: tlsv1 alert protocol version"),
    ("tls1_1", "it refuses us: tlsv1 alert protocol version"),
    ("dtls1", "it refuses us: sslv3 alert handshake failure"),
)


def names(folder):
    certificate(folder, "ca")
    certificate(folder, "other")
    certificate(folder, "collector", "ca", "DNS:flows.example")
    certificate(folder, "cn", "ca", common_name="flows.example")
    certificate(folder, "contradicted", "ca", "DNS:elsewhere.example", common_name="flows.example")
    certificate(folder, "elsewhere", "ca", "DNS:elsewhere.example")
    certificate(folder, "several", "ca", "DNS:a.example,DNS:flows.example")
    certificate(folder, "foreign", "other", "DNS:flows.example,DNS:probe.example")
    certificate(folder, "expired", "ca", "DNS:flows.example,DNS:probe.example", when=EXPIRED)
    certificate(folder, "future", "ca", "DNS:flows.example,DNS:probe.example", when=FUTURE)
    certificate(folder, "probe", "ca", "DNS:probe.example")
    certificate(folder, "probe_cn", "ca", common_name="probe.example")


class Scene(lib.Lab):
    """Certificates, and a network of our own, so that ports are ours too."""

    def __enter__(self):
        super().__enter__()
        lib.need("openssl")
        self.ns = self.namespace()
        self.ports = iter(range(4800, 5000))
        names(self.folder)
        self.pcap = lib.write_pcap(self.path("flows.pcap"), [(1700000000 + i / 1000, lib.udp("10.0.0.1", 1000 + i, "10.0.0.2", 53)) for i in range(FLOWS)])
        return self

    def wait_bound(self, ports):
        def unbound():
            lines = self.ns.run("cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6")[1].splitlines()
            bound = {line.split()[1].split(":")[1] for line in lines if ":" in line}
            return [port for port in ports if f"{port:04X}" not in bound]

        lib.wait_for("all ports are listened to", lambda: not unbound(), 60, 0.2)

    def serve(self, version, row):
        port = next(self.ports)
        words = [self.path(w) if w.endswith(".pem") else w for w in row.words]
        command = ["openssl", "s_server", "-accept", port, "-quiet", f"-{version}", *words, *identity(self.folder, row.shown)]
        return port, self.start(command, self.ns, stdin=subprocess.PIPE)

    def probe(self, version, port, **tls):
        """What the exporter says while it sends FLOWS flows."""
        known = {"Certificate": "probe.pem", "Key": "probe.key", "Ca": "ca.pem", "ServerName": "flows.example"} | tls
        settings = {k: str(self.path(v)) if k in ("Certificate", "Key", "Ca") else v for k, v in known.items()}
        scheme = "Dtls" if version.startswith("dtls") else "Tls"
        content = {"FlowMetadata": {"IpFixCollectors": [f"{scheme}/127.0.0.1:{port}"], "ReconnectInterval": 1000, "Tls": settings}}
        profile = self.write(f"{port}.json", json.dumps(content))
        return self.ns.run(lib.WEIR, "probe", "-p", profile, "-r", self.pcap, "--stats", timeout=120)[2]


def side_by_side(tries):
    """Run each try(); every complaint, not only the first."""
    failed = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for future in [pool.submit(t) for t in tries]:
            try:
                future.result()
            except AssertionError as e:
                failed.append(str(e))
    lib.check(not failed, "\n\n".join(failed))


def taken(server):
    return len(lib.flows(lib.dump(server.out_path, expected=None)))


def probe_until(scene, version, row, port, wanted):
    """An exporter over a capture file has two seconds of patience, which a handshake on a busy machine may take: again, then."""
    for _ in range(8):
        log = scene.probe(version, port, **row.tls)
        if wanted(log):
            break
    return log


def good_collector(scene, version, row, port, server):
    what = f"{version}, {row.what}"
    log = probe_until(scene, version, row, port, lambda log: "were not sent" not in log)
    lib.check(SPOKEN[version] in log and "were not sent" not in log, f"{what}\n{log}")
    lib.wait_for(f"{what}: its records", lambda: taken(server) >= FLOWS, 30, 0.2)


def bad_collector(scene, version, row, port, server):
    what = f"{version}, {row.what}"
    log = probe_until(scene, version, row, port, lambda log: row.said in log)
    lib.check(row.said in log, f"{what}: {row.said!r} expected\n{log}")
    lib.check(f"{FLOWS} flow records were not sent" in log, f"{what}\n{log}")
    lib.equal(server.output(), "", f"{what}: octets of records")


def test_at_the_exporter():
    """Not one octet of a record goes to a collector with a fault."""
    rows = [(good_collector, v, row) for row in GOOD_COLLECTORS for v in VERSIONS]
    rows += [(bad_collector, v, row) for row in BAD_COLLECTORS for v in VERSIONS]
    rows += [(bad_collector, v, Row("an old version", "collector", OLD, said=said)) for v, said in OLD_COLLECTORS]
    rows += [(bad_collector, "tls1_2", Row("1.3 is the least", "collector", tls={"MinimumVersion": "1.3"}, said="protocol version"))]
    with Scene() as scene:
        running = [(check, version, row, *scene.serve(version, row)) for check, version, row in rows]
        scene.wait_bound([port for _, _, _, port, _ in running])
        side_by_side([lambda r=r: r[0](scene, *r[1:]) for r in running])


# What the exporter shows; the reason that is counted and the words of the log; no reason: it is taken.
Client = collections.namedtuple("Client", "what shown reason said", defaults=[None, None])
CLIENTS = (
    Client("both authenticated", "probe"),
    Client("a common name on the list", "probe_cn"),
    Client("no certificate", None, "no_certificate", "the exporter shows no certificate"),
    Client("another CA", "foreign", "untrusted", "unable to get local issuer certificate"),
    Client("signed by itself", "other", "untrusted", "self-signed certificate"),
    Client("another name", "elsewhere", "name", "no name of it is in Tls.AllowedNames"),
    Client("expired", "expired", "expired", "certificate has expired"),
    Client("not yet valid", "future", "expired", "certificate is not yet valid"),
)


def clients(version):
    """Those of DTLS or of one version of TLS, and older ones beside it."""
    rows = [(version, client, []) for client in CLIENTS]
    old = {"tls1_2": ["tls1"], "tls1_3": ["tls1_1"], "dtls1_2": ["dtls1"]}[version]
    return rows + [(v, Client("an old version", "probe", "version", "protocol version"), OLD) for v in old]


def test_at_the_collector():
    """Each row has a listener of its own: of each, only the first refusal is told. Nobody with a fault brings a message."""
    with Scene() as scene:
        scene.path("message").write_bytes(cl.message(cl.template(256, cl.FLOW)))
        started = [listen(scene, version) for version in VERSIONS]
        scene.wait_bound([row[0] for _, rows in started for row in rows])
        side_by_side([lambda c=c, r=r: one_client(scene, c, *r) for c, rows in started for r in rows])
        for collector, rows in started:
            metrics = collector.metrics()
            for port, scheme, version, client, _ in rows:
                counted(metrics, f"{version}, {client.what}", client, f"{scheme}/127.0.0.1:{port}")
        octets_that_are_no_tls(scene, *started[0])
        for collector, _ in started:
            collector.stop()


def listen(scene, version):
    """A collector with a port for each row: (collector, [(port, scheme, version, client, words)])"""
    scheme = "Dtls" if version.startswith("dtls") else "Tls"
    rows = [(next(scene.ports), scheme, *row) for row in clients(version)]
    words = [w for port, *_ in rows for w in ("-l", f"{scheme}/127.0.0.1:{port}")]
    words += ["--tls-certificate", scene.path("collector.pem"), "--tls-key", scene.path("collector.key"), "--tls-ca", scene.path("ca.pem")]
    return cl.Collector(scene, *words, "--workers", "1", "--tls-allow", "probe.example", listen=False, ns=scene.ns), rows


def one_client(scene, collector, port, scheme, version, client, more):
    what = f"{version}, {client.what}"
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", f"-{version}", *more, *identity(scene.folder, client.shown)]
    with open(scene.path("message"), "rb") as f, lib.Process(command, scene.folder, scene.ns.name, stdin=f):
        mine = lambda: [line for line in collector.process.errors().splitlines() if f"{scheme}/{port}: " in line]  # noqa: E731
        line = lib.wait_for(f"{what}: a line of the log", mine, 60)[0]
        lib.check(client.said is None or ("refused: " in line and client.said in line), f"{what}: {client.said!r} expected\n{line}")
        lib.check(client.said or (f'is "{client.shown}" ({SPOKEN[version]}' in line or client.shown == "probe_cn"), f"{what}\n{line}")
        if not client.said:
            lib.wait_for(f"{what}: its message", lambda: messages(collector.metrics(), f"{scheme}/127.0.0.1:{port}") == 1, 30, 0.5)


def octets_that_are_no_tls(scene, collector, rows):
    before = collector.sum("weir_receiver_handshakes_failed_total", reason="version")
    with scene.ns.socket(kind=socket.SOCK_STREAM) as plain:
        plain.connect(("127.0.0.1", rows[0][0]))
        plain.sendall(scene.path("message").read_bytes())
        lib.wait_for("counted as a version", lambda: collector.sum("weir_receiver_handshakes_failed_total", reason="version") > before, 30, 0.5)


def messages(metrics, listener):
    return cl.total(metrics, "weir_receiver_messages_total", listen=listener)


def counted(metrics, what, client, listener):
    good = 0 if client.reason else 1
    lib.equal(messages(metrics, listener), good, f"{what}: messages")
    lib.equal(cl.total(metrics, "weir_receiver_sessions_accepted_total", listen=listener), good, f"{what}: sessions")
    lib.equal(cl.total(metrics, "weir_receiver_handshakes_failed_total", listen=listener), 1 - good, f"{what}: handshakes failed")
    if client.reason:
        failed = cl.total(metrics, "weir_receiver_handshakes_failed_total", listen=listener, reason=client.reason)
        lib.equal(failed, 1, f"{what}: counted as {client.reason}")


lib.main(globals())
