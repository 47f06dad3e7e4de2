"""The page in a real browser against a real collector; SQL on the same store is the judge."""

import csv
import io
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import collect_lib as cl
import lib
import npm_lib
import page_lib

CHROMIUM = next((p for p in (os.environ.get("CHROMIUM"), "/usr/bin/chromium") if p and os.path.exists(p)), None)
BROWSER_S = 280


def need_browser():
    lib.need("node", "npm")
    if not CHROMIUM:
        raise lib.Skip("no chromium here; scripts/setup --test installs it")
    folder = npm_lib.folder("page")
    if not folder:
        raise lib.Skip("playwright-core cannot be had from npm's registry")
    return folder


def look(folder, collector, case, **given):
    """What the browser found."""
    words = ["node", "browser.mjs", f"http://127.0.0.1:{collector.http}", case, json.dumps(given)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=BROWSER_S, env={**os.environ, "CHROMIUM": CHROMIUM})
    lib.check(done.returncode == 0 and done.stdout.strip(), f"{case}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    lib.check("failure" not in found, f"{case}: {found.get('failure')}")
    lib.equal(found["foreign"], [], f"{case}: requests that leave the machine")
    lib.equal(found["errors"], [], f"{case}: errors in the console")
    return found


def api(collector, path, **words):
    with urllib.request.urlopen(f"http://127.0.0.1:{collector.http}/api/v1/{path}?{urllib.parse.urlencode(words)}", timeout=120) as answer:
        return answer.read()


def seeded(lab, **values):
    """A collector with an hour that is known to the record."""
    c = cl.Collector(lab, "--workers", 1)
    o = page_lib.Overlay(c.port)
    begin, end = page_lib.history(o, **values)
    c.wait_messages(o.messages, 60)
    window = {"from": f"@{begin - 60}", "to": f"@{end}"}
    return c, o, begin, end, window


def check_ledger(folder, c, o, begin, end, window):
    """Seen = shown + filtered + lost on every figure of every view; hatched is what was lost, not what was silent."""
    found = look(folder, c, "ledger", window=window)
    stored = int(c.sql("select count(*) as n from flows")[0]["n"])
    lib.equal(stored, o.sent, "records in the store")
    for view, figures in found["views"].items():
        lib.check(figures, f"{view} has figures")
        for f in figures:
            l = f["ledger"]
            lib.check(l, f"{view} {f['id']} has a ledger")
            lib.equal(l["seen"], l["shown"] + l["filtered"] + l["lost"], f"{view} {f['id']}: terms")
            lib.equal(l["lost"], o.lost, f"{view} {f['id']}: lost")
            lib.equal(l["shown"] + l["filtered"], stored, f"{view} {f['id']}: stored")
    minutes = {(t // 1000 - begin) // 60 for t in found["hatched"]}
    sure = set(range(16, 24)) | set(range(36, 41))
    may = set(range(14, 26)) | set(range(34, 43)) | {59, 60}
    lib.check(sure <= minutes, f"not hatched: {sorted(sure - minutes)}")
    lib.check(minutes <= may, f"hatched without a loss: {sorted(minutes - may)}")
    exported = api(c, "export", format="csv", columns="src,dst", **window).decode()
    ledger = json.loads(next(line for line in exported.split("\r\n") if line.startswith("# ledger: ")).removeprefix("# ledger: "))["ledger"]
    lib.equal((ledger["seen"], ledger["terms"]["lost"]), (stored + o.lost, o.lost), "ledger in CSV")


def test_a_collector_that_was_down_is_a_gap():
    """An exporter goes on while its collector is down: those minutes are hatched, five silent ones are not."""
    folder = need_browser()
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        o = page_lib.Overlay(c.port)
        begin = int(time.time()) // 60 * 60 - 2400
        parts = ((0, 10, False, False), (10, 18, True, False), (18, 28, False, False), (28, 33, False, True), (33, 40, False, False))
        for first, end, down, silent in parts:
            if down:
                c.wait_messages(o.messages, 60)
                c.stop()
            elif o.lost and not silent and first == 18:
                c = cl.Collector(lab, "--workers", 1, store=c.store, port=c.port)
                sent = o.messages
            o.templates(begin + first * 60) if not down else None
            for second in range(begin + first * 60, begin + end * 60, 10):
                if not silent:
                    o.flows(o.busy(second, 12), second, lose=down)
                if not down:
                    o.beat(second)
        c.wait_messages(o.messages - sent, 60)
        found = look(folder, c, "ledger", window={"from": f"@{begin - 60}", "to": f"@{begin + 2400}"})
        for view, figures in found["views"].items():
            for f in figures:
                lib.equal(f["ledger"]["lost"], o.lost, f"{view} {f['id']}: lost")
        minutes = {(t // 1000 - begin) // 60 for t in found["hatched"]}
        lib.check(set(range(11, 17)) <= minutes, f"not hatched: {sorted(set(range(11, 17)) - minutes)}")
        lib.check(minutes <= set(range(9, 20)) | {40}, f"hatched without a loss: {sorted(minutes)}")


def test_denied_with_the_rule_beside():
    """42 refusals, 37 by a rule and 5 by none: verdict with icon and text, the rule in the row, never "allowed by"."""
    folder = need_browser()
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        o = page_lib.Overlay(c.port)
        begin, end = page_lib.history(o, minutes=10, down=(99, 99), drops=(99, 99), silent=(99, 99), per_turn=12, rules=False)
        for rule, source, port, count, kind in (("R7", "10.77.0.1", 22, 37, 1), ("", "10.77.0.3", 443, 5, 0)):
            o.flows(o.refusals(end - 60, count, source, "10.77.0.2", port, rule, kind=kind), end - 60, number=page_lib.DENIED)
        c.wait_messages(o.messages, 60)
        found = look(folder, c, "denied", window={"from": f"@{begin - 60}", "to": f"@{end}"})
        lib.equal((found["total"], found["flows"]), (42, 42), "denied flows")
        by_source = {row[4]: row for row in found["rows"]}
        lib.equal(by_source["10.77.0.1"][1], "R7", "the rule of A")
        lib.equal(by_source["10.77.0.3"][1], "no rule allowed it", "the rule of C")
        lib.equal((by_source["10.77.0.1"][-1], by_source["10.77.0.3"][-1]), ("37", "5"), "counts")
        lib.check(found["icons"], "each verdict has an icon and a word")
        lib.check("allowed by" not in found["text"], "no denied row says that something allowed it")


def rows_of(text):
    """Of an exported CSV, without what it says about itself."""
    return list(csv.DictReader(io.StringIO("".join(line for line in text.splitlines(True) if not line.startswith("# ")))))


def again_as_csv(c, statement):
    done = subprocess.run([lib.WEIR, "query", "-s", c.store, "-o", "csv", "--sql", statement], capture_output=True, check=True)
    return rows_of(done.stdout.decode())


FILTERS = ("", "dst port 443", "not port 53", "src net 10.77.0.0/29", "tcp and (dst 10.77.0.2 or dst 10.77.0.3)", "packets > 5", "denied", "dir egress and not denied", "proto udp or dst port in {22, 5432}", "host 10.77.0.9")


def check_truth(folder, c, o, begin, end, window):
    """For random filters and windows timeline, matrix, sankey, footer, CSV and SQL are the same integer."""
    tries = int(os.environ.get("WEIR_PAGE_STATES", "3"))  # 20 for all
    r, states = random.Random(5), []
    for i in range(tries):
        a, b = sorted(r.sample(range(begin, end), 2)) if i % 3 else (begin - 60, end)
        states.append({"filter": FILTERS[i % len(FILTERS)], "from": f"@{a}", "to": f"@{max(b, a + 60)}"})
    found = look(folder, c, "truth", states=states)
    for state, one in zip(states, found["states"], strict=True):
        text = api(c, "export", format="csv", by="src,dst", **state).decode()
        one["csv"] = sum(int(row["octets"] or 0) for row in rows_of(text))
        statement = next(line for line in text.split("\r\n") if line.startswith("# sql: ")).removeprefix("# sql: ")
        one["sql"] = int(c.sql(f"select coalesce(sum(octets), 0)::bigint as n from ({statement})")[0]["n"])
        lib.check(len(set(one.values())) == 1, f"{state}: {one}")
    lib.equal(found["fresh"], found["states"][0]["footer"], "the same address in a fresh browser")


def check_export(folder, c, o, begin, end, window):
    """The SQL in the file gives the same octets again, and a Parquet file has the rows that the CSV has."""
    text = api(c, "export", format="csv", columns="start,src,dst,dstport,octets,denied", filter="not port 53", **window).decode()
    notes = dict(line[2:].split(": ", 1) for line in text.split("\r\n") if line.startswith("# "))
    for name in ("window", "filter", "ledger", "policy", "sql", "limit"):
        lib.check(notes.get(name), f"the file says its {name}")
    rest = "\r\n".join(line for line in text.split("\r\n") if not line.startswith("# "))
    again = subprocess.run([lib.WEIR, "query", "-s", c.store, "-o", "csv", "--sql", notes["sql"]], capture_output=True, check=True).stdout.decode()
    lib.check(again == rest and len(rest) > 1000, "the same octets")
    asked = {"columns": "start,src,srcport,dst,dstport,octets,denied,denialRuleName", **window}
    parquet = api(c, "export", format="parquet", **asked)
    lib.check(parquet[:4] == b"PAR1" and parquet[-4:] == b"PAR1", "a Parquet file")
    for name in (b"window", b"ledger", b"sql"):
        lib.check(name in parquet[-20000:], "what the file says about itself")
    path = pathlib.Path(c.store) / "exported.parquet"  # DuckDB, its reader here, opens nothing outside the store
    path.write_bytes(parquet)
    table = f"read_parquet('{path}')"
    good = rows_of(api(c, "export", format="csv", **asked).decode())
    lib.equal(again_as_csv(c, f"select * from {table}"), good, "rows of the Parquet file")
    kept = {r["k"]: r["v"] for r in c.sql(f"select decode(key) as k, decode(value) as v from parquet_kv_metadata('{path}')")}
    for name in ("window", "filter", "ledger", "policy", "sql", "limit"):
        lib.check(name in kept and (kept[name] or name == "filter"), f"the Parquet file says its {name}: {kept}")
    path.unlink()


def check_filter(folder, c, o, begin, end, window):
    """From the first Tab to a narrowed table without a mouse."""
    found = look(folder, c, "filter", window=window)
    lib.equal(found["reached"], "filter", "the box, by Tab alone")
    lib.check(found["caret"].splitlines()[1].strip() == "^^^", found["caret"])
    lib.check("expected" in found["message"], found["message"])
    lib.check(found["filter"].startswith("peer 10."), found["filter"])
    lib.check(found["narrowed"].startswith(found["filter"] + " and "), found["narrowed"])


def hostile_names():
    """120 names: markup, control characters, formulas, lines of a log."""
    markup = ["<script>hits++</script>", "<img src=x onerror=hits++>", "\"><svg onload=hits++>", "javascript:hits++", "{{hits++}}", "${hits++}", "<iframe srcdoc='<script>parent.hits++</script>'>", "</title><script>hits++</script>", "<base href=//evil.example>", "&lt;b&gt;", "<form action=//evil.example><input>", "<style>*{display:none}</style>"]
    control = [f"a{chr(n)}b" for n in (*range(1, 32), 127)] + ["\u202egnp.exe", "a\u2066b\u2069", "\u2028x", "\ufeffx", "\u200fx", "\x1b[2J\x1b[31mred", "\u0085x", "x" * 200]
    formulas = [f"{sign}{text}" for sign in "=+-@\t|" for text in ("1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://evil.example","x")')]
    lines = ["x\nweir: error: disk full", "x\r\nSet-Cookie: a=b", "2026-11-22 info: all is well", 'weir_up{a="b"} 1\n# HELP x', "'; DROP TABLE flows; --", "\\", '"', "%s%n%x", "../../etc/passwd", "\u00e4\u00f6\u00fc \u6f22\u5b57 \U0001f980"]
    names = markup + control + formulas + lines
    names += [f"{a}{b}" for a in ("<b>", "=", "\x1b]0;") for b in names][: 120 - len(names)]
    return names[:120]


def test_hostile_names_are_inert():
    folder = need_browser()
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        o = page_lib.Overlay(c.port)
        now = int(time.time()) // 60 * 60
        o.templates(now - 300)
        names = hostile_names()
        lib.equal(len(names), 120, "names")
        for i, name in enumerate(names):
            o.flows(o.refusals(now - 200, 1, f"10.77.1.{i + 1}", "10.77.0.2", 22, name.encode()), now - 200, number=page_lib.DENIED)
        c.wait_messages(o.messages, 60)
        window = {"from": f"@{now - 3600}", "to": f"@{now}"}
        found = look(folder, c, "hostile", window=window)
        for view in ("denied", "rules", "flows", "now"):
            lib.equal(found[view], {"hits": 0, "scripts": 1, "images": 0, "frames": 0, "controls": False}, view)
        text = api(c, "export", format="csv", columns="src,denialRuleName", **window).decode()
        rows = list(csv.reader(io.StringIO("".join(line for line in text.splitlines(True) if not line.startswith("# ")), newline="")))
        lib.equal(len(rows), 121, "one line a record")
        lib.check(all(cell[:1] not in "=+-@\t|" or cell == "" for row in rows[1:] for cell in row), "no cell is a formula")
        metrics = c.get("/metrics")[1]
        cl.samples(metrics)
        said = c.process.errors() + c.process.output()
        for what, shown in (("log", said), ("metrics", metrics)):
            lib.check(not re.search("[\x00-\x08\x0b-\x1f\x7f\x85\u202e\u2066]", shown), f"control characters in the {what}")
            lib.check("evil.example" not in shown and "disk full" not in shown, f"names in the {what}")


def check_access(folder, c, o, begin, end, window):
    """Light, private, and for everybody."""
    shots = os.environ.get("WEIR_SCREENSHOTS")
    found = look(folder, c, "access", window=window, **({"shots": shots} if shots else {}))
    lib.equal(found["axe"], [], "serious findings of axe")
    lib.equal(found["wide"], [], "views wider than 320 pixels")
    lib.equal(found["twins"], [], "charts without a table")
    lib.equal(found["policy"], [], "what the Content-Security-Policy refused")
    lib.check(0 < found["octets"] <= 100 * 1024, f"{found['octets']} octets of assets")


def test_an_hour():
    """What is to be seen of an hour that is known to the record."""
    folder = need_browser()
    with lib.Lab() as lab:
        given = seeded(lab)
        for check in (check_ledger, check_truth, check_export, check_filter, check_access):
            began = time.monotonic()
            check(folder, *given)
            print(f"  {check.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def test_live_tail_holds_still():
    """While a row is selected nothing moves, what comes is held and counted, and none of it gets lost."""
    folder = need_browser()
    seconds, rate = int(os.environ.get("WEIR_PAGE_TAIL_S", "3")), 500  # 30 for all
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        o = page_lib.Overlay(c.port)
        o.templates(time.time())
        o.flows(o.busy(time.time(), 1), time.time())
        c.wait_messages(o.messages, 60)
        total = 60 + seconds * rate
        words = ["node", "browser.mjs", f"http://127.0.0.1:{c.http}", "live", json.dumps({"emitted": total})]
        p = lab.start(["sh", "-c", 'cd "$0" && exec "$@"', folder, *words], None, {"CHROMIUM": CHROMIUM})
        p.expect("READY", 120)
        for _ in range(3):
            o.flows(o.busy(time.time(), 20), time.time())
        p.expect("SELECTED|failure", 180)
        for _ in range(seconds * 10):
            o.flows(o.busy(time.time(), rate // 10), time.time())
            time.sleep(0.1)
        p.wait(BROWSER_S)
        found = json.loads(p.output().strip().splitlines()[-1])
        lib.check("failure" not in found, found.get("failure"))
        lib.equal((found["errors"], found["foreign"]), ([], []), "errors, requests to others")
        before, after = found["before"], found["after"]
        lib.equal(before["y"], after["y"], "where the selected row stands")
        lib.equal(before["kept"], after["kept"], "rows shown")
        lib.equal(after["emitted"], total, "records that came")
        lib.equal(after["held"], after["emitted"] - after["kept"] - after["omitted"], "held")
        lib.equal((found["resumed"]["held"], found["resumed"]["kept"]), (0, total - after["omitted"]), "rows after it went on")
        lib.equal(after["omitted"], 0, "left out")
        lib.check(found["heap"] <= 150 << 20, f"{found['heap']} octets of heap")


def cause(folder, c, **state):
    return look(folder, c, "empty", state={"view": "flows", "live": "0", **state})


def test_each_kind_of_nothing_is_named():
    """No exporter, a filter that hides all, silence, out of retention, a wrong clock."""
    folder = need_browser()
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)
        seen = {"no-exporter": cause(folder, c)}
        o = page_lib.Overlay(c.port)
        now = int(time.time())
        o.templates(now - 7200)
        for second in range(now - 7200, now - 5400, 10):
            o.beat(second)
            if second < now - 6000:
                o.flows(o.busy(second, 2), second)
        c.wait_messages(o.messages, 60)
        seen["filter-hides-all"] = cause(folder, c, filter="src 192.0.2.1", **{"from": f"@{now - 7200}", "to": f"@{now - 6000}"})
        seen["silence"] = cause(folder, c, **{"from": f"@{now - 5900}", "to": f"@{now - 5500}"})
        seen["out-of-retention"] = cause(folder, c, **{"from": f"@{now - 90000}", "to": f"@{now - 86400}"})
        seen["clock-skew"] = cause(folder, c, last="30m")
        seen["ingest-stopped"] = cause(folder, c, **{"from": f"@{now - 5000}", "to": f"@{now - 600}"})
        manifest = pathlib.Path(c.store) / "manifest.json"
        manifest.write_bytes(b"{")
        seen["store-unreadable"] = cause(folder, c)
        for name, found in seen.items():
            lib.equal(found["cause"], name, f"{name}: {found['text']}")
            lib.equal(len(found["commands"]), 1, f"{name}: one command")


def test_who_leaves_frees_the_server():
    """A question ends with its client."""
    with lib.Lab() as lab:
        c = cl.Collector(lab, "--workers", 1)

        def active():
            return json.loads(api(c, "status"))["queries_active"]

        with socket.create_connection(("127.0.0.1", c.http)) as s:
            s.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{c.http}\r\n\r\n".encode())
            lib.wait_for("a question", lambda: active() == 1, 60)
        lib.wait_for("its end", lambda: active() == 0, 60)


def test_no_right_to_read():
    """A collector that has no right to its store any more says so."""
    folder = need_browser()
    lib.need("setpriv")
    with lib.Lab() as lab:
        program, store = lab.path("weir-as-nobody"), lab.path("store")
        program.write_text(f'#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups {lib.WEIR} "$@"\n', encoding="ascii")
        program.chmod(0o755)
        store.mkdir()
        os.chown(store, 65534, 65534)
        for path in (store.parent, store.parent.parent):
            path.chmod(path.stat().st_mode | 0o011)
        c = cl.Collector(lab, "--workers", 1, store=store, program=program)
        page_lib.Overlay(c.port).templates(time.time())
        os.chown(store, 0, 0)
        store.chmod(0o700)
        found = cause(folder, c)
        lib.equal(found["cause"], "no-permission", found["text"])
        lib.equal(len(found["commands"]), 1, "commands")


lib.main(globals())
