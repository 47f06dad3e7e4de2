"""Namespaces, tun devices and the driver observe_live, for test_observe.py.

The namespaces have no name and the interfaces live in them, so nothing is left behind however a test ends."""

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time

DRIVER = os.environ.get("OBSERVE_LIVE", "build/tests/e2e/observe_live")
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PATIENCE = 10  # seconds until something that must come is called missing

IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000
TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD

libc = ctypes.CDLL(None, use_errno=True)


def check(good, what, seen=None):
    if not good:
        raise AssertionError(what if seen is None else f"{what}; seen: {seen}")


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A network namespace without a name: it ends with the last descriptor."""

    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        setns(home)
        os.close(home)
        self.ip("link set lo up")

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        setns(self.fd)
        return self

    def __exit__(self, *exception):
        setns(self.home)
        os.close(self.home)

    def enter(self):
        return lambda: setns(self.fd)

    def enter_and_end_with_us(self):
        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            setns(self.fd)

        return prepare

    def run(self, *command, **how):
        return subprocess.run(command, preexec_fn=self.enter(), check=True, capture_output=True, text=True, **how)

    def ip(self, arguments):
        return self.run("ip", *arguments.split()).stdout

    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def set(self, key, value):
        with self, open("/proc/sys/net/" + key, "w", encoding="ascii") as file:
            file.write(str(value))

    def quiet(self):
        """No packets but those that a test sends: no neighbour discovery, no multicast reports."""
        for which in "all", "default":
            self.set(f"ipv6/conf/{which}/disable_ipv6", 1)

    def socket(self, family, kind):
        with self:
            return socket.socket(family, kind)

    def counter(self, name):
        with self, open("/proc/net/snmp", encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith("Tcp:")]
        return int(lines[1][lines[0].index(name)])

    def index(self, name):
        return int(self.ip(f"-o link show {name}").split(":")[0])

    def close(self):
        os.close(self.fd)


class Tun:
    """A tun device that lives as long as this object is open."""

    def __init__(self, namespace, name, flags=IFF_TUN, link_type=None, address="10.9.0.1/24", up=True):
        self.namespace, self.name = namespace, name
        with namespace:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | IFF_NO_PI))
        if link_type is not None:
            fcntl.ioctl(self.fd, TUNSETLINK, link_type)
        if address:
            namespace.ip(f"addr add {address} dev {name}")
        if up:
            namespace.ip(f"link set {name} up")

    def inject(self, packet):
        os.write(self.fd, packet)

    def close(self):
        os.close(self.fd)


def udp_packet(source="10.9.0.2", destination="10.9.0.1", ports=(1000, 2000), payload=b"x" * 32):
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return ipv4_packet(source, destination, socket.IPPROTO_UDP, udp)


def ipv4_packet(source, destination, protocol, payload):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    total = sum(struct.unpack("!10H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", total ^ 0xFFFF) + header[12:] + payload


class Driver:
    """observe_live in a namespace."""

    def __init__(self, namespace, *arguments, program=DRIVER, user=None):
        def prepare():
            setns(namespace.fd)
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)

        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, preexec_fn=prepare, bufsize=0)
        self.buffer, self.events = b"", []
        self.first = self.answer()

    def line(self):
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            check(ready, "the driver answers", self.log_text())
            octets = os.read(self.process.stdout.fileno(), 65536)
            check(octets, "the driver is alive", self.log_text())
            self.buffer += octets
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode().split()

    def answer(self):
        while True:
            words = self.line()
            if words[0] != "event":
                return words
            self.events.append((words[1], words[2], int(words[3])))

    def say(self, command):
        self.process.stdin.write(command.encode() + b"\n")

    def ask(self, command):
        self.say(command)
        return self.answer()

    def list(self, command):
        self.say(command)
        rows = []
        while (words := self.answer()) != ["end"]:
            rows.append(words[1:])
        return rows

    def totals(self, **wanted):
        """(frames, packets, octets, super-packets), summed over the rows wanted."""
        names = ("point", "direction", "link", "version", "protocol")
        result = [0, 0, 0, 0]
        for row in self.list("totals"):
            if all(row[names.index(key)] == str(value) for key, value in wanted.items()):
                result = [a + int(b) for a, b in zip(result, row[5:])]
        return tuple(result)

    def points(self):
        return {row[0]: (int(row[1]), row[2], row[3]) for row in self.list("points")}

    def statistics(self):
        return dict(zip(("packets", "dropped", "octets", "first_drop", "last_drop"),
                        map(int, self.ask("statistics")[1:])))

    def log_text(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        check(self.process.returncode in (0, 1), "the driver ends well",
              f"{self.process.returncode} {self.log_text()}")
        check("runtime error" not in self.log_text(), "no undefined behaviour", self.log_text())
        self.log.close()


def wait_until(ask, wanted, what, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while (seen := ask()) != wanted:
        check(time.monotonic() < deadline, f"{what}: {wanted}", seen)
        time.sleep(0.005)


def wait_for(ask, what, seconds=PATIENCE):
    wait_until(lambda: bool(ask()), True, what, seconds)


class Test:
    """What one test made, so that all of it ends with the test."""

    def __init__(self):
        self.stack = contextlib.ExitStack()

    def keep(self, thing):
        self.stack.callback(thing.close)
        return thing

    def namespace(self):
        return self.keep(Namespace())

    def driver(self, namespace, *arguments, **how):
        driver = self.keep(Driver(namespace, *arguments, **how))
        check(driver.first == ["ready"], "the source opens", driver.first)
        return driver

    def refused(self, namespace, *arguments, **how):
        driver = self.keep(Driver(namespace, *arguments, **how))
        check(driver.first[0] == "failed", "the source refuses to open", driver.first)
        return int(driver.first[1]), " ".join(driver.first[2:])

    def tun(self, *arguments, **how):
        return self.keep(Tun(*arguments, **how))

    def veth(self, name="va", peer="vb", quiet=True):
        """Two namespaces joined by a veth pair; neighbours are known, so that no other packet is needed."""
        a, b = self.namespace(), self.namespace()
        if quiet:
            a.quiet()
            b.quiet()
        a.ip(f"link add {name} address 02:00:00:00:00:01 type veth peer name {peer} "
             f"address 02:00:00:00:00:02 netns {b.path()}")
        for namespace, device, me, other in (a, name, 1, 2), (b, peer, 2, 1):
            namespace.ip(f"addr add 10.8.0.{me}/24 dev {device}")
            if not quiet:
                namespace.ip(f"addr add fd08::{me}/64 dev {device} nodad")
            namespace.ip(f"link set {device} up")
            namespace.ip(f"neigh add 10.8.0.{other} lladdr 02:00:00:00:00:0{other} dev {device} nud permanent")
            if not quiet:
                namespace.ip(f"neigh add fd08::{other} lladdr 02:00:00:00:00:0{other} dev {device} nud permanent")
        return a, b

    def send(self, namespace, destination, count, port=2000, source_port=0, size=32):
        family = socket.AF_INET6 if ":" in destination else socket.AF_INET
        with namespace.socket(family, socket.SOCK_DGRAM) as sender:
            sender.bind(("", source_port))
            for _ in range(count):
                sender.sendto(b"x" * size, (destination, port))
