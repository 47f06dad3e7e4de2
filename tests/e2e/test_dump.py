#!/usr/bin/env python3
"""weir dump as people call it: kinds of input, exit status, what goes to which output."""
import bz2
import gzip
import json
import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path


def message(*sets, sequence=0):
    body = b"".join(struct.pack(">HH", number, 4 + len(octets)) + octets for number, octets in sets)
    return struct.pack(">HHIII", 10, 16 + len(body), 1700000000, sequence, 1) + body


TEMPLATE = (2, struct.pack(">HHHHHH", 256, 2, 8, 4, 1, 4))
DATA = (256, bytes([10, 0, 0, 1, 0, 0, 0, 9]))
LINE = (
    '{"exportTime":"2023-11-14T22:13:20Z","observationDomainId":1,"templateId":256,'
    '"sourceIPv4Address":"10.0.0.1","octetDeltaCount":9}\n'
)


class Dump(unittest.TestCase):
    def dump(self, octets, *args, stdin=False):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input"
            path.write_bytes(octets)
            command = [os.environ["WEIR"], "dump", *args, "-" if stdin else str(path)]
            done = subprocess.run(command, input=octets if stdin else b"", capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_file_and_standard_input(self):
        octets = message(TEMPLATE, DATA) + message(DATA, sequence=1)
        for stdin in (False, True):
            self.assertEqual(self.dump(octets, stdin=stdin), (0, LINE * 2, ""))

    def test_compressed(self):
        """RFC 5655 10: by its first octets, one file or several behind each other; cut off, what was whole is there."""
        octets = message(TEMPLATE, DATA) + message(DATA, sequence=1)
        for library in (bz2, gzip):
            self.assertEqual(self.dump(library.compress(octets), stdin=True), (0, LINE * 2, ""))
            parts = library.compress(octets[:50]) + library.compress(octets[50:])
            self.assertEqual(self.dump(parts), (0, LINE * 2, ""))
            capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 189)
            self.assertIn("link type", self.dump(library.compress(capture))[2])
        status, out, err = self.dump(gzip.compress(octets)[:-4])
        self.assertEqual((status, out), (1, LINE * 2))
        self.assertIn("cut off", err)

    def test_empty_file(self):
        self.assertEqual(self.dump(b""), (0, "", ""))

    def test_templates(self):
        status, out, _ = self.dump(message(TEMPLATE, DATA), "--templates")
        first, second = out.splitlines()
        self.assertEqual(status, 0)
        self.assertEqual(second + "\n", LINE)
        self.assertEqual(json.loads(first)["template"], "new")
        self.assertEqual([f["id"] for f in json.loads(first)["fields"]], [8, 1])

    def test_stats_are_the_last_line_of_standard_error(self):
        octets = message(TEMPLATE, DATA) + message((300, b"abcd"), (7, b""), sequence=5)
        status, out, err = self.dump(octets, "--stats")
        stats = json.loads(err.splitlines()[-1])
        self.assertEqual((status, out), (0, LINE))
        self.assertEqual(stats["dataRecords"], 1)
        self.assertEqual(stats["setsWithoutTemplate"], 1)
        self.assertEqual(stats["unknownSets"], 1)
        self.assertEqual(stats["lostRecords"], 4)
        self.assertEqual(stats["sequence"], {"first": 1, "gap": 1})

    def test_damage_is_told_after_what_is_whole(self):
        octets = message(TEMPLATE, DATA) + b"garbage" + message(DATA, sequence=1)
        status, out, err = self.dump(octets)
        self.assertEqual((status, out), (1, LINE * 2))
        self.assertIn("7 octets in 1 places hold no message, the first at offset 44", err)

    def test_cut_file(self):
        whole = message(TEMPLATE, DATA)
        for n in range(1, len(whole)):
            status, out, err = self.dump(whole + whole[:n])
            self.assertEqual((status, out), (1, LINE))
            self.assertIn(f"{n} octets", err)

    def test_malformed_message(self):
        bad = bytearray(message(TEMPLATE, DATA))
        struct.pack_into(">H", bad, 18, 2)
        status, out, err = self.dump(bytes(bad) + message(TEMPLATE, DATA))
        self.assertEqual((status, out), (1, LINE))
        self.assertIn("1 malformed message left out: a set length is under its 4-octet header", err)

    def test_other_formats_are_named(self):
        for octets, text in (
            (b"\0\x09\0\1" + bytes(20), "NetFlow version 9"),
            (b"\0\x05\0\1" + bytes(20), "NetFlow version 5"),
            (b"\x1f\x8b\x08\0", "compressed with is damaged or cut off"),
            (b"BZh9", "compressed with is damaged or cut off"),
            (b"hello world", "neither IPFIX nor a capture"),
            (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 189), "link type"),
        ):
            status, out, err = self.dump(octets)
            self.assertEqual((status, out), (1, ""), text)
            self.assertIn(text, err)

    def test_usage(self):
        for args, status in (([], 2), (["a", "b"], 2), (["--no-such"], 2), (["/nonexistent/file"], 1)):
            done = subprocess.run([os.environ["WEIR"], "dump", *args], capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, status, args)
            self.assertTrue(done.stderr)


if __name__ == "__main__":
    unittest.main()
