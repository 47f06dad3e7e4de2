"""weir collect when things go wrong: killed while it receives, a full disk, a restart with what it had learned."""

import contextlib
import ctypes
import os
import random
import signal
import threading
import time

import collect_lib as cl
import lib

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 1 << 18


class Stream:
    """Numbered records at a moderate rate, from a thread, until it is stopped."""

    def __init__(self, port, per_message=10, pause=0.0005):
        self.e = cl.Exporter(port)
        self.per_message, self.pause, self.stopping = per_message, pause, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.e.template()
        n = 0
        while not self.stopping:
            n += 1
            with contextlib.suppress(ConnectionRefusedError):
                self.e.flows(self.per_message)
            if n % 200 == 0:
                with contextlib.suppress(ConnectionRefusedError):
                    self.e.template()
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        self.thread.join(5)
        self.e.__exit__()


def kill_all(c):
    """kill -9 of the collector alone; what it started goes with it."""
    children = c.children()
    os.kill(c.pid(), signal.SIGKILL)
    c.process.popen.wait(10)
    lib.wait_for("its processes are gone", lambda: not any(os.path.exists(f"/proc/{p}") and p != c.pid() and alive(p) for p in children))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_kill_while_receiving():
    """kill -9, again and again: every record accepted before the kill is there once; none is there twice."""
    kills = int(os.environ.get("WEIR_KILLS") or 6)
    seed = int(os.environ.get("WEIR_SEED") or time.time())
    rng = random.Random(seed)
    with lib.Lab() as lab:
        store = lab.path("store")
        accepted_records = messages = 0
        for n in range(kills):
            c = cl.Collector(lab, "--workers", 1, "--sync", 50, "--partition-records", rng.choice((500, 3000, 100000)), store=store)
            s = Stream(c.port)
            time.sleep(rng.uniform(0.3, 1.5))
            # What the loader has read lies below the watermark: accepted.
            messages = c.sum("weir_process_read_messages_total", role="loader")
            before = c.sum("weir_ledger_records_total")
            kill_all(c)
            s.stop()
            accepted_records = max(accepted_records, before)
        c = cl.Collector(lab, "--workers", 1, store=store)
        c.wait_messages(0)
        time.sleep(1.0)
        c.stop()
        # Each run numbered its records anew, from a port of its own: (port, number) occurs once.
        rows = cl.sql(store, "select count(*) as n, count(distinct (exporterPort, sourceIPv4Address)) as d from flows")[0]
        lib.equal(rows["n"], rows["d"], f"records and distinct records (seed {seed})")
        lib.check(rows["n"] >= accepted_records, f"{rows['n']} records, {accepted_records} were accepted (seed {seed})")
        journal = cl.ledger(store)["data_records"]
        lib.equal(rows["n"], journal, "records in partitions and records decoded")
        again = cl.Collector(lab, "--workers", 1, store=store)
        again.stop()
        lib.equal(cl.sql(store, "select count(*) as n from flows")[0]["n"], rows["n"], "another restart changes nothing")
        print(f"seed {seed}: {kills} kills, {rows['n']} records, {messages:.0f} messages read before the last")


def test_accepted_before_the_kill():
    """Everything that the watermark covered when the collector was killed is in the store after a restart."""
    with lib.Lab() as lab:
        store = lab.path("store")
        c = cl.Collector(lab, "--workers", 1, "--sync", 20, "--partition-age", 3600, store=store)
        with cl.Exporter(c.port) as e:
            e.template()
            for _ in range(300):
                e.flows(10)
                time.sleep(0.001)
            sent = e.n

            def covered():
                m = c.metrics()
                end = cl.total(m, "weir_journal_end_segment"), cl.total(m, "weir_journal_end_offset")
                mark = cl.total(m, "weir_journal_watermark_segment"), cl.total(m, "weir_journal_watermark_offset")
                return mark == end and cl.total(m, "weir_journal_messages_total") == 301

            lib.wait_for("the watermark covers all", covered)
            kill_all(c)
        c = cl.Collector(lab, "--workers", 1, store=store)
        c.wait_messages(301)
        c.stop()
        lib.equal(dict(cl.numbers(store)), {n: 1 for n in range(sent)}, "records")


def test_templates_live_over_a_restart():
    """Data of a session whose templates came before the restart is decoded at once."""
    with lib.Lab() as lab:
        store = lab.path("store")
        port = cl.free_port()
        words = ["collect", "-l", f"Udp/127.0.0.1:{port}", "-s", store, "--workers", "1"]
        with cl.Exporter(port, source=("127.0.0.1", cl.free_port())) as e:
            first = lab.weir(*words)
            first.expect("listening")
            e.template()
            e.flows(3)
            time.sleep(0.3)
            first.stop()
            second = lab.weir(*words)
            second.expect("listening")
            e.flows(4)
            time.sleep(0.3)
            second.stop()
        lib.equal(dict(cl.numbers(store)), {n: 1 for n in range(7)}, "records")
        lib.equal(cl.ledger(store).get("sequence_lost", 0), 0, "a restart of ours is no loss of theirs")


def test_waiting_data_lives_over_a_restart():
    """Data without its template, then a restart, then the template."""
    with lib.Lab() as lab:
        store, port = lab.path("store"), cl.free_port()
        words = ["collect", "-l", f"Udp/127.0.0.1:{port}", "-s", store, "--workers", "1"]
        with cl.Exporter(port, source=("127.0.0.1", cl.free_port())) as e:
            first = lab.weir(*words)
            first.expect("listening")
            e.flows(3)
            time.sleep(0.3)
            first.stop()
            second = lab.weir(*words)
            second.expect("listening")
            e.template()
            time.sleep(0.3)
            second.stop()
        lib.equal(dict(cl.numbers(store)), {n: 1 for n in range(3)}, "records")


def test_everything_received_is_stored_at_the_end():
    """SIGTERM at once behind the last datagram, and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with lib.Lab() as lab:
            c = cl.Collector(lab, "--workers", 2)
            with cl.Exporter(c.port) as e, cl.Exporter(c.port, tcp=True, domain=2) as t:
                for x in (e, t):
                    x.template()
                    for _ in range(100):
                        x.flows(10)
                c.stop(number=number)
            counts = cl.sql(c.store, "select observationDomainId as d, count(*) as n from flows group by d order by d")
            lib.equal([(r["d"], r["n"]) for r in counts], [(1, 1000), (2, 1000)], f"records after {number.name}")


@contextlib.contextmanager
def small_disk(lab, octets):
    """A tmpfs of this size, in a mount namespace of this process alone."""
    lib.need_root()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise lib.Skip("no mount namespace can be made here")
    folder = lab.path("disk")
    folder.mkdir()
    if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={octets}".encode()):
        raise lib.Skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        libc.umount2(str(folder).encode(), 2)


def test_full_disk():
    """Storing stops visibly, receiving goes on, and within 5 s of room everything goes on."""
    with lib.Lab() as lab, small_disk(lab, 24 << 20) as disk:
        c = cl.Collector(lab, "--workers", 1, "--partition-age", 3600, store=disk / "store")
        filler = disk / "filler"
        with cl.Exporter(c.port) as e:
            e.template()
            e.flows(10)
            c.wait_messages(2)
            with open(filler, "wb") as f:
                with contextlib.suppress(OSError):
                    while True:
                        f.write(b"\0" * 65536)
                        f.flush()
            os.sync()
            received = c.sum("weir_receiver_messages_total")

            def stopped():
                for _ in range(20):
                    e.flows(20)
                time.sleep(0.05)
                return c.get("/healthz")[0] == 503

            lib.wait_for("storing stops", stopped, 20)
            lib.check("storing stopped" in c.get("/healthz")[1], "the reason")
            m = c.metrics()
            lib.equal(cl.total(m, "weir_journal_storing"), 0, "storing")
            lib.wait_for("refused messages are counted", lambda: c.sum("weir_journal_not_stored_messages_total", reason="no space") > 0)
            now = c.sum("weir_receiver_messages_total")
            lib.check(now > received, "receiving goes on")
            filler.unlink()
            room = time.monotonic()

            def resumed():
                e.flows(1)
                time.sleep(0.1)
                return c.get("/healthz")[0] == 200

            lib.wait_for("storing goes on", resumed, 5)
            took = time.monotonic() - room
            m = c.metrics()
            kept, lost = cl.total(m, "weir_journal_messages_total"), cl.total(m, "weir_journal_not_stored_messages_total")
            lib.wait_for("each message is stored or counted", lambda: balance(c), 5)
            for _ in range(20):
                e.flows(1)
            last = e.n
        time.sleep(1.2)
        c.stop()
        rows = cl.numbers(c.store)
        lib.equal(max(rows.values()), 1, "none twice")
        lib.check(set(range(last - 20, last)) <= set(rows), "the last ones are there")
        lib.check(cl.ledger(c.store).get("sequence_lost", 0) > 0, "what was not stored shows as loss")
        print(f"resumed {took:.1f} s after there was room; {kept:.0f} messages stored, {lost:.0f} refused by the disk and counted")


def fill(path):
    with contextlib.suppress(OSError), open(path, "wb") as f:
        while True:
            f.write(b"\0" * 65536)
            f.flush()
    return path


def test_full_disk_takes_a_template():
    """A connection whose template came while nothing could be stored would send data for ever that nobody understands:
    it ends when there is room again, and the exporter begins anew."""
    with lib.Lab() as lab, small_disk(lab, 24 << 20) as disk:
        c = cl.Collector(lab, "--workers", 1, "--partition-age", 3600, store=disk / "store")
        filler = fill(disk / "filler")
        with cl.Exporter(c.port, tcp=True) as e:
            e.template()
            e.flows(5)

            def stopped():
                if c.get("/healthz")[0] == 200:
                    e.flows(300)
                return c.sum("weir_journal_not_stored_messages_total") > 0 and c.get("/healthz")[0] == 503

            lib.wait_for("storing stops", stopped, 30)
            filler.unlink()

            def ended():
                with contextlib.suppress(OSError):
                    e.flows(1)
                    return False
                return True

            lib.wait_for("the connection is reset", ended, 10, poll=0.2)
            n = e.n
        lib.wait_for("it is counted", lambda: c.sum("weir_receiver_sessions_ended_total", reason="not_stored") == 1)
        with cl.Exporter(c.port, tcp=True) as e:
            e.n = n
            e.template()
            e.flows(7)
            lib.wait_for("storing goes on", lambda: c.get("/healthz")[0] == 200, 5)
            lib.wait_for("each message is stored or counted", lambda: balance(c), 5)
        time.sleep(1.2)
        c.stop()
        rows = cl.numbers(c.store)
        lib.check(set(range(n, n + 7)) <= set(rows) and max(rows.values()) == 1, "the new connection's records are there, each once")
        lib.equal(cl.ledger(c.store).get("sets_without_template", 0), 0, "data without a template")


def balance(c):
    m = c.metrics()
    return cl.total(m, "weir_receiver_messages_total") == cl.total(m, "weir_journal_messages_total") + cl.total(m, "weir_journal_not_stored_messages_total")


def test_full_disk_for_partitions():
    """Room for the journal, none for a partition: told, retried, and nothing is lost."""
    with lib.Lab() as lab, small_disk(lab, 12 << 20) as disk:
        c = cl.Collector(lab, "--workers", 1, "--partition-records", 20000, store=disk / "store")
        filler = disk / "filler"
        with cl.Exporter(c.port) as e:
            e.template()
            while e.n < 15000:
                e.flows(20, noise=True)
                if e.n % 1000 == 0:
                    time.sleep(0.02)
            c.wait_messages(750)
            time.sleep(1.2)
            usage = os.statvfs(disk)
            with open(filler, "wb") as f, contextlib.suppress(OSError):
                f.write(b"\0" * (usage.f_bavail * usage.f_frsize - (700 << 10)))
            while e.n < 20100:
                e.flows(20, noise=True)
                if e.n % 1000 == 0:
                    time.sleep(0.02)
            lib.wait_for("the loader says that it cannot write", lambda: c.get("/healthz")[0] == 503, 20)
            filler.unlink()
            lib.wait_for("it can again", lambda: c.get("/healthz")[0] == 200, 5)
        c.wait_messages(1006)
        c.stop()
        rows = cl.numbers(c.store)
        lib.equal((len(rows), max(rows.values())), (20100, 1), "records, each once")


lib.main(globals())
