"""Flows for the page's tests: an overlay of some machines over a window of the past, with refusals, a silence, an exporter
that is down and records that get lost, all of them known to the record."""

import random
import socket
import struct
import time

import collect_lib as cl

PEN = 32473
FLOWS, DENIED, TOLD = 256, 257, 258
PLAIN = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 2), (1, 8), (2, 8), (152, 8), (153, 8), (61, 1), (136, 1), (148, 8)]
REFUSED = PLAIN + [(89, 1), (233, 1), (133, 8), (132, 8), (1, 1, PEN), (2, 1, PEN), (3, 65535, PEN)]
STATISTICS = [(144, 4), (41, 8), (42, 8), (40, 8)]
PEERS = [f"10.77.0.{n}" for n in range(1, 13)]
SERVICES = [(443, 6, 20), (22, 6, 4), (53, 17, 12), (5432, 6, 5), (8080, 6, 4), (3389, 6, 1), (123, 17, 2), (9100, 6, 3)]


def number(address):
    return struct.unpack("!I", socket.inet_aton(address))[0]


def plain(n, src, dst, sport, dport, proto, octets, packets, start, end, direction=1, flags=0x1B):
    return struct.pack("!IIHHBHQQQQBBQ", number(src), number(dst), sport, dport, proto, flags if proto == 6 else 0, octets, packets, start, end, direction, 1, n)


def refused(n, src, dst, sport, dport, proto, packets, start, end, reason, kind, rule, direction=0):
    octets = 60 * packets
    name = rule if isinstance(rule, bytes) else rule.encode()
    length = bytes([len(name)]) if len(name) < 255 else b"\xff" + struct.pack("!H", len(name))
    head = plain(n, src, dst, sport, dport, proto, 0, 0, start, end, direction, 0x02)
    return head + struct.pack("!BBQQBB", 0x80, 3, packets, octets, reason, kind) + length + name


class Overlay:
    """Sends to a collector's UDP port; counts what it sends and what it loses."""

    def __init__(self, port, domain=1, seed=1, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, port))
        self.random = random.Random(seed)
        self.domain, self.sequence, self.n = domain, 0, 0
        self.sent = self.lost = self.messages = 0

    def close(self):
        self.socket.close()

    def message(self, sets, records, when, lose=False):
        if lose:
            self.lost += records
        else:
            self.socket.send(cl.message(*sets, sequence=self.sequence, domain=self.domain, when=when))
            self.messages += 1
            if self.messages % 50 == 0:
                time.sleep(0.002)
        self.sequence += records

    def templates(self, when):
        self.message([cl.template(FLOWS, PLAIN), cl.template(DENIED, REFUSED), cl.template(TOLD, STATISTICS, scope=1)], 0, when)

    def beat(self, when):
        """Statistics, as an exporter that is well sends them."""
        self.message([cl.data(TOLD, struct.pack("!IQQQ", self.domain, self.messages, self.sent, 100 * self.messages))], 1, when)

    def flows(self, rows, when, lose=False, number=FLOWS):
        for at in range(0, len(rows), 12):
            part = rows[at : at + 12]
            self.message([cl.data(number, *part)], len(part), when, lose)
            self.sent += 0 if lose else len(part)

    def busy(self, when, count):
        """Rows of ordinary traffic that ends within the ten seconds before `when` (seconds)."""
        r, rows = self.random, []
        for _ in range(count):
            src, dst = r.sample(PEERS, 2)
            port, proto, _ = r.choices(SERVICES, [s[2] for s in SERVICES])[0]
            packets = int(r.paretovariate(1.1)) + 1
            end = int(when * 1000) - r.randrange(10000)
            start = end - r.randrange(5000)
            self.n += 1
            back = r.random() < 0.45
            pair = (dst, src, port, r.randrange(32768, 61000)) if back else (src, dst, r.randrange(32768, 61000), port)
            rows.append(plain(self.n, *pair, proto, min(packets, 50000) * r.randrange(60, 1400), min(packets, 50000), start, end, 0 if back else 1))
        return rows

    def refusals(self, when, count, src, dst, port, rule, reason=1, kind=1, proto=6):
        rows = []
        for i in range(count):
            self.n += 1
            end = int(when * 1000) - self.random.randrange(9000)
            rows.append(refused(self.n, src, dst, 40000 + i % 20000, port, proto, 1 + i % 3, end - 5, end, reason, kind, rule))
        return rows


def history(o, minutes=60, until=None, per_turn=36, down=(15, 25), drops=(35, 42), silent=(50, 55), lose=4211, rules=True):
    """An hour: an exporter that tells of itself every 10 s; down for some minutes, dropping in others, silent in others."""
    end = int(until or time.time()) // 60 * 60
    begin = end - minutes * 60
    left, dropping = lose, (drops[1] - drops[0]) * 6
    o.templates(begin)
    for second in range(begin, end, 10):
        minute = (second - begin) // 60
        if down[0] <= minute < down[1]:
            continue
        o.beat(second)
        if silent[0] <= minute < silent[1]:
            continue
        if (second - begin) % 600 == 0:
            o.templates(second)
        if drops[0] <= minute < drops[1] and left:
            turns = drops[1] * 6 - (second - begin) // 10
            now = left // max(turns, 1) if turns > 1 else left
            o.flows(o.busy(second, now), second, lose=True)
            left -= now
        o.flows(o.busy(second, per_turn), second)
        if rules and (second - begin) % 60 == 30:
            o.flows(o.refusals(second, 1, "10.77.0.9", "10.77.0.2", 22, "R7"), second, number=DENIED)
            if (second - begin) % 300 == 30:
                o.flows(o.refusals(second, 1, "10.77.0.11", "10.77.0.4", 5432, "", reason=1, kind=0), second, number=DENIED)
                o.flows(o.refusals(second, 2, "10.77.0.12", "10.77.0.1", 443, "disk-encryption", reason=2, kind=2), second, number=DENIED)
    return begin, end
