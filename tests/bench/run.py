#!/usr/bin/env python3
"""Packets per CPU second from a capture file to IPFIX over UDP: weir beside softflowd, in the same run.

run.py BUILD [--rounds N] [--packets N] [--flows N] [--only A|B]

A: 100 000 flows by Zipf's law, B: 1 000 000 flows all alike; 10 million packets each. All read the same file and export
every flow to the same sink on loopback; they take turns, and the medians are compared. CPU seconds are user and system
time of the exporter alone. A speed counts only when all packets and octets arrived at the sink.

  weir       as it comes: a flow ends after 15 s without a packet
  weir/60    no flow ends before the capture does, as with softflowd's own timeouts: the same records
  softflowd  as it comes, its table as large as weir's
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

CAPTURES = {"A": (10_000_000, 100_000), "B": (10_000_000, 1_000_000)}


class Sink:
    """The counting collector; tells its sums when it is closed."""

    def __init__(self, build):
        self.process = subprocess.Popen(
            [build / "tests" / "bench" / "bench_sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())

    def sums(self):
        out, _ = self.process.communicate(timeout=300)
        return dict(zip(("messages", "flows", "packets", "octets", "lost"), map(int, out.split())))


def weir(build, capture, port, flows):
    return [build / "src" / "cmd" / "weir", "probe", "-q", "-r", capture, "-c", f"Udp/127.0.0.1:{port}", "--max-flows", flows * 2]


def weir_60(build, capture, port, flows):
    return [*weir(build, capture, port, flows), "--idle", 120_000]


def softflowd(build, capture, port, flows):
    program = shutil.which("softflowd") or "/usr/sbin/softflowd"
    pid_file = capture.with_suffix(".pid")  # it removes the file at the end, and the default is the daemon's
    return [program, "-d", "-r", capture, "-p", pid_file, "-n", f"127.0.0.1:{port}", "-v", "10", "-m", flows * 2]


PROGRAMS = {"weir": weir, "weir/60": weir_60, "softflowd": softflowd}


def measure(build, command_of, capture, flows):
    """(CPU seconds, most resident MiB, sums at the sink) of one run."""
    sink = Sink(build)
    command = [str(word) for word in command_of(build, capture, sink.port, flows)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    sums = sink.sums()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}\n{said[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, sums


def generate(build, name, packets, flows, folder):
    path = folder / f"{name}-{packets}-{flows}.pcap"
    made = path.with_suffix(".json")
    if not made.exists():
        tool = build / "tests" / "bench" / "generate"
        out = subprocess.run([tool, name, path, str(packets), str(flows)], capture_output=True, text=True, check=True).stderr
        made.write_text(out, encoding="utf-8")
    true = json.loads(made.read_text(encoding="utf-8"))
    return path, true["packets"], true["octets"]


def faults(sums, packets, octets, ours):
    expected = {"packets": packets, "octets": octets}
    if ours:  # softflowd 1.1.0 does not count its sequence in data records
        expected["lost"] = 0
    return [f"{what} {sums[what]} instead of {value}" for what, value in expected.items() if sums[what] != value]


def bench(build, name, packets, flows, rounds, folder, programs):
    """Rows of the table for one capture; False when a count of ours is wrong."""
    path, packets, octets = generate(build, name, packets, flows, folder)
    runs = {label: [] for label in programs}
    good = True
    for _ in range(rounds):
        for label in programs:
            cpu, resident, sums = measure(build, PROGRAMS[label], path, flows)
            wrong = faults(sums, packets, octets, label != "softflowd")
            if wrong:
                print(f"{name} {label}: {', '.join(wrong)}: not counted", file=sys.stderr)
                good = good and label == "softflowd"
            else:
                runs[label].append((packets / cpu, resident, sums["flows"]))
    peer = statistics.median(r[0] for r in runs["softflowd"]) if runs.get("softflowd") else None
    for label, rows in runs.items():
        if not rows:
            print(f"{name:<3} {packets:>10} {flows:>9} {label:<10} {'wrong counts':>16}")
            continue
        speeds = [r[0] for r in rows]
        speed = statistics.median(speeds)
        print(
            f"{name:<3} {packets:>10} {flows:>9} {label:<10} {speed:>16,.0f} {min(speeds):>12,.0f} {max(speeds):>12,.0f}"
            f" {statistics.median(r[1] for r in rows):>8.0f} {rows[0][2]:>9} {f'{speed / peer:.1f}' if peer else '-':>6}",
            flush=True,
        )
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packets", type=int)
    parser.add_argument("--flows", type=int)
    parser.add_argument("--only", choices=CAPTURES)
    args = parser.parse_args()
    build = args.build.resolve()
    programs = list(PROGRAMS)
    if not shutil.which("softflowd") and not os.path.exists("/usr/sbin/softflowd"):
        programs.remove("softflowd")
    folder = build / "captures"
    folder.mkdir(exist_ok=True)
    print(f"{'':<3} {'packets':>10} {'flows':>9} {'program':<10} {'packets/CPU s':>16} {'least':>12} {'most':>12} {'MiB':>8} {'records':>9} {'ratio':>6}")
    good = True
    for name, (packets, flows) in CAPTURES.items():
        if args.only in (None, name):
            good &= bench(build, name, args.packets or packets, args.flows or flows, args.rounds, folder, programs)
    if "softflowd" not in programs:
        print("softflowd is not installed, so there is nothing to compare with")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
