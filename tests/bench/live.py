#!/usr/bin/env python3
"""What metering a live interface costs, and what is lost: weir with the ring and with counting in the kernel, and peers.

live.py BUILD [--packets N] [--flows N,N] [--octets N] [--rate N] [--rounds N] [--programs a,b] [--no-iperf]

Frames are made in the kernel (live_send) and go through a veth pair in a namespace of its own; one program at a time
meters the receiving end and exports to a counting sink over loopback. They take turns; medians are shown.

  seen      packets that the interface has received
  counted   packets in the records that came to the sink; a row of weir's with other sums than were seen, less what it
            said it lost, makes the run fail
  own       CPU time of the program and its children, user and system, ns a packet seen
  kernel    CPU time of making and receiving the frames, more than without any program, ns a packet: what the program's
            tap costs inside the kernel, where it is nobody's own
  sum       of both

iperf3 over the same kind of pair then shows how much of a TCP stream's throughput is left with each program.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OWN_PACKETS = 50  # neighbours say hello, too


class Cannot(Exception):
    """This machine does not let the benchmark run."""


def run(*words, **options):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True, **options).stdout


class Pair:
    """A veth pair; with two namespaces, or both ends in one."""

    def __init__(self, apart=False):
        self.left = f"weir-live{os.getpid()}"
        self.right = f"{self.left}b" if apart else self.left
        self.sender, self.receiver = f"la{os.getpid()}"[-15:], f"lb{os.getpid()}"[-15:]

    def __enter__(self):
        try:
            for name in {self.left, self.right}:
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
                run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
            run("ip", "-n", self.left, "link", "add", self.sender, "type", "veth", "peer", "name", self.receiver, "netns", self.right)
            for name, device, number in ((self.left, self.sender, 1), (self.right, self.receiver, 2)):
                if self.right != self.left:
                    run("ip", "-n", name, "address", "add", f"10.8.0.{number}/24", "dev", device)
                run("ip", "-n", name, "link", "set", device, "arp", "on" if self.right != self.left else "off", "up")
        except (subprocess.CalledProcessError, OSError) as e:
            self.__exit__()
            raise Cannot(f"no network namespaces: {getattr(e, 'stderr', e)}") from None
        return self

    def __exit__(self, *unused):
        for name in {self.left, self.right}:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def received(self):
        said = json.loads(run("ip", "-j", "-s", "-n", self.right, "link", "show", self.receiver))
        return said[0]["stats64"]["rx"]["packets"]


def inside(namespace, *words):
    return ["ip", "netns", "exec", namespace, *[str(w) for w in words]]


class Sink:
    def __init__(self, build, namespace):
        command = inside(namespace, build / "tests" / "bench" / "bench_sink")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def sums(self):
        out, _ = self.process.communicate(timeout=300)
        return dict(zip(("messages", "flows", "packets", "octets", "lost"), map(int, out.split())))


def weir(capture, shards=1, process=False):
    def command(build, device, port, flows, folder):
        profile = folder / "weir.json"
        settings = {"Capture": capture, "Shards": shards, "ExtraFields": {"Process": process}}
        profile.write_text(json.dumps({"FlowMetadata": settings}), encoding="utf-8")
        return [build / "src" / "cmd" / "weir", "probe", "--stats", "-i", device, "-c", f"Udp/127.0.0.1:{port}", "-p", profile, "--max-flows", max(flows * 2, 16)]

    return command


def softflowd(build, device, port, flows, folder):
    program = shutil.which("softflowd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return [program, "-d", "-i", device, "-p", folder / "pid", "-c", folder / "ctl", "-n", f"127.0.0.1:{port}", "-v", "10", "-m", flows * 2]


def pmacctd(build, device, port, flows, folder):
    lines = {
        "pcap_interface": device,
        "daemonize": "false",
        "plugins": "nfprobe",
        "aggregate": "src_host, dst_host, src_port, dst_port, proto, tos",
        "nfprobe_receiver": f"127.0.0.1:{port}",
        "nfprobe_version": 10,
        "plugin_pipe_size": 100_000_000,
    }
    settings = folder / "pmacct"
    settings.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")
    return [shutil.which("pmacctd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"), "-f", settings]


PROGRAMS = {
    "ring": weir("ring"),
    "process": weir("ring", process=True),
    "2-shards": weir("ring", 2),
    "ebpf": weir("ebpf"),
    "auto": weir("auto"),
    "softflowd": softflowd,
    "pmacctd": pmacctd,
}
PATTERN = {
    "ring": "index ",
    "process": "index ",
    "2-shards": "index ",
    "ebpf": "packets are counted in the kernel",
    "auto": "packets are taken, and counted",
}


def ticks_of(pid):
    """User and system ticks of a process and of the children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def soft_interrupts():
    """Ticks of the kernel's threads that receive where nobody else has the time."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text(encoding="utf-8").startswith("ksoftirqd/"):
                    found += ticks_of(entry.name)
            except OSError:
                pass
    return found / os.sysconf("SC_CLK_TCK")


class Meter:
    """One program at the receiving end."""

    def __init__(self, build, pair, label, flows, folder):
        self.label, self.log = label, folder / f"{label}.log"
        self.sink = Sink(build, pair.right)
        command = inside(pair.right, *PROGRAMS[label](build, pair.receiver, self.sink.port, flows, folder))
        with open(self.log, "wb") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        self.wait_until_ready(pair)
        time.sleep(0.3)

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self, pair):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.label in PATTERN:
                if PATTERN[self.label] in self.text():
                    return
                if "packets are not counted in the kernel" in self.text():
                    break
            elif len(run(*inside(pair.right, "cat", "/proc/net/packet")).splitlines()) > 1:
                return
            time.sleep(0.05)
        why = self.text()[-500:]
        self.finish()
        raise Cannot(f"{self.label} does not begin: {why}")

    def finish(self):
        """(CPU seconds of all its life, sums at the sink)."""
        if self.process.poll() is None and self.label == "softflowd":  # in the foreground it does not heed signals
            program = shutil.which("softflowctl", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
            subprocess.run([program, "-c", self.log.parent / "ctl", "shutdown"], check=False, capture_output=True)
        elif self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT if self.label == "pmacctd" else signal.SIGTERM)
        before = os.times()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return used, self.sink.sums()

    def lost(self):
        """What weir says that it has lost."""
        for line in self.text().splitlines():
            if line.startswith("{"):
                return json.loads(line)["source"]["droppedPackets"]
        return 0


def send(build, pair, arguments, flows):
    """(packets seen, seconds, CPU seconds of sending and receiving)."""
    before, soft = pair.received(), soft_interrupts()
    words = [f"{pair.sender},{pair.receiver}", arguments.packets, flows, arguments.octets, *([arguments.rate] if arguments.rate else [])]
    made, seconds, used = run(*inside(pair.left, build / "tests" / "bench" / "live_send", *words)).split()
    time.sleep(0.2)
    return pair.received() - before, float(seconds), float(used) + soft_interrupts() - soft


def measure(build, pair, label, arguments, flows, folder):
    """A row: seen, counted, rate, own ns a packet, CPU ns a packet of sending; and whether it is right."""
    if label == "none":
        seen, seconds, used = send(build, pair, arguments, flows)
        return (seen, seen, seen / seconds, 0.0, used / seen * 1e9), True
    meter = Meter(build, pair, label, flows, folder)
    start = ticks_of(meter.process.pid) / os.sysconf("SC_CLK_TCK")
    seen, seconds, used = send(build, pair, arguments, flows)
    own, sums = meter.finish()
    counted = sums["packets"]
    right = True
    if label in PATTERN:
        lost = meter.lost()
        right = sums["lost"] == 0 and seen <= counted + lost <= seen + OWN_PACKETS and sums["octets"] >= (seen - lost) * arguments.octets
        if not right:
            print(f"{label}: seen {seen}, counted {counted}, said to be lost {lost}, at the sink {sums}", file=sys.stderr)
    return (seen, counted, seen / seconds, (own - start) / seen * 1e9, used / seen * 1e9), right


def show(flows, label, rows, base):
    seen, counted, rate, own, sending = (statistics.median(column) for column in zip(*rows))
    lost = max(0.0, 100 * (1 - counted / seen))
    kernel = sending - base
    low, high = (choose(r[3] + r[4] - base for r in rows) for choose in (min, max))
    print(f"{flows:>8} {label:<10} {rate:>10,.0f} {seen:>10,.0f} {counted:>12,.0f} {lost:>7.2f} {own:>7.0f} {kernel:>7.0f} {own + kernel:>7.0f} {low:>7.0f} {high:>7.0f}", flush=True)


def bench_frames(build, arguments, labels, folder):
    print(f"{'flows':>8} {'program':<10} {'packets/s':>10} {'seen':>10} {'counted':>12} {'lost %':>7} {'own ns':>7} {'kernel':>7} {'sum ns':>7} {'least':>7} {'most':>7}")
    good = True
    for flows in arguments.flows:
        rows = {label: [] for label in ["none", *labels]}
        for _ in range(arguments.rounds):
            for label in rows:
                with Pair() as pair:
                    row, right = measure(build, pair, label, arguments, flows, folder)
                good &= right
                rows[label].append(row)
        base = statistics.median(row[4] for row in rows["none"])
        print(f"{flows:>8} {'none':<10} {statistics.median(r[2] for r in rows['none']):>10,.0f}   (making and receiving: {base:.0f} ns of CPU a packet)")
        for label in labels:
            show(flows, label, rows[label], base)
    return good


def stream(pair, seconds):
    """Gbit/s of one TCP stream, and CPU seconds of both ends for each of its Gbit."""
    server = subprocess.Popen(inside(pair.right, "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    try:
        said = json.loads(run(*inside(pair.left, "iperf3", "-c", "10.8.0.2", "-t", seconds, "-J")))
        server.wait(20)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    return said["end"]["sum_received"]["bits_per_second"] / 1e9


def bench_stream(build, arguments, labels, folder):
    print(f"\n{'iperf3':<10} {'Gbit/s':>8} {'of none':>8}")
    speeds = {label: [] for label in ["none", *labels]}
    for _ in range(arguments.rounds):
        for label, found in speeds.items():
            with Pair(apart=True) as pair:
                meter = Meter(build, pair, label, 1000, folder) if label != "none" else None
                found.append(stream(pair, arguments.seconds))
                if meter:
                    meter.finish()
    base = statistics.median(speeds["none"])
    for label, found in speeds.items():
        speed = statistics.median(found)
        print(f"{label:<10} {speed:>8.2f} {100 * speed / base:>7.0f}%")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--packets", type=int, default=3_000_000)
    parser.add_argument("--flows", default="1000,100000")
    parser.add_argument("--octets", type=int, default=64)
    parser.add_argument("--rate", type=int, default=0, help="packets a second; 0: as fast as they can be made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--seconds", type=int, default=4, help="of iperf3")
    parser.add_argument("--no-iperf", action="store_true")
    arguments = parser.parse_args()
    arguments.flows = [int(n) for n in arguments.flows.split(",")]
    build = arguments.build.resolve()
    labels = [l for l in arguments.programs.split(",") if l in PATTERN or shutil.which(l, path=f"{os.environ.get('PATH', '')}:/usr/sbin")]
    if os.geteuid() != 0:
        print("skipped: it makes network namespaces, and needs root")
        return 77
    with tempfile.TemporaryDirectory(prefix="weir-live-") as folder:
        try:
            good = bench_frames(build, arguments, labels, Path(folder))
            if not arguments.no_iperf and shutil.which("iperf3"):
                bench_stream(build, arguments, labels, Path(folder))
        except Cannot as why:
            print(f"skipped: {why}")
            return 77
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
