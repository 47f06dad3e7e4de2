#!/usr/bin/env python3
"""How long each view of the page takes to be answered over a large store: the API's own requests, over HTTP on loopback.

page.py BUILD [--records N] [--rounds N] [--rate R] [--store FOLDER]

The stream of stream.h goes into a store (bench_store) that a collector then opens; each view asks what the browser asks
(wanted() in web/src/views.tsx), for the last hour of the data and for all of it, while more records come in. Wall time of
the whole request, of which 95 of 100 were no slower, and CPU time of the process that answers. What an answer left out is said.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from collect import free_port
from query import make_store

SERIES = [("t.time", "1"), ("t.n", "6")]


def part(*names):
    return [("part", name) for name in names]


VIEWS = {
    "now": part("t:cube", "src:top", "dst:top", "svc:top") + SERIES
    + [("t.by", "dir"), ("src.by", "src"), ("dst.by", "dst"), ("svc.by", "proto,port"), ("src.n", "10"), ("dst.n", "10"), ("svc.n", "10")],
    "flows": part("t:cube", "l:list") + SERIES + [("t.by", "dir"), ("l.order", "time"), ("l.limit", "100")],
    "talk": part("t:cube", "x:cube", "k:cube") + SERIES + [("t.by", "dir"), ("x.by", "src,dst"), ("x.n", "12"), ("k.by", "src,port,dst"), ("k.n", "8")],
    "denied": [("only", "denied")] + part("t:cube", "g:top", "p:top", "l:list") + SERIES
    + [("t.by", "denialRuleName"), ("t.order", "flows"), ("g.by", "denialRuleName,denialReason,denialClass,src,dst,proto,dstport"), ("g.n", "100"),
       ("g.order", "flows"), ("p.by", "src"), ("p.n", "10"), ("p.order", "flows"), ("l.limit", "20")],
    "rules": part("t:cube", "d:top", "a:rules") + SERIES
    + [("t.by", "denied"), ("t.order", "flows"), ("d.by", "denialRuleName,denialReason,denialClass,denied"), ("d.n", "200"), ("d.order", "flows")],
    "complete": part("t:cube", "c:counters") + SERIES + [("t.by", "exporter"), ("t.order", "flows")],
}  # fmt: skip


@contextlib.contextmanager
def collector(build, store, port):
    with subprocess.Popen([build / "src/cmd/weir", "collect", "-s", store, "-l", f"Udp/127.0.0.1:{port}", "--http", f"127.0.0.1:{free_port()}"],
                          stderr=subprocess.PIPE, text=True) as p:  # fmt: skip
        try:
            for line in p.stderr:
                found = re.search(r"http on port (\d+)", line)
                if found:
                    break
            else:
                sys.exit("the collector has ended")
            yield f"http://127.0.0.1:{found[1]}/api/v1/view?"
        finally:
            p.terminate()
            p.wait(60)


@contextlib.contextmanager
def ingest(build, port, rate):
    """So many records a second for as long as it lasts; 0: none."""
    if not rate:
        yield
        return
    with subprocess.Popen([build / "tests/bench/bench_send", str(port), str(rate), "86400"], stdout=subprocess.DEVNULL) as p:
        try:
            yield
        finally:
            p.terminate()


def ask(base, words):
    """Wall ms, CPU ms, records left out."""
    begin = time.monotonic()
    with urllib.request.urlopen(base + urllib.parse.urlencode(words), timeout=300) as answer:
        octets = answer.read()
    wall = 1000 * (time.monotonic() - begin)
    found = json.loads(octets)
    return wall, found["cpu_ms"], found.get("left_out", {}).get("records", 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=20000, help="records a second that come in meanwhile")
    parser.add_argument("--store", type=Path, help="a store that is there already")
    args = parser.parse_args()
    build = args.build.resolve()
    with tempfile.TemporaryDirectory(prefix="weir-bench-page-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        store = args.store or make_store(build, folder, args.records)
        out = subprocess.run([build / "src/cmd/weir", "query", "-s", store, "-o", "csv", "--sql", "select max(epoch(flowStartMilliseconds))::bigint as n from flows"],
                             capture_output=True, text=True, check=True).stdout  # fmt: skip
        end = int(out.split()[1]) + 1
        windows = {"the last hour": [("from", f"@{end - 3600}"), ("to", f"@{end}")], "all": []}
        port = free_port()
        with collector(build, store, port) as base, ingest(build, port, args.rate):
            for what, window in windows.items():
                for view, words in VIEWS.items():
                    rounds = [ask(base, window + words) for _ in range(args.rounds)]
                    times, cpu, left = sorted(r[0] for r in rounds), sorted(r[1] for r in rounds), max(r[2] for r in rounds)
                    print(f"{what:14} {view:9} median {times[len(times) // 2]:6.0f} ms   p95 {times[-(-len(times) * 95 // 100) - 1]:6.0f} ms   "
                          f"CPU {cpu[len(cpu) // 2]:6.0f} ms" + (f"   {left} records left out, and said so" if left else ""), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
