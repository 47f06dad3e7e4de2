"""RFC 5471, the tests of a Collecting Process, at `weir collect`: over UDP and TCP, IPv4 and IPv6, asked of the store by
`weir query` and of the JSON that the collector prints. Where RFC 7011 has changed what RFC 5471 expects, 7011 holds:
unknown withdrawals, templates sent again and bad templates are ignored and counted, and the session goes on."""

import contextlib
import json
import socket
import struct

import collect_lib as cl
import lib

V = cl.VARIABLE
PEN = 32473  # for examples (RFC 5612)
EVERY = ("udp", "tcp", "udp6", "tcp6")
ADDRESS = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")


def text(value):
    """A variable-length field (RFC 7011 section 7)."""
    octets = value if isinstance(value, bytes) else value.encode()
    return (bytes([len(octets)]) if len(octets) < 255 else struct.pack("!BH", 255, len(octets))) + octets


def u64(value):
    return struct.pack("!Q", value)


def withdrawal(template, set_id=2):
    return struct.pack("!HHHH", set_id, 8, template, 0)


class Scene(contextlib.ExitStack):
    """A collector, and exporters each with an Observation Domain of its own."""

    def __enter__(self):
        super().__enter__()
        self.lab = self.enter_context(lib.Lab())
        self.c = cl.Collector(self.lab, "--workers", 1, json_out=True)
        self.domain = 0
        return self

    def exporter(self, transport="tcp"):
        self.domain += 1
        host = "::1" if transport.endswith("6") else "127.0.0.1"
        return self.enter_context(cl.Exporter(self.c.port, host, domain=self.domain, tcp=transport.startswith("tcp")))

    def counted(self, name, **labels):
        return self.c.sum(f"weir_ledger_{name}_total", **labels)

    def wait(self, name, count=1, **labels):
        lib.wait_for(f"{name} is {count}", lambda: self.counted(name, **labels) >= count, 60)
        lib.equal(self.counted(name, **labels), count, name)

    def printed(self, e):
        """What `weir collect --json` says of the records of an exporter."""
        lines = self.c.json.read_text(encoding="utf-8").splitlines(keepends=True) if self.c.json.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [r for r in rows if r["observationDomainId"] == e.domain]

    def records(self, e, count):
        lib.wait_for(f"{count} records of domain {e.domain} are printed", lambda: len(self.printed(e)) >= count, 30)
        lib.equal(len(self.printed(e)), count, "records")
        return self.printed(e)

    def stored(self, what, order="observationDomainId", view="flows", where="true"):
        """Rows of the store as lists."""
        return [list(r.values()) for r in self.c.sql(f"select {what} from {view} where {where} order by {order}")]

    def alive(self):
        """The collector takes data over a session of its own, whatever came before."""
        with self.exporter("udp") as e:
            e.template()
            e.flows(1)
            self.wait("records", domain=e.domain)

    def logged(self, name):
        """A warning with this counter; each kind is told of once a minute, and at once the first time."""
        self.c.get("/metrics")
        lib.wait_for(f"the log tells of {name}", lambda: name in self.c.process.errors(), 20)

    def ended(self, e):
        """Does the collector close the connection?"""
        e.socket.settimeout(20)
        try:
            return e.socket.recv(1) == b""
        except ConnectionResetError:
            return True


# 3.1 and 3.2


def test_3_1_1_connectivity():
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        for e in exporters:
            e.template()
            e.flows(3)
        s.wait("records", 12)
        rows = s.stored("observationDomainId, count(*), sum(octetDeltaCount)::bigint, any_value(exporterAddress)", where="true group by 1")
        lib.equal(rows, [[e.domain, 3, 3000, h] for e, h in zip(exporters, ("127.0.0.1", "127.0.0.1", "::1", "::1"))], "by exporter")
        ports = s.stored("distinct exporterPort", "exporterPort")
        lib.equal(ports, sorted([e.socket.getsockname()[1]] for e in exporters), "the sessions' ports")


def test_3_2_1_fixed_size_elements():
    """One element at least of each abstract data type that the registry has."""
    seconds = 1_700_000_000
    ntp = (seconds + 2_208_988_800) << 32 | 0x80000000
    fields = [
        ((70, 3), b"\x01\x02\x03", "mplsTopLabelStackSection", "0x010203"),  # octetArray
        ((4, 1), b"\x06", "protocolIdentifier", 6),  # unsigned8
        ((7, 2), b"\x01\xbb", "sourceTransportPort", 443),  # unsigned16
        ((10, 4), struct.pack("!I", 4_000_000_000), "ingressInterface", 4_000_000_000),  # unsigned32
        ((1, 8), u64(2**63 + 5), "octetDeltaCount", 2**63 + 5),  # unsigned64
        ((434, 4), struct.pack("!i", -2), "mibObjectValueInteger", -2),  # signed32
        ((311, 8), struct.pack("!d", 0.5), "samplingProbability", 0.5),  # float64
        ((276, 1), b"\x02", "dataRecordsReliability", False),  # boolean
        ((56, 6), bytes.fromhex("020000000001"), "sourceMacAddress", "02:00:00:00:00:01"),  # macAddress
        ((82, 4), b"wg\xc3\xa9", "interfaceName", "wgé"),  # string
        ((150, 4), struct.pack("!I", seconds), "flowStartSeconds", "2023-11-14T22:13:20Z"),  # dateTimeSeconds
        ((152, 8), u64(seconds * 1000 + 7), "flowStartMilliseconds", "2023-11-14T22:13:20.007Z"),
        ((154, 8), u64(ntp), "flowStartMicroseconds", "2023-11-14T22:13:20.500000Z"),
        ((156, 8), u64(ntp), "flowStartNanoseconds", "2023-11-14T22:13:20.500000000Z"),
        ((8, 4), socket.inet_aton("192.0.2.1"), "sourceIPv4Address", "192.0.2.1"),
        ((27, 16), socket.inet_pton(socket.AF_INET6, "2001:db8::1"), "sourceIPv6Address", "2001:db8::1"),
    ]
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        for e in exporters:
            e.send(cl.template(300, [f[0] for f in fields]), cl.data(300, b"".join(f[1] for f in fields)), records=1)
        for e in exporters:
            (r,) = s.records(e, 1)
            for _, _, name, expected in fields:
                lib.equal(r.get(name), expected, name)
        s.wait("records", 4)
        rows = s.stored("sourceTransportPort, octetDeltaCount, mibObjectValueInteger, samplingProbability, interfaceName, sourceAddress, epoch_ms(flowStartMilliseconds)")
        lib.equal(rows, [[443, 2**63 + 5, -2, 0.5, "wgé", "192.0.2.1", seconds * 1000 + 7]] * 4, "stored")


def test_3_2_2_variable_length_elements():
    long = "d" * 300
    cases = [
        ([(82, V)], text("eth0"), {"interfaceName": "eth0"}),
        ([(82, V), (7, 2)], text("") + b"\x01\xbb", {"interfaceName": "", "sourceTransportPort": 443}),
        ([(7, 2), (83, V)], b"\x01\xbb" + text(long), {"sourceTransportPort": 443, "interfaceDescription": long}),
        ([(82, V), (83, V), (94, V), (1, 8)], text("a") + b"\xff\x00\x01b" + text("c" * 254) + u64(9),
         {"interfaceName": "a", "interfaceDescription": "b", "applicationDescription": "c" * 254, "octetDeltaCount": 9}),
    ]  # fmt: skip
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        for e in exporters:
            for n, (fields, record, _) in enumerate(cases):
                e.send(cl.template(300 + n, fields), cl.data(300 + n, record, record), records=2)
        for e in exporters:
            rows = s.records(e, 2 * len(cases))
            for n, (_, _, expected) in enumerate(cases):
                lib.equal([{k: r[k] for k in expected} for r in rows if r["templateId"] == 300 + n], [expected] * 2, f"template {300 + n}")
        s.wait("records", 4 * 2 * len(cases))
        lib.equal(s.stored("count(*)", "1", where="interfaceName = 'eth0' or length(interfaceDescription) = 300 or octetDeltaCount = 9"), [[24]], "stored")


def test_3_2_3_set_padding():
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        fields, record = [(8, 4), (12, 4), (7, 2)], ADDRESS + b"\x01\xbb"
        for e in exporters:
            template = cl.template(300, fields)
            padded = struct.pack("!HH", 2, len(template) + 2) + template[4:] + b"\0\0"
            e.send(padded, cl.data(300, record * 3, b"\0\0"), cl.data(300, record, b"\0" * 9), cl.data(300, record), records=5)
        for e in exporters:
            rows = s.records(e, 5)
            lib.equal({(r["sourceIPv4Address"], r["destinationIPv4Address"], r["sourceTransportPort"]) for r in rows}, {("10.0.0.1", "10.0.0.2", 443)}, "values")
        s.wait("records", 20)
        lib.check(not any(k.startswith("malformed") for k in cl.ledger(s.c.store)), "padding is not malformed")


def test_3_2_4_record_padding():
    """paddingOctets (210) between and behind, of any size, also longer than what else is in the record."""
    with Scene() as s:
        for transport in EVERY:
            e = s.exporter(transport)
            sizes = (1, 2, 3, 5, 7, 12)
            for size in sizes:
                e.send(cl.template(300 + size, [(195, 1), (210, size)]), cl.data(300 + size, *[bytes([n]) + b"\0" * size for n in (1, 2, 3)]), records=3)
            aligned = [name + b"\0" * 0 + text(b"\0" * (-(len(name) + 1) % 4)) + struct.pack("!I", 7) for name in map(text, ("a", "ab", "abc", "abcd"))]
            e.send(cl.template(320, [(82, V), (210, V), (10, 4)]), cl.data(320, *aligned), records=4)
            rows = s.records(e, 3 * len(sizes) + 4)
            for size in sizes:
                lib.equal([r["ipDiffServCodePoint"] for r in rows if r["templateId"] == 300 + size], [1, 2, 3], f"padding of {size}")
            lib.equal([(r["interfaceName"], r["ingressInterface"]) for r in rows if r["templateId"] == 320],
                      [(name, 7) for name in ("a", "ab", "abc", "abcd")], "padding of variable length")  # fmt: skip


# 3.2.5: withdrawals, which are of TCP and SCTP only


def test_3_2_5_1_withdrawal():
    with Scene() as s:
        e = s.exporter()
        e.template()
        e.flows(2)
        s.records(e, 2)
        e.send(withdrawal(256))
        e.flows(1)
        e.template(257)
        e.flows(1, number=257)
        s.wait("templates_withdrawn")
        s.wait("sets_without_template")
        lib.equal([r["templateId"] for r in s.records(e, 3)], [256, 256, 257], "nothing is decoded by a template that was withdrawn")


def test_3_2_5_2_and_3_unknown_withdrawals():
    """RFC 7011 8.1 in place of RFC 5471: they are ignored and logged, and the session goes on."""
    with Scene() as s:
        e = s.exporter()
        e.template()
        e.send(withdrawal(256))
        e.send(withdrawal(256), withdrawal(999))
        e.template(257)
        e.flows(2, number=257)
        s.records(e, 2)
        s.wait("templates_withdrawal_unknown", 2)
        s.logged("templates_withdrawal_unknown")
        lib.equal(s.c.sum("weir_receiver_sessions_ended_total"), 0, "sessions that ended")


def test_3_2_5_4_all_templates_withdrawn():
    """All of the domain, and options templates stay."""
    with Scene() as s:
        e = s.exporter()
        for number in (256, 257, 258):
            e.template(number)
        e.send(cl.template(300, [(144, 4), (41, 8)], scope=1))
        e.send(withdrawal(2))
        for number in (256, 257, 258):
            e.flows(1, number=number)
        e.send(cl.data(300, struct.pack("!IQ", 1, 5)), records=1)
        lib.equal([r["templateId"] for r in s.records(e, 1)], [300], "what is decoded")
        s.wait("templates_withdrawn_all")
        s.wait("sets_without_template", 3)


def test_3_2_5_5_all_options_templates_withdrawn():
    with Scene() as s:
        e = s.exporter()
        e.template()
        for number in (300, 301):
            e.send(cl.template(number, [(144, 4), (41, 8)], scope=1))
        e.send(withdrawal(3, 3))
        for number in (300, 301):
            e.send(cl.data(number, struct.pack("!IQ", 1, 5)), records=1)
        e.flows(1)
        lib.equal([r["templateId"] for r in s.records(e, 1)], [256], "what is decoded")
        s.wait("sets_without_template", 2)


# 3.3


def test_3_3_1_enterprise_elements():
    """Elements that nobody knows, of fixed and of variable length: kept by number, and what is beside them is right."""
    with Scene() as s:
        fields = [(8, 4), (1000, 3, PEN), (12, 4), (1001, V, PEN), (32000, V), (1, 8)]
        record = ADDRESS[:4] + b"\x01\x02\x03" + ADDRESS[4:] + text(b"\xff\x00") + text("new") + u64(77)
        exporters = [s.exporter(t) for t in EVERY]
        for e in exporters:
            e.send(cl.template(300, fields), cl.data(300, record, record), records=2)
        for e in exporters:
            for r in s.records(e, 2):
                lib.equal((r["sourceIPv4Address"], r["destinationIPv4Address"], r["octetDeltaCount"]), ("10.0.0.1", "10.0.0.2", 77), "beside them")
                lib.equal((r[f"e{PEN}.1000"], r[f"e{PEN}.1001"], r["e0.32000"]), ("0x010203", "0xff00", "0x6e6577"), "they themselves")
        s.wait("records", 8)
        lib.equal(s.stored(f'hex("e{PEN}.1000"), hex("e{PEN}.1001"), octetDeltaCount'), [["010203", "FF00", 77]] * 8, "stored")


def test_3_3_2_reduced_size():
    """Each size of an unsigned64, and signed and floating point numbers; the value has the range of its type."""
    with Scene() as s:
        e = s.exporter()
        for size in range(1, 9):
            value = 2 ** (8 * size) - 3
            e.send(cl.template(300 + size, [(1, size), (2, size)]), cl.data(300 + size, value.to_bytes(size, "big") + b"\0" * (size - 1) + b"\x05"), records=1)
        e.send(cl.template(320, [(434, 1), (434, 3), (311, 4)]), cl.data(320, b"\xfe" + b"\xff\xff\x00" + struct.pack("!f", 0.25)), records=1)
        rows = s.records(e, 9)
        lib.equal([(r["octetDeltaCount"], r["packetDeltaCount"]) for r in rows[:8]], [(2 ** (8 * n) - 3, 5) for n in range(1, 9)], "unsigned")
        lib.equal((rows[8]["mibObjectValueInteger"], rows[8]["samplingProbability"]), ([-2, -256], 0.25), "signed, float")
        s.wait("records", 9)
        lib.equal(s.stored("octetDeltaCount", "octetDeltaCount", where="octetDeltaCount is not null"), [[2 ** (8 * n) - 3] for n in range(1, 9)], "stored")


def test_3_3_3_same_element_several_times():
    """One behind the other, and with others between: all values, in the order of the template."""
    with Scene() as s:
        for transport in EVERY:
            e = s.exporter(transport)
            e.send(cl.template(300, [(10, 4)] * 3 + [(1, 8)]), cl.data(300, struct.pack("!IIIQ", 7, 5, 6, 1)), records=1)
            e.send(cl.template(301, [(10, 4), (1, 8), (10, 2), (82, V), (10, 4)]), cl.data(301, struct.pack("!IQH", 9, 2, 8) + text("x") + struct.pack("!I", 10)), records=1)
            one, two = s.records(e, 2)
            lib.equal((one["ingressInterface"], two["ingressInterface"], two["octetDeltaCount"], two["interfaceName"]), ([7, 5, 6], [9, 8, 10], 2, "x"), "in order")
        s.wait("records", 8)
        rows = s.stored("ingressInterface, ingressInterface_2, ingressInterface_3", "1")
        lib.equal(rows, [[7, 5, 6]] * 4 + [[9, 8, 10]] * 4, "stored")


# 3.4


def test_3_4_1_any_element_as_scope():
    """The eight that RFC 7011 3.4.2.1 names, one of each type, and one of an enterprise; a scope count of 0 is refused."""
    scopes = [
        ((149, 4), b"\0\0\0\x01", "observationDomainId", 1), ((144, 4), b"\0\0\0\x02", "exportingProcessId", 2),
        ((143, 4), b"\0\0\0\x03", "meteringProcessId", 3), ((145, 2), b"\x01\x2c", "templateId", 300),
        ((141, 4), b"\0\0\0\x05", "lineCardId", 5), ((130, 4), ADDRESS[:4], "exporterIPv4Address", "10.0.0.1"),
        ((131, 16), b"\0" * 15 + b"\1", "exporterIPv6Address", "::1"), ((10, 4), b"\0\0\0\x08", "ingressInterface", 8),
        ((82, V), text("wg0"), "interfaceName", "wg0"), ((56, 6), b"\2\0\0\0\0\1", "sourceMacAddress", "02:00:00:00:00:01"),
        ((276, 1), b"\x01", "dataRecordsReliability", True), ((311, 8), struct.pack("!d", 0.5), "samplingProbability", 0.5),
        ((434, 4), b"\xff\xff\xff\xff", "mibObjectValueInteger", -1), ((152, 8), u64(1), "flowStartMilliseconds", "1970-01-01T00:00:00.001Z"),
        ((1000, 2, PEN), b"\xab\xcd", f"e{PEN}.1000", "0xabcd"),
    ]  # fmt: skip
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        for e in exporters:
            for n, (scope, octets, _, _) in enumerate(scopes):
                e.send(cl.template(400 + n, [scope, (41, 8)], scope=1), cl.data(400 + n, octets + u64(n)), records=1)
        for e in exporters:
            rows = s.records(e, len(scopes))
            for n, (_, _, name, value) in enumerate(scopes):
                lib.equal((rows[n]["scope"], rows[n]["exportedMessageTotalCount"]), ({name: value}, n), f"scope {name}")
        s.wait("options_records", 4 * len(scopes))
        lib.equal(s.stored("count(*), sum(exportedMessageTotalCount)::bigint", "1", "options"), [[4 * len(scopes), 4 * sum(range(len(scopes)))]], "stored")
        e = exporters[1]
        e.send(struct.pack("!HHHHH", 3, 14, 500, 1, 0) + cl.field(41, 8), cl.template(501, [(144, 4), (41, 8)], scope=1))
        e.send(cl.data(500, u64(1)), cl.data(501, struct.pack("!IQ", 1, 99)), records=2)
        lib.equal(s.records(e, len(scopes) + 1)[-1]["exportedMessageTotalCount"], 99, "the session goes on")
        s.wait("templates_bad_scope")
        s.logged("templates_bad_scope")


def test_3_4_2_several_scopes():
    """In the order of the options template."""
    with Scene() as s:
        for transport in EVERY:
            e = s.exporter(transport)
            e.send(cl.template(300, [(143, 4), (149, 4), (10, 4), (41, 8)], scope=3), cl.data(300, struct.pack("!IIIQ", 3, 1, 2, 9)), records=1)
            e.send(cl.template(301, [(10, 4), (149, 4), (41, 8)], scope=2), cl.data(301, struct.pack("!IIQ", 2, 1, 9)), records=1)
            one, two = s.records(e, 2)
            lib.equal(list(one["scope"].items()), [("meteringProcessId", 3), ("observationDomainId", 1), ("ingressInterface", 2)], "three")
            lib.equal(list(two["scope"].items()), [("ingressInterface", 2), ("observationDomainId", 1)], "two")


def test_3_4_3_to_5_statistics():
    """Metering Process statistics and reliability, Exporting Process reliability, with and without the optional scope."""
    with Scene() as s:
        for transport in EVERY:
            e = s.exporter(transport)
            totals, ignored, unsent = [(41, 8), (42, 8), (40, 8)], [(164, 8), (165, 8), (323, 8), (323, 8)], [(166, 8), (167, 8), (168, 8), (323, 8), (323, 8)]
            e.send(cl.template(300, [(149, 4), *totals], scope=1), cl.template(301, [(149, 4), (143, 4), *totals], scope=2),
                   cl.template(302, [(149, 4), *ignored], scope=1), cl.template(303, [(149, 4), (143, 4), *ignored], scope=2),
                   cl.template(304, [(130, 4), *unsent], scope=1), cl.template(305, [(144, 4), *unsent], scope=1))  # fmt: skip
            e.send(cl.data(300, struct.pack("!IQQQ", 1, 10, 20, 30)), cl.data(301, struct.pack("!IIQQQ", 1, 7, 11, 21, 31), struct.pack("!IIQQQ", 1, 8, 12, 22, 32)), records=3)
            e.send(cl.data(302, struct.pack("!IQQQQ", 1, 3, 4, 1000, 2000)), cl.data(303, struct.pack("!IIQQQQ", 1, 7, 5, 6, 3000, 4000)), records=2)
            e.send(cl.data(304, ADDRESS[:4] + struct.pack("!QQQQQ", 1, 2, 3, 1000, 2000)), cl.data(305, struct.pack("!IQQQQQ", 9, 4, 5, 6, 1000, 2000)), records=2)
            rows = s.records(e, 7)
            lib.equal([r["scope"].get("meteringProcessId") for r in rows], [None, 7, 8, None, 7, None, None], "Metering Processes")
            lib.equal([(r["exportedMessageTotalCount"], r["exportedFlowRecordTotalCount"], r["exportedOctetTotalCount"]) for r in rows[:3]],
                      [(10, 20, 30), (11, 21, 31), (12, 22, 32)], "statistics")  # fmt: skip
            lib.equal([(r["ignoredPacketTotalCount"], r["ignoredOctetTotalCount"], r["observationTimeMilliseconds"]) for r in rows[3:5]],
                      [(3, 4, ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z"]), (5, 6, ["1970-01-01T00:00:03.000Z", "1970-01-01T00:00:04.000Z"])],
                      "Metering Process reliability")  # fmt: skip
            lib.equal([(r["notSentFlowTotalCount"], r["notSentPacketTotalCount"], r["notSentOctetTotalCount"]) for r in rows[5:]],
                      [(1, 2, 3), (4, 5, 6)], "Exporting Process reliability")  # fmt: skip
        s.wait("options_records", 28)
        lib.equal(s.stored("sum(notSentFlowTotalCount)::bigint, sum(ignoredPacketTotalCount)::bigint", "1", "options"), [[20, 32]], "stored")


def test_3_4_6_flow_keys():
    """Kept as they came. A key that its template does not have, or of a template that is not there, ends nothing (RFC 7011 9.1)."""
    with Scene() as s:
        e = s.exporter()
        e.template()
        e.send(cl.template(300, [(145, 2), (173, 8)], scope=1))
        e.send(cl.data(300, struct.pack("!HQ", 256, 0x1F), struct.pack("!HQ", 256, 1 << 40), struct.pack("!HQ", 999, 1)), records=3)
        e.flows(1)
        rows = s.records(e, 4)
        lib.equal([(r["scope"]["templateId"], r["flowKeyIndicator"]) for r in rows[:3]], [(256, 0x1F), (256, 1 << 40), (999, 1)], "flow keys")
        lib.equal(rows[3]["templateId"], 256, "data goes on")


# 3.5


def test_3_5_1_many_records_of_one_template():
    with Scene() as s:
        e = s.exporter()
        before = max(map(cl.resident, s.c.children()))
        e.template()
        for _ in range(100):
            e.flows(1000)
        s.wait("records", 100_000)
        rows = s.stored("count(*), count(distinct sourceIPv4Address), sum(octetDeltaCount)::bigint", "1")
        lib.equal(rows, [[100_000, 100_000, 100_000_000]], "stored")
        grown = (max(map(cl.resident, s.c.children())) - before) / 1024
        lib.check(grown < 600, f"{grown:.0f} MiB more")
        s.alive()


def test_3_5_3_large_templates():
    """As many elements as a message has room for: 16370 over UDP and IPv4, 16377 over TCP."""
    with Scene() as s:
        for transport, count in (("udp", 16370), ("tcp", 16377)):
            e = s.exporter(transport)
            fields = [(1, 8), (8, 4)] + [(210, 1)] * (count - 3) + [(12, 4)]
            e.send(cl.template(300, fields))
            e.send(cl.data(300, *[u64(n) + ADDRESS[:4] + b"\0" * (count - 3) + ADDRESS[4:] for n in range(3)]), records=3)
            rows = s.records(e, 3)
            lib.equal([(r["sourceIPv4Address"], r["destinationIPv4Address"], r["octetDeltaCount"]) for r in rows],
                      [("10.0.0.1", "10.0.0.2", n) for n in range(3)], f"over {transport}")  # fmt: skip
        s.wait("records", 6)
        lib.equal(s.stored("octetDeltaCount", "observationDomainId, octetDeltaCount"), [[0], [1], [2]] * 2, "stored")
        lib.check(cl.ledger(s.c.store).get("columns_left_out"), "what has no column in the store is counted")


def test_3_5_4_more_templates_than_there_is_room_for():
    """What is over the bound is refused and logged; templates of before, and other sessions, stay."""
    with Scene() as s:
        e = s.exporter()
        e.template(65535)
        fields = cl.template(256, [(1, 1)] * 16000)[8:]
        for number in range(256, 300):
            e.send(struct.pack("!HHHH", 2, 8 + len(fields), number, 16000) + fields)
        e.flows(1, number=65535)
        s.records(e, 1)
        lib.wait_for("templates are refused", lambda: s.counted("templates_no_room") >= 1, 30)
        s.logged("templates_no_room")
        s.alive()


# 3.6.4 to 3.6.7: what is wrong

BAD_HEAD = struct.pack("!III", 1155202151, 0x12345678, 0x33334444)


def figure_4(length=32, fields=2, more=b""):
    return struct.pack("!HH", 10, length) + BAD_HEAD + struct.pack("!HHHH", 2, 12 + len(more), 257, fields) + cl.field(8, 4) + more


def test_3_6_4_incorrect_templates_over_udp():
    with Scene() as s:
        with s.exporter("udp") as e:
            for octets in (figure_4(), figure_4(26), figure_4(fields=1)):  # (a), (c), (d): Length is not that of the datagram
                e.socket.send(octets)
            lib.wait_for("refused by length", lambda: s.c.sum("weir_receiver_refused_total", reason="length") == 3, 30)
            s.logged("wrong length in the header")
            e.socket.send(figure_4(28))  # (b): one element of two
            s.wait("malformed_template_cut")
            s.logged("malformed_template_cut")
            e.socket.send(figure_4(32, 2, cl.field(12, 4)))  # (e): as it should be
            s.wait("templates_new")
            for count, scopes in ((1, 0), (1, 2)):  # figure 6, and more scopes than fields
                e.socket.send(struct.pack("!HH", 10, 30) + BAD_HEAD + struct.pack("!HHHHH", 3, 14, 258, count, scopes) + cl.field(8, 4))
            s.wait("templates_bad_scope", 2)
            s.logged("templates_bad_scope")
        s.alive()


def test_3_6_4_incorrect_templates_over_tcp():
    """(b) and (c); a connection that brings nonsense is closed, and nothing of it is half taken."""
    with Scene() as s:
        e = s.exporter("tcp")
        e.socket.send(figure_4(28))
        s.wait("malformed_template_cut")
        e.socket.send(figure_4(32, 2, cl.field(12, 4)))
        s.wait("templates_new")
        e = s.exporter("tcp")
        e.socket.send(figure_4(26))  # the set runs past the message, and what follows is no message
        e.socket.send(figure_4(28))
        lib.check(s.ended(e), "the connection is closed")
        e = s.exporter("tcp")
        for scopes in (0, 2):
            e.socket.send(struct.pack("!HH", 10, 30) + BAD_HEAD + struct.pack("!HHHHH", 3, 14, 258, 1, scopes) + cl.field(8, 4))
        s.wait("templates_bad_scope", 2)
        s.logged("malformed_")
        s.alive()


def test_3_6_5_incorrect_data_records():
    with Scene() as s:
        for transport in ("udp", "tcp"):
            e = s.exporter(transport)
            e.send(cl.template(300, [(82, V), (1, 8)]), cl.template(301, [(152, 4), (8, 3), (1, 8)]))
            good = text("ok") + u64(1)
            e.send(cl.data(300, good), records=1)
            # Illegal reduced sizes: the record stays, those values do not.
            e.send(cl.data(301, b"\0\0\0\1" + b"\x0a\0\0" + u64(2)), records=1)
            # A length that points behind the set: nothing of the message is taken, not even what was whole.
            e.send(cl.data(300, good), cl.data(300, b"\xc8abc" + u64(1)), records=2)
            one, two = s.records(e, 2)
            lib.equal(one["octetDeltaCount"], 1, "the good record")
            lib.equal(two["octetDeltaCount"], 2, "beside illegal sizes")
        s.wait("malformed_record_cut", 2)
        s.logged("malformed_record_cut")
        s.wait("records", 4)
        lib.equal(s.stored("flowStartMilliseconds, sourceIPv4Address, octetDeltaCount", "1", where="octetDeltaCount = 2"), [[None, None, 2]] * 2, "stored")
        with s.exporter("udp") as e:
            e.socket.send(cl.message()[:10])
            lib.wait_for("a message that is too short", lambda: s.c.sum("weir_receiver_refused_total", reason="short") == 1, 30)
        s.alive()
        s.c.stop(timeout=60)
        lib.equal(cl.ledger(s.c.store).get("value_wrong_size"), 4, "values of a wrong size are counted when they are stored")


def test_3_6_6_data_that_does_not_match():
    """Shorter than a record: padding. Longer: the rest is padding or, with variable length, malformed. Never half a record."""
    with Scene() as s:
        for transport in ("udp", "tcp"):
            e = s.exporter(transport)
            e.template()
            e.send(cl.template(300, [(8, 4), (82, V), (12, 4)]))
            record = cl.flow(1)
            e.send(cl.data(256, record[:-9]), records=0)
            e.send(cl.data(256, record, b"\x01" * 9), records=1)
            e.send(cl.data(300, ADDRESS[:4] + text("too few")), records=1)
            e.send(cl.data(256, record), records=1)
            lib.equal([r["templateId"] for r in s.records(e, 2)], [256, 256], "whole records only")
        s.wait("malformed_record_cut", 2)
        s.alive()


def test_3_6_7_unknown_set_ids():
    """Passed over by their length and logged; the rest of the message counts."""
    with Scene() as s:
        exporters = [s.exporter(t) for t in EVERY]
        ids = (0, 1, 4, 5, 128, 255)
        for e in exporters:
            strangers = [struct.pack("!HH", i, 4 + n) + b"\xff" * n for n, i in enumerate(ids)]
            e.send(strangers[0], cl.template(300, [(1, 8)]), *strangers[1:3], cl.data(300, u64(1)), *strangers[3:], cl.data(300, u64(2)), records=2)
        for e in exporters:
            lib.equal([r["octetDeltaCount"] for r in s.records(e, 2)], [1, 2], "records before and behind")
        s.wait("unknown_sets", len(ids) * len(exporters))
        s.logged("unknown_sets")


# 3.6.8: Template IDs that are used again


def test_3_6_8_2_template_ids_over_tcp():
    """RFC 7011 8.1 in place of RFC 5471: the same again is fine; another layout is counted and logged, and is the one from then on."""
    with Scene() as s:
        e = s.exporter()
        e.send(cl.template(300, [(1, 8)]), cl.data(300, u64(1)), records=1)
        e.send(cl.template(300, [(1, 8)]), cl.data(300, u64(2)), records=1)
        s.wait("templates_same")
        e.send(cl.template(300, [(2, 4)]), cl.data(300, struct.pack("!I", 3)), records=1)
        s.wait("templates_replaced")
        s.logged("templates_same")
        s.logged("templates_replaced")
        e.send(withdrawal(300))
        e.send(cl.data(300, struct.pack("!I", 4)), records=1)
        s.wait("sets_without_template")
        rows = s.records(e, 3)
        lib.equal([(r.get("octetDeltaCount"), r.get("packetDeltaCount")) for r in rows], [(1, None), (2, None), (None, 3)], "each by its template")
        e.send(cl.template(300, [(10, 4)]), cl.data(300, struct.pack("!I", 5)), records=1)
        lib.wait_for("data by the new template", lambda: any(r.get("ingressInterface") == 5 for r in s.printed(e)), 30)


def test_3_6_8_3_template_ids_over_udp():
    """Within its lifetime: the same is taken, another layout replaces it, and withdrawals mean nothing."""
    with Scene() as s:
        e = s.exporter("udp")
        e.send(cl.template(300, [(1, 8)]), cl.data(300, u64(1)), records=1)
        e.send(cl.template(300, [(1, 8)]), cl.data(300, u64(2)), records=1)
        e.send(withdrawal(300), cl.data(300, u64(3)), records=1)
        e.send(cl.template(300, [(2, 4)]), cl.data(300, struct.pack("!I", 4)), records=1)
        rows = s.records(e, 4)
        lib.equal([(r.get("octetDeltaCount"), r.get("packetDeltaCount")) for r in rows], [(1, None), (2, None), (3, None), (None, 4)], "each by its template")
        s.wait("templates_same")
        s.wait("templates_replaced")
        s.wait("templates_withdrawal_ignored")


lib.main(globals())
