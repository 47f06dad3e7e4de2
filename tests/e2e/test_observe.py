"""The af_packet source on real interfaces: veth, tun and wireguard-go in network namespaces of this test.

`test_observe.py NAME...` runs only the named tests."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from observe_net import (DRIVER, IFF_TAP, Driver, Namespace, Test, Tun, check, ipv4_packet, udp_packet, wait_for,
                         wait_until)

SKIPPED = 77
RESUME = 2  # seconds within which packets of a new interface must be seen

UDP_SEGMENT = 103
ARPHRD_PPP, ARPHRD_IEEE80211 = 512, 801
ERR_PERMISSION, ERR_UNSUPPORTED, ERR_USAGE = 7, 8, 9



def test_directions_on_veth(t):
    a, b = t.veth()
    driver = t.driver(a, "-i", "va")
    t.send(a, "10.8.0.2", 11)
    t.send(b, "10.8.0.1", 7)
    wait_until(lambda: driver.totals(direction="egress", protocol=17, link="ethernet"), (11, 11, 11 * 74, 0), "sent")
    wait_until(lambda: driver.totals(direction="ingress", protocol=17, link="ethernet"), (7, 7, 7 * 74, 0), "received")


def test_ipv6_on_veth(t):
    a, b = t.veth(quiet=False)
    driver = t.driver(a, "-i", "va")
    t.send(a, "fd08::2", 5)
    t.send(b, "fd08::1", 6)
    wait_until(lambda: driver.totals(direction="egress", version=6, protocol=17)[0], 5, "sent")
    wait_until(lambda: driver.totals(direction="ingress", version=6, protocol=17)[0], 6, "received")


def test_vlan_tag_in_front(t):
    """A tag that the kernel takes off leaves a frame that begins with Ethernet and goes on with IP."""
    a, b = t.veth()
    driver = t.driver(a, "-i", "va")
    with b.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind(("vb", 0))
        ethernet = bytes.fromhex("020000000001" "020000000002")
        for tags in "8100000a", "88a800148100000a":
            sender.send(ethernet + bytes.fromhex(tags) + b"\x08\x00" + udp_packet("10.8.0.2", "10.8.0.1"))
    wait_until(lambda: driver.totals(direction="ingress", link="ethernet")[0], 2, "both frames")
    check(driver.totals(version=4, protocol=17)[0] == 1, "the outer tag is off", driver.list("totals"))


def test_directions_on_tun(t):
    a = t.namespace()
    a.quiet()
    tun = t.tun(a, "tun7")
    driver = t.driver(a, "-i", "tun7")
    for _ in range(5):
        tun.inject(udp_packet())
    t.send(a, "10.9.0.2", 6)
    wait_until(lambda: driver.totals(direction="ingress", protocol=17, link="ip"), (5, 5, 5 * 60, 0), "received")
    wait_until(lambda: driver.totals(direction="egress", protocol=17, link="ip"), (6, 6, 6 * 60, 0), "sent")


def test_ppp_link_type(t):
    a = t.namespace()
    a.quiet()
    tun = t.tun(a, "ppp0", link_type=ARPHRD_PPP)
    driver = t.driver(a, "-i", "ppp0")
    tun.inject(udp_packet())
    t.send(a, "10.9.0.2", 2)
    wait_until(lambda: driver.totals(direction="ingress", protocol=17, link="ip")[0], 1, "received")
    wait_until(lambda: driver.totals(direction="egress", protocol=17, link="ip")[0], 2, "sent")


def test_loopback_both_ways(t):
    a = t.namespace()
    driver = t.driver(a, "-i", "lo")
    t.send(a, "127.0.0.1", 9)
    for direction in "egress", "ingress":
        wait_until(lambda: driver.totals(direction=direction, protocol=17)[0], 9, f"{direction} copy")
    check(driver.points()["lo"][2] == "loopback", "loopback is described as such", driver.points())


def test_wireguard(t):
    if not shutil.which("wireguard-go") or not shutil.which("wg"):
        return "no wireguard-go"
    a, b = t.veth()
    names = [f"wgl{os.getpid()}{side}" for side in "ab"]
    keys = [subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout for _ in names]
    for namespace, name in zip((a, b), names):
        process = subprocess.Popen(["wireguard-go", "-f", name], preexec_fn=namespace.enter_and_end_with_us(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        t.stack.callback(process.wait)
        t.stack.callback(process.terminate)
    driver = t.driver(a)
    wait_for(lambda: all(os.path.exists(f"/var/run/wireguard/{name}.sock") for name in names), "wireguard-go is up")
    for i, namespace in enumerate((a, b)):
        public = subprocess.run(["wg", "pubkey"], input=keys[1 - i], capture_output=True, text=True, check=True)
        namespace.run("wg", "set", names[i], "listen-port", "5000", "private-key", "/dev/stdin", "peer",
                      public.stdout.strip(), "endpoint", f"10.8.0.{2 - i}:5000", "allowed-ips", "10.7.0.0/24",
                      input=keys[i])
        namespace.ip(f"addr add 10.7.0.{i + 1}/24 dev {names[i]}")
        namespace.ip(f"link set {names[i]} up")
    wait_until(lambda: driver.points().get(names[0], ())[1:], ("up", "tun"), "the overlay is followed")
    t.send(a, "10.7.0.2", 20)
    t.send(b, "10.7.0.1", 30)
    wait_until(lambda: driver.totals(point=names[0], direction="egress", protocol=17, link="ip"), (20, 20, 1200, 0),
               "plaintext sent")
    wait_until(lambda: driver.totals(point=names[0], direction="ingress", protocol=17, link="ip"), (30, 30, 1800, 0),
               "plaintext received")
    check(list(driver.points()) == [names[0]], "only the overlay is an observation point", driver.points())


def test_all_overlays_at_once(t):
    a = t.namespace()
    a.quiet()
    tuns = {name: t.tun(a, name, address=f"10.9.{i}.1/24") for i, name in enumerate(("vpn0", "tun3"))}
    t.tun(a, "tap9", flags=IFF_TAP, address=None)
    a.ip("link add wg4 type veth peer name plain0")
    driver = t.driver(a)
    tuns["tailscale0"] = t.tun(a, "tailscale0", address="10.9.2.1/24")
    names = "tailscale0", "tun3", "vpn0"

    def up():
        return [name for name, (_, state, _) in sorted(driver.points().items()) if state == "up"]

    wait_until(up, list(names), "points that are up")
    check(driver.points()["wg4"][:2] == (a.index("wg4"), "down"), "one that is down", driver.points())
    a.ip("link set wg4 up")
    wait_until(up, [*names, "wg4"], "points that are up")
    for i, (name, tun) in enumerate(tuns.items()):
        for _ in range(i + 1):
            tun.inject(udp_packet())
    for i, name in enumerate(tuns):
        wait_until(lambda: driver.totals(point=name, direction="ingress", protocol=17)[0], i + 1, f"packets of {name}")
    for name, (index, _, kind) in driver.points().items():
        check(index == a.index(name), f"{name} has the kernel's index", index)
        check(kind == ("veth" if name == "wg4" else "tun"), f"{name} is described", kind)
    check(len(driver.points()) == 4, "overlays alone", driver.points())


def test_fairness(t):
    """A busy interface does not keep a quiet one waiting: all is read, from both."""
    a = t.namespace()
    a.quiet()
    t.tun(a, "tun0", address="10.9.0.1/24")
    t.tun(a, "tun1", address="10.10.0.1/24")
    driver = t.driver(a, "-i", "tun0,tun1")
    driver.ask("pause")
    t.send(a, "10.9.0.2", 3000)
    t.send(a, "10.10.0.2", 3)
    driver.ask("resume")
    wait_until(lambda: driver.totals(point="tun0", protocol=17)[0], 3000, "packets of the busy one")
    wait_until(lambda: driver.totals(point="tun1", protocol=17)[0], 3, "packets of the quiet one")


def transfer(sender, receiver, address, octets):
    """One TCP connection with that much in one direction, closed by both."""
    with receiver.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((address, 0))
        listener.listen()
        pid = os.fork()
        if pid == 0:
            with sender.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
                connection.connect(listener.getsockname())
                connection.sendall(b"x" * octets)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            os._exit(0)
        connection, _ = listener.accept()
        with connection:
            while connection.recv(1 << 20):
                pass
        check(os.waitpid(pid, 0)[1] == 0, "the sender ends well")


def test_tcp_super_packets(t):
    sides = t.veth()
    drivers = [t.driver(side, "-i", device) for side, device in zip(sides, ("va", "vb"))]

    def sent(side):
        return side.counter("OutSegs") + side.counter("RetransSegs")

    before = [sent(side) for side in sides]
    transfer(*sides, "10.8.0.2", 20_000_000)
    transfer(*reversed(sides), "10.8.0.1", 20_000_000)
    for side, driver, old in zip(sides, drivers, before):
        wait_until(lambda: driver.totals(direction="egress", protocol=6)[1] - (sent(side) - old), 0,
                   "packets leaving beyond the segments that TCP says it sent")
    for (sender, receiver), side, device in zip((drivers, reversed(drivers)), sides, ("va", "vb")):
        statistics = json.loads(side.ip(f"-j -s link show {device}"))[0]["stats64"]
        if statistics["tx"]["dropped"] == 0:  # the wire lost nothing
            wait_until(lambda: receiver.totals(direction="ingress", protocol=6)[1] -
                       sender.totals(direction="egress", protocol=6)[1], 0, "packets arriving beyond those that left")
    for driver in drivers:
        for direction in "egress", "ingress":
            frames, packets, _, supers = driver.totals(direction=direction, protocol=6)
            check(supers > 100 and frames < packets, f"{direction} had super-packets", (frames, packets, supers))
        check(driver.statistics()["dropped"] == 0, "nothing was dropped", driver.statistics())


def test_udp_super_packets(t):
    a, _ = t.veth()
    driver = t.driver(a, "-i", "va")
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
        for _ in range(10):
            sender.sendto(b"x" * 2300, ("10.8.0.2", 2000))
    release = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
    if release < (6, 2):
        wait_until(lambda: driver.statistics()["dropped"], 10, "super-packets this kernel cannot describe are drops")
        check(driver.totals(protocol=17)[0] == 0, "and nothing stale is read in their place", driver.totals())
        return None
    wait_until(lambda: driver.totals(direction="egress", protocol=17), (10, 50, 10 * 2342, 10), "UDP segments")
    return None


def test_drops_are_counted(t):
    a, _ = t.veth()
    a.ip("neigh add 10.8.0.9 lladdr 02:00:00:00:00:02 dev va nud permanent")  # nobody there to answer
    driver = t.driver(a, "-i", "va", "-r", "16384")
    check(driver.statistics()["first_drop"] == 0, "no drop yet", driver.statistics())
    begun = int(time.time() * 1000)
    driver.ask("pause")
    t.send(a, "10.8.0.9", 5000)
    driver.ask("resume")
    wait_until(lambda: sum(map(driver.statistics().get, ("packets", "dropped"))), 5000, "read + dropped = sent")
    statistics = driver.statistics()
    check(statistics["dropped"] > 0 and statistics["packets"] > 0, "some of each", statistics)
    check(begun <= statistics["first_drop"] <= statistics["last_drop"] <= time.time() * 1000, "times", statistics)
    check(driver.totals(protocol=17)[0] == statistics["packets"], "what is read is handed over", driver.totals())
    before = statistics["packets"]
    t.send(a, "10.8.0.9", 3)
    wait_until(lambda: driver.statistics()["packets"], before + 3, "packets after the drops")


def test_own_export_is_excluded(t):
    a, b = t.veth(quiet=False)
    driver = t.driver(a, "-i", "va,tun8")
    tun = t.tun(a, "tun8")
    check(driver.ask("exclude 10.8.0.1 5001 10.8.0.2 4739") == ["excluded", "0"], "IPv4 conversation")
    check(driver.ask("exclude fd08::1 5001 fd08::2 4739") == ["excluded", "0"], "IPv6 conversation")
    check(driver.ask("exclude ::ffff:10.9.0.1 0 ::ffff:10.9.0.2 4739") == ["excluded", "0"], "mapped, any port")
    wait_for(lambda: driver.points().get("tun8"), "tun8 is there")
    udp = {"protocol": 17}
    for address, back in ("10.8.0.2", "10.8.0.1"), ("fd08::2", "fd08::1"):
        t.send(a, address, 10, port=4739, source_port=5001)  # ours
        t.send(b, back, 10, port=5001, source_port=4739)  # the collector's answer
        t.send(a, address, 3, port=4739, source_port=5002)  # somebody else's
        t.send(a, address, 4, port=4740, source_port=5001)
        t.send(b, back, 5, port=5001, source_port=4738)
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("10.9.0.1", 0))
        sender.sendto(b"x" * 32, ("10.9.0.2", 4739))
        sender.sendto(b"x" * 32, ("10.9.0.2", 4741))
    wait_until(lambda: driver.totals(point="va", version=4, direction="egress", **udp)[0], 7, "IPv4 egress")
    wait_until(lambda: driver.totals(point="va", version=4, direction="ingress", **udp)[0], 5, "IPv4 ingress")
    wait_until(lambda: driver.totals(point="va", version=6, direction="egress", **udp)[0], 7, "IPv6 egress")
    wait_until(lambda: driver.totals(point="va", version=6, direction="ingress", **udp)[0], 5, "IPv6 ingress")
    wait_until(lambda: driver.totals(point="tun8", direction="egress", version=4, **udp)[0], 1, "no link header")
    # Frames that the filter cannot read to the ports are kept.
    for length in 0, 1, 4, 23:
        tun.inject(ipv4_packet("10.9.0.2", "10.9.0.1", 17, b"x" * length))
    tun.inject(bytes([0x46]) + udp_packet(ports=(4739, 5001))[1:])
    wait_until(lambda: driver.totals(point="tun8", direction="ingress")[0], 5, "short and odd frames")


def test_exclusion_of_tcp(t):
    a, b = t.veth()
    driver = t.driver(a, "-i", "va")
    with b.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, \
            a.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        listener.bind(("10.8.0.2", 4739))
        listener.listen()
        connection.bind(("10.8.0.1", 0))
        port = connection.getsockname()[1]
        check(driver.ask(f"exclude 10.8.0.1 {port} 10.8.0.2 4739") == ["excluded", "0"], "session")
        connection.connect(("10.8.0.2", 4739))
        connection.sendall(b"x" * 300_000)
        peer, _ = listener.accept()
        peer.close()
    t.send(a, "10.8.0.2", 1)
    wait_until(lambda: driver.totals(protocol=17)[0], 1, "other traffic")
    check(driver.totals(protocol=6) == (0, 0, 0, 0), "no packet of the session", driver.totals(protocol=6))


def see_packets(tun, driver, point, before, what, count=1):
    """Send until something is seen: what is sent before the new interface was noticed is lost."""
    deadline = time.monotonic() + RESUME
    while (seen := driver.totals(point=point, direction="ingress", protocol=17)[0]) < before + count:
        check(time.monotonic() < deadline, f"{what}: packets are seen again within {RESUME} s", seen)
        tun.inject(udp_packet())
        time.sleep(0.002)


def settled(driver):
    """How many UDP packets came in, when no more are under way: three times as long as the ring may keep one."""
    seen, since = None, time.monotonic()
    while time.monotonic() < since + 0.12:
        if (now := driver.totals(direction="ingress", protocol=17)[0]) != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.01)
    return seen


def test_recreated_100_times(t):
    a = t.namespace()
    a.quiet()
    driver = t.driver(a)
    indexes = []
    for round_ in range(100):
        tun = Tun(a, "tun5")
        try:
            indexes.append(a.index("tun5"))
            see_packets(tun, driver, "tun5", driver.totals(direction="ingress", protocol=17)[0], f"round {round_}")
            check(driver.points()["tun5"] == (indexes[-1], "up", "tun"), "the table has the new index",
                  (driver.points(), indexes[-1]))
            a.ip("link set tun5 down")
        finally:
            tun.close()
    wait_until(lambda: driver.points()["tun5"][1], "down", "the point goes down")
    check(len(set(indexes)) == 100, "each had an index of its own", len(set(indexes)))
    wanted = [(change, "tun5", index) for index in indexes for change in ("up", "down")]
    check(driver.events == wanted, "each time up with the new index, down with the old", driver.events[-6:])
    check(list(driver.points()) == ["tun5"], "one point all along", driver.points())
    log = driver.log_text()
    check(log.count("interface tun5: gone") == 100, "one log line each", log.count("gone"))


def test_down_and_up(t):
    a = t.namespace()
    a.quiet()
    tun = t.tun(a, "tun6")
    driver = t.driver(a, "-i", "tun6")
    see_packets(tun, driver, "tun6", 0, "at first")
    a.ip("link set tun6 down")
    wait_until(lambda: driver.points()["tun6"][1], "down", "down")
    a.ip("link set tun6 up")
    wait_until(lambda: driver.points()["tun6"][1], "up", "up")
    before = settled(driver)
    tun.inject(udp_packet())
    wait_until(lambda: driver.totals(direction="ingress", protocol=17)[0], before + 1, "not a packet is lost")
    index = a.index("tun6")
    check(driver.events == [("down", "tun6", index), ("up", "tun6", index)], "events", driver.events)


def test_packets_before_the_end_are_read(t):
    """What came just before an interface vanished is handed over before the point goes down."""
    a = t.namespace()
    a.quiet()
    driver = t.driver(a, "-i", "tun6")
    for round_ in range(5):
        tun = Tun(a, "tun6")
        wait_until(lambda: driver.points().get("tun6", ("", ""))[1], "up", "up")
        for _ in range(50):
            tun.inject(udp_packet())
        tun.close()
        wait_until(lambda: driver.points()["tun6"][1], "down", "down")
        check(driver.totals(protocol=17)[0] == 50 * (round_ + 1), "every packet", driver.totals(protocol=17))


def test_recreated_at_once(t):
    """Old and new interface come in one go: the old one's packets, its end, and only then the new one."""
    a = t.namespace()
    a.quiet()
    tun = Tun(a, "tun6")
    driver = t.driver(a)
    indexes = [a.index("tun6")]
    for round_ in range(5):
        before = settled(driver)
        driver.ask("pause")
        for _ in range(30):
            tun.inject(udp_packet())
        tun.close()
        tun = Tun(a, "tun6")
        indexes.append(a.index("tun6"))
        driver.ask("resume")
        wait_until(lambda: len(driver.points()) and len(driver.events), 2 * (round_ + 1), "down and up")
        check(driver.totals(protocol=17)[0] == before + 30, "every packet of the old one", driver.totals(protocol=17))
        see_packets(tun, driver, "tun6", before + 30, "the new one")
    wanted = [event for i in range(5) for event in (("down", "tun6", indexes[i]), ("up", "tun6", indexes[i + 1]))]
    check(driver.events == wanted, "events in order, each with its own index", driver.events)
    tun.close()


def test_awaited_interface(t):
    a = t.namespace()
    a.quiet()
    driver = t.driver(a, "-i", "late0,later0")
    check(driver.points() == {}, "nothing yet", driver.points())
    see_packets(t.tun(a, "later0"), driver, "later0", 0, "later0")
    see_packets(t.tun(a, "late0"), driver, "late0", 0, "late0")
    check("waiting" in driver.log_text(), "it says that it waits", driver.log_text())


def test_rename(t):
    a = t.namespace()
    a.quiet()
    tun = t.tun(a, "tun1")
    every, named = t.driver(a), t.driver(a, "-i", "tun2")
    see_packets(tun, every, "tun1", 0, "before")
    index = a.index("tun1")
    a.ip("link set tun1 name tun2")
    see_packets(tun, every, "tun2", 0, "after, all overlays")
    see_packets(tun, named, "tun2", 0, "after, by its new name")
    check(every.events == [("down", "tun1", index), ("up", "tun2", index)], "events", every.events)
    check(named.events == [("up", "tun2", index)], "events of the new name", named.events)
    a.ip("link set tun2 name other")
    wait_until(lambda: named.points()["tun2"][1], "down", "renamed away")
    before = settled(named)
    see_packets(tun, every, "other", 0, "kind tun under any name")
    check(settled(named) == before, "no packet of what it is now", settled(named) - before)
    a.ip("link set other name tun2")
    see_packets(tun, named, "tun2", before, "renamed back")
    before = settled(named)
    for _ in range(5):
        tun.inject(udp_packet())
    a.run("ip", "-batch", "-", input="link set tun2 name other\nlink set other name tun2\n")
    for _ in range(60):
        tun.inject(udp_packet())
        time.sleep(0.001)
    seen = settled(named) - before
    check(5 <= seen <= 65, "no packet is seen by the ring of before and by that of now", seen)


def overrun(namespace, device):
    """More news than a netlink socket holds."""
    lines = "".join(f"link set {device} alias {'x' * 200}{i}\n" for i in range(3000))
    namespace.run("ip", "-batch", "-", input=lines)


def test_lost_news(t):
    """Notifications are lost: of an interface that is new, of one that has another index now, and of one that
    has the same index and is another."""
    a = t.namespace()
    a.quiet()
    a.ip("link add noise type veth peer name noise2")
    a.ip("link set noise up")  # news of a device that is down is not spread
    tun = Tun(a, "tun0")
    add = "link add wg1 index 777 address 02:00:00:00:00:01 type veth peer name peer1"
    a.ip(add)
    a.ip("link set wg1 up")
    a.ip("link set peer1 up")
    driver = t.driver(a)
    check(sorted(driver.points()) == ["tun0", "wg1"], "at first", driver.points())
    old = driver.points()["tun0"][0]
    driver.ask("pause")
    overrun(a, "noise")
    tun.close()
    a.ip("link del wg1")
    a.ip(add)
    a.ip("link set wg1 up")
    a.ip("link set peer1 up")
    tun, new = t.tun(a, "tun0"), t.tun(a, "tun1", address="10.10.0.1/24")
    with a, open("/proc/net/netlink", encoding="ascii") as file:
        check(any(int(line.split()[8]) > 0 for line in file.readlines()[1:]), "news was lost")
    driver.ask("resume")
    see_packets(tun, driver, "tun0", 0, "another index")
    check(driver.points()["tun0"][0] == a.index("tun0") != old, "the new index", driver.points())
    see_packets(new, driver, "tun1", 0, "a new one")
    a.ip("addr add 10.5.0.1/24 dev wg1")
    a.ip("neigh add 10.5.0.2 lladdr 02:00:00:00:00:02 dev wg1 nud permanent")
    wait_until(lambda: driver.points()["wg1"][:2], (777, "up"), "the same index")
    t.send(a, "10.5.0.2", 4)
    wait_until(lambda: driver.totals(point="wg1", protocol=17)[0], 4, "packets of the same index")


def test_lost_news_of_a_new_one(t):
    a = t.namespace()
    a.quiet()
    a.ip("link add noise type veth peer name noise2")
    a.ip("link set noise up")
    driver = t.driver(a)
    driver.ask("pause")
    overrun(a, "noise")
    tun = t.tun(a, "tun0")
    driver.ask("resume")
    see_packets(tun, driver, "tun0", 0, "an interface that nobody could tell of")


def test_link_type_is_refused(t):
    a = t.namespace()
    t.tun(a, "tun0", link_type=ARPHRD_IEEE80211, address=None, up=False)
    status, text = t.refused(a, "-i", "tun0")
    check(status == ERR_UNSUPPORTED and "tun0" in text and "801" in text, "open says so", text)
    driver = t.driver(a, "-i", "tun1,tun2")
    t.tun(a, "tun1", link_type=ARPHRD_IEEE80211, address=None, up=False)
    t.tun(a, "tun2")
    wait_for(lambda: "tun2" in driver.points(), "the other one is followed")
    check(driver.log_text().count("link type 801") == 1, "said once", driver.log_text())


def test_bad_names(t):
    a = t.namespace()
    for spec in "", "wg0,", ",wg0", "a,,b", "a-name-that-is-too-long":
        status, text = t.refused(a, "-i", spec)
        check(status == ERR_USAGE and text, f"'{spec}' is refused", text)


def test_no_permission(t):
    a = t.namespace()
    with tempfile.TemporaryDirectory() as folder:  # another user may not reach the build folder
        os.chmod(folder, 0o755)
        program = shutil.copy(DRIVER, folder)
        for arguments in (), ("-i", "lo"):
            status, text = t.refused(a, *arguments, program=program, user=65534)
            check(status == ERR_PERMISSION and "CAP_NET_RAW" in text, "it says which right is missing", text)


def test_nothing_is_left(t):
    """Packet sockets are as many as interfaces, and none after close."""
    a = t.namespace()
    t.tun(a, "tun0")
    driver = Driver(a)
    with a, open("/proc/net/packet", encoding="ascii") as file:
        check(len(file.readlines()) == 2, "one packet socket while it runs")
    driver.close()
    with a, open("/proc/net/packet", encoding="ascii") as file:
        check(len(file.readlines()) == 1, "none after")


def unavailable():
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces and packet sockets"
    if not shutil.which("ip"):
        return "needs the ip command"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    try:
        namespace = Namespace()
        peer = Namespace()
        namespace.ip(f"link add va type veth peer name vb netns {peer.path()}")
        Tun(namespace, "tun0").close()
        peer.close()
        namespace.close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"cannot make network namespaces or interfaces here: {error}"
    return None


def main(names):
    reason = unavailable()
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (names and name not in names):
            continue
        t, begun, result = Test(), time.monotonic(), "ok"
        try:
            with t.stack:
                note = test(t)
            result = f"skipped: {note}" if note else "ok"
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed += 1
            result = f"FAILED: {error!r} {getattr(error, 'stderr', '') or ''}"
        print(f"{name} {time.monotonic() - begun:.1f} s {result}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    def stop(number, _):
        raise SystemExit(f"ended by {signal.Signals(number).name}")

    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.alarm(110)
    sys.exit(main(sys.argv[1:]))
