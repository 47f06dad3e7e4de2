"""`weir demo`: what it shows, and that nothing of it is left, however it ends."""

import os
import re
import signal
import time

import lib

SECONDS = 8


def need_demo():
    lib.need_root()
    lib.need("ip", "wg", "iperf3", "ping", "setpriv", "nft")


def descendants(pid):
    """Process ids below `pid`."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8") as f:
                    parents[int(entry)] = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
    found = []
    for child in [c for c, p in parents.items() if p == pid]:
        found += [child, *descendants(child)]
    return found


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def left_behind(pid, before):
    """What a demo with this process id could have left: names that carry its number, and unnamed namespaces."""
    after = lib.residue()
    mine = [n for kind in after for n in after[kind] if n not in before[kind] and str(pid) in n]
    mine += [f"process {p}" for p in children_seen.get(pid, []) if alive(p)]
    return mine


children_seen = {}  # pid of a demo -> its children, so that they are found again when it is gone


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start(lab, *words):
    demo = lab.start([lib.WEIR, "demo", *words])
    demo.expect("collector at", 30)
    return demo


def remember(demo):
    lib.wait_for("children of the demo", lambda: len(descendants(demo.pid)) >= 7)
    children_seen[demo.pid] = descendants(demo.pid)
    return children_seen[demo.pid]


def nothing_left(demo, before):
    lib.wait_for(f"nothing is left: {left_behind(demo.pid, before)}", lambda: not left_behind(demo.pid, before), 5)


def test_shows_flows_of_every_kind():
    need_demo()
    before = lib.residue()
    with lib.Lab() as lab:
        demo = start(lab, "--seconds", SECONDS)
        remember(demo)
        lib.equal(demo.wait(60), 0, "exit status")
        nothing_left(demo, before)
        text = demo.output()
        for direction in ("ingress", "egress"):
            for protocol, pattern in {
                "TCP": r"10\.77\.0\.\d:\d+ +10\.77\.0\.\d:5201",
                "TCP ": r"\[fd77::\d\]:\d+ +\[fd77::\d\]:5202",
                "UDP": r"10\.77\.0\.\d:\d+ +10\.77\.0\.1:53",
                "UDP ": r"\[fd77::\d\]:\d+ +\[fd77::1\]:53",
                "ICMP": r"10\.77\.0\.\d +10\.77\.0\.\d type 8/0",
                "ICMPv6": r"fd77::\d +fd77::\d type 128/0",
            }.items():
                wanted = rf"(?m)^ +\d+ s +\w+ +{direction} +{protocol.strip()} +{pattern} +\d+ +[\d.]+ \w+$"
                lib.check(re.search(wanted, text), f"no line {wanted!r} in\n{text[-3000:]}")
        for wanted in (
            r"ada +ingress +UDP +10\.77\.0\.2:\d+ +10\.77\.0\.1:161 +\d+ +[\d.]+ \w+  access rule no-snmp: dropped silently by a rule",
            r"ada +egress +UDP +\[fd77::1\]:\d+ +\[fd77::3\]:514 +\d+ +[\d.]+ \w+  trust requirement disk-encryption: dropped silently by a rule",
        ):
            lib.check(re.search(rf"(?m)^ +\d+ s +{wanted}$", text), f"no line {wanted!r} in\n{text[-3000:]}")
        rows = re.findall(r"(?m)^ +\d+ s .*:(?:161|514) .*$", text)
        lib.check(not [row for row in rows if " ada " in row and "dropped" not in row], f"what is refused is told as refused only: {rows}")
        lib.equal(len(re.findall(r"(?m)^ +\d+ s .* dropped silently", text)), sum(map(int, re.search(r"denied: (\d+) on ingress, (\d+) on egress", text).groups())), "denied flows of the summary")
        lib.equal(len(re.findall(r"complete, no gap", text)), 3, "exporters that are complete")
        summary = re.search(r"(\d+) flow records: (\d+) ingress, (\d+) egress; (\d+) IPv4, (\d+) IPv6", text)
        lib.check(summary, "a summary")
        total, ingress, egress, v4, v6 = map(int, summary.groups())
        lines = len(re.findall(r"(?m)^ +\d+ s ", text))
        lib.equal((ingress + egress, v4 + v6, lines), (total, total, total), "sums of the summary")


def ends_cleanly(number):
    need_demo()
    before = lib.residue()
    with lib.Lab() as lab:
        demo = start(lab)
        remember(demo)
        time.sleep(1.5)
        demo.stop(number=number)
        nothing_left(demo, before)
        lib.check("flow records:" in demo.output(), "a summary also when it is interrupted")


def test_ends_at_sigint():
    ends_cleanly(signal.SIGINT)


def test_ends_at_sigterm():
    ends_cleanly(signal.SIGTERM)


def test_ends_while_it_is_built():
    need_demo()
    before = lib.residue()
    for delay in (0.0, 0.05, 0.2, 0.4):
        with lib.Lab() as lab:
            demo = lab.start([lib.WEIR, "demo"])
            demo.expect("making a WireGuard overlay", 10)
            time.sleep(delay)
            children_seen[demo.pid] = descendants(demo.pid)
            demo.stop(number=signal.SIGTERM)
            nothing_left(demo, before)


def killed_child(pattern, says):
    need_demo()
    before = lib.residue()
    with lib.Lab() as lab:
        demo = start(lab, "--seconds", 4)
        victims = lib.wait_for(f"a child {pattern!r}", lambda: [p for p in remember(demo) if re.search(pattern, command_line(p))])
        victim = victims[0]
        os.kill(victim, signal.SIGKILL)
        status = demo.wait(60)
        nothing_left(demo, before)
        lib.check(re.search(says, demo.errors()), f"no word about the dead child: {demo.errors()!r}")
        lib.equal(status, 1, "exit status when a part was killed")


def test_killed_probe():
    killed_child(r"weir probe", r"probe on \w+ ended with signal 9")


def test_killed_tunnel():
    need_demo()
    with lib.Lab() as lab:
        demo = start(lab, "--seconds", 4)
        tunnels = any("wireguard-go" in command_line(p) for p in remember(demo))
        demo.stop(expected=None)
    if not tunnels:
        raise lib.Skip("WireGuard of the kernel: no process to kill")
    killed_child(r"wireguard-go -f", r"wireguard-go on \w+ ended with signal 9")


def test_killed_itself():
    """Nothing can be said or tidied then, but the kernel takes the namespaces and the children with it."""
    need_demo()
    before = lib.residue()
    with lib.Lab() as lab:
        demo = start(lab)
        remember(demo)
        demo.popen.kill()
        demo.wait(10)
        nothing_left(demo, before)


def test_wrong_usage():
    for words, says in ((["--seconds", "0"], "1 to 86400"), (["--seconds", "x"], "1 to 86400"), (["now"], "no operand")):
        status, _, errors = lib.run([lib.WEIR, "demo", *words], expected=None)
        lib.equal(status, 2, f"exit status of weir demo {words}")
        lib.check(says in errors, f"{words}: {errors!r} does not say {says!r}")


def test_without_root():
    lib.need_root()
    lib.need("setpriv")
    status, _, errors = lib.run(["setpriv", "--reuid", "65534", "--clear-groups", lib.WEIR, "demo", "--seconds", "1"], expected=None)
    if "Permission denied" in errors:
        raise lib.Skip("the build folder cannot be read by others")
    lib.equal(status, 1, "exit status without root")
    lib.check("root" in errors, f"it says what it needs: {errors!r}")


def test_missing_tools():
    lib.need_root()
    status, _, errors = lib.run([lib.WEIR, "demo", "--seconds", "1"], expected=None, env={"PATH": "/nonexistent"})
    lib.equal(status, 1, "exit status without tools")
    for package in ("iproute2", "wireguard-tools", "iperf3", "iputils-ping", "nftables"):
        lib.check(f"apt-get install {package}" in errors, f"it names {package}: {errors!r}")


lib.main(globals())
