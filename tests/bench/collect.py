#!/usr/bin/env python3
"""weir collect beside nfcapd on the same stream over UDP on loopback: rate without loss, CPU, octets at rest.

collect.py BUILD [--rates R,…] [--seconds S] [--bisect N]

14 elements, 57 octets a record, 24 records a message of 1388 octets, one exporter. A rate holds when less than 0.1 % of
what was sent is missing from what the program took in, at the first try or at a second, as the machine may pause for
reasons of its own; the highest such rate is then looked for between the last that held and the first that did not. Both programs ask for a receive buffer of 16 MiB and get it. CPU seconds are user and
system time per million records, from the first datagram on, without the start of the program: for weir the receiver (with the journal) and the loader (decode, ledger, Parquet) are processes of their own.

stolen: of the time that this machine's processors were busy, what a virtual machine's host gave to others. Where that is
much, processors stop for longer than a receive buffer lasts, and rates without loss say more of the host than of programs.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

RECORDS = 24
BUFFER = 16 << 20
TRIES = 2


def free_port():
    """A port that nobody has, over UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as b:
            a.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                b.bind(a.getsockname())
                return a.getsockname()[1]


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) / 1024


def children(pid):
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        for child in map(int, f.read().split()):
            found += [child, *children(child)]
    return found


def processors():
    """Ticks that the processors worked for us, and ticks that another machine had of them meanwhile."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, hard, soft, stolen = map(int, f.readline().split()[1:9])
    return user + nice + system + hard + soft, stolen


def send(build, port, rate, seconds):
    worked, stolen = processors()
    out = subprocess.run([build / "tests/bench/bench_send", str(port), str(rate), str(seconds)], capture_output=True, text=True, check=True).stdout
    sent, took = out.split()
    worked, stolen = processors()[0] - worked, processors()[1] - stolen
    return {"sent": int(sent) * RECORDS, "took": float(took), "stolen": 100 * stolen / max(worked + stolen, 1)}


def metric(text, name, label=""):
    return sum(float(v) for labels, v in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.M) if label in labels)


def weir(build, folder, rate, seconds):
    port, http = free_port(), free_port()
    argv = [build / "src/cmd/weir", "collect", "-q", "-l", f"Udp/127.0.0.1:{port}", "-s", folder / "store", "--http", f"127.0.0.1:{http}", "--workers", "1", "--receive-buffer", str(BUFFER)]
    with subprocess.Popen([str(w) for w in argv]) as p:
        def get():
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics", timeout=30) as answer:
                return answer.read().decode()

        for _ in range(200):
            try:
                get()
                break
            except OSError:
                time.sleep(0.05)
        begun = cpu_of(p.pid)
        result = send(build, port, rate, seconds)
        time.sleep(1.2)
        text = get()
        received = metric(text, "weir_journal_messages_total")
        receive_cpu = cpu_of(p.pid) - begun
        while metric(text, "weir_process_read_messages_total", "loader") < received:
            time.sleep(0.1)
            text = get()
        loaders = [c for c in children(p.pid) if Path(f"/proc/{c}/comm").read_text(encoding="utf-8").strip() == "loader"]
        p.terminate()
        loader_cpu, peak = 0.0, [resident(p.pid), 0.0]
        while p.poll() is None:
            try:
                loader_cpu, peak[1] = cpu_of(loaders[0]), resident(loaders[0])
            except (OSError, TypeError, IndexError):
                pass
            time.sleep(0.005)
    manifest = json.loads((folder / "store/manifest.json").read_text(encoding="utf-8"))
    rows = sum(q["records"] for q in manifest["partitions"])
    octets = sum(q["octets"] for q in manifest["partitions"])
    # One message in some thousands carries the template and no records.
    taken = min(received * RECORDS, result["sent"])
    return result | {"kept": rows, "taken": taken, "receive": receive_cpu, "load": loader_cpu, "octets": octets, "mib": peak}


def nfcapd(build, folder, rate, seconds):
    port = free_port()
    argv = ["nfcapd", "-w", folder, "-b", "127.0.0.1", "-p", str(port), "-t", "3600", "-B", str(BUFFER), "-y"]
    with subprocess.Popen([str(w) for w in argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        time.sleep(1.0)
        begun = cpu_of(p.pid)
        result = send(build, port, rate, seconds)
        time.sleep(1.5)
        cpu, peak = cpu_of(p.pid) - begun, [resident(p.pid), 0.0]
        p.terminate()
        p.wait(60)
    rows = octets = 0
    for path in folder.glob("nfcapd.2*"):
        out = subprocess.run(["nfdump", "-I", "-r", path], capture_output=True, text=True, check=True).stdout
        rows += int(re.search(r"^Flows: (\d+)", out, re.M)[1])
        octets += path.stat().st_size
    return result | {"kept": rows, "taken": rows, "receive": cpu, "load": 0.0, "octets": octets, "mib": peak}


@contextlib.contextmanager
def roomy_buffers(octets=BUFFER):
    """Every program gets the receive buffer that it asks for, where that can be arranged; put back afterwards."""
    path = Path("/proc/sys/net/core/rmem_max")
    before = path.read_text(encoding="ascii")
    try:
        path.write_text(str(max(int(before), octets)), encoding="ascii")
    except OSError:
        print("the receive buffer of nfcapd is bounded by net.core.rmem_max: no comparison of rates", file=sys.stderr)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.write_text(before, encoding="ascii")


def row(program, rate, r):
    lost = 100 * (1 - r["taken"] / r["sent"]) if r["sent"] else 100
    taken = max(r["taken"], 1) / 1e6
    print(
        f"{program:<8} {rate / 1e6 if rate else 0:>7.2f} {r['sent'] / r['took'] / 1e6:>9.2f} {max(lost, 0):>8.3f} {r['receive'] / taken:>9.3f}"
        f" {r['load'] / taken:>9.3f} {r['octets'] / max(r['kept'], 1):>8.1f} {r['mib'][0]:>6.0f} {r['mib'][1]:>6.0f} {r['stolen']:>8.0f}",
        flush=True,
    )
    return lost < 0.1 and r["kept"] >= r["taken"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--rates", default="500000,1000000,2000000,3000000,4000000,5000000,0")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--bisect", type=int, default=4, help="runs to come closer to the highest rate without loss")
    args = parser.parse_args()
    programs = [weir, nfcapd] if shutil.which("nfcapd") else [weir]
    print(f"{'program':<8} {'asked M':>7} {'sent M/s':>9} {'lost %':>8} {'recv s/M':>9} {'load s/M':>9} {'octets':>8} {'MiB':>6} {'loader':>6} {'stolen %':>8}")

    def holds(program, rate):
        """Whether nothing is lost at this rate, and how much the sender gave."""
        for _ in range(TRIES):
            with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder, roomy_buffers():
                r = program(args.build.resolve(), Path(folder), rate, args.seconds)
            if row(program.__name__, rate, r):
                return True, r["sent"] / r["took"]
        return False, r["sent"] / r["took"]

    best, worst = {}, {}
    for rate in map(int, args.rates.split(",")):
        for program in programs:
            whole, given = holds(program, rate)
            if whole:
                best[program] = max(best.get(program, 0), given)
            else:
                worst[program] = min(worst.get(program, given), given)
    for program in best:
        for _ in range(args.bisect):
            if program not in worst or worst[program] <= 1.05 * best[program]:
                break
            whole, given = holds(program, int((best[program] + worst[program]) / 2))
            (best if whole else worst)[program] = given
        bound = "" if program in worst else "; the sender gave no more"
        print(f"{program.__name__}: {best[program] / 1e6:.2f} M records a second without loss{bound}")
    if len(best) == 2:
        print(f"weir/nfcapd: {best[weir] / best[nfcapd]:.1f} times the rate without loss" + ("" if weir in worst else ", or more"))
    if len(programs) == 1:
        print("SKIP: nfcapd is not installed, so there is nothing to compare with")
    return 0 if weir in best else 1


if __name__ == "__main__":
    sys.exit(main())
