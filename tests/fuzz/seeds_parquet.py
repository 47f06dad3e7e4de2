#!/usr/bin/env python3
"""Write seeds of the parquet fuzz target: seeds_parquet.py FOLDER (tests/fuzz/corpus/parquet). What the structures are is
said in fuzz_parquet.c; the seeds that begin with `file-` are files of the writer, and not made here."""
import struct
import sys
from pathlib import Path

BOOLEAN, UNSIGNED8, UNSIGNED16, UNSIGNED32, UNSIGNED64, SIGNED16, SIGNED64, DOUBLE, TIME_MS, UUID, TEXT = 0, 1, 2, 3, 4, 6, 8, 10, 11, 15, 16
PLAIN, CODES, DELTA = 0, 4, 8  # of pages_shape.how
DICTIONARY, PACKED = 1, 2


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def bits(numbers, width):
    word = sum(n << i * width for i, n in enumerate(numbers))
    return word.to_bytes((len(numbers) * width + 7) // 8, "little")


def run(count, value, octets=1):
    return varint(count << 1) + value.to_bytes(octets, "little")


def groups(numbers, width):
    numbers = numbers + [0] * (-len(numbers) % 8)
    return varint(len(numbers) // 8 << 1 | 1) + bits(numbers, width)


def delta(first, blocks):
    """Blocks are (least, [(width, 128 numbers)…])."""
    out = varint(1024) + varint(8) + varint(1 + sum(128 * len(pieces) for _, pieces in blocks)) + varint(first << 1)
    for least, pieces in blocks:
        widths = [w for w, _ in pieces] + [0] * (8 - len(pieces))
        out += varint(least << 1) + bytes(widths) + b"".join(bits(n, w) for w, n in pieces)
    return out


def pages(kind, how, rows, levels, values, nulls=0, entries=0, dictionary=b""):
    head = struct.pack("<BBHHHHH", kind, how, rows - 1, nulls, entries, len(dictionary), len(levels))
    return b"\x01" + head + dictionary + levels + values


def written(kind, width, rows, step=0, gaps=0, random=1, patches=b""):
    return b"\x02" + struct.pack("<BBHBBH", kind, width, rows - 1, step, gaps, random) + patches


some = [i * 7 % 128 for i in range(128)]
SEEDS = {
    "codes": pages(UNSIGNED16, CODES | DICTIONARY, 24, run(24, 1), b"\x02" + groups([0, 1, 2, 2] * 2, 2) + run(16, 1), 0, 3, struct.pack("<3I", 1, 80, 443)),
    "codes-nulls": pages(UNSIGNED64, CODES | DICTIONARY | PACKED, 20, groups([0, 1] * 8, 1) + run(4, 1), b"\x09" + groups([1, 0] * 6, 9), 8, 2, bytes(16)),
    "codes-text": pages(TEXT, CODES | DICTIONARY, 9, run(9, 1), b"\x01" + groups([0, 1, 1] * 3, 1), 0, 2, b"\x02\0\0\0ab\x11\0\0\0" + b"x" * 17),
    "codes-run": pages(UUID, CODES | DICTIONARY, 300, run(300, 1), b"\x0c" + run(300, 1, 2), 0, 2, bytes(range(32))),
    "delta": pages(UNSIGNED16, DELTA, 385, run(385, 1), delta(5, [(1, [(0, [0] * 128), (7, some), (8, some)])])),
    "delta-wide": pages(UNSIGNED64, DELTA | PACKED, 257, run(257, 1), delta(1 << 40, [(0, [(63, [n << 40 for n in some]), (33, some)])])),
    "delta-nulls": pages(SIGNED16, DELTA, 258, groups([1, 0] * 129, 1), delta(9, [(0, [(1, [0, 1] * 64)])]), 129),
    "plain": pages(UNSIGNED8, PLAIN, 3, run(3, 1), struct.pack("<3I", 1, 2, 255)),
    "plain-nulls": pages(DOUBLE, PLAIN, 70, run(60, 0) + run(10, 1), struct.pack("<10d", *range(10)), 60),
    "plain-text": pages(TEXT, PLAIN | PACKED, 2, run(2, 1), b"\x03\0\0\0abc\x0d\0\0\0thirteen here"),
    "plain-bits": pages(BOOLEAN, PLAIN, 19, run(19, 1), b"\xa5\x5a\x07"),
    "written-codes": written(UNSIGNED16, 5, 300, gaps=3),
    "written-delta": written(UNSIGNED16, 15, 9000, random=3),
    "written-plain": written(UNSIGNED64, 63, 5000, gaps=1),
    "written-times": written(TIME_MS, 3, 6000, 3),
    "written-texts": written(TEXT, 32, 6000, 1, 7),
    "written-bits": written(BOOLEAN, 1, 100, gaps=9),
    "written-uuid": written(UUID, 50, 200),
    "patched": written(UNSIGNED32, 20, 6000, patches=b"\xff\x20\0\0\x01\x30\0\0"),
    "patched-header": written(SIGNED64, 5, 100, patches=b"\x07\x06\0\0"),
}

for name, octets in SEEDS.items():
    (Path(sys.argv[1]) / name).write_bytes(octets)
