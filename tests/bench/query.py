#!/usr/bin/env python3
"""Questions to a store beside nfdump on the same records: wall and CPU time of the whole process, its start included.

query.py BUILD [--records N] [--rounds N] [--rate R]

The stream of stream.h goes into a store (bench_store) and over UDP on loopback to nfcapd (lz4), paced so that nothing is
lost. A time counts only when both have every record, and when the sums that weir answers are nfdump's own. Files are in
the page cache. Programs take turns; of the rounds the best counts: all else is what the machine did besides.
"""

import argparse
import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from collect import RECORDS, free_port, roomy_buffers

HOST = "10.0.3.77"

# What is asked, what nfdump is asked, and how to read the same sums out of both.
QUESTIONS = (
    ("start: nothing found", ["--columns", "proto", "--limit", "1", "proto 255"], None),
    ("top 20 sources by octets", ["--by", "src", "--top", "20"], ["-s", "srcip/bytes", "-n", "20"]),
    ("the same, tcp and dst port 443", ["tcp and dst port 443", "--by", "src", "--top", "20"], ["-s", "srcip/bytes", "-n", "20", "proto tcp and dst port 443"]),
    ("sums of one source", [f"src {HOST}", "--by", "src"], ["-s", "srcip/bytes", "-n", "20", f"src ip {HOST}"]),
    ("flows of one host, the 20 newest", [f"host {HOST}", "--limit", "20"], None),
    ("sums of one host on either side", [f"host {HOST}", "--by", "src,dst", "--top", "0"], ["-A", "srcip,dstip", f"ip {HOST}"]),
    ("by step of time", ["--by", "time 5m"], None),
)


def timed(words):
    before, start = os.times(), time.monotonic()
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, timeout=900)
    wall, after = time.monotonic() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def weir_sums(out):
    rows = [json.loads(line) for line in out.splitlines()]
    return sorted((r.get("src"), r.get("dst"), r["octets"], r["packets"]) for r in rows)


def nfdump_sums(out):
    """Of a statistic or an aggregation, in nfdump's CSV."""
    lines = out.splitlines()
    rows = csv.DictReader(lines[: lines.index("Summary")] if "Summary" in lines else lines)
    found = []
    for r in rows:
        if r.get("byt"):
            found.append((r["val"], None, int(r["byt"]), int(r["pkt"])))
        elif r.get("ibyt"):
            found.append((r["sa"], r["da"], int(r["ibyt"]), int(r["ipkt"])))
    return sorted(found)


def make_store(build, folder, records):
    out = subprocess.run([build / "tests/bench/bench_store", folder, str(records), "0", "keep"], capture_output=True, text=True, check=True).stdout
    store = Path(re.search(r"^store (.*)$", out, re.M)[1])
    for path in [store, *store.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0))
    return store


def make_nfdump(build, folder, records, rate):
    """The file of nfcapd; None when it has not every record."""
    port = free_port()
    with subprocess.Popen(["nfcapd", "-w", folder, "-b", "127.0.0.1", "-p", str(port), "-t", "86400", "-B", str(64 << 20), "-y"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:  # fmt: skip
        time.sleep(1.0)
        subprocess.run([build / "tests/bench/bench_send", str(port), str(rate), "records", str(records)], check=True, capture_output=True)
        time.sleep(2.0)
        p.terminate()
        p.wait(120)
    files = sorted(folder.glob("nfcapd.2*"))
    if len(files) != 1:
        return None
    said = subprocess.run(["nfdump", "-I", "-r", files[0]], capture_output=True, text=True, check=True).stdout
    kept = int(re.search(r"^Flows: (\d+)", said, re.M)[1])
    if kept != records:
        print(f"nfcapd has {kept} of {records} records at {rate} a second", file=sys.stderr)
        return None
    return files[0]


def compare(build, store, peer, rounds):
    good, weir = True, build / "src/cmd/weir"
    print(f"{'':34} {'weir ms':>8} {'CPU ms':>8} {'nfdump ms':>10} {'CPU ms':>8} {'wall':>6} {'CPU':>6}")
    for what, asked, nfdump in QUESTIONS:
        ours = theirs = None
        for _ in range(rounds):
            run = timed([weir, "query", "-s", store, "-o", "json", *asked])
            ours = min(ours or run, run)
            if peer and nfdump:
                run = timed(["nfdump", "-r", peer, "-o", "csv", *nfdump])
                theirs = min(theirs or run, run)
        line = f"{what:34} {1000 * ours[0]:8.0f} {1000 * ours[1]:8.0f}"
        if theirs:
            same = weir_sums(ours[2]) == nfdump_sums(theirs[2])
            good &= same
            line += f" {1000 * theirs[0]:10.0f} {1000 * theirs[1]:8.0f} {theirs[0] / ours[0]:6.1f} {theirs[1] / max(ours[1], 1e-3):6.1f}"
            line += "" if same else "  ANSWERS DIFFER: no time of this row counts"
        print(line, flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=250_000, help="records a second that nfcapd is given")
    args = parser.parse_args()
    build = args.build.resolve()
    with tempfile.TemporaryDirectory(prefix="weir-bench-query-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        store, peer = make_store(build, folder, args.records), None
        if shutil.which("nfcapd"):
            stack.enter_context(roomy_buffers(64 << 20))
            for divisor in (1, 3, 10):
                (folder / f"nf{divisor}").mkdir()
                peer = peer or make_nfdump(build, folder / f"nf{divisor}", args.records, args.rate // divisor)
        octets = sum(p.stat().st_size for p in store.rglob("*.parquet"))
        at_peer = f", nfdump {peer.stat().st_size / args.records:.1f}" if peer else ""
        print(f"{args.records} records of {RECORDS} a message; octets a record at rest: weir {octets / args.records:.1f}{at_peer}")
        good = compare(build, store, peer, args.rounds)
    if not peer:
        print("SKIP: nfcapd is not installed, or lost records: there is nothing to compare with")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
