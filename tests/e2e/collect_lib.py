"""What the tests of weir collect share: messages made by hand, a collector, its metrics and its store."""

import collections
import ipaddress
import json
import os
import random
import re
import socket
import struct
import time
import urllib.error
import urllib.request

import lib

HEADER = 16
VARIABLE = 65535


def free_port(kind=socket.SOCK_DGRAM):
    """A port that nobody has, over UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET6, kind) as a, socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as b:
            a.bind(("::", 0))
            port = a.getsockname()[1]
            try:
                b.bind(("::", port))
            except OSError:
                continue
            return port


# Messages


def field(element, length, pen=0):
    return struct.pack("!HHI", element | 0x8000, length, pen) if pen else struct.pack("!HH", element, length)


def template(number, fields, scope=0):
    """A template set; fields are (element, length[, PEN])."""
    head = struct.pack("!HHH", number, len(fields), scope) if scope else struct.pack("!HH", number, len(fields))
    body = head + b"".join(field(*f) for f in fields)
    return struct.pack("!HH", 3 if scope else 2, 4 + len(body)) + body


def data(number, *records):
    body = b"".join(records)
    return struct.pack("!HH", number, 4 + len(body)) + body


def message(*sets, sequence=0, domain=1, when=None):
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, HEADER + len(body), int(when or time.time()), sequence & 0xFFFFFFFF, domain) + body


FLOW = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 8), (2, 8), (152, 8), (153, 8)]
NOW = 1_790_000_000_000


def flow(n, octets=1000, packets=10, start=NOW, noise=False):
    """Record of FLOW number n; n stands in the source address and port. With `noise` it does not compress."""
    if noise:
        octets, packets = random.getrandbits(62), random.getrandbits(62)
        start = NOW + random.getrandbits(30)
    return struct.pack("!IIHHBQQQQ", 0x0A000000 + n, 0xC0000201, n & 0xFFFF, 443, 6, octets, packets, start, start + 5)


class Exporter:
    """One observation domain that sends numbered records, with right sequence numbers."""

    def __init__(self, port, host="127.0.0.1", domain=1, tcp=False, source=None):
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(self.family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        if source:
            self.socket.bind(source)
        self.socket.connect((host, port))
        self.sequence, self.domain, self.n = 0, domain, 0

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, *sets, records=0, when=None):
        self.socket.sendall(message(*sets, sequence=self.sequence, domain=self.domain, when=when))
        self.sequence += records

    def template(self, number=256, fields=FLOW):
        self.send(template(number, fields))

    def flows(self, count=1, number=256, **values):
        rows = [flow(self.n + i, **values) for i in range(count)]
        self.n += count
        self.send(data(number, *rows), records=count)


# The collector


class Collector:
    """weir collect with a store and metrics on ports of its own."""

    def __init__(self, lab, *options, store=None, ns=None, json_out=False, listen=True, env=None, program=None, port=None):
        self.lab, self.ns = lab, ns
        self.port, self.http = port or free_port(), free_port()
        self.store = store or lab.path(lab.unique("store"))
        words = ["collect", "-s", self.store, "--http", f"127.0.0.1:{self.http}"]
        if listen:
            words += ["-l", f"Udp/*:{self.port}", "-l", f"Tcp/*:{self.port}"]
        self.json = lab.path(lab.unique("json")) if json_out else None
        if json_out:
            words += ["--json", self.json]
        self.process = lab.start([program or lib.WEIR, *words, *options], ns, env)
        try:
            self.process.expect("http on port", 20)
        except AssertionError:
            self.process.show()
            raise

    def get(self, path):
        """(status, text)"""
        if self.ns:
            out = self.ns.run("curl", "-s", "-w", "\n%{http_code}", f"http://127.0.0.1:{self.http}{path}")[1]
            body, _, status = out.rpartition("\n")
            return int(status), body
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metrics(self):
        return samples(self.get("/metrics")[1])

    def sum(self, name, **labels):
        """Of all series of the family with these labels."""
        return total(self.metrics(), name, **labels)

    def wait_messages(self, count, timeout=30):
        """The loader has read so many messages; they are accepted then."""
        lib.wait_for(f"{count} messages read", lambda: self.sum("weir_process_read_messages_total", role="loader") >= count, timeout)

    def children(self):
        """Pids of the collector and the processes below it."""
        pids, found = [self.pid()], []
        while pids:
            pid = pids.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                    pids += [int(word) for word in f.read().split()]
            except OSError:
                pass
        return found

    def pid(self):
        """Of the program itself: `ip netns exec` becomes it."""
        return self.process.pid

    def stop(self, **options):
        self.process.stop(**options)
        return self

    def sql(self, statement):
        return sql(self.store, statement)


def resident(pid):
    """KiB, now."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        m = re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)
    return int(m[1]) if m else 0


def process_name(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
        return f.read().strip()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


SAMPLE = re.compile(r'^([a-z_A-Z0-9]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """[(name, {label: value}, number)]"""
    rows = []
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        m = SAMPLE.match(line)
        lib.check(m, f"not a sample: {line!r}")
        rows.append((m[1], dict(LABEL.findall(m[2] or "")), float(m[3])))
    return rows


def total(rows, name, **labels):
    return sum(v for n, have, v in rows if n == name and all(have.get(k) == str(w) for k, w in labels.items()))


def sql(store, statement):
    """Rows of `weir query --sql` as objects."""
    _, out, err = lib.run([lib.WEIR, "query", "-s", store, "-o", "json", "--sql", statement], timeout=60)
    return [json.loads(line) for line in out.splitlines()]


def count(store, view="flows"):
    return sql(store, f"select count(*) as n from {view}")[0]["n"]


def numbers(store):
    """How often each numbered record (Exporter.flows) is in the store."""
    return collections.Counter(r["n"] for r in sql(store, "select sourceIPv4Address - 167772160 as n from flows"))


def ledger(store):
    """{counter: sum over all sessions and domains}"""
    return {r["counter"]: int(r["n"]) for r in sql(store, "select counter, sum(count)::bigint as n from ledger group by counter")}


# Captures


def datagrams(path):
    """(source, source port, payload) of every UDP datagram in a pcap file."""
    blob = path.read_bytes()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">"}.get(blob[:4])
    lib.check(order, f"{path} is no pcap file")
    link, at = struct.unpack(order + "I", blob[20:24])[0] & 0xFFFF, 24
    while at + 16 <= len(blob):
        length = struct.unpack(order + "I", blob[at + 8 : at + 12])[0]
        packet = blob[at + 16 : at + 16 + length]
        at += 16 + length
        found = _datagram(_network(packet, link))
        if found:
            yield found


def _network(packet, link):
    if link in (12, 14, 101):
        return packet
    if link == 113:
        return packet[16:]
    lib.equal(link, 1, "link type")
    at = 12
    while packet[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return packet[at + 2 :] if packet[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else b""


def _datagram(packet):
    if len(packet) < 28:
        return None
    if packet[0] >> 4 == 4:
        head = (packet[0] & 15) * 4
        if packet[9] != 17 or struct.unpack("!H", packet[6:8])[0] & 0x3FFF:
            return None
        source = ipaddress.ip_address(packet[12:16])
    else:
        head = 40
        if packet[6] != 17:
            return None
        source = ipaddress.ip_address(packet[8:24])
    port, _, length = struct.unpack("!HHH", packet[head : head + 6])
    return str(source), port, packet[head + 8 : head + length]
