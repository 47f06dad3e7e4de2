#!/usr/bin/env python3
"""Refused frames as fast as they come: are all of them counted, what does it cost, and is anybody else harmed?

denied.py BUILD [--rate R] [--seconds S] [--sources nflog,kfree_skb,both] [--apart]

SYNs from all over, each a flow of its own, are refused by a rule on a veth between two namespaces, beside 50 flows that
are let through. weir runs with its default settings but for the sources. Exact means: refused frames in records, and
those that the kernel says were lost before weir could read them, are together as many as were sent. With both sources a
frame is told of twice, and each source loses others: what the two have told (each as many as were sent, less what it has
lost) is the frames in records and the second reports of frames that are in records already. --apart gives every refused
flow a record of its own, so that each frame can be looked for: for short runs.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

REFUSED, ALLOWED, TALKERS, GROUP = 1001, 2001, 50, 5
MAC = "02:00:00:00:00:01"
SETTINGS = {
    "nflog": {"NflogGroups": [GROUP]},
    "kfree_skb": {"DropReasons": True},
    "both": {"NflogGroups": [GROUP], "DropReasons": True},
}
RULES = """
table inet bench {
    chain in {
        type filter hook input priority 0; policy accept
        iifname "wflood" tcp dport %d %s drop
    }
}
"""


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def high_water(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) / 1024


def namespaces(lab, sources):
    sender, host = lab.namespace("fs"), lab.namespace("fh")
    sender.ip("link", "add", "wsend", "type", "veth", "peer", "name", "wflood", "netns", host.name)
    host.ip("link", "set", "wflood", "address", MAC)
    sender.ip("link", "set", "wsend", "up")
    sender.ip("address", "add", "10.9.0.2/24", "dev", "wsend")
    host.ip("link", "set", "wflood", "up")
    host.ip("address", "add", "10.9.0.1/24", "dev", "wflood")
    host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/wflood/rp_filter")
    log = f'log prefix "acl:flood" group {GROUP} snaplen 64' if sources != "kfree_skb" else ""
    host.run("nft", "-f", "-", stdin_text=RULES % (REFUSED, log))
    return sender, host


def talk(sender):
    with sender.socket() as s:
        for port in range(TALKERS):
            s.sendto(b"x", ("10.9.0.1", ALLOWED + port))


def flood(sender, build, frames, rate):
    words = ["wsend", MAC, frames, rate, REFUSED]
    out = sender.run(str(build / "tests/bench/bench_flood"), *map(str, words), timeout=300)[1]
    sent, seconds = out.split()
    return int(sent), float(seconds)


def counted_again(denied):
    """Frames in records, less the different ones."""
    return sum(f["droppedPacketDeltaCount"] for f in denied) - len({(f.get("sourceIPv4Address"), f.get("sourceTransportPort")) for f in denied})


def run(lib, build, sources, rate, seconds, apart):
    with lib.Lab() as lab:
        sender, host = namespaces(lab, sources)
        out = lab.path("denied.ipfix")
        section = {
            "IpFixCollectors": [f"File/{out}"], "ObservationPoints": ["wflood"], "IdleTimeout": 60000, **SETTINGS[sources],
        }  # fmt: skip
        if apart:
            section["MaxDeniedFlows"] = int(rate * seconds) + 16
        probe = lab.weir("probe", "-p", lab.write("denied.json", json.dumps({"FlowMetadata": section})), "--stats", netns=host)
        probe.expect("interface wflood: .* up", 30)
        if sources != "nflog":
            probe.expect("refused frames are told of by kfree_skb", 30)
        if sources != "kfree_skb":
            lib.wait_for("the group", lambda: host.run("cat", "/proc/net/netfilter/nfnetlink_log")[1].strip(), 20)
        lib.wait_for("a packet socket", lambda: any(r.split()[5] == "1" for r in host.run("cat", "/proc/net/packet")[1].splitlines()[1:]), 20)
        talk(sender)
        before = cpu_of(probe.pid)
        sent, took = flood(sender, build, int(rate * seconds), rate)
        while (cpu := cpu_of(probe.pid)) and not time.sleep(0.5) and cpu_of(probe.pid) - cpu > 0.1:
            pass
        sent += flood(sender, build, 1, 0)[0]  # its number says how many the kernel has lost before it
        talk(sender)
        time.sleep(0.5)
        # What the receiving processor's queue had no room for was on no interface.
        sent -= int(sender.run("cat", "/sys/class/net/wsend/statistics/tx_dropped")[1])
        cpu, memory = cpu_of(probe.pid) - before, high_water(probe.pid)
        probe.stop(timeout=120)
        stats = json.loads(probe.output())
        flows = lib.flows(lib.dump(out))
    denied = [f for f in flows if "forwardingStatus" in f]
    return {
        "sent": sent,
        "seconds": took,
        "cpu": cpu,
        "memory": memory,
        "dropped": sum(f["droppedPacketDeltaCount"] for f in denied),
        "lost": {name: s["droppedPackets"] for name, s in stats["denied"]["sources"].items()},
        "ring": stats["source"]["droppedPackets"],
        "again": counted_again(denied) - 1 if apart else 0,  # the last frame is the first once more
        "records": len(denied),
        "summaries": sum(f["denialReason"] == 7 for f in denied),
        "allowed": sum(f["packetDeltaCount"] for f in flows if "forwardingStatus" not in f and f.get("destinationTransportPort", 0) >= ALLOWED),
        "wrong": sum(f["packetDeltaCount"] for f in flows if "forwardingStatus" not in f and f.get("destinationTransportPort") == REFUSED),
        "evicted": stats["meter"]["evictedFlows"],
        "repeated": stats["denied"]["repeatedReports"],
        "late": stats["denied"]["latePackets"],
        "unmatched": stats["denied"]["unmatchedPackets"],
    }


def faults(r, sources):
    """What must hold at any rate; where a ring or a queue of the kernel was too small, its own count must say by how much."""
    missing = r["sent"] - r["dropped"]
    if sources == "both":  # what one source has lost the other may have told of
        if not 0 <= missing <= min(r["lost"].values()):
            yield f"{missing} refused frames are in no record, {r['lost']} lost"
        told = sum(r["sent"] - lost for lost in r["lost"].values())
        if r["dropped"] + r["repeated"] != told:
            yield f"{told} reports, {r['dropped']} frames in records and {r['repeated']} second reports"
    elif missing != sum(r["lost"].values()):
        yield f"{missing} refused frames are in no record, {r['lost']} lost"
    if r["again"] > 0:
        yield f"{r['again']} frames were counted twice"
    if r["summaries"] > 1:
        yield f"{r['summaries']} summaries"
    if r["allowed"] < 2 * TALKERS - r["ring"]:
        yield f"{r['allowed']} packets let through, {2 * TALKERS} sent"
    if r["wrong"] > missing + r["ring"] + r["late"] + r["unmatched"]:
        yield f"{r['wrong']} refused frames in records of those let through"
    if r["evicted"]:
        yield f"{r['evicted']} flows had to go"
    if r["memory"] > 600:
        yield f"{r['memory']:.0f} MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--rate", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--sources", default="nflog,kfree_skb,both")
    parser.add_argument("--apart", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    os.environ["WEIR"] = str(build / "src/cmd/weir")
    import lib  # pylint: disable=import-outside-toplevel

    failed = False
    print("sources    frames sent   a second   in records  lost (kernel)  ring lost  told twice  wrongly through  records   CPU s    us a frame  MiB")
    try:
        lib.need("nft")
        lib.need_root()
        for sources in options.sources.split(","):
            r = run(lib, build, sources, options.rate, options.seconds, options.apart)
            lost = "+".join(str(n) for n in r["lost"].values())
            print(
                f"{sources:<10} {r['sent']:>11} {r['sent'] / r['seconds']:>10.0f} {r['dropped']:>12} {lost:>14} {r['ring']:>10} {r['repeated']:>11} {r['wrong']:>16}"
                f" {r['records']:>8} {r['cpu']:>7.2f} {r['cpu'] / r['sent'] * 1e6:>12.2f} {r['memory']:>5.0f}", flush=True,
            )  # fmt: skip
            for fault in faults(r, sources):
                failed = True
                print(f"NOT EXACT: {sources}: {fault}; {r}")
    except lib.Skip as reason:
        print(f"SKIP: {reason}")
        return 77
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
