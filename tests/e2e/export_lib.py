"""What the tests of the Exporting Process share: a profile, traffic, and a collector over TCP that is told when to go."""

import json
import socket
import threading
import time

import lib


class Bench:
    """A namespace with a TUN device, and a probe on it with a profile that may change."""

    def __init__(self, lab):
        lib.need_root()
        self.lab = lab
        self.ns = lab.namespace()
        self.tun = lab.enter_context(lib.Tun(self.ns, "tun0"))
        self.tun.up("10.9.0.1/24")
        self.profile = lab.path("weir.json")
        self.next_port = 10000
        self.device = None

    def write(self, collectors, **more):
        settings = {"IpFixCollectors": collectors, "IdleTimeout": 200, "ReconnectInterval": 1000, **more}
        self.profile.write_text(json.dumps({"FlowMetadata": settings}), encoding="utf-8")

    def start(self, *words):
        self.device = self.lab.probe(self.ns, ["tun0"], "-p", self.profile, "--stats", *words)
        return self.device

    def statistics(self):
        """End the probe; what it counted."""
        self.device.stop()
        return json.loads(self.device.output())

    def traffic(self, flows, pause=0.0):
        """So many flows, each known by its source port."""
        for _ in range(flows):
            self.tun.deliver(lib.udp("10.9.0.2", self.next_port, "10.9.0.1", 7, b"x" * 64))
            self.next_port += 1
            if pause:
                time.sleep(pause)

    def sent(self):
        return list(range(10000, self.next_port))


def ports_of(flows):
    """Source ports of the test's own flows, sorted, as often as they came."""
    return sorted(f["sourceTransportPort"] for f in flows if f.get("destinationTransportPort") == 7)


class TcpSink:
    """Collects over TCP. `leave` ends in order: the exporter finishes its message, and all of it is read."""

    def __init__(self, lab, ns, port):
        self.lab, self.ns, self.port = lab, ns, port
        self.parts = []  # octets of each connection
        self.listener = None
        self.peers = []
        lab.callback(self.leave)
        self.come()

    def spec(self):
        return f"Tcp/127.0.0.1:{self.port}"

    def come(self):
        self.listener = self.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            octets = bytearray()
            self.parts.append(octets)
            reader = threading.Thread(target=self._read, args=(peer, octets), daemon=True)
            self.peers.append((peer, reader))
            reader.start()

    @staticmethod
    def _read(peer, octets):
        try:
            while part := peer.recv(65536):
                octets += part
        except OSError:
            pass
        peer.close()

    def leave(self):
        if not self.listener:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        for peer, reader in self.peers:
            try:
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            reader.join(20)
        self.peers = []

    def flows(self):
        """Of all connections; each stands for itself, with its own templates."""
        result = []
        for octets in list(self.parts):
            whole = bytes(octets)
            if whole:
                path = self.lab.path(self.lab.unique("tcp") + ".ipfix")
                path.write_bytes(whole)
                result += lib.flows(lib.dump(path, expected=None))
        return result

    def ports(self):
        return ports_of(self.flows())
