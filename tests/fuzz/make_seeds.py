#!/usr/bin/env python3
"""Write the seeds of the message and templates fuzz targets: make_seeds.py FOLDER (tests/fuzz/corpus)."""
import struct
import sys
from pathlib import Path


def field(number, length, pen=None):
    return struct.pack(">HH", number, length) if pen is None else struct.pack(">HHI", number | 0x8000, length, pen)


def template(number, *fields):
    return struct.pack(">HH", number, len(fields)) + b"".join(fields)


def options(number, scopes, *fields):
    return struct.pack(">HHH", number, len(fields), scopes) + b"".join(fields)


def withdrawal(number):
    return struct.pack(">HH", number, 0)


def sets(number, *records):
    body = b"".join(records)
    return struct.pack(">HH", number, 4 + len(body)) + body


def message(*parts, sequence=0, domain=1, time=1700000000):
    body = b"".join(parts)
    return struct.pack(">HHIII", 10, 16 + len(body), time, sequence, domain) + body


V = 65535
flow = template(256, field(8, 4), field(12, 4), field(7, 2), field(11, 2), field(4, 1), field(1, 8), field(2, 4), field(152, 8))
flow_data = bytes.fromhex("0a0000010a00000230390050060000000000000400000000030000018bcfe56800")
names = template(257, field(82, V), field(7, 2, 32473), field(1, 3, 29305), field(82, V))
names_data = b"\x04eth0\xbe\xef\x00\x00\x09\xff\x00\x03abc"
stats = options(258, 2, field(149, 4), field(143, 4), field(41, 8), field(42, 8), field(324, 8), field(324, 8))
stats_data = struct.pack(">IIQQQQ", 1, 2, 3, 4, 0xE000000080000000, 0xE0000001800007FF)
types = template(259, *(field(n, l) for n, l in ((434, 4), (311, 8), (311, 4), (276, 1), (56, 6), (27, 16), (150, 4), (156, 8), (313, 5), (1, 9), (5, 2))))
types_data = bytes(range(67))
lists = template(260, field(291, V), field(292, V), field(293, V))
lists_data = b"\x07\x03\x00\x07\x00\x02\x00\x50" + b"\xff\x00\x05\x04\x01\x05\x06\x11" + b"\x0b\xff\x01\x05\x00\x05\x3a\x01\x2c\x00\x05\x09"
inner = template(261, field(4, 1))
self_list = template(262, field(292, V))
deep = b""
for _ in range(12):
    deep = b"\xff" + struct.pack(">HBH", len(deep) + 3, 3, 262) + deep

MESSAGES = {
    "flow": message(sets(2, flow), sets(256, flow_data, flow_data, b"\0\0\0")),
    "variable": message(sets(2, names), sets(257, names_data, names_data)),
    "options": message(sets(3, stats), sets(258, stats_data)),
    "types": message(sets(2, types), sets(259, types_data)),
    "lists": message(sets(2, lists, inner), sets(260, lists_data)),
    "deep": message(sets(2, self_list), sets(262, deep)),
    "two": message(sets(2, flow)) + message(sets(256, flow_data), sequence=0) + message(sets(256, flow_data), sequence=5),
    "withdrawn": message(sets(2, flow), sets(256, flow_data), sets(2, withdrawal(256)), sets(256, flow_data), sets(2, withdrawal(2)), sets(3, withdrawal(3))),
    "redefined": message(sets(2, inner), sets(261, b"\x06"), sets(2, template(261, field(4, 2))), sets(261, b"\0\x06")),
    "damaged": message(sets(2, flow)) + b"\0\x0a\0\x20damage" + message(sets(256, flow_data)),
    "record-cut": message(sets(2, names), sets(257, names_data[:-2])),
    "set-length-0": message(sets(2, flow)[:2] + b"\0\0" + flow),
    "set-length-over": message(sets(2, flow)[:2] + b"\xff\xff" + flow),
    "unknown-sets": message(sets(5, b"abcd"), sets(0), sets(300, b"abcd")),
    "empty-record": message(sets(2, template(256, field(82, 0), field(83, 0))), sets(256, b"abc")),
}
TEMPLATES = {
    "plain": flow,
    "enterprise": names,
    "options": stats,
    "lists": lists + inner + self_list,
    "withdrawals": flow + withdrawal(256) + withdrawal(2) + withdrawal(3) + withdrawal(300),
    "redefined": inner + template(261, field(4, 2)) + inner,
    "no-scope": options(258, 0, field(149, 4)),
    "scope-over": options(258, 9, field(149, 4)),
    "bad-id": template(255, field(4, 1)) + template(1, field(4, 1)),
    "too-long": template(256, *[field(1, 65534)] * 3),
    "no-octets": template(256, *[field(82, 0)] * 3),
    "repeated": template(256, *[field(8, 4)] * 40),
    "cut": flow[:-3],
    "padding": inner + b"\0\0\0\0\0\0",
}


def main(folder):
    for target, seeds, prefix in (("message", MESSAGES, b"%c"), ("templates", TEMPLATES, b"%c\x80")):
        out = Path(folder) / target
        out.mkdir(parents=True, exist_ok=True)
        for i, (name, octets) in enumerate(sorted(seeds.items())):
            (out / name).write_bytes(prefix % (i % 3) + octets)


main(sys.argv[1])
