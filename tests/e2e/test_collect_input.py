"""weir collect on what exporters send: every case of the corpus over UDP and TCP, and every stimulus that other
collectors stumbled over, with right values, bounded memory and bounded work."""

import collections
import ipaddress
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import time

import collect_lib as cl
import lib

CASES = "ipfix"


def files(*endings):
    folder = lib.need_corpus(CASES)
    return [p for e in endings for p in sorted(folder.rglob(f"*{e}")) if p.stat().st_size and "expected__" not in p.name and "context__" not in p.name]


def lines(path):
    return collections.Counter(path.read_text(encoding="utf-8", errors="replace").splitlines())


def short(counter):
    return [f"{n}x {text[:300]}" for text, n in list(counter.items())[:3]]


def is_ipfix(octets):
    return octets[:2] == b"\x00\x0a"


# A stored record and a dumped one as the same: {(column, text)} of every value that there is.

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d+))?Z")
OURS = ("receiveTime", "exporterAddress", "exporterPort", "sessionNumber")  # what weir adds to a record


def plain(value):
    """A value as text, times to the nanosecond; "": nothing that a column could hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    text = str(value)
    time_of_day = TIME.fullmatch(text)
    if time_of_day:
        return f"{text[:19]}.{(time_of_day[1] or ''):0<9}Z"
    if text.startswith("{"):
        try:
            return json.dumps(json.loads(text), sort_keys=True)
        except ValueError:
            pass
    return "" if text == "0x" else text


def columns_of(store):
    """{name: SQL type} of all partitions."""
    manifest = json.loads((pathlib.Path(store) / "manifest.json").read_text(encoding="utf-8"))
    return {name: kind for layout in manifest["columns"] for name, kind in layout}


def as_text(name, kind):
    """SQL for a column as `weir dump` prints it."""
    quoted = f'"{name}"'
    if kind.startswith("TIMESTAMP"):
        return f"strftime({quoted}, '%Y-%m-%dT%H:%M:%S.%{'n' if kind == 'TIMESTAMP_NS' else 'f'}Z')"
    if kind == "UUID":
        return f"address_text(NULL, {quoted})"
    if kind == "UINTEGER" and "IPv4" in name and name.split("_")[0].endswith(("Address", "Prefix")):
        return f"address_text({quoted}, NULL)"
    if kind == "BLOB":
        return f"'0x' || lower(hex({quoted}))"
    return quoted


def stored_records(store, view="flows"):
    names = {n: k for n, k in columns_of(store).items() if n not in OURS and not n.endswith(("_scaled", "_time", "_name"))}
    have = {name for r in cl.sql(store, f"select column_name as n from (describe {view})") for name in [r["n"]]}
    select = ", ".join(f'{as_text(n, k)} as "{n}"' for n, k in names.items() if n in have)
    rows = cl.sql(store, f"select {select} from {view}")
    return collections.Counter(frozenset((n, plain(v)) for n, v in r.items() if v is not None and plain(v)) for r in rows)


def flat(record, kinds):
    """The columns of a dumped record. What is no value of its type is dumped as octets and stored as NULL."""
    found, scope = {}, record.get("scope", {})
    for part in (scope, record):
        for name, value in part.items():
            if name == "scope":
                continue
            header = name in ("observationDomainId", "templateId")
            if part is scope and header:
                name = {"templateId": "e0.145", "observationDomainId": "e0.149"}[name]
            for one in value if isinstance(value, list) else [value]:
                column, n = name, 1
                while column in found:
                    n += 1
                    column = f"{name}_{n}"
                found[column] = plain(one)
    odd = lambda n, t: t in ("", "undefined") or (t.startswith("0x") and kinds.get(n) not in ("BLOB", "VARCHAR"))  # noqa: E731
    return frozenset((n, t) for n, t in found.items() if not odd(n, t))


def dumped_records(objects, kinds, options=False):
    return collections.Counter(flat(o, kinds) for o in objects if ("scope" in o) == options)


def differences(missing, others):
    """For people: the first record that is missing, against the most alike of the others."""
    for record in list(missing)[:2]:
        near = max(others, key=lambda o: len(o & record), default=frozenset())
        yield f"{sorted(record - near)[:6]} in place of {sorted(near - record)[:6]}"


def check_store(c, printed):
    """Each dumped record is in the store, with every value; what is there besides came before its template."""
    objects = [json.loads(line) for line in printed.elements()]
    kinds = columns_of(c.store)
    for view in ("flows", "options"):
        stored, dumped = stored_records(c.store, view), dumped_records(objects, kinds, view == "options")
        lib.check(dumped, f"{view} were dumped")
        lacking, more = dumped - stored, stored - dumped
        lib.equal(list(differences(lacking, more)), [], f"{view}: {sum(lacking.values())} that the store lacks")
        late = cl.ledger(c.store).get("sets_decoded_late", 0)
        lib.check(not more or late > 0, f"{view}: {sum(more.values())} more than were dumped, {late} late sets")


def test_corpus_over_udp():
    """Every capture, replayed from a socket for each of its exporters: the records that `weir dump` prints."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 2, json_out=True)
        expected, sent, sockets = collections.Counter(), 0, []
        for path in files("replay.pcap", "traffic-00.pcap", "traffic-01.pcap"):
            _, out, _ = lib.run([lib.WEIR, "dump", path], expected=None)
            expected.update(out.splitlines())
            senders = {}
            for source, port, payload in cl.datagrams(path):
                if not payload or len(payload) > 65000:
                    continue
                if (source, port) not in senders:
                    senders[source, port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    senders[source, port].connect(("127.0.0.1", c.port))
                senders[source, port].send(payload)
                sent += 1
                if sent % 50 == 0:
                    time.sleep(0.01)
            sockets += senders.values()
        lib.check(sent > 300, f"{sent} datagrams")
        lib.wait_for("all are received", lambda: c.sum("weir_receiver_messages_total") + c.sum("weir_receiver_refused_total") >= sent)
        c.stop()
        for s in sockets:
            s.close()
        printed = lines(c.json)
        lib.equal(short(expected - printed), [], "lines of weir dump that weir collect did not print")
        lib.equal(short(printed - expected), [], "lines that only weir collect printed")
        check_store(c, printed)


def test_corpus_over_tcp():
    """Every case that is a file of whole messages, each over a connection of its own."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1, json_out=True)
        expected, taken = collections.Counter(), 0
        for path in files(".ipfix", ".bin", ".dat"):
            octets = path.read_bytes()
            if not is_ipfix(octets):
                continue
            status, out, _ = lib.run([lib.WEIR, "dump", path], expected=None)
            if status:
                continue  # damage that a file reader passes over ends a connection
            expected.update(out.splitlines())
            taken += 1
            with socket.create_connection(("127.0.0.1", c.port)) as s:
                s.sendall(octets)
        lib.check(taken >= 10, f"{taken} files")
        lib.wait_for("all connections have ended", lambda: c.sum("weir_receiver_sessions_ended_total") >= taken)
        c.stop()
        printed = lines(c.json)
        # Rules for templates differ between a file and a connection: only redefinitions without withdrawal may.
        lib.equal(short(expected - printed), [], "lines of weir dump that weir collect did not print")
        check_store(c, printed)


def test_corpus_read_as_files():
    """--read loads files as they are and ends."""
    with lib.Lab() as lab:
        paths = [p for p in files(".ipfix") if is_ipfix(p.read_bytes()[:2]) and lib.run([lib.WEIR, "dump", p], expected=None)[0] == 0][:60]
        expected = collections.Counter()
        for p in paths:
            expected.update(lib.run([lib.WEIR, "dump", p])[1].splitlines())
        store, out = lab.path("store"), lab.path("out.json")
        words = [w for p in paths for w in ("--read", p)]
        lib.run([lib.WEIR, "collect", *words, "-s", store, "--json", out])
        printed = lines(out)
        lib.equal(short(expected - printed), [], "lines of weir dump that are missing")
        lib.equal(short(printed - expected), [], "lines that weir dump has not")
        objects = [json.loads(line) for line in printed.elements()]
        lacking = dumped_records(objects, columns_of(store)) - stored_records(store)
        lib.equal(list(differences(lacking, stored_records(store))), [], "records that the store lacks")
        status, _, err = lib.run([lib.WEIR, "collect", "--read", "/nonexistent", "-s", store], expected=None)
        lib.equal((status, "nonexistent" in err), (1, True), "a file that is not there")


# What other collectors stumbled over


def varlen(octets):
    return (bytes([len(octets)]) if len(octets) < 255 else b"\xff" + struct.pack("!H", len(octets))) + octets


class Stimulus:
    """A collector that is watched while something is sent to it."""

    def __init__(self, lab, *options):
        self.c = cl.Collector(lab, "--workers", 1, "--partition-age", 3600, *options, json_out=True)
        self.before = self.use()

    def use(self):
        """Of those who take part in collecting; who waits for questions of the page is another matter."""
        pids = [p for p in self.c.children() if cl.process_name(p) not in ("asker", "answerer")]
        return sum(cl.resident(p) for p in pids), sum(cl.cpu_seconds(p) for p in pids)

    def work_of_a_second(self):
        before = self.use()[1]
        time.sleep(1.0)
        return self.use()[1] - before

    def settle(self, messages, megabytes=200, seconds=3.0):
        """All was read; the collector is quiet again and has not grown."""
        self.c.wait_messages(messages)
        lib.wait_for("a second without messages and without work", lambda: self.work_of_a_second() < 0.3, 30)
        resident, cpu = self.use()
        grown = (resident - self.before[0]) / 1024
        lib.check(grown < megabytes, f"{grown:.0f} MiB more after {messages} messages")
        lib.check(cpu - self.before[1] < seconds, f"{cpu - self.before[1]:.1f} s of work")

    def records(self):
        self.c.stop()
        return [json.loads(line) for line in lines(self.c.json).elements()]


def test_rich_record():
    """Variable length (also 255 and more), reverse, unknown enterprise element, basicList: nothing is dropped."""
    fields = [(8, 4), (12, 4), (82, cl.VARIABLE), (1, 8, 29305), (7, cl.VARIABLE, 99999), (291, cl.VARIABLE), (83, cl.VARIABLE)]
    basic = bytes([3]) + struct.pack("!HH", 82, cl.VARIABLE) + varlen(b"eth0") + varlen(b"eth1")
    record = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2") + varlen(b"wg0") + struct.pack("!Q", 77)
    record += varlen(b"\x01\x02\x03") + varlen(basic) + varlen(b"d" * 300)
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, fields), cl.data(300, record), records=1)
        s.settle(1)
        (r,) = s.records()
        lib.equal((r["sourceIPv4Address"], r["interfaceName"], r["reverseOctetDeltaCount"]), ("10.0.0.1", "wg0", 77), "plain fields")
        lib.equal(r["e99999.7"], "0x010203", "unknown element")
        lib.equal(r["basicList"]["values"], ["eth0", "eth1"], "basicList")
        lib.equal(r["interfaceDescription"], "d" * 300, "a value over 255 octets")
        (row,) = cl.sql(s.c.store, 'select interfaceName, "reverseOctetDeltaCount" as r, hex("e99999.7") as u, length(interfaceDescription) as n, basicList::varchar as b from flows')
        lib.equal((row["interfaceName"], row["r"], row["u"], row["n"], "eth1" in row["b"]), ("wg0", 77, "010203", 300, True), "stored")


def test_options_and_ipv6():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(144, 4), (41, 8), (42, 8)], scope=1), cl.data(300, struct.pack("!IQQ", 7, 5, 6)), records=1)
            e.send(cl.template(301, [(27, 16), (28, 16), (1, 8)]), cl.data(301, socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2") + struct.pack("!Q", 9)), records=1)
        s.settle(2)
        records = s.records()
        lib.equal([r["exportedMessageTotalCount"] for r in records if "scope" in r], [5], "options record")
        rows = cl.sql(s.c.store, "select sourceAddress, octetDeltaCount from flows")
        lib.equal(rows, [{"sourceAddress": "2001:db8::1", "octetDeltaCount": 9}], "IPv6")
        lib.equal(cl.count(s.c.store, "options"), 1, "options in the store")


def test_reduced_sizes_and_seconds():
    """Counters of 3 and 2 octets; flowStartSeconds and flowEndSeconds."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(8, 4), (1, 3), (2, 2), (150, 4), (151, 4)]), cl.data(300, b"\x0a\0\0\1" + b"\x01\x00\x00" + b"\x13\x88" + struct.pack("!II", 1_700_000_000, 1_700_000_009)), records=1)
        s.settle(1)
        (r,) = s.records()
        lib.equal((r["octetDeltaCount"], r["packetDeltaCount"]), (65536, 5000), "reduced sizes")
        (row,) = cl.sql(s.c.store, "select octetDeltaCount as o, packetDeltaCount as p, epoch(flowStart)::bigint as a, epoch(flowEnd)::bigint as b from flows")
        lib.equal((row["o"], row["p"], row["a"], row["b"]), (65536, 5000, 1_700_000_000, 1_700_000_009), "stored")


def test_uptime_times():
    """21/22 with option 160: flow times in wall time."""
    init = int(time.time()) * 1000 - 100_000  # a 32-bit uptime says nothing about more than 49 days
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(144, 4), (160, 8)], scope=1), cl.data(300, struct.pack("!IQ", 1, init)), records=1)
            e.send(cl.template(301, [(8, 4), (22, 4), (21, 4)]), cl.data(301, struct.pack("!III", 0x0A000001, 5000, 7500)), records=1)
        s.settle(2)
        s.c.stop()
        (row,) = cl.sql(s.c.store, "select epoch_ms(flowStart) as a, epoch_ms(flowEnd) as b from flows")
        lib.equal((row["a"], row["b"]), (init + 5000, init + 7500), "flow times")


def test_sampling_per_exporter():
    """Each exporter's own rate, and none for one that has told none; 305 and 306 are packets taken and left out, not rates."""
    fields = [(8, 4), (1, 8), (2, 8)]
    told = {
        1: ([(149, 4)], [(34, 4)], struct.pack("!II", 1, 1000), 1000),
        2: ([(149, 4)], [(304, 2), (305, 4), (306, 4)], struct.pack("!IHII", 2, 1, 1, 99), 100),
        3: ([(302, 8)], [(304, 2), (309, 4), (310, 4)], struct.pack("!QHII", 0, 3, 5, 20), 4),
        4: (None, None, None, None),
    }
    with lib.Lab() as lab:
        s = Stimulus(lab)
        for domain, (scope, rest, values, _) in told.items():
            with cl.Exporter(s.c.port, domain=domain) as e:
                if values:
                    e.send(cl.template(300, scope + rest, scope=len(scope)), cl.data(300, values), records=1)
                e.send(cl.template(301, fields), cl.data(301, struct.pack("!IQQ", domain, 6000, 3)), records=1)
        s.settle(sum(2 if values else 1 for _, _, values, _ in told.values()))
        s.c.stop()
        rows = cl.sql(s.c.store, "select observationDomainId as d, octetDeltaCount as o, octetDeltaCount_scaled as so, packetDeltaCount_scaled as sp from flows order by d")
        expected = [{"d": d, "o": 6000, "so": rate and 6000 * rate, "sp": rate and 3 * rate} for d, (_, _, _, rate) in told.items()]
        lib.equal(rows, expected, "counters as sent and scaled")


def test_late_joiner():
    """A collector that begins in the middle of a stream: what comes from then on is there once a template comes again."""
    with lib.Lab() as lab:
        port = cl.free_port()
        with cl.Exporter(port) as e, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as before:
            before.bind(("127.0.0.1", port))
            e.template()
            e.flows(5)
            before.close()
            c = cl.Collector(lab, "--workers", 1, port=port)
            begin = e.n
            e.flows(4)
            e.flows(3)
            e.template()
            e.flows(2)
            c.wait_messages(4)
            c.stop()
        lib.equal(dict(cl.numbers(c.store)), {n: 1 for n in range(begin, begin + 9)}, "records")
        counts = cl.ledger(c.store)
        lib.equal((counts.get("sequence_lost", 0), counts.get("sets_decoded_late"), counts.get("sets_waiting", 0)), (0, 2, 0), "loss, late, waiting")


def test_data_before_template():
    """Data that comes before its template waits, and is no loss."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.flows(3)
            e.flows(2)
            time.sleep(1.5)
            e.template()
            e.flows(1)
        s.settle(4)
        s.c.stop()
        lib.equal(dict(cl.numbers(s.c.store)), {n: 1 for n in range(6)}, "records")
        counts = cl.ledger(s.c.store)
        lib.equal((counts.get("sets_decoded_late"), counts.get("sequence_lost", 0)), (2, 0), "late sets, loss")


def test_same_element_twice():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(8, 4), (10, 4), (10, 4)]), cl.data(300, struct.pack("!III", 1, 71, 72)), records=1)
        s.settle(1)
        (r,) = s.records()
        lib.equal(r["ingressInterface"], [71, 72], "both values")
        lib.equal(cl.sql(s.c.store, "select ingressInterface as a, ingressInterface_2 as b from flows"), [{"a": 71, "b": 72}], "stored")


def test_redefinition_without_withdrawal():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(1, 8)]), cl.data(300, struct.pack("!Q", 11)), records=1)
            e.send(cl.template(300, [(2, 4)]), cl.data(300, struct.pack("!I", 12)), records=1)
        s.settle(2)
        s.c.stop()
        rows = cl.sql(s.c.store, "select octetDeltaCount as o, packetDeltaCount as p from flows order by o nulls last")
        lib.equal([(r["o"], r["p"]) for r in rows], [(11, None), (None, 12)], "each by its own template")


def test_sequence_jump():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.template()
            e.flows(5)
            e.sequence += 1000
            e.flows(5)
        s.settle(3)
        lib.equal(s.c.sum("weir_ledger_sequence_lost_total"), 1000, "metric")
        s.c.stop()
        lib.equal(cl.ledger(s.c.store).get("sequence_lost"), 1000, "ledger")
        lib.check("sequence_lost" in s.c.process.errors(), "a log line tells it")


def test_zero_length_fields():
    """Two datagrams that send other collectors into an endless loop."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(1, 0), (2, 0)]))
            e.send(cl.data(300, b"\0" * 64))
            e.template()
            e.flows(1)
        s.settle(4, seconds=1.0)
        s.c.stop()
        lib.equal(cl.count(s.c.store), 1, "only the good record")


def test_withdrawal_then_data():
    """Over UDP a withdrawal is no template without fields; data behind it costs nothing."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.template()
            e.send(struct.pack("!HHHH", 2, 8, 256, 0))
            for _ in range(20):
                e.flows(1)
        s.settle(22, seconds=1.0)
        s.c.stop()
        lib.check(cl.count(s.c.store) <= 20, "no record out of nothing")


def test_element_of_wrong_length():
    """An address of 50 octets is no address: the record stays, its value does not."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            e.send(cl.template(300, [(8, 50), (1, 8)]), cl.data(300, b"\xff" * 50 + struct.pack("!Q", 5)), records=1)
        s.settle(1)
        s.c.stop()
        lib.equal(cl.sql(s.c.store, "select sourceIPv4Address as a, octetDeltaCount as o from flows"), [{"a": None, "o": 5}], "stored")
        lib.check(sum(n for k, n in cl.ledger(s.c.store).items() if k.startswith("value_")) >= 1, "the value is counted as wrong")


def test_3000_domains():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as e:
            for domain in range(3000):
                e.socket.send(cl.message(cl.template(256, cl.FLOW), cl.data(256, cl.flow(domain)), domain=domain))
                if domain % 100 == 99:
                    time.sleep(0.01)
        s.settle(3000, megabytes=200, seconds=10)
        rows = {labels["domain"] for name, labels, _ in s.c.metrics() if name == "weir_ledger_records_total" and "domain" in labels}
        lib.check(len(rows) <= 256, f"{len(rows)} series")
        s.c.stop()
        lib.equal(cl.count(s.c.store), 3000, "records")


def test_template_flood():
    """Templates without end from one sender: bounded, and an honest sender next to it loses nothing."""
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with cl.Exporter(s.c.port) as bad, cl.Exporter(s.c.port, domain=9) as good:
            good.template()
            sent = 1
            for number in range(256, 256 + 6000):
                bad.domain = number % 50
                bad.send(cl.template(number, [(1, 8)] * 40))
                sent += 1
                if number % 60 == 0:
                    good.flows(1)
                    sent += 1
                    time.sleep(0.005)
        s.settle(sent, megabytes=200, seconds=10)
        s.c.stop()
        lib.equal(sorted(cl.numbers(s.c.store)), list(range(good.n)), "records of the honest sender")


def peak(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def sanitized(program):
    """Sanitizers keep freed memory for a while."""
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


def test_many_columns():
    """A thousand elements that nobody knows in one partition: its writer's memory stays bounded."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1, "--partition-records", 20000)
        with cl.Exporter(c.port, tcp=True) as e:
            for t in range(50):
                e.template(300 + t, [(1 + i + 20 * t, 1, 99999) for i in range(20)])
            for n in range(334):
                e.send(cl.data(300 + n % 50, bytes(range(20)) * 60), records=60)
            flushed = lambda: c.sum("weir_loader_flushes_total") >= 1  # noqa: E731
            lib.wait_for("the partition is written", flushed, 120)
        grown = max(peak(p) for p in c.children()) / 1024
        c.stop(timeout=120)
        limit = 800 if sanitized(lib.WEIR) else 400
        lib.check(grown < limit, f"{grown:.0f} MiB, {limit} are allowed")
        lib.equal(cl.count(c.store), 20040, "records")


def test_netflow_is_refused():
    with lib.Lab() as lab:
        s = Stimulus(lab)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", s.c.port))
            for head in (b"\0\5", b"\0\x09", b"\0\x0b", b"\0"):
                sender.send(head + b"\0" * (60 if len(head) == 2 else 0))
            sender.send(cl.message(cl.template(256, cl.FLOW)) + b"xx")
        lib.wait_for("all are refused", lambda: s.c.sum("weir_receiver_refused_total") >= 5)
        reasons = {labels["reason"]: v for n, labels, v in s.c.metrics() if n == "weir_receiver_refused_total" and "Udp" in labels["listen"]}
        lib.equal(reasons, {"short": 1, "netflow_v5": 1, "netflow_v9": 1, "version": 1, "length": 1}, "by reason")
        s.c.stop()


def mutants(seed):
    """Messages of the corpus and of our own, with octets changed."""
    rng = random.Random(seed)
    seeds = [payload for p in files("replay.pcap") for _, _, payload in cl.datagrams(p) if is_ipfix(payload)][:400]
    seeds.append(cl.message(cl.template(256, cl.FLOW), cl.data(256, *[cl.flow(n) for n in range(20)])))
    while True:
        octets = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(4, len(octets)) if len(octets) > 4 else 0
            octets[at] = rng.choice((0, 1, 255, rng.randrange(256), octets[at] ^ 1 << rng.randrange(8)))
        if rng.random() < 0.2:
            octets = octets[: rng.randrange(16, len(octets) + 1)]
            octets[2:4] = struct.pack("!H", len(octets))
        yield bytes(octets)


def test_mutated_datagrams():
    """WEIR_SOAK_SECONDS (20) of them as fast as they go; WEIR_ASAN names a weir with sanitizers."""
    seconds = float(os.environ.get("WEIR_SOAK_SECONDS") or 20)
    program = os.environ.get("WEIR_ASAN") or lib.WEIR
    seed = int(os.environ.get("WEIR_SEED") or time.time())
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--partition-age", 5, "--partition-records", 20000, json_out=False, program=program)
        sent, until = 0, time.monotonic() + seconds
        senders = [cl.Exporter(c.port) for _ in range(8)]
        for octets in mutants(seed):
            senders[sent % 8].socket.send(octets)
            sent += 1
            if sent % 1000 == 0 and time.monotonic() > until:
                break
        for e in senders:
            e.__exit__()
        starts = c.sum("weir_process_starts_total", role="loader")
        lib.equal(starts, 1, f"starts of the loader (seed {seed}, {sent} datagrams): {c.process.errors()[-3000:]}")
        grown = max(cl.resident(p) for p in c.children()) / 1024
        lib.check(grown < (1200 if sanitized(program) else 700), f"{grown:.0f} MiB")
        received, drops = c.sum("weir_receiver_messages_total"), c.sum("weir_receiver_kernel_drops_total")
        c.stop(timeout=60)
        lib.check("Sanitizer" not in c.process.errors() and "runtime error" not in c.process.errors(), c.process.errors()[-4000:])
        print(f"seed {seed}: {sent} mutated datagrams in {seconds:.0f} s, {received:.0f} taken, {drops:.0f} dropped by the kernel")


def test_relative_stores():
    """A store is named from where one stands: ".", "..", a name in it; --sql may name its files in full."""
    with lib.Lab() as lab:
        path, store = str(lab.path("flows.ipfix")), pathlib.Path(lab.path("deep/store"))
        store.mkdir(parents=True)
        fields = [(8, 4), (1, 8)]
        pathlib.Path(path).write_bytes(cl.message(cl.template(256, fields), cl.data(256, bytes([10, 0, 0, 1]) + (77).to_bytes(8, "big"))))

        def weir(folder, *words):
            done = subprocess.run([lib.WEIR, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
            lib.check(done.returncode == 0, f"weir {' '.join(words)}: {done.stderr}")
            return done.stdout

        weir(store, "collect", "--read", path, "-s", ".")
        (part,) = (store / "parts").glob("*/flows-*.parquet")
        for folder, named in ((store, "."), (store, "./"), (store / "parts", ".."), (store.parent, "store"), (store.parent, "./store/"), ("/", str(store))):
            out = weir(folder, "query", "-s", named, "-o", "json", "--sql", f"SELECT octetDeltaCount AS n FROM read_parquet('{part}')")
            lib.check(out == '{"n":77}\n', f"{named} from {folder}: {out!r}")
            out = weir(folder, "query", "-s", named, "-o", "csv", "--columns", "octets")
            lib.check("77" in out, f"{named} from {folder}: {out!r}")


lib.main(globals())
