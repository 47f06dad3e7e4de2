"""Questions over a store of the benchmark's own: wall and CPU time of the whole process, its start included.

    query.py PROGRAM [--rows N] [--files N] [--rounds N] [--store FOLDER]

PROGRAM is tests/unit/query/query_standin. Made as the loader makes partitions: Parquet, zstd level 1, arrival order.
Of the rounds the best counts: all else is what the machine did besides."""
import argparse
import json
import os
import subprocess
import tempfile
import time

QUESTIONS = (
    ("nothing: start, views, one row group", ["--columns", "proto", "--limit", "1", "proto 255"]),
    ("top 20 sources by octets", ["--by", "src", "--top", "20"]),
    ("the same with tcp and dst port 443", ["tcp and dst port 443", "--by", "src", "--top", "20"]),
    ("sum of one source", ["src 10.0.3.77", "--by", "src"]),
    ("flows of one source, the 20 newest", ["src 10.0.3.77", "--limit", "20"]),
    ("flows of one host, either side, the 20 newest", ["host 10.0.3.77", "--limit", "20"]),
    ("one IPv6 source", ["src fd00::1:0", "--by", "dst"]),
    ("by step of time", ["--by", "time 5m"]),
)


def measure(words, rounds):
    best = None
    for _ in range(rounds):
        before, start = os.times(), time.monotonic()
        done = subprocess.run(words, capture_output=True, check=True, timeout=600)
        wall, after = time.monotonic() - start, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best or (wall, cpu), (wall, cpu))
    return best, done.stdout


parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--rows", type=int, default=1000000, help="of each file")
parser.add_argument("--files", type=int, default=10)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--store", help="one that was made before, by the same program")
options = parser.parse_args()

with tempfile.TemporaryDirectory(prefix="weir-bench-query-") as folder:
    os.chmod(folder, 0o755)
    store = options.store or folder
    if not options.store:
        subprocess.run([options.program, "make", store, str(options.rows), str(options.files)], check=True)
    octets = sum(entry.stat().st_size for entry in os.scandir(store))
    print(f"{options.rows * options.files} records in {options.files} files, {octets / options.rows / options.files:.1f} octets a record")
    for name, words in QUESTIONS:
        (wall, cpu), out = measure([options.program, "query", "-s", store, "-o", "json", *words], options.rounds)
        print(f"{name:48} {1000 * wall:7.0f} ms wall {1000 * cpu:7.0f} ms CPU", flush=True)
        for line in out.splitlines():
            json.loads(line)
