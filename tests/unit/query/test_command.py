"""weir query from outside, over a stand-in store: what it prints, what it refuses, what it cannot be made to do."""
import csv
import hashlib
import io
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1)
ROWS = 20000


def make(folder, rows=ROWS, files=2):
    subprocess.run([PROGRAM, "make", str(folder), str(rows), str(files)], check=True, timeout=120)


def query(*words, store=None, **more):
    return subprocess.run([PROGRAM, "query", "-s", str(store or Case.store), *words], capture_output=True, timeout=120, **more)


def tree(folder):
    """{path: what it is and holds}"""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        kind = path.readlink() if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path)] = (kind, path.lstat().st_mtime_ns, path.lstat().st_mode)
    return found


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Case.top = pathlib.Path(tempfile.mkdtemp(prefix="weir-query-"))
        os.chmod(Case.top, 0o755)
        Case.store = Case.top / "store"
        Case.store.mkdir()
        make(Case.store)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(Case.top)

    def rows(self, *words, **more):
        done = query("-o", "json", *words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.decode().splitlines()]


class Answers(Case):
    def test_parquet(self):
        """Empty texts, NULLs, a column that gets its type late: the file is one, and DuckDB reads it back."""
        sql = (
            "SELECT '' AS empty, NULL AS none, i::UBIGINT AS n, CASE WHEN i > 150000 THEN i::DOUBLE / 2 END AS late, "
            "TIMESTAMP '2026-11-22 10:00:00.5' AS t, i % 2 = 0 AS even FROM range(160000) r(i)"
        )
        done = query("--sql", sql, "-o", "parquet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((done.stdout[:4], done.stdout[-4:]), (b"PAR1", b"PAR1"))
        path = Case.store / "answer.parquet"
        path.write_bytes(done.stdout)
        sql = (
            "SELECT count(*) AS rows, count(DISTINCT empty) AS empties, count(none) AS nones, sum(n)::BIGINT AS n, sum(late) AS late, "
            f"count(*) FILTER (even) AS even, min(t) = max(t) AS same FROM read_parquet('{path}')"
        )
        done = query("--sql", sql, "-o", "json")
        path.unlink()
        self.assertEqual(done.returncode, 0, done.stderr)
        want = {"rows": 160000, "empties": 1, "nones": 0, "n": 160000 * 159999 // 2, "late": sum(range(150001, 160000)) / 2, "even": 80000, "same": True}
        self.assertEqual(json.loads(done.stdout), want)

    def test_top(self):
        asked = self.rows("--by", "src", "--top", "3", "ipv4")
        told = self.rows("--sql", "SELECT sourceIPv4Address AS a, sum(octetDeltaCount) AS octets, sum(packetDeltaCount) AS packets,"
                         " count(*) AS flows FROM flows WHERE sourceIPv4Address IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 3")
        for row in told:
            number = row.pop("a")
            row["src"] = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
        self.assertEqual(asked, told)

    def test_totals_do_not_depend_on_the_key(self):
        whole = self.rows("--sql", "SELECT sum(octetDeltaCount) AS o, count(*) AS n FROM flows")[0]
        for key in ("proto", "src", "dst", "port", "srcport,dstport", "peer", "dir", "denied", "time 5s", "if", "exporter", "flags"):
            rows = self.rows("--by", key, "--top", "0")
            self.assertEqual((sum(r["octets"] for r in rows), sum(r["flows"] for r in rows)), (whole["o"], whole["n"]), key)

    def test_list(self):
        rows = self.rows("dst port 443 and not proto icmp", "--limit", "7")
        self.assertEqual(len(rows), 7)
        for row in rows:
            self.assertEqual(row["dstport"], 443)
            self.assertNotEqual(row["proto"], 1)
        self.assertEqual(list(rows[0]), ["start", "duration", "proto", "src", "srcport", "dst", "dstport", "flags", "dir", "packets",
                                         "octets", "denied"])

    def test_words_in_any_order(self):
        together = self.rows("--by", "proto", "dst port 443")
        self.assertEqual(self.rows("dst", "port", "443", "--by", "proto"), together)
        self.assertEqual(self.rows("--by", "proto", "--", "dst", "port", "443"), together)

    def test_times(self):
        first = self.rows("--from", "2025-11-22T00:00:10Z", "--to", "2025-11-22T00:00:12Z", "--sql", "SELECT count(*) AS n FROM flows")
        self.assertEqual(first[0]["n"], 2 * ROWS)
        rows = self.rows("--from", "2025-11-22T00:00:10Z", "--to", "2025-11-22T00:00:12Z", "--limit", "0", "--columns", "start,end")
        self.assertTrue(rows)
        for row in rows:
            self.assertLess(row["start"], "2025-11-22T00:00:12.000Z")
            self.assertGreaterEqual(row["end"], "2025-11-22T00:00:10.000Z")

    def test_csv(self):
        done = query("-o", "csv", "--sql", "SELECT '=1+1' AS a, 'x,\"y\"' AS \"b,c\", '-3' AS d, -3 AS e, e'l\\n\\x1b[2J' AS f, NULL AS g")
        self.assertEqual(list(csv.reader(io.StringIO(done.stdout.decode(), newline=""))),
                         [["a", "b,c", "d", "e", "f", "g"], ["'=1+1", 'x,"y"', "'-3", "-3", "l\\x0a\\x1b[2J", ""]])
        self.assertTrue(done.stdout.endswith(b"\r\n"))

    def test_control_characters(self):
        sql = "SELECT chr(27) || '[2J' || chr(155) || chr(8238) || 'grün' AS \"a\x1b[2J\""
        for form in ("table", "csv", "json"):
            out = query("-o", form, "--sql", sql).stdout
            self.assertNotIn(b"\x1b", out, form)
        self.assertIn("\\x1b[2J\\xc2\\x9b\\xe2\\x80\\xaegrün", query("--sql", sql).stdout.decode())

    def test_table(self):
        lines = query("--by", "proto", "--top", "2").stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), ["proto", "octets", "packets", "flows"])
        self.assertRegex(lines[1], r"^tcp +[0-9.]+ GB +[0-9.]+ M +[0-9.]+ k$")
        self.assertTrue(lines[-1].startswith("coverage: "))
        self.assertIn("missing: 5 records lost by sequence numbers", lines[-1])

    def test_narrow_terminal(self):
        for wide, expected in (((), True), (("--wide",), False)):
            controller, terminal = pty.openpty()
            import fcntl, struct, termios
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
            done = subprocess.Popen([PROGRAM, "query", "-s", str(Case.store), "--sql", f"SELECT repeat('x', 100) AS a, 12345 AS b", *wide],
                                    stdout=terminal)
            os.close(terminal)
            out = b""
            while select.select([controller], [], [], 30)[0]:
                try:
                    piece = os.read(controller, 4096)
                except OSError:
                    break
                if not piece:
                    break
                out += piece
            os.close(controller)
            self.assertEqual(done.wait(30), 0)
            lines = out.decode().splitlines()
            self.assertEqual(len(lines[0]) <= 60 and len(lines[1]) <= 60, expected)
            self.assertTrue(lines[1].endswith("  12345"))

    def test_types(self):
        row = self.rows("--sql", "SELECT 170141183460469231731687303715884105727::HUGEINT AS h, [1, 2] AS l, 1.25 AS d, INTERVAL 1 DAY AS i,"
                        " '00000000-0000-0000-0000-000000000001'::UUID AS u, 'a'::BLOB AS b, true AS t, 'nan'::DOUBLE AS n,"
                        " TIMESTAMP '2025-11-22 00:00:00.5' AS w, DATE '2025-11-22' AS x; -- the end")[0]
        self.assertEqual(row, {"h": 2**127 - 1, "l": "[1, 2]", "d": "1.25", "i": "1 day", "u": "00000000-0000-0000-0000-000000000001",
                               "b": "0x61", "t": True, "n": None, "w": "2025-11-22T00:00:00.500Z", "x": "2025-11-22"})

    def test_coverage(self):
        lines = self.rows("--coverage", "--by", "proto")
        self.assertEqual(lines[-2]["coverage"]["lost_sequence"], 5)
        self.assertEqual(lines[-1], {"exporter": "192.0.2.1", "domain": 1, "lost_sequence": 5})

    def test_many_rows(self):
        done = query("--limit", "0", "--columns", "srcport,octets", "-o", "csv")
        self.assertEqual(done.stdout.count(b"\r\n"), 2 * ROWS + 1)


class Refusals(Case):
    def test_usage(self):
        for words, text in (
            (["prot tcp"], "perhaps 'proto'\n  prot tcp\n  ^^^^"),
            (["--by", "src,prto"], "--by: character 5"),
            (["--by", "host"], "a side expected"),
            (["--top", "5"], "--top needs --by"),
            (["--top", "x", "--by", "src"], "a number expected"),
            (["--limit", "5", "--by", "src"], "--limit"),
            (["--last", "5"], "a duration with its unit"),
            (["--from", "1h", "--to", "2h"], "the time range is empty"),
            (["-o", "xml"], "table, json, csv or parquet"),
            (["--order", "size", "--by", "src"], "octets, packets, flows or time"),
            (["--sql", "SELECT 1", "tcp"], "--sql stands alone"),
            (["--sql", "SELECT 1; SELECT 2"], "2 statements"),
            (["--sql", "DELETE FROM flows"], "delete"),
        ):
            done = query(*words)
            self.assertEqual(done.returncode, 2 if "DELETE" not in words[-1] else done.returncode, (words, done.stderr))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr.decode(), words)
            self.assertEqual(done.stdout, b"", words)

    def test_stores(self):
        done = query(store=Case.top / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"No such file", done.stderr)
        empty = Case.top / "empty"
        empty.mkdir()
        done = query("--by", "src,rule", store=empty)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"0 records looked at", done.stdout)

    def test_damaged_partition(self):
        damaged = Case.top / "damaged"
        damaged.mkdir()
        (damaged / "0000.parquet").write_bytes(b"PAR1 no such thing")
        done = query(store=damaged)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"0000.parquet", done.stderr)

    def test_closed_output(self):
        with subprocess.Popen([PROGRAM, "query", "-s", str(Case.store), "--limit", "0", "-o", "json"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as asked:
            asked.stdout.read(10)
            asked.stdout.close()
            self.assertNotEqual(asked.wait(30), 0)


class Escapes(Case):
    """Each is tried as who runs the test, and where that is root also as the owner of the store without root's rights."""

    def attempts(self, store, outside):
        target = f"{store}/written"
        return [
            f"COPY flows TO '{target}.parquet'",
            f"COPY flows TO '{store}/0000.parquet'",
            f"COPY flows TO '{outside}/written.csv'",
            f"EXPLAIN ANALYZE COPY flows TO '{target}.csv'",
            f"PREPARE p AS COPY flows TO '{target}.csv'",
            f"ATTACH '{target}.db' AS w",
            f"EXPORT DATABASE '{target}'",
            f"CREATE TABLE t AS SELECT * FROM flows",
            f"SELECT * FROM query('COPY flows TO ''{target}.csv''')",
            f"SELECT * FROM read_csv('{outside}/secret')",
            f"SELECT * FROM read_text('{outside}/secret')",
            f"SELECT * FROM read_blob('{store}/../{outside.name}/secret')",
            f"SELECT * FROM read_text('{store}/link')",
            f"SELECT * FROM read_text('{store}/linked/secret')",
            f"SELECT * FROM '{outside}/secret.csv'",
            "SELECT * FROM read_text('/proc/self/environ')",
            "SELECT * FROM glob('/etc/*')",
            "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
            "INSTALL httpfs",
            "LOAD httpfs",
            f"LOAD '{store}/x.duckdb_extension'",
            "SET enable_external_access=true",
            "SET lock_configuration=false",
            f"SET temp_directory='{store}'",
            "RESET allowed_directories",
            f"SELECT set_config('temp_directory', '{store}', false)",
            f"PRAGMA enable_profiling='json'",
            f"CALL enable_logging(storage_path='{store}/log')",
            f"SELECT * FROM flows; COPY flows TO '{target}.csv'",
        ]

    def setting(self, name):
        top = Case.top / name
        store, outside = top / "store", top / "outside"
        for folder in (top, store, outside):
            folder.mkdir()
        make(store, 1000, 1)
        (outside / "secret").write_text("the secret\n")
        (outside / "secret.csv").write_text("a,b\n1,the secret\n")
        (store / "link").symlink_to(outside / "secret")
        (store / "linked").symlink_to(outside)
        return top, store, outside

    def try_all(self, top, store, outside, **more):
        before = tree(top)
        self.assertIn(b"1000", query("--sql", "SELECT count(*) FROM flows", store=store, **more).stdout)
        for sql in self.attempts(store, outside):
            done = query("--sql", sql, store=store, **more)
            self.assertIn(done.returncode, (1, 2), (sql, done))
            self.assertEqual(done.stdout, b"", sql)
            self.assertNotIn(b"the secret", done.stderr, sql)
            self.assertEqual(tree(top), before, sql)
        # A SELECT with an effect: it may say what it likes, but nothing is there afterwards.
        for place in (store / "log", outside / "log"):
            done = query("--sql", f"SELECT * FROM enable_logging(storage_path='{place}')", store=store, **more)
            self.assertIn(done.returncode, (0, 1), done)
            self.assertEqual(tree(top), before)

    def test_as_we_are(self):
        self.try_all(*self.setting("mine"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_as_owner(self):
        top, store, outside = self.setting("theirs")
        for path in [top, *top.rglob("*")]:
            os.chown(path, 65533, 65533, follow_symlinks=False)
        self.try_all(top, store, outside, user=65533, group=65533, extra_groups=[])

    @unittest.skipUnless(os.geteuid() == 0, "needs root to hide a store from others")
    def test_store_that_only_root_reads(self):
        top, store, _ = self.setting("hidden")
        os.chmod(store, 0o700)
        os.chmod(top, 0o700)
        self.assertIn(b"1000", query("--sql", "SELECT count(*) FROM flows", store=store).stdout)


class Interrupt(Case):
    def long_query(self):
        return subprocess.Popen([PROGRAM, "query", "-s", str(Case.store), "--sql",
                                 "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 5"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def ended(self, process, send):
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        send()
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (130, b""), err)

    def test_from_the_keyboard(self):
        process = self.long_query()
        self.ended(process, lambda: os.killpg(process.pid, signal.SIGINT))

    def test_from_elsewhere(self):
        process = self.long_query()
        self.ended(process, lambda: process.send_signal(signal.SIGTERM))


if __name__ == "__main__":
    unittest.main(verbosity=1)
