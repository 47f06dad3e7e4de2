#!/usr/bin/env python3
"""Packets per CPU second from a capture file to flow records, weir beside its peers, in the same run.

run.py BUILD [--rounds N] [--packets N] [--flows N] [--only A|B|C]
run.py BUILD --shards 1,2 …: several meters side by side (Shards) against one, by the clock on the wall

A: 10 million packets of 100 000 flows by Zipf's law; B: of 1 000 000 flows all alike; C: 5 million packets, each its own
flow. All read the same file and export every flow to the same sink on loopback; they take turns, and medians are
compared. CPU seconds are those of the exporter and its children, user and system apart. A speed counts only when all
packets and octets arrived: a program whose counts of a small capture are wrong is not run on the large one.

  weir       as it comes: a flow ends after 15 s without a packet
  weir/60    no flow ends before the capture does, as with the peers: the same records
  softflowd  as it comes, its table as large as weir's
  fprobe     NetFlow 5, which has no IPv6: its speed is in packets of IPv4, though it reads the others, too
  pmacctd    nfprobe, IPFIX
  nfpcapd    into its own files, which nfdump adds up, not over UDP

octets/flow: resident at most, less what the same program takes for a capture of a thousand packets, for each flow that
is open at the end; said of programs that hold them all until then.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

CAPTURES = {"A": (10_000_000, 100_000), "B": (10_000_000, 1_000_000), "C": (5_000_000, 5_000_000)}
SMALL = (1_000, 200)
TWICE = 1000  # packets: pmacctd counts some of its last buffer twice when the file ends
LONG = 2_000_000  # seconds; no flow of a peer ends by time


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


def fprobe(build, capture, port, flows):
    return ["fprobe", "-i", "-", "-f", "ip", "-d", LONG, "-e", LONG, "-q", "100000", "-l", "2", f"127.0.0.1:{port}"]


def pmacctd(build, capture, port, flows):
    lines = {
        "pcap_savefile": capture,
        "daemonize": "false",
        "plugins": "nfprobe",
        "aggregate": "src_host, dst_host, src_port, dst_port, proto, tos",
        "nfprobe_receiver": f"127.0.0.1:{port}",
        "nfprobe_version": 10,
        "nfprobe_timeouts": f"general={LONG}:tcp={LONG}:udp={LONG}:icmp={LONG}:maxlife={LONG}:expint=0",
        "plugin_pipe_size": 1_000_000_000,
    }
    settings = capture.with_suffix(".pmacct")
    settings.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")
    return ["pmacctd", "-f", settings]


def nfpcapd(build, capture, port, flows):
    folder = capture.with_suffix(".nfpcapd")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return ["nfpcapd", "-r", capture, "-w", folder, "-B", max(flows * 2, 1024), "-e", "3600,3600"]


PROGRAMS = {"weir": weir, "weir/60": weir_60, "softflowd": softflowd, "fprobe": fprobe, "pmacctd": pmacctd, "nfpcapd": nfpcapd}
HOLDS_ALL = {"weir/60", "softflowd", "fprobe", "pmacctd"}


def is_there(label):
    return label.startswith("weir") or shutil.which(label, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def sums_of_files(capture):
    """What nfpcapd wrote, as the sink would tell it."""
    folder = capture.with_suffix(".nfpcapd")
    said = subprocess.run(["nfdump", "-R", folder, "-I"], capture_output=True, text=True, check=False).stdout
    shutil.rmtree(folder)
    found = {key.lower(): int(value) for key, value in re.findall(r"^(Flows|Packets|Bytes): (\d+)$", said, re.MULTILINE)}
    return {"flows": found.get("flows", 0), "packets": found.get("packets", 0), "octets": found.get("bytes", 0), "lost": 0}


def adopt_orphans():
    """Children that a program leaves behind become ours, so that their time is counted, too."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def wait_for_all(process, sink):
    """(user s, system s, resident MiB) of a program and of what it started, when all of them ended."""
    user = system = resident = 0
    while True:
        try:
            pid, status, usage = os.wait3(0)
        except ChildProcessError:
            break
        if pid == sink.process.pid:
            sys.exit("the sink ended before its time")
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
        user += usage.ru_utime
        system += usage.ru_stime
        resident += usage.ru_maxrss / 1024
        if process.returncode is not None and not other_children(sink):
            break
    return user, system, resident


def other_children(sink):
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return [pid for pid in listed if int(pid) != sink.process.pid]


def measure(build, label, capture, flows):
    """((user s, system s, resident MiB), sums) of one run."""
    sink = Sink(build)
    command = [str(word) for word in PROGRAMS[label](build, capture, sink.port, flows)]
    command[0] = is_there(command[0]) or command[0] if not label.startswith("weir") else command[0]
    log = capture.with_suffix(".log")
    with open(capture, "rb") as source, open(log, "wb") as said:
        stdin = source if label == "fprobe" else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=stdin, stdout=said, stderr=said)
        used = wait_for_all(process, sink)
    sums = sink.sums()
    if label == "nfpcapd":
        sums = sums_of_files(capture)
    if process.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        print(f"{' '.join(command)}: exit status {process.returncode}\n{text}", file=sys.stderr)
        sums = dict.fromkeys(sums, 0)
    return used, sums


def generate(build, name, packets, flows, folder, seconds=60):
    path = folder / f"{name}-{packets}-{flows}{'' if seconds == 60 else f'-{seconds}'}.pcap"
    made = path.with_suffix(".json")
    if not made.exists() or "ipv4_packets" not in made.read_text(encoding="utf-8"):
        tool = build / "tests" / "bench" / "generate"
        out = subprocess.run([tool, name, path, str(packets), str(flows), str(seconds)], capture_output=True, text=True, check=True).stderr
        made.write_text(out, encoding="utf-8")
    return path, json.loads(made.read_text(encoding="utf-8"))


def truth_for(label, true):
    """(packets, octets) that the program should tell of."""
    kind = "ipv4_" if label == "fprobe" else ""
    return true[f"{kind}packets"], true[f"{kind}octets"]


def faults(label, sums, true):
    packets, octets = truth_for(label, true)
    expected = {"packets": packets, "octets": octets}
    if label.startswith("weir"):  # softflowd 1.1.0 does not count its sequence in data records
        expected["lost"] = 0
    room = {"packets": TWICE, "octets": TWICE * 1500} if label == "pmacctd" else {}
    return [
        f"{what} {sums[what]} instead of {value}"
        for what, value in expected.items()
        if not value <= sums[what] <= value + room.get(what, 0)
    ]


def judged(build, name, label, path, true, flows, rows):
    """One run into `rows` when its counts are right; whether they are."""
    used, sums = measure(build, label, path, flows)
    wrong = faults(label, sums, true)
    if wrong:
        print(f"{name} {label} ({true['packets']} packets): {', '.join(wrong)}: not counted", file=sys.stderr)
        return False
    rows.append((*used, sums["flows"]))
    return True


def show(name, label, rows, small, true, peer):
    if not rows:
        print(f"{name:<3} {true['packets']:>10} {true['flows']:>9} {label:<10} {'wrong counts':>16}")
        return
    user, system, resident = (statistics.median(row[i] for row in rows) for i in range(3))
    packets, _ = truth_for(label, true)
    speeds = [packets / (row[0] + row[1]) for row in rows]
    each = f"{(resident - small[0][2]) * 2**20 / true['flows']:.0f}" if label in HOLDS_ALL else "-"
    ratio = f"{statistics.median(speeds) / peer:.1f}" if peer else "-"
    print(
        f"{name:<3} {true['packets']:>10} {true['flows']:>9} {label:<10} {statistics.median(speeds):>16,.0f} {min(speeds):>12,.0f}"
        f" {max(speeds):>12,.0f} {user:>7.2f} {system:>7.2f} {resident:>6.0f} {each:>11} {rows[0][3]:>9} {ratio:>6}",
        flush=True,
    )


def bench(build, name, packets, flows, rounds, folder, programs):
    """Rows of the table for one capture; False when a count of ours is wrong."""
    small_path, small_true = generate(build, name, *SMALL, folder)
    path, true = generate(build, name, packets, flows, folder)
    small = {label: [] for label in programs}
    runs = {label: [] for label in programs}
    good = True
    trusted = [label for label in programs if judged(build, name, label, small_path, small_true, flows, small[label])]
    good = all(label in trusted for label in programs if label.startswith("weir"))
    for _ in range(rounds):
        for label in trusted:
            good &= judged(build, name, label, path, true, flows, runs[label]) or not label.startswith("weir")
    peer = None
    if runs.get("softflowd"):
        peer = statistics.median(true["packets"] / (row[0] + row[1]) for row in runs["softflowd"])
    for label, rows in runs.items():
        show(name, label, rows, small[label], true, peer)
    return good


def wall(build, capture, flows, shards):
    """((wall s, CPU s), sums) of one run with so many meters."""
    sink = Sink(build)
    command = [*weir(build, capture, sink.port, flows), "--shards", shards]
    started = time.monotonic()
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    user, system, _ = wait_for_all(process, sink)
    return (time.monotonic() - started, user + system), sink.sums()


def compare_shards(build, name, packets, flows, args, folder, counts):
    """Rows of the table of shards; False when a count is wrong."""
    path, true = generate(build, name, packets, flows, folder, args.seconds)
    runs = {shards: [] for shards in counts}
    good = True
    for _ in range(args.rounds):
        for shards in counts:
            used, sums = wall(build, path, flows, shards)
            wrong = faults("weir", sums, true)
            if wrong:
                print(f"{name} {shards} shards: {', '.join(wrong)}: not counted", file=sys.stderr)
                good = False
            else:
                runs[shards].append(used)
    first = None
    for shards, rows in runs.items():
        if not rows:
            continue
        best, cpu = min(row[0] for row in rows), min(row[1] for row in rows)
        middle = statistics.median(row[0] for row in rows)
        first = first or (best, middle, cpu)
        print(
            f"{name:<3} {true['packets']:>10} {shards:>6} {best:>8.2f} {middle:>8.2f} {cpu:>8.2f} {true['packets'] / best:>12,.0f}"
            f" {first[0] / best:>10.2f} {first[1] / middle:>12.2f} {cpu / first[2]:>9.2f}",
            flush=True,
        )
    return good


def shards_table(build, args, folder):
    counts = [int(word) for word in args.shards.split(",")]
    print(
        f"{'':<3} {'packets':>10} {'shards':>6} {'best s':>8} {'median s':>8} {'CPU s':>8} {'packets/s':>12} {'times best':>10}"
        f" {'times median':>12} {'CPU times':>9}"
    )
    good = True
    for name, (packets, flows) in CAPTURES.items():
        if args.only in (None, name):
            good &= compare_shards(build, name, args.packets or packets, args.flows or flows, args, folder, counts)
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--packets", type=int)
    parser.add_argument("--flows", type=int)
    parser.add_argument("--only", choices=CAPTURES)
    parser.add_argument("--programs", help="only these, with commas: weir,softflowd")
    parser.add_argument("--shards", help="so many meters side by side against the first number: 1,2")
    parser.add_argument("--seconds", type=int, default=60, help="with --shards: packet time of the capture")
    args = parser.parse_args()
    build = args.build.resolve()
    adopt_orphans()
    programs = [label for label in PROGRAMS if is_there(label) and (not args.programs or label in args.programs.split(","))]
    folder = build / "captures"
    folder.mkdir(exist_ok=True)
    if args.shards:
        return shards_table(build, args, folder)
    print(
        f"{'':<3} {'packets':>10} {'flows':>9} {'program':<10} {'packets/CPU s':>16} {'least':>12} {'most':>12} {'user s':>7}"
        f" {'sys s':>7} {'MiB':>6} {'octets/flow':>11} {'records':>9} {'ratio':>6}"
    )
    good = True
    for name, (packets, flows) in CAPTURES.items():
        if args.only in (None, name):
            good &= bench(build, name, args.packets or packets, args.flows or flows, args.rounds, folder, programs)
    for label in PROGRAMS:
        if not is_there(label):
            print(f"{label} is not installed, so there is nothing to compare with it")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
