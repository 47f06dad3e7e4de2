"""weir top in a terminal of the test's own, against a real collector; weir query on the same store is the judge."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import collect_lib as cl
import lib
import page_lib

WAIT_S = 120


class Terminal:
    """A VT52, which has no more than a cursor, with weir top in it."""

    def __init__(self, *words, rows=40, columns=120, term="vt52"):
        self.rows, self.columns = rows, columns
        self.clear()
        self.raw, self.decode = b"", codecs.getincrementaldecoder("utf-8")("replace")
        self.pending = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM=term, LC_ALL="C.UTF-8")
            os.execv(lib.WEIR, ["weir", "top", *map(str, words)])
        self.resize(rows, columns)

    def clear(self):
        self.y = self.x = 0
        self.screen = [[" "] * self.columns for _ in range(self.rows)]

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.rows, self.columns = rows, columns
        self.clear()

    def put(self, c):
        if self.y < self.rows and self.x < self.columns:
            self.screen[self.y][self.x] = c
        self.x = min(self.x + 1, self.columns - 1)

    def escape(self, text):
        """What an escape sequence does; how long it is, 0: there is more to come."""
        if len(text) < 2 or (text[1] == "Y" and len(text) < 4):
            return 0
        c = text[1]
        if c == "Y":
            self.y, self.x = ord(text[2]) - 32, ord(text[3]) - 32
            return 4
        if c == "H":
            self.y = self.x = 0
        elif c in "ABCDI":
            self.y += {"A": -1, "I": -1, "B": 1}.get(c, 0)
            self.x += {"C": 1, "D": -1}.get(c, 0)
        elif c in "JK" and self.y < self.rows:
            self.screen[self.y][self.x :] = [" "] * (self.columns - self.x)
            for y in range(self.y + 1, self.rows) if c == "J" else ():
                self.screen[y] = [" "] * self.columns
        return 2

    def take(self, octets):
        self.raw += octets
        text, self.pending = self.pending + self.decode.decode(octets), ""
        while text:
            n = 1
            if text[0] == "\x1b":
                n = self.escape(text)
                if not n:
                    self.pending = text
                    return
            elif text[0] == "\r":
                self.x = 0
            elif text[0] == "\n":
                self.y += 1
            elif text[0] == "\b":
                self.x -= 1
            elif text[0] >= " ":
                self.put(text[0])
            text = text[n:]

    def lines(self):
        return ["".join(row).rstrip() for row in self.screen]

    def read(self, seconds=0.2):
        """False: the program has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            octets = os.read(self.fd, 65536)
        except OSError:
            return False
        self.take(octets)
        return bool(octets)

    def wait(self, what, probe):
        """Until the screen is as it should be: whatever it answers then."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.read()
            found = probe(self.lines())
            if found:
                return found
        raise AssertionError(f"{what}:\n" + "\n".join(self.lines()))

    def keys(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Its exit status."""
        while self.read(30):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


def cells(line):
    return re.split(r"\s{2,}", line.strip())


def asked(c, *words):
    """Rows of the table of weir query, without its last line."""
    done = subprocess.run([lib.WEIR, "query", "-s", c.store, "--last", "1h", "--wide", *words], capture_output=True, text=True, check=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return [cells(line) for line in lines[1:-1]]


def below(lines, heading):
    """Rows under the line that begins with the words; none: they are not there."""
    for at, line in enumerate(lines):
        if cells(line)[: len(heading)] == heading:
            return [cells(row) for row in lines[at + 1 : -1] if row.strip()]
    return None


def filled(lab):
    c = cl.Collector(lab, "--workers", 1)
    o = page_lib.Overlay(c.port)
    when = int(time.time()) - 600
    o.templates(when)
    o.beat(when)
    o.flows(o.busy(when, 480), when)
    o.flows(o.refusals(when, 7, "10.77.0.9", "10.77.0.2", 22, b"R7\x1b[2J\x07"), when, number=page_lib.DENIED)
    o.flows(o.refusals(when, 3, "10.77.0.3", "10.77.0.2", 443, "", kind=0), when, number=page_lib.DENIED)
    c.wait_messages(o.messages, 60)
    return c


def test_shows_what_query_answers():
    with lib.Lab() as lab:
        c = filled(lab)
        t = Terminal("-s", c.store, "--last", "1h")
        pairs = ["src", "dst", "proto", "port"]
        for key, words in (("", []), ("f", ["--order", "flows"]), ("p", ["--order", "packets"])):
            want = asked(c, "--by", "src,dst,proto,port", "--top", "200", *words)[:20]
            if key:
                t.keys(key)
            t.wait(f"pairs after '{key}', as {want}", lambda lines: (below(lines, pairs) or [])[:20] == want)  # pylint: disable=cell-var-from-loop
        t.keys("og")
        want = asked(c, "--by", "src", "--top", "200")
        t.wait("sources", lambda lines: below(lines, ["src", "octets"]) == want)
        totals = c.sql("select count(*) as n, count(*) filter (where denied) as d from flows")[0]
        t.wait(f"{totals} in the second line", lambda lines: f"flows {totals['n']} " in lines[1] and f"denied {totals['d']} " in lines[1])
        t.keys("q")
        lib.equal(t.end(), 0, "exit status")


def test_refused_and_hostile_names():
    with lib.Lab() as lab:
        c = filled(lab)
        t = Terminal("-s", c.store, "--last", "1h")
        t.keys("d")
        want = [("R7\\x1b[2J\\x07", "dropped", "10.77.0.9", "10.77.0.2", "22", "7"), ("no rule allowed it", "dropped", "10.77.0.3", "10.77.0.2", "443", "3")]
        t.wait(f"refused: {want}", lambda lines: [(*r[:4], r[5], r[-1]) for r in below(lines, ["rule", "reason"]) or [] if len(r) > 6] == want)
        lib.check(b"\x1b[" not in t.raw and b"\x07" not in t.raw, "no control of somebody else's reaches the terminal")
        t.resize(12, 40)
        t.wait("a small terminal", lambda lines: len(lines) == 12 and lines[0].startswith("weir top") and any("R7" in line for line in lines))
        t.keys("\x03")
        lib.equal(t.end(), 0, "exit status after an interruption")
        t = Terminal("-s", c.store, "--last", "1h", "src 10.77.0.3", term="xterm-256color")
        t.keys("d")
        lib.wait_for("colours", lambda: t.read() and b"\x1b[31m" in t.raw, WAIT_S)
        t.keys("q")
        lib.equal(t.end(), 0, "exit status with colours")


def test_wrong_usage():
    with lib.Lab() as lab:
        c = filled(lab)
        for words, status, text in ((["-s", c.store], 2, "terminal"), (["-s", c.store, "prot tcp"], 2, "perhaps 'proto'"), (["--last", "5"], 2, "duration")):
            done = subprocess.run([lib.WEIR, "top", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            lib.equal(done.returncode, status, f"{words}: {done.stderr}")
            lib.check(text in done.stderr and not done.stdout, f"{words}: {done.stderr}")
        t = Terminal("-s", lab.path("nowhere"))
        lib.equal(t.end(), 1, "exit status without a store")
        lib.check(b"nowhere" in t.raw, t.raw)


lib.main(globals())
