"""What the end-to-end tests stand on: namespaces, processes, traffic, and the independent readers of IPFIX.

A test is a script of functions test_*; the last line is `lib.main(globals())`. Everything made is undone when its
`with` ends, also after a failure or SIGTERM. Only processes started here are ended, each by its pid. Nothing is made
in the namespace that the test was started in.
"""

import contextlib
import ctypes
import datetime
import fcntl
import inspect
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

SOURCE = Path(os.environ.get("WEIR_SOURCE") or Path(__file__).resolve().parent.parent.parent)
WEIR = os.environ.get("WEIR") or str(SOURCE / "build" / "src" / "cmd" / "weir")
CORPUS = Path(os.environ.get("WEIR_CORPUS") or SOURCE.parent / "shared" / "corpus")

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1


class Skip(Exception):
    """The test cannot run here; the text says why."""


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root: it makes network namespaces")


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip(f"'{tool}' is not installed; scripts/setup --test does that")


def need_corpus(folder):
    if not (CORPUS / folder).is_dir():
        raise Skip(f"no test data: {folder} is not there (WEIR_CORPUS names its folder)")
    return CORPUS / folder


def check(condition, text):
    """An assertion that also stands under python -O."""
    if not condition:
        raise AssertionError(text)


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def wait_for(what, probe, timeout=10.0, poll=0.05):
    """The first true answer of probe(), within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(poll)


# Processes


class Process:
    """One running program, its output in files so that no pipe can fill up."""

    def __init__(self, argv, folder, netns=None, env=None, stdin=subprocess.DEVNULL):
        self.name = Path(argv[0]).name
        self.argv = [str(word) for word in argv]
        self.out_path = Path(tempfile.mktemp(prefix=f"{self.name}-", suffix=".out", dir=folder))
        self.err_path = self.out_path.with_suffix(".err")
        prefix = ["ip", "netns", "exec", netns] if netns else []
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(
                prefix + self.argv,
                stdin=stdin,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        self.pid = self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if kind and kind is not Skip:
            self.show()

    def show(self):
        print(f"---- {' '.join(self.argv)}: exit status {self.popen.returncode}")
        for label, text in (("stdout", self.output()), ("stderr", self.errors())):
            if text.strip():
                print(f"-- {label}\n{text[-4000:].rstrip()}")

    def output(self):
        return self.out_path.read_text(encoding="utf-8", errors="replace")

    def errors(self):
        return self.err_path.read_text(encoding="utf-8", errors="replace")

    def running(self):
        return self.popen.poll() is None

    def expect(self, pattern, timeout=10.0):
        """Wait until the output (either stream) holds the pattern."""

        def look():
            m = re.search(pattern, self.output() + self.errors())
            if not m and not self.running():
                raise AssertionError(f"{self.name} ended ({self.popen.returncode}) without saying {pattern!r}")
            return m

        return wait_for(f"{self.name} says {pattern!r}", look, timeout)

    def wait(self, timeout=60.0):
        """Its exit status."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout} s: {' '.join(self.argv)}") from None

    def stop(self, expected=0, timeout=20.0, number=signal.SIGTERM):
        """Ask it to end, and hold it to its exit status."""
        check(self.running(), f"{self.name} had ended by itself with {self.popen.returncode}: {self.errors()[-2000:]}")
        self.popen.send_signal(number)
        status = self.wait(timeout)
        if expected is not None:
            equal(status, expected, f"exit status of {self.name} after {signal.Signals(number).name}")
        return status


def run(argv, netns=None, timeout=60.0, expected=0, stdin_text=None, env=None):
    """Run to the end; (status, stdout, stderr). `expected` None accepts any status."""
    prefix = ["ip", "netns", "exec", netns] if netns else []
    argv = [str(word) for word in argv]
    try:
        done = subprocess.run(
            prefix + argv,
            input=stdin_text,
            stdin=subprocess.DEVNULL if stdin_text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still runs after {timeout} s: {' '.join(argv)}") from None
    if expected is not None and done.returncode != expected:
        raise AssertionError(
            f"{' '.join(argv)}: expected exit status {expected}, got {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.returncode, done.stdout, done.stderr


# Namespaces and links


class Namespace:
    """A network namespace with a name of our own. Lab makes and removes it."""

    def __init__(self, name):
        self.name = name

    def run(self, *argv, **options):
        return run(argv, netns=self.name, **options)

    def ip(self, *words):
        return run(["ip", "-n", self.name, *words])[1]

    @contextlib.contextmanager
    def entered(self):
        """This thread stands in the namespace; sockets made now stay there."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self.name}", "rb") as there:
            if _libc.setns(there.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield self
            finally:
                if _libc.setns(home.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_DGRAM):
        with self.entered():
            return socket.socket(family, kind)

    def index_of(self, device):
        with self.entered():
            return socket.if_nametoindex(device)


class Lab(contextlib.ExitStack):
    """A folder, namespaces, links and processes that vanish together."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.folder = None

    def __enter__(self):
        super().__enter__()
        self.folder = Path(tempfile.mkdtemp(prefix="weir-e2e-"))
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def path(self, name):
        return self.folder / name

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    def unique(self, word):
        """A name nobody else on this machine uses, short enough for an interface."""
        self.count += 1
        return f"{word}{os.getpid()}x{self.count}"[-15:]

    def namespace(self, word="n"):
        need_root()
        need("ip")
        name = "weir-" + self.unique(word)
        run(["ip", "netns", "add", name])
        self.callback(run, ["ip", "netns", "del", name], expected=None)
        ns = Namespace(name)
        ns.ip("link", "set", "lo", "up")
        # Half-open IPv6 addresses would make the first seconds of a test depend on duplicate detection.
        ns.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
        return ns

    def start(self, argv, netns=None, env=None, stdin=subprocess.DEVNULL):
        name = netns.name if isinstance(netns, Namespace) else netns
        return self.enter_context(Process(argv, self.folder, name, env, stdin))

    def weir(self, *words, netns=None, env=None):
        return self.start([WEIR, *words], netns, env)

    def probe(self, ns, devices, *words):
        """`weir probe` on interfaces that are there; returns when its packet sockets on them are running."""

        def running():
            rows = [line.split() for line in ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]]
            return [sum(row[4] == str(index) and row[5] == "1" for row in rows) for index in indices]

        indices = [ns.index_of(device) for device in devices]
        before = running()
        probe = self.weir("probe", *[w for device in devices for w in ("-i", device)], *words, netns=ns)
        wait_for("packet sockets run", lambda: all(now > then for now, then in zip(running(), before)), 20)
        return probe

    def join(self, namespaces, v4="198.51.100.0/24", v6="2001:db8:100::/64", device="eth0"):
        """A switch: every namespace gets `device` on one bridge, host number 1, 2, …; a list of (IPv4, IPv6)."""
        switch = self.namespace("sw")
        switch.ip("link", "add", "br0", "type", "bridge")
        switch.ip("link", "set", "br0", "up")
        net4, net6 = ipaddress.ip_network(v4), ipaddress.ip_network(v6)
        addresses = []
        for number, ns in enumerate(namespaces, 1):
            port = f"p{number}"
            switch.ip("link", "add", port, "type", "veth", "peer", "name", device, "netns", ns.name)
            switch.ip("link", "set", port, "master", "br0", "up")
            host4, host6 = str(net4[number]), str(net6[number])
            ns.ip("address", "add", f"{host4}/{net4.prefixlen}", "dev", device)
            ns.ip("address", "add", f"{host6}/{net6.prefixlen}", "dev", device, "nodad")
            ns.ip("link", "set", device, "up")
            addresses.append((host4, host6))
        return addresses

    def overlay(self, namespaces, underlay, v4="10.77.0.0/24", v6="fd77::/64", port=51820):
        """A WireGuard mesh; a list of Peer. In the kernel where it can, else by wireguard-go."""
        need("wg")
        peers = [
            Peer(self, ns, under, str(ipaddress.ip_network(v4)[n]), str(ipaddress.ip_network(v6)[n]))
            for n, (ns, (under, _)) in enumerate(zip(namespaces, underlay), 1)
        ]
        for peer in peers:
            words = ["set", peer.device, "listen-port", port, "private-key", peer.key_file]
            for other in peers:
                if other is not peer:
                    words += ["peer", other.public, "endpoint", f"{other.underlay}:{port}"]
                    words += ["allowed-ips", f"{other.v4}/32,{other.v6}/128"]
            peer.ns.run("wg", *words)
            peer.ns.ip("address", "add", f"{peer.v4}/{v4.split('/')[1]}", "dev", peer.device)
            peer.ns.ip("address", "add", f"{peer.v6}/{v6.split('/')[1]}", "dev", peer.device, "nodad")
            peer.ns.ip("link", "set", peer.device, "up")
        return peers


class Peer:
    """One system on a WireGuard overlay."""

    def __init__(self, lab, ns, underlay, v4, v6):
        self.ns, self.underlay, self.v4, self.v6 = ns, underlay, v4, v6
        self.device = lab.unique("wg")  # wireguard-go's control socket is named after it, host-wide
        private = run(["wg", "genkey"])[1].strip()
        self.public = run(["wg", "pubkey"], stdin_text=private)[1].strip()
        self.key_file = lab.write(f"{self.device}.key", private + "\n")
        self.key_file.chmod(0o600)
        made = run(["ip", "-n", ns.name, "link", "add", self.device, "type", "wireguard"], expected=None)[0] == 0
        self.process = None
        if not made:
            need("wireguard-go")
            self.process = lab.start(["wireguard-go", "-f", self.device], ns)
            control = Path(f"/var/run/wireguard/{self.device}.sock")
            lab.callback(control.unlink, missing_ok=True)
            wait_for("wireguard-go is ready", control.exists)


class Tun:
    """A TUN device whose far end is this test: what the kernel sends is read, what is written arrives."""

    def __init__(self, ns, name):
        need_root()
        if not os.path.exists("/dev/net/tun"):
            raise Skip("no /dev/net/tun")
        self.ns, self.name = ns, name
        with ns.entered():
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                # TUNSETIFF, IFF_TUN | IFF_NO_PI
                fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0001 | 0x1000))
            except OSError:
                os.close(self.fd)
                raise

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def up(self, *addresses):
        for address in addresses:
            self.ns.ip("address", "add", address, "dev", self.name, *(["nodad"] if ":" in address else []))
        self.ns.ip("link", "set", self.name, "up")

    def deliver(self, packet):
        """A packet comes in on the device."""
        os.write(self.fd, packet)

    def close(self):
        """The device is gone."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


# Packets and capture files


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo(source, destination, protocol, length):
    if source.version == 4:
        return source.packed + destination.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + destination.packed + struct.pack("!II", length, protocol)


def ip_packet(source, destination, protocol, payload, tos=0):
    """An IPv4 or IPv6 packet around a transport payload whose checksum is already right."""
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload), protocol, 64) + source.packed + destination.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), 0, 0x4000, 64, protocol, 0)
    head += source.packed + destination.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def _transport(source, destination, protocol, head, at, payload, tos):
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    whole = head + payload
    value = checksum(_pseudo(a, b, protocol, len(whole)) + whole) or 0xFFFF
    whole = whole[:at] + struct.pack("!H", value) + whole[at + 2 :]
    return ip_packet(source, destination, protocol, whole, tos)


def udp(source, sport, destination, dport, payload=b"", tos=0):
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    return _transport(source, destination, 17, head, 6, payload, tos)


def tcp(source, sport, destination, dport, flags, payload=b"", seq=0, ack=0, tos=0):
    """`flags` as letters: "S", "SA", "A", "PA", "FA", "R"."""
    bits = sum({"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}[f] for f in flags)
    head = struct.pack("!HHIIHHHH", sport, dport, seq, ack, 5 << 12 | bits, 65535, 0, 0)
    return _transport(source, destination, 6, head, 16, payload, tos)


def icmp_echo(source, destination, request=True, payload=b"weir"):
    v6 = ":" in source
    kind = (128 if request else 129) if v6 else (8 if request else 0)
    head = struct.pack("!BBHHH", kind, 0, 0, 1, 1)
    if v6:
        return _transport(source, destination, 58, head, 2, payload, 0)
    whole = head + payload
    return ip_packet(source, destination, 1, head[:2] + struct.pack("!H", checksum(whole)) + whole[4:])


def distinct(packet, number):
    """Another frame of the same flow: IPv4 by its identification."""
    data = bytearray(packet)
    if data[0] >> 4 == 4:
        data[4:6] = struct.pack("!H", number + 1)
        data[10:12] = b"\0\0"
        data[10:12] = struct.pack("!H", checksum(bytes(data[:20])))
    return bytes(data)


def send_out(ns, to, packet):
    """A whole IP packet through the output hook of `ns`, as it is; a refusal comes back as EPERM."""
    family = socket.AF_INET6 if packet[0] >> 4 == 6 else socket.AF_INET
    with ns.entered():
        s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with s, contextlib.suppress(PermissionError):
        s.sendto(packet, (to, 0))


LINK_RAW = 101


def write_pcap(path, packets, link=LINK_RAW):
    """A microsecond pcap file of (seconds since 1970 as a float or (s, µs), octets)."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for when, data in packets:
            s, us = when if isinstance(when, tuple) else divmod(round(when * 1_000_000), 1_000_000)
            f.write(struct.pack("<IIII", s, us, len(data), len(data)) + data)
    return path


# weir's own reader


def dump(path, *options, timeout=120.0, expected=0):
    """`weir dump`: a list of objects, one per Data Record."""
    _, out, _ = run([WEIR, "dump", *options, path], timeout=timeout, expected=expected)
    return [json.loads(line) for line in out.splitlines()]


def flows(records):
    """The Flow Records among them; options records carry a scope."""
    return [r for r in records if "scope" not in r]


def address(record, which):
    """which = "source" or "destination"."""
    return record.get(f"{which}IPv4Address") or record.get(f"{which}IPv6Address")


def clock_ms(text):
    """Milliseconds since 1970 of a time as RFC 7373 writes it."""
    m = re.fullmatch(r"(\d+)-(\d+)-(\d+)[T ](\d+):(\d+):(\d+)(?:\.(\d+))?Z?", text)
    check(m, f"not a time: {text!r}")
    year, month, day, hour, minute, second = map(int, m.groups()[:6])
    days = datetime.date(year, month, day).toordinal() - datetime.date(1970, 1, 1).toordinal()
    return ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + int((m.group(7) or "0").ljust(3, "0")[:3])


class UdpSink:
    """A collector that only keeps what comes, in order: its messages one after the other are an IPFIX file."""

    def __init__(self, lab, ns=None, host="127.0.0.1", port=4739):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = ns.socket(family) if ns else socket.socket(family, socket.SOCK_DGRAM)
        lab.callback(self.close)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.settimeout(0.2)
        self.host, self.port = self.socket.getsockname()[:2]
        self.path = lab.path(lab.unique("sink") + ".ipfix")
        self.path.touch()
        self.messages = 0
        self.senders = set()
        self.sizes = []
        self.stopping = False
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def _receive(self):
        with open(self.path, "ab", buffering=0) as f:
            while not self.stopping:
                try:
                    message, sender = self.socket.recvfrom(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                f.write(message)
                self.sizes.append(len(message))
                self.senders.add(sender)
                self.messages += 1

    def close(self):
        self.stopping = True
        self.thread.join(5)
        self.socket.close()

    def spec(self):
        return f"Udp/[{self.host}]:{self.port}" if ":" in self.host else f"Udp/{self.host}:{self.port}"

    def records(self):
        return dump(self.path)

    def flows(self):
        return flows(self.records()) if self.messages else []


# Readers that are not ours


class Capture:
    """tcpdump on an interface of a namespace, until stop()."""

    def __init__(self, lab, ns, device="lo", what="udp port 4739"):
        need("tcpdump")
        self.path = lab.path(lab.unique("cap") + ".pcap")
        self.process = lab.start(
            ["tcpdump", "-Z", "root", "--immediate-mode", "-U", "-s", "0", "-B", "16384", "-i", device, "-w", self.path, *what.split()], ns
        )
        self.process.expect("listening on")

    def stop(self):
        self.process.stop()
        return self.path


def tshark(path, *words, timeout=120.0):
    need("tshark")
    return run(["tshark", "-n", "-o", "cflow.max_template_fields:0", "-r", path, *words], timeout=timeout)[1]


def tshark_fields(path, fields, display="cflow", *words):
    """Rows of fields; a field that occurs more than once in a frame is a list in each row."""
    out = tshark(path, "-Y", display, "-T", "fields", "-E", "aggregator=|", *[w for f in fields for w in ("-e", f)], *words)
    return [[cell.split("|") if cell else [] for cell in line.split("\t")] for line in out.splitlines()]


def tshark_faults(path):
    """Every complaint of Wireshark about the export stream: malformed, expert notes and worse, sequence.

    Chat, the lowest of its severities, is not one: it says "possible traceroute" of any UDP port from 33434 to 33523.
    """
    out = tshark(
        path, "-Y",
        "_ws.malformed || _ws.expert.severity >= Note || cflow.sequence_analysis.expected_sn",
        "-T", "fields", "-e", "frame.number", "-e", "_ws.expert.message", "-e", "_ws.malformed",
    )  # fmt: skip
    return out.splitlines()


class Nfcapd:
    """nfcapd on a namespace's loopback; its records are read after stop()."""

    def __init__(self, lab, ns, host="127.0.0.1", port=4739):
        need("nfcapd", "nfdump")
        self.folder = lab.path(lab.unique("nf"))
        self.folder.mkdir()
        self.process = lab.start(["nfcapd", "-w", self.folder, "-b", host, "-p", port, "-t", "3600"], ns)
        self.process.expect("Startup|Bound|listen|Init", 10)
        self.spec = f"Udp/{host}:{port}"

    def stop(self):
        self.process.stop()
        return self

    def records(self):
        rows = []
        for path in sorted(self.folder.glob("nfcapd.2*")):
            _, out, _ = run(["nfdump", "-q", "-r", path, "-o", "json"], env={"TZ": "UTC"})
            # Version 1.7.1 separates the objects by commas and leaves the brackets away.
            rows += json.loads("[" + out.strip().strip("[],") + "]")
        return rows


class Nfacctd:
    """pmacct's collector; one JSON object per record, read after stop()."""

    FIELDS = "src_host,dst_host,src_port,dst_port,proto,tcpflags,tos,in_iface,out_iface,timestamp_start,timestamp_end"

    def __init__(self, lab, ns, host="127.0.0.1", port=4739):
        need("nfacctd")
        self.out = lab.path(lab.unique("pm") + ".json")
        config = lab.write(
            lab.unique("pm") + ".conf",
            f"nfacctd_ip: {host}\nnfacctd_port: {port}\nplugins: print\nprint_output: json\n"
            f"print_output_file: {self.out}\nprint_output_file_append: true\nprint_refresh_time: 1\n"
            f"timestamps_since_epoch: true\naggregate: {self.FIELDS}\n",
        )
        self.process = lab.start(["nfacctd", "-f", config], ns)
        self.process.expect("waiting for|Daemon started|cache entries", 10)
        self.spec = f"Udp/{host}:{port}"

    def stop(self):
        self.process.stop(expected=None, number=signal.SIGINT)
        return self

    def records(self):
        if not self.out.exists():
            return []
        return [json.loads(line) for line in self.out.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


# What is there before and after


def residue():
    """Namespaces, processes' names and control sockets that weir or its tests could leave behind."""
    netns = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    folder = Path("/var/run/wireguard")
    sockets = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    links = sorted(os.listdir("/sys/class/net"))
    return {"namespaces": netns, "wireguard": sockets, "links": links}


def main(namespace):
    """Run the functions test_* of a script, all or those named on the command line."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    tests = {n: f for n, f in namespace.items() if n.startswith("test_") and inspect.isfunction(f)}
    chosen = sys.argv[1:] or list(tests)
    passed, failed, skipped = 0, [], []
    for name in chosen:
        began = time.monotonic()
        try:
            tests[name]()
            passed += 1
            word = "ok"
        except Skip as reason:
            skipped.append(f"{name}: {reason}")
            word = f"skipped: {reason}"
        except Exception:  # pylint: disable=broad-except
            failed.append(name)
            word = "FAILED\n" + traceback.format_exc()
        print(f"{name} ({time.monotonic() - began:.1f} s): {word}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}")
        sys.exit(1)
    if skipped and not passed:
        print(f"SKIP: {skipped[0].split(': ', 1)[1]}")
        sys.exit(77)
    if not passed:
        print("no tests")
        sys.exit(1)
