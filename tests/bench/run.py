#!/usr/bin/env python3
"""Packets per CPU second from a capture file to flow records, weir beside its peers, in the same run.

run.py BUILD [--rounds N] [--packets N] [--flows N] [--only A|B|C] [--limit SECONDS]
run.py BUILD --shards 1,2 …: several meters side by side (Shards) against one, by the clock on the wall

A: 10 million packets of 100 000 flows by Zipf's law; B: of 1 000 000 flows all alike; C: 5 million packets, each its own
flow. All read the same file and export every flow to the same sink on loopback; they take turns, and medians are
compared. CPU seconds are those of the exporter and its children, user and system apart. A speed counts only when all
packets and octets arrived: a program whose counts of a small capture are wrong is not run on the large one, and a peer whose
counts of the large one are wrong, or that has not ended within the limit, not again.

  weir       as it comes: a flow ends after 15 s without a packet
  weir/60    no flow ends before the capture does, as with the peers: the same records
  softflowd  as it comes, its table as large as weir's
  fprobe     NetFlow 5, which has no IPv6: its speed is in packets of IPv4, though it reads the others, too
  pmacctd    nfprobe, IPFIX, a tenth of the packets and flows: it takes a hundred times as long as weir
  nfpcapd    into its own files, which nfdump adds up, not over UDP

octets/flow: resident at most, less what the same program takes for a capture of a thousand packets, for each flow that
is open at the end; said of programs that hold them all until then.

ratio: times as fast as softflowd with the same capture in the same run.
"""

import argparse
import ctypes
import json
import math
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

CAPTURES = {"A": (10_000_000, 100_000), "B": (10_000_000, 1_000_000), "C": (5_000_000, 5_000_000)}
SMALL = (1_000, 200)
SLICE = {"pmacctd": 10}  # of packets and flows, one in so many
PATIENCE = 6  # times the CPU seconds: so long on the wall
TWICE = 1000  # packets: pmacctd counts some of its last buffer twice when the file ends
GOALS = {"A": 15, "B": 10, "C": 4}  # million packets a CPU second
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
        "plugin_pipe_size": 100_000_000,  # its pages are cleared, too, so no larger than a slice takes
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


class Limit:
    """Ends a program, and what it has started, after so many seconds on the wall: one that waits for ever."""

    def __init__(self, seconds, process, sink):
        self.passed = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, args=(seconds, process, sink), daemon=True)
        self.thread.start()

    def watch(self, seconds, process, sink):
        if not seconds or self.over.wait(seconds):
            return
        self.passed = True
        while not self.over.wait(0.2):  # what it started becomes ours when it has ended
            for pid in {process.pid, *map(int, other_children(sink))}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def stop(self):
        self.over.set()
        self.thread.join()


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


def bound_to(seconds):
    """What a new process does first: it gets so many seconds of CPU time, however busy the machine is."""
    bound = math.ceil(seconds)
    return lambda: resource.setrlimit(resource.RLIMIT_CPU, (bound, bound + 1))


def measure(build, label, capture, flows, limit):
    """((user s, system s, resident MiB), sums, whether it ended by itself) of one run."""
    sink = Sink(build)
    command = [str(word) for word in PROGRAMS[label](build, capture, sink.port, flows)]
    command[0] = is_there(command[0]) or command[0] if not label.startswith("weir") else command[0]
    log = capture.with_suffix(".log")
    with open(capture, "rb") as source, open(log, "wb") as said:
        stdin = source if label == "fprobe" else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=stdin, stdout=said, stderr=said, preexec_fn=bound_to(limit))
        watched = Limit(limit * PATIENCE, process, sink)
        used = wait_for_all(process, sink)
        watched.stop()
    ended = not watched.passed and process.returncode not in (-signal.SIGXCPU, -signal.SIGKILL)
    sums = sink.sums()
    if label == "nfpcapd":
        sums = sums_of_files(capture)
    if process.returncode and ended:
        text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        print(f"{' '.join(command)}: exit status {process.returncode}\n{text}", file=sys.stderr)
        sums = dict.fromkeys(sums, 0)
    return used, sums, ended


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


class Program:
    """One of those that are compared over one capture: what it reads, and what came of it."""

    def __init__(self, label, name, packets, flows, build, folder):
        share = SLICE.get(label, 1) if packets > 100 * SMALL[0] else 1
        self.label, self.name, self.flows = label, name, flows // share
        self.small_path, self.small_true = generate(build, name, *SMALL, folder)
        self.path, self.true = generate(build, name, packets // share, flows // share, folder)
        self.is_ours = label.startswith("weir")
        self.small, self.rows = [], []
        self.why_not = None  # it is not run any more

    def run(self, build, limit, large):
        """One run into its rows when its counts are right; whether they are."""
        path, true, rows = (self.path, self.true, self.rows) if large else (self.small_path, self.small_true, self.small)
        used, sums, ended = measure(build, self.label, path, self.flows, limit)
        wrong = faults(self.label, sums, true) if ended else []
        if ended and not wrong:
            rows.append((*used, sums["flows"]))
            return True
        self.why_not = "wrong counts" if ended else f"no end in {limit:g} s"
        print(f"{self.name} {self.label} ({true['packets']} packets): {', '.join(wrong) or self.why_not}: not counted", file=sys.stderr)
        return False

    def speeds(self):
        packets, _ = truth_for(self.label, self.true)
        return [packets / (row[0] + row[1]) for row in self.rows]

    def speed(self):
        return statistics.median(self.speeds()) if self.rows else None

    def resident(self):
        return statistics.median(row[2] for row in self.rows) if self.rows else None

    def octets(self):
        return (self.resident() - self.small[0][2]) * 2**20 / self.true["flows"]

    def show(self, peer):
        start = f"{self.name:<3} {self.true['packets']:>10} {self.true['flows']:>9} {self.label:<10}"
        if not self.rows:
            print(f"{start} {self.why_not or 'not run':>16}", flush=True)
            return
        user, system = (statistics.median(row[i] for row in self.rows) for i in range(2))
        each = f"{self.octets():.0f}" if self.label in HOLDS_ALL else "-"
        ratio = f"{self.speed() / peer:.1f}" if peer else "-"
        print(
            f"{start} {self.speed():>16,.0f} {min(self.speeds()):>12,.0f} {max(self.speeds()):>12,.0f} {user:>7.2f} {system:>7.2f}"
            f" {self.resident():>6.0f} {each:>11} {self.rows[0][3]:>9} {ratio:>6}",
            flush=True,
        )


def bench(build, name, packets, flows, rounds, folder, labels, limit):
    """The programs over one capture, and their rows of the table; whether all counts of ours are right."""
    programs = [Program(label, name, packets, flows, build, folder) for label in labels]
    good = True
    for program in programs:
        good &= program.run(build, limit, large=False) or not program.is_ours
    for _ in range(rounds):
        for program in programs:
            if program.why_not is None or (program.is_ours and program.small):
                good &= program.run(build, limit, large=True) or not program.is_ours
    peer = next((program.speed() for program in programs if program.label == "softflowd"), None)
    for program in programs:
        program.show(peer)
    return programs, good


def goals(programs):
    """What was asked for, and what these runs show."""
    ours = {program.name: program for program in programs if program.label == "weir/60" and program.rows}
    peers = {program.name: program for program in programs if program.label == "softflowd" and program.rows}
    if not ours:
        return
    print("\nGoals (weir/60, which makes the same records as the peers; medians):")
    for name, wanted in GOALS.items():
        if name not in ours:
            continue
        speed = ours[name].speed()
        ratio = f", {speed / peers[name].speed():.1f} times softflowd" if name in peers else ""
        print(f"{name}: {speed / 1e6:.1f} M packets a CPU second of {wanted} M{ratio}")
    if "C" in ours:
        held = ours["C"]
        print(f"C: {held.resident() * 2**20 / 1e6:.0f} MB resident of 600 MB, {held.octets():.0f} octets a flow of 112", flush=True)


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
    parser.add_argument("--limit", type=float, default=45, help="CPU seconds of one run of one program")
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
    good, done = True, []
    for name, (packets, flows) in CAPTURES.items():
        if args.only in (None, name):
            sizes = args.packets or packets, args.flows or flows
            compared, right = bench(build, name, *sizes, args.rounds, folder, programs, args.limit)
            done += compared
            good &= right
    if not args.packets and not args.flows:
        goals(done)
    for label in PROGRAMS:
        if not is_there(label):
            print(f"{label} is not installed, so there is nothing to compare with it")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
