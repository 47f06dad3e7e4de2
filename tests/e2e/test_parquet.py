"""The partitions of a store as another program reads them: hyparquet, which shares nothing with DuckDB or with us. Every value
of every column is the same, and what the files say of themselves is true (tests/parquet/read.mjs)."""

import json
import random
import socket
import struct

import collect_lib as cl
import lib
import npm_lib

V = cl.VARIABLE
PEN = 99999
SECONDS = 1_700_000_000
NTP = 2_208_988_800
SHOWN = 5  # columns of a file whose first difference is looked for


def need_reader():
    lib.need("node", "npm")
    folder = npm_lib.folder("parquet")
    if not folder:
        raise lib.Skip("hyparquet cannot be had from npm's registry")
    return folder


# What DuckDB reads, in the texts of read.mjs

TEXTS = {
    "FLOAT": "{0}::BIT::VARCHAR",
    "DOUBLE": "{0}::BIT::VARCHAR",
    "TIMESTAMP": "epoch_us({0})::VARCHAR",
    "TIMESTAMP_NS": "epoch_ns({0})::VARCHAR",
    "UUID": "replace({0}::VARCHAR, '-', '')",
    "VARCHAR": "lower(hex(encode({0})))",
    "BLOB": "lower(hex({0}))",
}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text_of(name, kind):
    return f"coalesce({TEXTS.get(kind, '{0}::VARCHAR').format(quoted(name))}, '~')"


class Partition:
    """A file in the folder of a store, which is where the process that answers questions may read."""

    def __init__(self, store, path):
        self.store, self.path = store, path
        self.table = f"read_parquet('{path}', file_row_number = true)"
        rows = self.sql(f"select column_name as n, column_type as k from (describe select * from read_parquet('{path}'))")
        self.columns = [(r["n"], r["k"]) for r in rows]
        self.sums = None

    def sql(self, statement):
        return cl.sql(self.store, statement)

    def digests(self, block):
        """Rows, and for each column its digests and its NULLs."""
        if not self.sums:
            self.sums = self.make_digests(block)
        return self.sums

    def make_digests(self, block):
        sums = [f"md5(string_agg({text_of(*c)}, ',' order by file_row_number)) as d{n}, (count(*) - count({quoted(c[0])}))::integer as n{n}" for n, c in enumerate(self.columns)]
        rows = self.sql(f"select count(*)::integer as rows, {', '.join(sums)} from {self.table} group by file_row_number // {block} order by file_row_number // {block}")
        return sum(r["rows"] for r in rows), [([r[f"d{n}"] for r in rows], sum(r[f"n{n}"] for r in rows)) for n in range(len(self.columns))]

    def texts(self, column, first, count):
        rows = self.sql(f"select {text_of(*column)} as v from {self.table} where file_row_number between {first} and {first + count - 1} order by file_row_number")
        return [r["v"] for r in rows]


# The comparison


def read(folder, path, *words):
    """What hyparquet has to say; a text: that it does not read the file."""
    status, out, err = lib.run(["node", folder / "read.mjs", path, *words], timeout=120, expected=None)
    return json.loads(out) if status == 0 else f"hyparquet: {err.strip()[-500:]}"


def first_difference(folder, path, partition, column, block, number):
    ours = partition.texts(column, number * block, block)
    theirs = read(folder, path, column[0], number * block, len(ours))
    at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b), None)
    if at is None:
        return f"digests differ from row {number * block}, values do not"
    return f"row {number * block + at}: hyparquet reads {theirs[at][:200]}, DuckDB {ours[at][:200]}"


def faults(folder, partition, path=None):
    """Every sentence about what is not as it should be, and what was read. `path`: hyparquet reads this file instead."""
    path = path or partition.path
    seen = read(folder, path)
    if isinstance(seen, str):
        return [f"{path.name}: {seen}"], None
    found, shown = [], 0
    kinds = [(c["name"], c["kind"]) for c in seen["columns"]]
    if kinds != partition.columns:
        return [f"{path.name}: hyparquet sees the columns {kinds}, DuckDB {partition.columns}"], seen
    rows, digests = partition.digests(seen["block"])
    if rows != seen["rows"] or rows != sum(seen["groups"]):
        found.append(f"{path.name}: hyparquet sees {seen['rows']} rows in groups of {seen['groups']}, DuckDB {rows}")
    for column, theirs, (sums, nulls) in zip(kinds, seen["columns"], digests):
        where = f"{path.name}: {column[0]} ({column[1]})"
        found += [f"{where}: {fault}" for fault in theirs["faults"]]
        if any("hyparquet:" in fault for fault in theirs["faults"]):
            continue
        number = next((n for n, (a, b) in enumerate(zip(theirs["digests"], sums)) if a != b), None)
        if number is not None:
            shown += 1
            found.append(f"{where}: {first_difference(folder, path, partition, column, seen['block'], number) if shown <= SHOWN else 'differs'}")
        elif nulls != theirs["nulls"] or len(sums) != len(theirs["digests"]):
            found.append(f"{where}: hyparquet reads {theirs['nulls']} NULLs, DuckDB {nulls}")
    return found, seen


def partitions(store):
    manifest = json.loads((store / "manifest.json").read_text(encoding="utf-8"))
    lib.check(manifest["partitions"], "there are partitions")
    return manifest, [Partition(store, store / p["path"]) for p in manifest["partitions"]]


def form(page, codec):
    return f"{page['type']} {page['encoding']} {'not compressed' if page.get('compressed') is False else codec}"


def compare(folder, store):
    """All partitions; (manifest, [(partition, what was read)])."""
    manifest, parts = partitions(store)
    read_of, found, used, values = [], [], set(), 0
    for partition, said in zip(parts, manifest["partitions"]):
        more, seen = faults(folder, partition)
        found += more
        if seen:
            read_of.append((partition, seen))
            values += seen["rows"] * len(seen["columns"])
            used |= {form(p, codec) for c in seen["columns"] for p, codec in c["pages"]}
            if seen["rows"] != said["records"]:
                found.append(f"{partition.path.name}: {seen['rows']} rows, the manifest says {said['records']}")
    print(f"  {len(parts)} partitions, {values} values: {', '.join(sorted(used))}")
    lib.equal(found[:10], [], f"{len(found)} differences")
    return manifest, read_of


# What is stored


def load(lab, path, *options):
    """A store made from an IPFIX file."""
    store = lab.path(lab.unique("store"))
    lib.run([lib.WEIR, "collect", "--read", path, "-s", store, *options])
    return store


PLAIN = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (5, 1), (1, 8), (2, 8), (152, 8), (153, 8), (10, 4), (14, 4), (136, 1)]
plain = struct.Struct("!IIHHBBQQQQIIB").pack
SIX = [(27, 16), (28, 16), (1, 8), (82, V), (152, 8), (311, 8)]


def stream(path, records, seed, sixth=0):
    """Plain flows: of the columns some have one value, some few, some rise, some are noise. Each `sixth` message: other fields."""
    r = random.Random(seed)
    few, n, sequence = r.random, 0, 0
    with open(path, "wb") as f:
        f.write(cl.message(cl.template(256, PLAIN), cl.template(257, SIX), when=SECONDS))
        while n < records:
            when, rows = SECONDS + n // 1000, []
            other = sixth and (n // 50) % sixth == sixth - 1
            for _ in range(50 if sixth else 1000):
                n += 1
                start = (SECONDS * 10 + n) * 100
                if other:
                    name = f"wg{int(9 * few())}-{'x' * int(40 * few() ** 4)}".encode()
                    rows.append(r.randbytes(32) + struct.pack("!QB", n, len(name)) + name + struct.pack("!Qd", start, few()))
                else:
                    port = (443, 443, 53, 22, 8080)[int(5 * few())]
                    rows.append(plain(0x0A000000 + int(60000 * few() ** 2), 0x0A010000 + int(9000 * few()), 1024 + int(60000 * few()), port, 6, 0,
                                      r.getrandbits(64), 1 + int(400 * few() ** 2), start, start + int(60000 * few()), 1 + int(4 * few()), 2, 1 + int(3 * few())))  # fmt: skip
            f.write(cl.message(cl.data(257 if other else 256, *rows), sequence=sequence, when=when))
            sequence += len(rows)
    return path


def varlen(octets):
    return (bytes([len(octets)]) if len(octets) < 255 else struct.pack("!BH", 255, len(octets))) + octets


def numbers(size, signed=False):
    """Extreme values of an integer of so many octets, as they are sent."""
    top = 1 << 8 * size
    few = [0, 1, top - 1, top // 2, top // 2 - 1, top // 3]
    return [v.to_bytes(size, "big") for v in (few + [top - 2] if signed else few)]


def reals(code):
    return [struct.pack("!" + code, v) for v in (0.0, -0.0, 1.5, -2.25e-30, 3.0e38, float("inf"), float("-inf"), float("nan"))]


# Abstract data type, (element, length[, PEN]), values as they are sent. Those of PEN are told by type records: the registry has no
# element of these types.
NAN32, NAN64 = bytes.fromhex("7fc01234"), bytes.fromhex("fff8000000abcdef")
TYPES = [
    ("unsigned8", (4, 1), numbers(1)),
    ("unsigned16", (7, 2), numbers(2)),
    ("unsigned32", (10, 4), numbers(4)),
    ("unsigned64", (1, 8), numbers(8)),
    ("signed8", (1005, 1, PEN), numbers(1, True)),
    ("signed16", (1006, 2, PEN), numbers(2, True)),
    ("signed32", (434, 4), numbers(4, True)),
    ("signed64", (1008, 8, PEN), numbers(8, True)),
    ("float32", (1009, 4, PEN), reals("f") + [NAN32]),
    ("float64", (311, 8), reals("d") + [NAN64]),
    ("float64 without NaN", (320, 8), reals("d")[:-1]),
    ("boolean", (276, 1), [b"\1", b"\2", b"\0", b"\7"]),
    ("macAddress", (56, 6), [b"\0" * 6, b"\xff" * 6, b"\2\0\0\0\xab\xcd"]),
    ("string", (82, V), [varlen(v) for v in (b"", b"eth0", b"a name of more than 12", "wgé€".encode(), b"\xff\xfe\x00z", b"ends\0\0", b"'~',\"\n")]),
    ("string, long", (83, V), [varlen(v) for v in (b"", b"d" * 300, b"e" * 5000, "é".encode() * 2100)]),
    ("octetArray", (313, V), [varlen(v) for v in (b"", b"\0", bytes(range(256)), b"\xff" * 5000)]),
    ("octetArray, fixed", (70, 3), [b"\0\0\0", b"\xff\xff\xff", b"\1\2\3"]),
    ("dateTimeSeconds", (150, 4), [struct.pack("!I", v) for v in (0, SECONDS, 2**32 - 1)]),
    ("dateTimeMilliseconds", (152, 8), [struct.pack("!Q", v) for v in (0, SECONDS * 1000 + 7, 253_402_300_799_999, 253_402_300_800_000, 2**64 - 1)]),
    ("dateTimeMicroseconds", (154, 8), [struct.pack("!II", *v) for v in ((0, 0), (SECONDS + NTP, 1 << 31), (2**32 - 1, 2**32 - 1), (NTP, 0))]),
    ("dateTimeNanoseconds", (156, 8), [struct.pack("!II", *v) for v in ((0, 0), (SECONDS + NTP, 123_456_789), (2**32 - 1, 2**32 - 1), (NTP, 0))]),
    ("ipv4Address", (8, 4), [b"\0" * 4, b"\xff" * 4, socket.inet_aton("192.0.2.1")]),
    ("ipv6Address", (27, 16), [b"\0" * 16, b"\xff" * 16, b"\x80" + b"\0" * 15, b"\x7f" + b"\xff" * 15, socket.inet_pton(socket.AF_INET6, "2001:db8::1")]),
    ("unsigned256", (515, 32), [b"\0" * 32, b"\xff" * 32]),
    ("basicList", (291, V), [varlen(b"\3" + struct.pack("!HH", 82, V) + v) for v in (b"", b"\4eth0", b"\4eth0\0\4eth1")]),
    ("subTemplateList", (292, V), [varlen(b"\4" + struct.pack("!H", 299) + v) for v in (b"", b"\x01\xbb\6", b"\x01\xbb\6\0\x35\x11")]),
    ("subTemplateMultiList", (293, V), [varlen(b"\4" + struct.pack("!HH", 299, 4 + len(v)) + v) for v in (b"\x01\xbb\6", b"\0\x35\x11\0\x16\6")]),
    ("not known", (7, V, PEN), [varlen(v) for v in (b"", b"\1\2\3", b"\0" * 20)]),
]  # fmt: skip
# The same elements in sizes that are reduced (RFC 7011 section 6.2), or longer than their type: no value then.
REDUCED = [
    ((10, 1), numbers(1)), ((1, 3), numbers(3)), ((2, 5), numbers(5)), ((434, 1), numbers(1, True)), ((1008, 3, PEN), numbers(3, True)),
    ((311, 4), reals("f")), ((320, 4), reals("f")[:-1]), ((7, 3), numbers(3)), ((27, 4), numbers(4)), ((150, 8), numbers(8)),
]  # fmt: skip
DESCRIBED = {1005: 5, 1006: 6, 1008: 8, 1009: 9}  # element of PEN: its type (RFC 5610)


def type_records():
    """Template and data of the options that tell what the elements of PEN are."""
    rows = [struct.pack("!IHB", PEN, number, kind) + varlen(f"exampleOfType{kind}".encode()) for number, kind in DESCRIBED.items()]
    return cl.template(400, [(346, 4), (303, 2), (339, 1), (341, V)], scope=2), cl.data(400, *rows)


def every_type(e, rounds, seed):
    """Through an exporter: records of every type, their templates in turn, so that there are NULLs in every place. Messages."""
    r = random.Random(seed)
    one = [(f, values) for n, (_, f, values) in enumerate(TYPES) if n % 2 == 0]
    two = [(f, values) for n, (_, f, values) in enumerate(TYPES) if n % 2]
    every = [(f, values) for _, f, values in TYPES]
    kinds = {300: every, 301: one, 302: two, 303: REDUCED, 304: [((8, 4), [b"\x0a\0\0\1"])]}
    e.send(*type_records(), records=len(DESCRIBED))
    e.send(cl.template(299, [(7, 2), (4, 1)]), *[cl.template(n, [f for f, _ in columns]) for n, columns in kinds.items()])
    for turn in range(rounds):
        sets, count = [], 0
        for number in r.sample(list(kinds), 3):
            many = r.randrange(1, 4) if number == 300 else r.randrange(1, 12)
            draw = lambda values: r.choice(values if turn % 8 == 0 else [v for v in values if len(v) < 300])  # noqa: E731
            sets.append(cl.data(number, *[b"".join(draw(values) for _, values in kinds[number]) for _ in range(many)]))
            count += many
        e.send(*sets, records=count, when=SECONDS + turn)
    return rounds + 2


def options(e, records):
    """Options records of several kinds. Messages."""
    e.send(cl.template(500, [(144, 4), (41, 8), (276, 1), (311, 8)], scope=1), cl.template(501, [(10, 4), (82, V), (83, V)], scope=1))
    for n in range(records):
        name = f"wg{n}".encode()
        e.send(cl.data(500, struct.pack("!IQBd", n, 2**64 - 1 - n, 1 + n % 2, n / 7)), cl.data(501, struct.pack("!I", n) + varlen(name) + varlen(name * (n % 9))), records=2)
    return records + 1


def column(seen, name):
    return next((c for c in seen["columns"] if c["name"] == name), None)


# Tests


def test_plain_flows():
    """More records than a row group has; columns of one value are not in the file."""
    folder = need_reader()
    with lib.Lab() as lab:
        store = load(lab, stream(lab.path("a.ipfix"), 150_000, 1))
        manifest, ((_, seen),) = compare(folder, store)
        lib.check(seen["rows"] == 150_000 and len(seen["groups"]) > 1, f"row groups {seen['groups']}")
        lifted = dict(manifest["constants"][manifest["partitions"][0]["constants"]])
        lib.equal((lifted["protocolIdentifier"], column(seen, "protocolIdentifier")), ("6", None), "a column of one value")


def test_every_type():
    """Every abstract data type with the ends of its range, NULLs among them, and options."""
    folder = need_reader()
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        with cl.Exporter(c.port, tcp=True) as e:
            messages = every_type(e, 300, 2) + options(e, 60)
            c.wait_messages(messages)
        c.stop()
        _, parts = compare(folder, c.store)
        files = {p.path.name.partition("-")[0]: seen for p, seen in parts}
        lib.equal(sorted(files), ["flows", "options"], "kinds of partitions")
        kinds = {col["kind"] for seen in files.values() for col in seen["columns"] if col["nulls"] < seen["rows"]}
        expected = {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "BOOLEAN",
                    "VARCHAR", "BLOB", "TIMESTAMP", "TIMESTAMP_NS", "UUID"}  # fmt: skip
        lib.equal(kinds, expected, "types of columns that have values")
        nulls = {col["name"]: 0 < col["nulls"] < files["flows"]["rows"] for col in files["flows"]["columns"]}
        lib.equal([n for n in ("octetDeltaCount", "dataRecordsReliability", "sourceIPv6Address", "interfaceName", "basicList", "exampleOfType9") if not nulls[n]], [], "columns without NULLs")


def test_mixed_flows_put_together():
    """Small partitions with two templates in turn; most are put together into a larger one."""
    folder = need_reader()
    with lib.Lab() as lab:
        store = load(lab, stream(lab.path("m.ipfix"), 17_000, 3, sixth=4), "--partition-records", 1000)
        _, parts = compare(folder, store)
        largest = max((seen for _, seen in parts), key=lambda seen: seen["rows"])
        lib.check(largest["rows"] > 10_000, f"some were put together: {[seen['rows'] for _, seen in parts]}")
        lib.check(0 < column(largest, "interfaceName")["nulls"] < largest["rows"], "there are NULLs")


def test_corpus():
    """What other exporters send."""
    folder, corpus = need_reader(), lib.need_corpus("ipfix")
    with lib.Lab() as lab:
        paths = [p for p in sorted(corpus.rglob("*.ipfix")) if p.stat().st_size and p.name.partition("__")[0] not in ("expected", "context")]
        paths = [p for p in paths if p.read_bytes()[:2] == b"\x00\x0a" and lib.run([lib.WEIR, "dump", p], expected=None)[0] == 0]
        lib.check(len(paths) >= 10, f"{len(paths)} files")
        store = lab.path("store")
        lib.run([lib.WEIR, "collect", *[w for p in paths[:60] for w in ("--read", p)], "-s", store])
        compare(folder, store)


def test_that_damage_is_noticed():
    """An octet inside a page, a bound that is none: each is found, and told by name."""
    folder = need_reader()
    with lib.Lab() as lab:
        store = load(lab, stream(lab.path("a.ipfix"), 12_000, 4))
        (partition,) = partitions(store)[1]
        found, seen = faults(folder, partition)
        lib.equal(found, [], "before")
        whole = partition.path.read_bytes()
        footer = len(whole) - 8 - struct.unpack("<I", whole[-8:-4])[0]
        copy = lab.path("copy.parquet")

        def told(octets):
            copy.write_bytes(octets)
            sentences = faults(folder, partition, copy)[0]
            print("\n".join(f"  {s[:160]}" for s in sentences))
            return sentences

        # Noise, and few values, of which each is in use: every bit counts.
        for name, number in (("octetDeltaCount", -1), ("destinationTransportPort", 0)):
            page = column(seen, name)["pages"][number][0]
            octets = bytearray(whole)
            octets[page["offset"] + page["octets"] // 2] ^= 0x10
            found = told(octets)
            lib.check(any(f"{name} (" in f and (": hyparquet reads" in f or "hyparquet:" in f) for f in found), f"an octet in a page: {found}")
        # The newest start, as the footer has it for a row group and as nothing else has it.
        newest = max(int(t) for t in partition.texts(("flowStartMilliseconds", "TIMESTAMP"), 0, seen["rows"])) // 1000
        bound = struct.pack("<q", newest)
        lib.check(whole.count(bound, footer) > 0, "the footer has the largest value")
        found = told(whole[:footer] + whole[footer:].replace(bound, struct.pack("<q", newest - 1)))
        lib.check(found and all("flowStartMilliseconds (TIMESTAMP): row group 0: max" in f for f in found), f"a bound: {found}")


lib.main(globals())
