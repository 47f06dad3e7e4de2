#!/usr/bin/env python3
"""Records from `weir probe` to the store of `weir collect`, over every transport; and what arrives when the collector is
killed again and again meanwhile.

transports.py BUILD [--records N] [--kills N] [--only NAME]... [--trace]

Each record is a flow of its own, so the store shows which ones are there, and how often. Without kills every record must
be there once, and none counted as not sent. With kills (over Tcp and Tls) none may be there twice, and what is missing
must be counted as not sent: "silent" is what is not. "unsure" are those that the exporter counts because the collector's
kernel had acknowledged them and the collector may not have read them; most did arrive.
--trace stops both before each kill and tells what the collector's kernel has acknowledged and not been asked for.
`make runs` runs it large; as a test it runs small.
"""

import argparse
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TRANSPORTS = ("Udp", "Tcp", "Tls", "Dtls", "Sctp")
KILLED = ("Tcp", "Tls")
UDP_PARTS = 10  # a datagram that the kernel drops is gone: so many pauses for the collector


def write_capture(path, first, count):
    """One packet for each flow; the number of the flow is the source address, from 10.0.0.0 on."""
    head = bytes.fromhex("4500001c000000004011000000000000c0000201") + struct.pack("!HHHH", 4000, 53, 8, 0)
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for n in range(first, first + count):
            packet = head[:12] + struct.pack("!I", 0x0A000000 + n) + head[16:]
            out.write(struct.pack("<IIII", 1700000000, n % 1000000, len(packet), len(packet)) + packet)


def certificates(folder):
    def make(name, *more):
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        words += ["-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem", *more]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)

    make("ca")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    make("collector", *signed, "-addext", "subjectAltName=DNS:flows.example")
    make("probe", *signed)


class Collector:
    def __init__(self, weir, folder, listen, port):
        self.words = [weir, "collect", "-q", "-l", listen, "-s", folder / "store", "--http", f"127.0.0.1:{port}"]
        for what in ("certificate", "key", "ca"):
            self.words += [f"--tls-{what}", folder / {"certificate": "collector.pem", "key": "collector.key", "ca": "ca.pem"}[what]]
        self.port, self.process = port, None

    def start(self):
        self.process = subprocess.Popen([str(w) for w in self.words], start_new_session=True)
        self.wait(lambda: self.messages() is not None, "the collector does not start", 120)

    def messages(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                rows = [line.split() for line in answer.read().decode().splitlines() if line.startswith("weir_receiver_messages_total")]
            return sum(int(float(row[-1])) for row in rows)
        except OSError:
            return None

    def wait(self, condition, what, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{what} (exit status {self.process.poll()})")
            time.sleep(0.02)

    def kill(self):
        """The collector alone: the processes behind it end by themselves."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        if self.process.wait(300):
            sys.exit(f"weir collect ended with {self.process.returncode}")


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def write_profile(folder, collector):
    tls = {"Certificate": "probe.pem", "Key": "probe.key", "Ca": "ca.pem"}
    tls = {k: str(folder / v) for k, v in tls.items()} | {"ServerName": "flows.example"}
    content = {"FlowMetadata": {"IpFixCollectors": [collector], "ReconnectInterval": 1000, "MaxFlows": 4 << 20, "Tls": tls}}
    (folder / "weir.json").write_text(json.dumps(content), encoding="utf-8")


def ask(weir, store, statement):
    words = [weir, "query", "-s", store, "-o", "json", "--sql", statement]
    out = subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[0])


def start_probe(weir, folder, capture):
    words = [weir, "probe", "-q", "-p", folder / "weir.json", "-r", capture, "--stats"]
    return subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_probe(process):
    """What it counted for its collector."""
    out, err = process.communicate(timeout=1800)
    if process.returncode not in (0, 1):
        sys.exit(f"weir probe ended with {process.returncode}\n{err[-2000:]}")
    text = next(line for line in reversed((out + err).splitlines()) if line.startswith("{"))
    return json.loads(text)["collectors"][0]


def unread(port):
    """Octets in the receive queues of the listener's connections."""
    words = ["ss", "-tnH", "state", "established", "sport", "=", f":{port}"]
    rows = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return sum(int(row.split()[0]) for row in rows)


def trace_kill(collector, probe, port):
    probe.send_signal(signal.SIGSTOP)
    collector.process.send_signal(signal.SIGSTOP)
    print(f"  unread at the kill: {unread(port)} octets", flush=True)
    collector.kill()
    probe.send_signal(signal.SIGCONT)


def kill_often(collector, probe, kills, expected, port):
    """Kill it `kills` times, spread over the messages that are still to come. port: to be traced."""
    done = 0
    for left in range(kills, 0, -1):
        goal = max(1, (expected - done) // (left + 1))
        while probe.poll() is None and (collector.messages() or 0) < goal:
            time.sleep(0.001)
        if probe.poll() is not None:
            return kills - left
        done += collector.messages() or goal
        if port:
            trace_kill(collector, probe, port)
        else:
            collector.kill()
        collector.start()
    return kills


def run(weir, name, records, kills, trace):
    """One row; False when something is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="weir-runs-") as held:
        folder = Path(held)
        certificates(folder)
        port, http = free_ports(2)
        write_profile(folder, f"{name}/127.0.0.1:{port}")
        collector = Collector(weir, folder, f"{name}/127.0.0.1:{port}", http)
        collector.start()
        parts = UDP_PARTS if name in ("Udp", "Dtls") else 1
        not_sent = unsure = 0
        killed, began = 0, time.monotonic()
        for part in range(parts):
            capture = folder / "flows.pcap"
            write_capture(capture, part * records // parts, records // parts)
            probe = start_probe(weir, folder, capture)
            if kills:
                killed = kill_often(collector, probe, kills, records // 30, port if trace else 0)
            counts = finish_probe(probe)
            not_sent += counts["notSentFlows"]
            unsure += counts["unsureFlows"]
        wall = time.monotonic() - began
        collector.stop()
        what = "count(*) as n, count(distinct sourceIPv4Address) as d from flows"
        found = ask(weir, folder / "store", f"select {what}")
    sent = records // parts * parts
    lost, twice = sent - found["d"], found["n"] - found["d"]
    silent = max(0, lost - not_sent)
    good = twice == 0 and silent == 0 and (killed > 0 or not_sent == 0)
    row = f"{name:<5} {sent:>9} {killed:>5} {found['n']:>9} {lost:>7} {twice:>6} {not_sent:>8} {unsure:>7} {silent:>6} {wall:>7.1f}"
    if killed:
        row += f"  for each kill {lost / killed:.0f} missing, {unsure / killed:.0f} unsure"
    print(f"{row}  {'ok' if good else 'WRONG'}", flush=True)
    return good


def has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kills-only", action="store_true", help="leave out the runs without kills")
    parser.add_argument("--trace", action="store_true", help="tell what was unread at each kill; needs ss")
    parser.add_argument("--only", action="append", choices=TRANSPORTS)
    args = parser.parse_args()
    weir = args.build.resolve() / "src" / "cmd" / "weir"
    if not shutil.which("openssl"):
        print("SKIP: openssl is not installed")
        return 77
    print(f"{'':<5} {'records':>9} {'kills':>5} {'stored':>9} {'missing':>7} {'twice':>6} {'not sent':>8} {'unsure':>7} {'silent':>6} {'seconds':>7}")
    good = True
    for name in [] if args.kills_only else args.only or TRANSPORTS:
        if name == "Sctp" and not has_sctp():
            print("Sctp: this kernel has none; tests/vm has a run in one that does")
            continue
        good &= run(weir, name, args.records, 0, False)
    for name in KILLED:
        if args.kills and name in (args.only or KILLED):
            good &= run(weir, name, args.records, args.kills, args.trace)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
