"""Every capture of the corpus through `weir probe -r` and `weir dump`, beside what tshark saw in it.

Summed per directional key: packets, IP octets, first and last time to the millisecond, TCP flags. WEIR_ONLY names a
part of a path to look at fewer files.
"""

import concurrent.futures
import functools
import ipaddress
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import lib

PORTS = {6, 17, 33, 132, 136}
ICMP = {1: "icmpTypeCodeIPv4", 58: "icmpTypeCodeIPv6"}
TIME_LIMIT = 60.0


@functools.lru_cache(maxsize=65536)
def canonical(text):
    return ipaddress.ip_address(text).packed


class Tally:
    """Sums of one key."""

    __slots__ = ("first", "flags", "last", "octets", "packets")

    def __init__(self, packets, octets, first, last, flags):
        self.packets, self.octets, self.first, self.last, self.flags = packets, octets, first, last, flags

    def add(self, other):
        self.packets += other.packets
        self.octets += other.octets
        timed = None not in (self.first, other.first)
        self.first = min(self.first, other.first) if timed else None
        self.last = max(self.last, other.last) if timed else None
        self.flags |= other.flags

    def row(self):
        return (self.packets, self.octets, self.first, self.last, f"0x{self.flags:03x}")


def milliseconds(text):
    """Of "seconds.nnnnnnnnn", rounded down also before 1970. tshark leaves a time that it cannot show empty."""
    if not text:
        return None
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("-").partition(".")
    ns = int(whole) * 10**9 + int(fraction.ljust(9, "0"))
    return (-ns if negative else ns) // 10**6


def number(text):
    return 0 if text == "-" else int(text)


def read_reference(path):
    """(header fields, [(key, Tally)], keys to merge by address)."""
    rows, merge = [], set()
    with open(path, encoding="utf-8") as f:
        head = dict(word.split("=", 1) for word in f.readline().strip().lstrip("#").split("\t"))
        next(f, None)
        for line in f:
            c = line.rstrip("\n").split("\t")
            protocol = int(c[1])
            a, b = (number(c[4]), number(c[5])) if protocol in PORTS else (0, 0)
            if protocol in ICMP:
                a, b = 0, number(c[6]) << 8 | number(c[7])
            key = (int(c[0]), protocol, canonical(c[2]), canonical(c[3]), a, b)
            if int(c[13]) and ("-" in (c[4], c[5]) if protocol in PORTS else c[6] == "-"):
                merge.add(key[:4])
            tally = Tally(int(c[8]), int(c[9]), milliseconds(c[10]), milliseconds(c[11]), int(c[12], 16))
            rows.append((key, tally))
    return head, rows, merge


def flow_of(record):
    """(key, Tally) of a Flow Record as `weir dump` writes it."""
    version = 4 if "sourceIPv4Address" in record else 6
    protocol = record["protocolIdentifier"]
    a = record.get("sourceTransportPort", 0)
    b = record.get("destinationTransportPort", 0)
    if protocol in ICMP:
        a, b = 0, record.get(ICMP[protocol], 0)
    source = canonical(record[f"sourceIPv{version}Address"])
    destination = canonical(record[f"destinationIPv{version}Address"])
    flags = record.get("tcpControlBits", 0)
    return (version, protocol, source, destination, a, b), Tally(
        record["packetDeltaCount"],
        record["octetDeltaCount"],
        lib.clock_ms(record["flowStartMilliseconds"]),
        lib.clock_ms(record["flowEndMilliseconds"]),
        flags if isinstance(flags, int) else int(flags, 0),
    )


def summed(rows, merge):
    sums = {}
    for key, tally in rows:
        if key[:4] in merge:
            key = key[:4] + (0, 0)
        if key in sums:
            sums[key].add(tally)
        else:
            sums[key] = tally
    return sums


def show_key(key):
    source, destination = (ipaddress.ip_address(k) for k in key[2:4])
    return f"{source}:{key[4]} -> {destination}:{key[5]} protocol {key[1]}"


def differences(reference, metered):
    faults = []
    for key in reference.keys() | metered.keys():
        if key in reference and key in metered and reference[key].first is None:
            metered[key].first = metered[key].last = None
        expected = reference[key].row() if key in reference else None
        got = metered[key].row() if key in metered else None
        if expected != got:
            faults.append(f"{show_key(key)}: (packets, octets, first, last, flags) expected {expected}, got {got}")
    return sorted(faults)


class Excuses:
    """The table of tests/corpus/excuses.h: captures that differ from the reference, each with its reason."""

    def __init__(self):
        text = (lib.SOURCE / "tests" / "corpus" / "excuses.h").read_text(encoding="utf-8").replace("\\\n", " ")
        self.words = {}
        for name, value in re.findall(r"^#define (\w+)\s+(.+)$", text, re.M):
            self.words[name] = self.joined(value)
        rows = re.findall(r"^\t\{(.*?)\},$", text[text.index("excuses[]") :], re.M | re.S)
        cells = [re.fullmatch(r"(.*?),\s*(\d+),\s*(.*)", row, re.S).groups() for row in rows]
        self.links = {int(link): self.joined(reason) for path, link, reason in cells if path == "NULL"}
        self.paths = {self.joined(path): self.joined(reason) for path, _, reason in cells if path != "NULL"}
        lib.check(self.links and self.paths, "the table of excuses was read")

    def joined(self, expression):
        """C string literals and macros next to each other."""
        parts = re.findall(r'"([^"]*)"|(\w+)', expression)
        return "".join(text if not word else self.words.get(word, word) for text, word in parts)

    def of(self, name):
        return next((reason for part, reason in self.paths.items() if part in name), None)


def link_types(data):
    """Link types that a capture file announces."""
    magic = data[:4]
    for order in "<>":
        if magic in [struct.pack(order + "I", m) for m in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)] and len(data) >= 24:
            return {struct.unpack(order + "I", data[20:24])[0] & 0xFFFF}
    links, at, order = set(), 0, "<"
    while magic == b"\x0a\x0d\x0d\x0a" and at + 12 <= len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = struct.unpack(order + "II", data[at : at + 8])
        if kind == 1:
            links.add(struct.unpack(order + "H", data[at + 8 : at + 10])[0])
        if length < 12:
            break
        at += length
    return links


def shards_of(capture):
    """One meter, or several side by side, which must come to the same: by the name, so that it stays the same."""
    return os.environ.get("WEIR_SHARDS") or str(1 + zlib.crc32(capture.name.encode()) % 3)


def probe(capture, out):
    """(exit status, what it said); None as status: it hangs."""
    try:
        done = subprocess.run(
            [lib.WEIR, "probe", "-r", capture, "-w", out, "--shards", shards_of(capture)], capture_output=True, stdin=subprocess.DEVNULL, timeout=TIME_LIMIT, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"still runs after {TIME_LIMIT} s"
    return done.returncode, done.stderr.decode(errors="replace")


def metered_rows(path):
    with subprocess.Popen([lib.WEIR, "dump", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        rows = [flow_of(r) for r in map(json.loads, p.stdout) if "scope" not in r]
        complaint = p.stderr.read().decode(errors="replace")
    lib.equal(p.returncode, 0, f"exit status of weir dump ({complaint[-800:]})")
    return rows


def look(capture, folder, excuses):
    """(verdict, [faults]): verdict is "exact", "refused", "damaged" or "broken"."""
    name = str(capture)
    out = folder / f"{hash(name) & (1 << 64) - 1:x}.ipfix"
    head, rows, merge = read_reference(name + ".flows.tsv")
    status, said = probe(capture, out)
    try:
        if status not in (0, 1):
            return "broken", [f"exit status {status}: {said[-3000:]}"]
        foreign = link_types(capture.read_bytes()) & excuses.links.keys()
        if foreign and status == 1 and "link type" in said:
            return "refused", []
        if head["rc"] != "0":
            return "damaged", []
        if status != 0:
            return "broken", [f"exit status {status}: {said[-800:]}"]
        return "exact", differences(summed(rows, merge), summed(metered_rows(out), merge))
    except (AssertionError, KeyError, ValueError) as e:
        return "broken", [f"{type(e).__name__}: {e}"]
    finally:
        out.unlink(missing_ok=True)


def captures():
    folder = lib.need_corpus("pcap")
    only = os.environ.get("WEIR_ONLY", "")
    found = [Path(str(p)[: -len(".flows.tsv")]) for p in sorted(folder.rglob("*.flows.tsv"))]
    return folder, [p for p in found if only in str(p)]


def test_corpus():
    folder, files = captures()
    excuses = Excuses()
    verdicts, faulty = Counter(), 0
    with lib.Lab() as lab, concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for capture, (verdict, faults) in zip(files, pool.map(lambda c: look(c, lab.folder, excuses), files)):
            name = str(capture.relative_to(folder))
            reason = faults and excuses.of(name)
            if reason:
                verdict, faults = "excused", []
                print(f"excused: {name}: {reason}")
            verdicts[verdict if not faults else "wrong"] += 1
            for fault in faults[:5]:
                print(f"{name}: {fault}")
            if len(faults) > 5:
                print(f"{name}: and {len(faults) - 5} more")
            faulty += bool(faults)
            sys.stdout.flush()
    print(", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items())))
    lib.check(verdicts["exact"] or faulty, "no capture was compared")
    lib.equal(faulty, 0, "captures that are not exact")


lib.main(globals())
