"""`weir policy`: what it refuses is one record each, what it lets through is counted, and no half of it ever stands."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import time

import lib

GROUP = 5
WEB, DENIED, TRUSTED = 2001, 1001, 3001
FRAMES = 3
HERE = {4: "10.9.0.1", 6: "fd09::1"}
THERE = {4: "10.9.0.2", 6: "fd09::2"}

POLICY = {
    "Interfaces": ["wtun"],
    "NflogGroup": GROUP,
    "Peers": {"here": list(HERE.values()), "there": list(THERE.values())},
    "TrustRequirements": ["posture"],
    "Rules": [
        {"Name": "web", "Protocol": ["tcp", "udp"], "Ports": [80, f"{WEB}-{WEB + 1}"]},
        {"Name": "no-spare", "Allow": False, "Protocol": "udp", "Ports": [9]},
        {"Name": "files", "Senders": ["here", "there"], "Receivers": ["here", "there"], "Protocol": ["tcp", "udp"], "Ports": TRUSTED, "Trust": "posture"},
        {"Name": "ping", "Protocol": "icmp", "Trust": ["posture"]},
        {"Name": "nobody", "Senders": "203.0.113.0/24", "Protocol": "tcp"},
    ],
}
NO_SESSION = {"SSH_CONNECTION": ""}


def write(lab, policy):
    return lab.write(lab.unique("policy") + ".json", json.dumps(policy))


def weir(ns, *words, expected=0, env=None):
    return ns.run(lib.WEIR, "policy", *words, expected=expected, env=env or NO_SESSION)


def tables(ns):
    return [line for line in ns.run("nft", "list", "tables")[1].splitlines() if "weir_policy" in line]


# Traffic


def send(ns, tun, port, ping=False, sport=4000):
    for number in range(FRAMES):
        for version in 4, 6:
            for source, destination, out in ((THERE, HERE, False), (HERE, THERE, True)):
                a, b = source[version], destination[version]
                packets = [lib.tcp(a, sport, b, port, "S"), lib.udp(a, sport, b, port, b"question")]
                packets += [lib.icmp_echo(a, b)] if ping else []
                for packet in packets:
                    if out:
                        lib.send_out(ns, THERE[version], lib.distinct(packet, number))
                    else:
                        tun.deliver(lib.distinct(packet, number))
        time.sleep(0.05)


def start_probe(lab, ns, *words, **more):
    section = {"IpFixCollectors": more.pop("to"), "ObservationPoints": ["wtun"], "NflogGroups": [GROUP], "IdleTimeout": 60000, **more}
    path = lab.write(lab.unique("profile") + ".json", json.dumps({"FlowMetadata": section}))
    probe = lab.weir("probe", "-p", path, "--stats", *words, netns=ns)

    def running():
        rows = ns.run("cat", "/proc/net/packet")[1].splitlines()[1:]
        return any(row.split()[5] == "1" for row in rows) and ns.run("cat", "/proc/net/netfilter/nfnetlink_log")[1].strip()

    lib.wait_for("packet socket and NFLOG group", running, 20)
    return probe


def key(flow):
    return (4 if "sourceIPv4Address" in flow else 6, flow["protocolIdentifier"], flow["flowDirection"])


def is_echo(flow):
    return flow.get("icmpTypeCodeIPv4") == 0x0800 or flow.get("icmpTypeCodeIPv6") == 0x8000


def is_denied(flow):
    return "forwardingStatus" in flow


def wanted(echo):
    return {(v, p, d) for v in (4, 6) for p in ((58 if v == 6 else 1,) if echo else (6, 17)) for d in (0, 1)}


def check_denied(flows, keys, name, policy, what):
    lib.equal(sorted(map(key, flows)), sorted(keys), f"{what}: records")
    for f in flows:
        text = f"{what}: {key(f)}"
        lib.check(is_denied(f), f"{text}: a refused frame in a record of those let through: {f}")
        lib.equal((f["denialRuleName"], f["denialClass"], f["denialReason"]), (name, policy, 1), f"{text}: rule and reason")
        lib.equal((f["forwardingStatus"], f["firewallEvent"]), (130, 3), f"{text}: status")
        lib.equal((f["droppedPacketDeltaCount"], f["packetDeltaCount"]), (FRAMES, FRAMES), f"{text}: packets")


DIRECTIONS = {"Both": (0, 1), "SendingToPeer": (1,), "ReceivedFromPeer": (0,)}


def test_each_refusal_is_one_record():
    lib.need_root()
    lib.need("nft")
    for word, exported in DIRECTIONS.items():
        with lib.Lab() as lab:
            ns = lab.namespace("policy")
            out = lab.path("flows.ipfix")
            with lib.Tun(ns, "wtun") as tun:
                tun.up("10.9.0.1/24", "fd09::1/64")
                weir(ns, "apply", write(lab, POLICY))
                probe = start_probe(lab, ns, to=[f"File/{out}"], Direction=word)
                send(ns, tun, DENIED)
                send(ns, tun, TRUSTED, ping=True)
                send(ns, tun, WEB)
                time.sleep(0.3)
                probe.stop()
            stats = json.loads(probe.output())
            lib.equal(stats["denied"]["sources"]["nflog"]["droppedPackets"], 0, "refusals lost")
            flows = lib.flows(lib.dump(out))
            at = {port: [f for f in flows if f.get("destinationTransportPort") == port] for port in (DENIED, TRUSTED, WEB)}
            check_denied(at[DENIED], wanted(False), "default-deny", 1, f"{word}, no rule")
            check_denied(at[TRUSTED], wanted(False), "posture", 2, f"{word}, no trust")
            check_denied([f for f in flows if is_echo(f)], wanted(True), "posture", 2, f"{word}, ping without trust")
            lib.check(not any(map(is_denied, at[WEB])), f"{word}: traffic that was let through is told as refused")
            packets = {}
            for f in at[WEB]:
                packets[key(f)] = packets.get(key(f), 0) + f["packetDeltaCount"]
            lib.equal(packets, {k: FRAMES for k in wanted(False) if k[2] in exported}, f"{word}: packets let through")


def shown(ns):
    """{(rule, side): packets} of `weir policy show`."""
    rows = re.findall(r"(?m)^(\S+) +(?:allow|deny|deny, trust|pass) +(ingress|egress) +(\d+) +\d+$", weir(ns, "show")[1])
    return {(name, side): int(packets) for name, side, packets in rows}


def test_trust_comes_and_goes():
    """A peer is let through while it is a member; members outlive a new policy; an end comes by itself."""
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("trust")
        path = write(lab, POLICY)
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            weir(ns, "apply", path)

            def counts():
                now = shown(ns)
                return [now["files", side] for side in ("ingress", "egress")] + [now["posture", side] for side in ("ingress", "egress")]

            each = 2 * 2 * FRAMES  # TCP and UDP, IPv4 and IPv6
            send(ns, tun, TRUSTED)
            lib.equal(counts(), [0, 0, each, each], "nobody is trusted")
            weir(ns, "trust", "add", "posture", "there")
            send(ns, tun, TRUSTED)
            lib.equal(counts(), [each, each, each, each], "the peer is trusted")
            weir(ns, "apply", path)
            send(ns, tun, TRUSTED)
            lib.equal(counts(), [each, each, 0, 0], "members outlive a new policy, whose counters begin")
            weir(ns, "trust", "remove", "posture", "there")
            send(ns, tun, TRUSTED)
            lib.equal(counts(), [each, each, each, each], "the peer is trusted no more")
            weir(ns, "trust", "add", "posture", THERE[4], "--expires", "1h")
            lib.check(re.search(rf"{THERE[4]} +(59 min|60 min) left", weir(ns, "show")[1]), "an end in an hour")
            weir(ns, "trust", "add", "posture", THERE[4], "--expires", "2s")
            weir(ns, "apply", path)
            lib.wait_for("the member leaves by itself", lambda: re.search(r"(?m)^  nobody$", weir(ns, "show")[1]), 30, 0.3)
            send(ns, tun, TRUSTED)
            lib.equal(counts(), [0, 0, each, each], "the end has come")
            for words, says in (
                (["nope", "there"], "no trust requirement 'nope'"),
                (["posture", "nobody-knows"], "neither an address nor a peer"),
                (["posture", "10.0.0.0/8"], "is a prefix"),
            ):
                lib.check(says in weir(ns, "trust", "add", *words, expected=1)[2], f"it says {says!r}")
            weir(ns, "remove")
            lib.equal(tables(ns), [], "tables after remove")
            weir(ns, "remove")
            lib.check("none is applied" in weir(ns, "show", expected=1)[2], "nothing to show")


def test_answers_pass_and_a_rule_taken_away_ends_what_it_let_in():
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        lab.join([a, b], v4="198.51.100.0/24", device="ov0")
        policy = {"Interfaces": ["ov0"], "Rules": [{"Name": "in", "Senders": "198.51.100.2", "Receivers": "198.51.100.1", "Protocol": "tcp", "Ports": 5000}]}
        weir(a, "apply", write(lab, policy))
        with a.socket(kind=socket.SOCK_STREAM) as listener, b.socket(kind=socket.SOCK_STREAM) as caller, b.socket(kind=socket.SOCK_STREAM) as other:
            listener.bind(("198.51.100.1", 5000))
            listener.listen()
            other.bind(("198.51.100.2", 5000))
            other.listen()
            caller.settimeout(20)
            caller.connect(("198.51.100.1", 5000))
            accepted, _ = listener.accept()
            with accepted, a.socket(kind=socket.SOCK_STREAM) as back:
                caller.sendall(b"question")
                lib.equal(accepted.recv(100), b"question", "what was sent")
                accepted.sendall(b"answer")
                lib.equal(caller.recv(100), b"answer", "an answer")
                back.settimeout(1)
                try:
                    back.connect(("198.51.100.2", 5000))
                    lib.check(False, "a connection the other way was let through")
                except (TimeoutError, PermissionError):
                    pass
                weir(a, "apply", write(lab, {"Interfaces": ["ov0"]}))
                caller.sendall(b"more")
                accepted.settimeout(1)
                try:
                    lib.check(accepted.recv(100) is None, "the connection outlives its rule")
                except TimeoutError:
                    pass


# Atomicity


def listing(ns):
    """What stands in the kernel, without handles and counts; None: nothing."""
    status, out, _ = ns.run("nft", "-j", "-s", "list", "table", "inet", "weir_policy", expected=None)
    if status:
        return None
    text = re.sub(r'"handle": \d+', '"handle": 0', out)
    return re.sub(r'"(packets|bytes)": \d+', r'"\1": 0', text)


def test_killed_apply_leaves_one_policy_or_the_other():
    lib.need_root()
    lib.need("nft")
    chance = random.Random(5)
    with lib.Lab() as lab:
        ns = lab.namespace("kill")
        paths = []
        for n in range(2):
            policy = {"Interfaces": ["wtun"], "Peers": {f"p{i}": f"10.{n}.{i}.0/24" for i in range(100)}}
            policy["Rules"] = [{"Name": f"r{n}-{i}", "Senders": f"p{i}", "Protocol": "tcp", "Ports": 1000 + i} for i in range(60)]
            paths.append(write(lab, policy))
        whole = []
        took = 0.0
        for path in paths:
            began = time.monotonic()
            weir(ns, "apply", path)
            took = max(took, time.monotonic() - began)
            whole.append(listing(ns))
        lib.check(None not in whole and whole[0] != whole[1], "two policies")
        seen = [0, 0]
        for n in range(int(os.environ.get("WEIR_KILLS", "8"))):
            runs = lab.start([lib.WEIR, "policy", "apply", paths[n % 2]], ns, NO_SESSION)
            time.sleep(chance.uniform(0, took * 1.2))
            if n % 4 < 2:  # with nft, if it runs by then
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(runs.pid, signal.SIGKILL)
            else:
                runs.popen.kill()
            runs.wait(20)
            for _ in range(2):
                now = listing(ns)
                lib.check(now in whole, f"after kill {n} half a policy stands: {str(now)[:500]}")
            seen[whole.index(now)] += 1
        print(f"  policies after the kills: {seen}")
        weir(ns, "apply", paths[0])  # nothing is locked
        lib.equal(listing(ns), whole[0], "the policy at the end")


def test_own_session():
    """What would cut off the caller's own login is not applied without being told so."""
    lib.need_root()
    lib.need("nft")
    over = {"SSH_CONNECTION": "10.9.0.2 50000 10.9.0.1 22"}
    beside = {"SSH_CONNECTION": "10.8.0.2 50000 10.8.0.1 22"}
    with lib.Lab() as lab:
        ns = lab.namespace("own")
        closed = write(lab, {"Interfaces": ["wtun"]})
        opened = write(lab, {"Interfaces": ["wtun"], "Rules": [{"Name": "ssh", "Senders": "10.9.0.0/24", "Protocol": "tcp", "Ports": 22}]})
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24")
            errors = weir(ns, "apply", closed, expected=1, env=over)[2]
            lib.check("your own session" in errors and "default-deny" in errors and "--yes" in errors, f"it says so: {errors}")
            lib.equal(tables(ns), [], "tables after a refusal")
            weir(ns, "apply", opened, env=over)
            weir(ns, "apply", closed, env=beside)
            weir(ns, "apply", closed, "--yes", env=over)
            lib.equal(len(tables(ns)), 1, "tables after --yes")


def test_bad_file_changes_nothing():
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace("bad")
        weir(ns, "apply", write(lab, POLICY))
        before = listing(ns)
        bad = lab.write("bad.json", '{\n  "Interfaces": ["wtun"]\n  "Rules": []\n}\n')
        errors = weir(ns, "apply", bad, expected=2)[2]
        lib.check(re.search(r'bad\.json:3:3: "Rules" seen; .*comma is missing after line 2', errors), f"place and hint: {errors}")
        lib.equal(listing(ns), before, "the policy after a bad file")
        for words in ([], ["apply"], ["remove", "x"], ["trust", "add", "a"], ["trust", "take", "a", "b"], ["show", "--expires", "5s"], ["trust", "add", "a", "b", "--expires", "5"]):
            weir(ns, *words, expected=2)


# The store


def test_query():
    """Counters of allow rules equal the frames that were sent; refusals by rule, peer and port."""
    lib.need_root()
    lib.need("nft")
    if lib.run([lib.WEIR, "query", "--help"], expected=None)[0]:
        raise lib.Skip("built without a store")
    with lib.Lab() as lab:
        ns = lab.namespace("query")
        out, store = lab.path("flows.ipfix"), lab.path("store")
        with lib.Tun(ns, "wtun") as tun:
            tun.up("10.9.0.1/24", "fd09::1/64")
            weir(ns, "apply", write(lab, POLICY))
            probe = start_probe(lab, ns, to=[f"File/{out}"], OptionsRefresh=1000)
            send(ns, tun, WEB)
            send(ns, tun, DENIED)
            send(ns, tun, WEB + 1, sport=4001)
            each = 2 * 2 * FRAMES  # TCP and UDP, IPv4 and IPv6

            def told():
                rules = [r for r in lib.dump(out, expected=None) if r.get("scope", {}).get("ruleName") == "web"]
                return {r["scope"]["flowDirection"]: r["packetTotalCount"] for r in rules}

            lib.wait_for("the counters are told", lambda: told() == {0: 2 * each, 1: 2 * each}, 30, 0.5)
            weir(ns, "apply", write(lab, POLICY))  # the counters begin anew
            send(ns, tun, WEB, sport=4002)
            time.sleep(0.3)
            probe.stop()
        lib.run([lib.WEIR, "collect", "--read", out, "-s", store])

        def ask(*words):
            return [json.loads(line) for line in lib.run([lib.WEIR, "query", "-s", store, "-o", "json", *words])[1].splitlines()]

        rules = {(r["rule"], r["dir"]): r for r in ask("rules")}
        lib.equal({name for name, _ in rules}, {"web", "files", "ping", "nobody"}, "allow rules")
        for side in "ingress", "egress":
            lib.equal(rules["web", side]["packets"], 3 * each, f"{side}: packets that the rule let through")
            lib.equal(rules["web", side]["source"], "counter", "where it is from")
            for name in "files", "ping", "nobody":
                lib.equal((rules[name, side]["packets"], rules[name, side]["last met"]), (0, None), f"{name}, {side}: nobody needed it")
        denied = ask("denied")
        lib.equal(sorted({(r["dir"], r["rule"], r["peer"], r["dst port"]) for r in denied}), sorted({(d, "default-deny", p, DENIED) for d in (0, 1) for p in THERE.values()}), "refusals")
        lib.equal(sum(r["packets"] for r in denied), 4 * 2 * FRAMES, "refused frames")


lib.main(globals())
