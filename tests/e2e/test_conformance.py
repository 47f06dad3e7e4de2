"""What RFC 7011, 5610 and 5655 ask of an exporter, on the wire. tests/conformance/points.csv says which point is held where."""

import bz2
import gzip
import socket
import struct
import time

import export_lib
import lib

VARIABLE, ENTERPRISE = 65535, 0x8000
HEADER = 16


class Stream:
    """Messages of one Transport Session, taken apart strictly: whatever is not as RFC 7011 has it is an error."""

    def __init__(self, octets):
        self.templates = {}  # (domain, id): (set id, scope count, [(element, pen, length)])
        self.messages = []  # (export time, sequence, domain, [(set id, [records])])
        at = 0
        while at < len(octets):
            version, length = struct.unpack_from("!HH", octets, at)
            lib.equal(version, 10, f"version at {at}")
            lib.check(HEADER <= length <= len(octets) - at, f"length {length} at {at}")
            self.take(octets[at : at + length])
            at += length

    def take(self, octets):
        _, _, when, sequence, domain = struct.unpack_from("!HHIII", octets)
        at, sets = HEADER, []
        while at < len(octets):
            number, length = struct.unpack_from("!HH", octets, at)
            lib.check(4 < length <= len(octets) - at, f"length {length} of set {number}")
            lib.check(number in (2, 3) or number >= 256, f"set {number}")
            body = octets[at + 4 : at + length]
            if number in (2, 3):
                self.take_templates(domain, number, body)
            else:
                lib.check((domain, number) in self.templates, f"template {number} goes before its data")
                sets.append((number, self.records(self.templates[domain, number], body)))
            at += length
        lib.equal(at, len(octets), "the sets fill the message")
        self.messages.append((when, sequence, domain, sets))

    def take_templates(self, domain, number, body):
        at = 0
        while at < len(body):
            template, count = struct.unpack_from("!HH", body, at)
            lib.check(template >= 256, f"template {template}: a record of the kind of its set")
            lib.check(count > 0, f"template {template}: a withdrawal")
            at, scopes = at + 4, 0
            if number == 3:
                (scopes,) = struct.unpack_from("!H", body, at)
                lib.check(0 < scopes <= count, f"template {template}: {scopes} scopes of {count} fields")
                at += 2
            fields = []
            for _ in range(count):
                element, length = struct.unpack_from("!HH", body, at)
                at, pen = at + 4, 0
                if element & ENTERPRISE:
                    (pen,) = struct.unpack_from("!I", body, at)
                    lib.check(pen > 0, f"element {element} without an enterprise")
                    at += 4
                fields.append((element & 0x7FFF, pen, length))
            layout = (number, scopes, fields)
            lib.equal(self.templates.setdefault((domain, template), layout), layout, f"template {template}: one layout, of one kind")
        lib.equal(at, len(body), "template records fill their set")

    @staticmethod
    def records(template, body):
        """Each a list of octets; padding must be zero and shorter than a record."""
        fields = template[2]
        least = sum(1 if length == VARIABLE else length for _, _, length in fields)
        at, found = 0, []
        while len(body) - at >= least:
            record = []
            for _, _, length in fields:
                if length == VARIABLE:
                    length, at = body[at], at + 1
                    if length == 255:
                        (length,) = struct.unpack_from("!H", body, at)
                        at += 2
                lib.check(at + length <= len(body), "a field ends in its set")
                record.append(body[at : at + length])
                at += length
            found.append(record)
        lib.equal(body[at:].strip(b"\0"), b"", "padding")
        return found

    def values(self, element, pen=0):
        """The octets of an element in every record that has it, in order."""
        found = []
        for _, _, domain, sets in self.messages:
            for number, records in sets:
                places = [i for i, f in enumerate(self.templates[domain, number][2]) if f[:2] == (element, pen)]
                found += [record[i] for record in records for i in places]
        return found


def export(lab, collector, **properties):
    path = lib.write_pcap(lab.path(lab.unique("in") + ".pcap"), export_lib.all_kinds())
    settings = export_lib.profile(lab, **properties)
    lib.run([lib.WEIR, "probe", "-q", "-p", settings, "-r", path, "--local", "10.1.0.1", "--local", "2001:db8::1", "-c", collector])


ALL_FORMS = {"Biflows": True, "TotalCounters": True, "Microseconds": True, "ExtraFields": {"Ttl": True, "Mac": True, "Vlan": True},
             "Selection": ["Filter/ip or ip6", "Count/1/2", "Random/1/1", "Probability/1"]}  # fmt: skip


def streams():
    """(what, Stream) of each form of records, over UDP and in a file."""
    with lib.Lab() as lab:
        for what, properties in (("plain", {}), ("all forms", ALL_FORMS), ("small messages", {"MaxMessageSize": 500})):
            sink = lib.UdpSink(lab, port=0)
            export(lab, sink.spec(), **properties)
            lib.wait_for("the last message", lambda: export_lib.settled(sink), 20)
            yield f"{what}, UDP", Stream(sink.path.read_bytes())
            out = lab.path(lab.unique("out") + ".ipfix")
            export(lab, f"File/{out}", **properties)
            yield f"{what}, file", Stream(out.read_bytes())


def test_A_01_10_to_17_structure():
    """Header, sets, template records, IDs, scopes, padding; no withdrawal; templates first: all is in Stream."""
    for what, stream in streams():
        kinds = {number for _, _, _, sets in stream.messages for number, _ in sets}
        lib.check(len(kinds) > 10, f"{what}: data of many templates: {kinds}")
        for (_, number), (kind, scopes, fields) in stream.templates.items():
            lib.equal(kind == 3, scopes > 0, f"{what}: kind of template {number}")
            lib.check(len(fields) < 60, f"{what}: {len(fields)} fields in template {number}")
        # Statistics of a metering process are those of one in a domain: the domain comes first.
        scopes = [fields[:2] for kind, count, fields in stream.templates.values() if kind == 3 and count == 2 and fields[0][0] == 149]
        lib.check(scopes and all(s[1][0] == 143 for s in scopes), f"{what}: domain, then metering process: {scopes}")


def test_A_02_export_time():
    """The second in which it is sent, although the packets are of another year."""
    with lib.Lab() as lab:
        sink = lib.UdpSink(lab, port=0)
        before = int(time.time())
        export(lab, sink.spec())
        after = int(time.time())
        lib.wait_for("the last message", lambda: export_lib.settled(sink), 20)
        for when, _, _, _ in Stream(sink.path.read_bytes()).messages:
            lib.check(before <= when <= after, f"{before} <= {when} <= {after}")


def test_A_04_05_06_sequence():
    for what, stream in streams():
        expected = 0
        for _, sequence, _, sets in stream.messages:
            lib.equal(sequence, expected, f"{what}: sequence")
            expected += sum(len(records) for _, records in sets)


def file_of(lab, **properties):
    out = lab.path(lab.unique("out") + ".ipfix")
    export(lab, f"File/{out}", **properties)
    return Stream(out.read_bytes())


def test_A_22_float64():
    with lib.Lab() as lab:
        stream = file_of(lab, Selection=["Probability/0.5"])
        lib.equal(set(stream.values(311)), {bytes.fromhex("3fe0000000000000")}, "samplingProbability")


def test_A_26_microseconds():
    with lib.Lab() as lab:
        stream = file_of(lab, Microseconds=True)
        for element in (154, 155):
            for value in stream.values(element):
                seconds, fraction = struct.unpack("!II", value)
                lib.check(export_lib.START <= seconds - 2_208_988_800 <= export_lib.START + 10, f"seconds since 1900: {seconds}")
                lib.equal(fraction & 0x7FF, 0, "the lowest 11 bits")
                lib.check((fraction * 1_000_000 >> 32) % 10_000 == 0, f"packets came every 10 ms: {fraction * 1_000_000 >> 32}")


SIZES = {8: 4, 12: 4, 27: 16, 28: 16, 56: 6, 80: 6, 152: 8, 153: 8, 154: 8, 155: 8, 322: 8, 323: 8, 160: 8}


def test_A_28_29_reduced_size():
    """Counters have their full size, so that nothing can be lost; what must not be reduced is not."""
    for what, stream in streams():
        for (_, number), (_, _, fields) in stream.templates.items():
            for element, pen, length in fields:
                expected = SIZES.get(element, 8 if element in (1, 2, 85, 86) else length)
                lib.equal(length, expected, f"{what}: element {pen}.{element} of template {number}")


def test_A_32_long_string():
    """A name of more than a hundred octets, and none: one octet of length, or the records behind could not be read."""
    with lib.Lab() as lab:
        expression = "ip or ip6 " + "or ip6 " * 15
        stream = file_of(lab, Selection=[f"Filter/{expression}"])
        lib.equal({v.decode() for v in stream.values(335)}, {expression}, "selectorName")


def test_A_72_totals_are_those_of_the_wire():
    """Messages, flow records and octets before the message that tells of them."""
    for what, stream in streams():
        told = 0
        messages = flows = octets = 0
        for _, _, domain, sets in stream.messages:
            for number, records in sets:
                kind, _, fields = stream.templates[domain, number]
                ids = [f[0] for f in fields]
                flows_before = flows
                if kind == 2:
                    flows += len(records)
                if 41 not in ids:
                    continue
                for record in records:
                    told += 1
                    lib.equal(int.from_bytes(record[ids.index(41)], "big"), messages, f"{what}: exportedMessageTotalCount")
                    lib.equal(int.from_bytes(record[ids.index(42)], "big"), flows_before, f"{what}: exportedFlowRecordTotalCount")
            messages += 1
        lib.check(told > 0, f"{what}: statistics were sent")


def test_A_76_77_udp():
    """Checksums are there, and nothing is a fragment, as tcpdump sees it on a link of another namespace."""
    lib.need_root()
    with lib.Lab() as lab:
        one, two = lab.namespace(), lab.namespace()
        (_, _), (host, host6) = lab.join([one, two])
        for address in (host, host6):
            sink = lib.UdpSink(lab, two, address)
            capture = lib.Capture(lab, two, "eth0", "ip or ip6")
            path = lib.write_pcap(lab.path(lab.unique("in") + ".pcap"), export_lib.all_kinds())
            lib.run([lib.WEIR, "probe", "-q", "-r", path, "-c", sink.spec()], netns=one.name)
            lib.wait_for("the last message", lambda: export_lib.settled(sink), 20)
            fields = ["udp.checksum", "udp.checksum.status", "ip.flags.df", "ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.offset"]
            rows = lib.tshark_fields(capture.stop(), fields, "udp.dstport == 4739", "-o", "udp.check_checksum:TRUE")
            lib.check(rows, "packets on the link")
            for checksum, status, df, mf, offset, fragment in rows:
                lib.check(checksum and int(checksum[0], 16) != 0, f"a checksum: {checksum}")
                lib.check(fragment == [] and mf in ([], ["0"], ["False"]) and offset in ([], ["0"]), "no fragment")
                lib.check(address == host6 or df in (["1"], ["True"]), f"may not be made one: {df}")


def test_A_83_a_connection_for_each_domain():
    """Domains of their own have TCP connections of their own, each with one series."""
    lib.need_root()
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as one, lib.Tun(ns, "tun1") as two:
            one.up("10.0.0.1/24")
            two.up("10.1.0.1/24")
            listener = ns.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
            listener.listen(4)
            listener.settimeout(20)
            collector = f"Tcp/127.0.0.1:{listener.getsockname()[1]}"
            settings = export_lib.profile(lab, IpFixCollectors=[collector], ObservationPoints=[{"Name": "tun0", "DomainId": 7}, {"Name": "tun1", "DomainId": 8}],
                               ObservationDomainId=9)  # fmt: skip
            probe = lab.weir("probe", "-p", settings, netns=ns)
            connections = [listener.accept()[0] for _ in range(3)]
            probe.stop()
            domains = []
            for c in connections:
                with c:
                    c.settimeout(20)
                    octets = b""
                    while part := c.recv(65536):
                        octets += part
                domains.append({domain for _, _, domain, _ in Stream(octets).messages})
            listener.close()
            lib.equal(sorted(map(sorted, domains)), [[7], [8], [9]], "one domain in each connection")


def test_C_1_2_6_types_of_our_elements():
    """Reason and rule of a refused frame are elements of ours: options records describe them, and nothing of IANA's."""
    lib.need_root()
    lib.need("nft")
    with lib.Lab() as lab:
        ns = lab.namespace()
        with lib.Tun(ns, "tun0") as tun:
            tun.up("10.8.0.1/24")
            export_lib.refuse_udp(ns)
            sink = lib.UdpSink(lab, ns)
            settings = export_lib.profile(lab, IpFixCollectors=[sink.spec()], NflogGroups=[5], OptionsRefresh=1000, IdleTimeout=1000)
            probe = lab.probe(ns, ["tun0"], "-p", settings)
            tun.deliver(lib.udp("10.8.0.2", 1000, "10.8.0.1", 2000, b"x"))

            def described():
                return Stream(sink.path.read_bytes()).values(341)

            lib.wait_for("our elements are told of, and again", lambda: len(described()) > len(set(described())) > 0, 30)
            probe.stop()
            stream = Stream(sink.path.read_bytes())
            rows = {}
            for _, _, domain, sets in stream.messages:
                for number, records in sets:
                    ids = [f[0] for f in stream.templates[domain, number][2]]
                    if 341 not in ids:
                        continue
                    lib.equal((stream.templates[domain, number][1], set(ids[:2])), (2, {303, 346}), "both are scopes")
                    for record in records:
                        key = record[ids.index(346)], record[ids.index(303)]
                        lib.equal(rows.setdefault(key, record), record, "told alike each time")
                        lib.check(int.from_bytes(key[0], "big") != 0, "nothing of IANA's")
                        lib.check(key[1][0] & 0x80 == 0, "without the enterprise bit")
                        lib.check(b"\0" not in record[ids.index(341)], "no NUL in a name")
                        kind, semantics = record[ids.index(339)][0], record[ids.index(344)][0]
                        lib.check(1 <= kind <= 4 or semantics == 0, f"type {kind} with semantics {semantics}")
            sent = {(e, p) for _, _, fields in stream.templates.values() for e, p, _ in fields if p not in (0, 29305)}
            told = {(int.from_bytes(e, "big"), int.from_bytes(p, "big")) for p, e in rows}
            lib.check(sent and sent <= told, f"every element of ours: sent {sent}, told of {told}")


def test_D_6_compression():
    """The same octets as without, for other people's programs too, and a third of them at most; read by what they begin with."""
    with lib.Lab() as lab:
        packets = [(1700000000 + i / 1000, lib.udp("10.0.0.1", 1000 + i, "10.0.0.2", 53)) for i in range(3000)]
        pcap = lib.write_pcap(lab.path("in.pcap"), packets)
        lib.run([lib.WEIR, "probe", "-r", pcap, "-w", lab.path("plain")])
        plain = lab.path("plain").read_bytes()
        for end, library in (("bz2", bz2), ("gz", gzip)):
            out = lab.path(f"out.{end}")
            lib.run([lib.WEIR, "probe", "-r", pcap, "-w", out])
            packed = out.read_bytes()
            lib.check(library.decompress(packed) == plain, f"{end}: other octets")
            lib.check(3 * len(packed) < len(plain), f"{end}: {len(packed)} octets of {len(plain)}")
            lib.equal(len(lib.flows(lib.dump(out))), 3000, f"{end}: flows that are read")


def test_D_3_order_in_a_file():
    with lib.Lab() as lab:
        out = lab.path("o.ipfix")
        export(lab, f"File/{out}", **ALL_FORMS)
        octets = out.read_bytes()
        lib.equal(octets[:2], b"\0\x0a", "a file begins with the version")
        lib.check(struct.unpack_from("!H", octets, HEADER)[0] in (2, 3), "templates come first")
        times = [when for when, _, _, _ in Stream(octets).messages]
        lib.equal(times, sorted(times), "Export Times never go back")


lib.main(globals())
