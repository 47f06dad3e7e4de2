#!/usr/bin/env python3
"""Several meters side by side in a build with -Db_sanitize=thread: threads.py BUILD

Each workload small, with records that go on, and into a file; fails when ThreadSanitizer says anything, or when the records
are not those of one meter.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

WORKLOADS = {"A": (300_000, 5_000), "B": (300_000, 60_000), "C": (100_000, 100_000)}


def records(weir, path):
    said = subprocess.run([weir, "dump", path], capture_output=True, text=True, check=True).stdout
    rows = Counter()
    for line in said.splitlines():
        record = json.loads(line)
        if "scope" not in record:
            rows[tuple(sorted((k, v) for k, v in record.items() if k not in ("flowId", "exportTime")))] += 1
    return rows


def run(weir, capture, folder, shards):
    out = folder / f"{shards}.ipfix"
    command = [weir, "probe", "-q", "-r", capture, "-w", out, "--shards", str(shards), "--interval", "60000", "--max-flows", "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or "ThreadSanitizer" in done.stderr:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr}")
    return records(weir, out)


def main():
    build = Path(sys.argv[1]).resolve()
    weir = build / "src" / "cmd" / "weir"
    for name, (packets, flows) in WORKLOADS.items():
        with tempfile.TemporaryDirectory(prefix="weir-threads-") as held:
            folder = Path(held)
            capture = folder / "capture.pcap"
            subprocess.run([build / "tests" / "bench" / "generate", name, capture, str(packets), str(flows)], capture_output=True, check=True)
            one = run(weir, capture, folder, 1)
            for shards in (2, 3, 8):
                several = run(weir, capture, folder, shards)
                if several != one:
                    sys.exit(f"{name}: {shards} meters: {sum((several - one).values())} records are not those of one")
            print(f"{name}: {sum(one.values())} records, the same with 2, 3 and 8 meters; no race")


if __name__ == "__main__":
    main()
