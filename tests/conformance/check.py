#!/usr/bin/env python3
"""The points of the RFCs, the test of each, and docs/conformance.md, which is made of both.

check.py               every named test is in the tree, and docs/conformance.md has the rows of points.csv, each with a result
check.py --write LOG…  write docs/conformance.md with what the named tests said in LOG (meson-logs/testlog.json of whole runs);
                       a test that failed, or did not run, is an error
check.py --update LOG…  likewise, of some tests only: points of which none ran keep what the page says

A test is SUITE/NAME:CASE as `meson test` and the log of the test name it: a function of tests/unit/SUITE/test_NAME.c or of
tests/e2e/test_NAME.py; vm:NAME is tests/vm/guest/NAME.sh.
"""

import csv
import json
import re
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
TABLE = TREE / "tests" / "conformance" / "points.csv"
PAGE = TREE / "docs" / "conformance.md"
REASONS = ("does not apply: ", "not met: ")

HEAD = """# Conformance

What the RFCs ask of an Exporting Process (and of both sides), point by point; A is RFC 7011, B RFC 5103, C RFC 5610, D RFC 5655;
G are the tests of RFC 5471, as RFC 7011 has changed what they expect: both sides of weir, and libfixbuf, tshark and nfcapd as readers.
Made by `make conformance` from `tests/conformance/points.csv` and what the named tests said; the
test `lint/conformance` holds that each of them is there. *skipped* stands where the machine of that run lacked something.

| point | section | what it asks | test | result |
|---|---|---|---|---|
"""


def rows():
    with open(TABLE, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def source_of(test):
    suite, _, case = test.partition(":")
    if suite == "vm":
        return TREE / "tests" / "vm" / "guest" / f"{case}.sh", None
    folder, _, name = suite.partition("/")
    if folder == "e2e":
        return TREE / "tests" / "e2e" / f"test_{name}.py", rf"^def {re.escape(case)}\("
    return TREE / "tests" / "unit" / folder / f"test_{name}.c", rf"^static void {re.escape(case)}\(void \*\*"


def faults_of_table(table):
    seen = set()
    for row in table:
        point = row["point"]
        if point in seen:
            yield f"{point}: twice"
        seen.add(point)
        if bool(row["tests"]) == bool(row["note"]):
            yield f"{point}: tests or a reason, one of them"
        if row["note"] and not row["note"].startswith(REASONS):
            yield f"{point}: a reason begins with one of {REASONS}"
        for test in row["tests"].split():
            path, pattern = source_of(test)
            if not path.is_file() or (pattern and not re.search(pattern, path.read_text(encoding="utf-8"), re.M)):
                yield f"{point}: no test {test}"


def said(logs):
    """{test: "passed", "failed" or "skipped"} of every case in the logs."""
    found = {}
    for log in logs:
        for line in Path(log).read_text(encoding="utf-8").splitlines():
            run = json.loads(line)
            name = run["name"].rpartition(" / ")[2]
            out = run.get("stdout", "") + run.get("stderr", "")
            for word, case in re.findall(r"^\[ +(OK|FAILED|SKIPPED) +\] (\w+)", out, re.M):
                found[f"{name}:{case}"] = {"OK": "passed", "FAILED": "failed"}.get(word, "skipped")
            for case, word in re.findall(r"^(test_\w+) \([\d.]+ s\): (\w+)", out, re.M):
                found[f"{name}:{case}"] = {"ok": "passed", "FAILED": "failed"}.get(word, "skipped")
            if name.startswith("vm/"):
                result = {"OK": "passed", "SKIP": "skipped"}.get(run["result"], "failed")
                case = f"vm:{name.split('/')[-1].split('-')[0]}"
                found[case] = max(result, found.get(case, result), key=["passed", "skipped", "failed"].index)
    return found


def result_of(row, results):
    if row["note"]:
        return row["note"]
    words = {results.get(test, "not run") for test in row["tests"].split()}
    for word in ("failed", "not run", "passed", "skipped"):
        if word in words:
            return word
    return "not run"


def page(table, result):
    lines = [HEAD]
    for row in table:
        tests = "<br>".join(f"`{test}`" for test in row["tests"].split())
        lines.append(f"| {row['point']} | {row['section']} | {row['requirement']} | {tests} | {result(row)} |\n")
    return "".join(lines)


def results_on_page():
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7:
            found[cells[1]] = cells[5]
    return found


def keep(table, results):
    """With what the page says of tests that did not run, by the points that they are in."""
    before = results_on_page()
    for row in table:
        for test in row["tests"].split():
            if test not in results and before.get(row["point"]) in ("passed", "skipped"):
                results[test] = before[row["point"]]
    return results


def main():
    table = rows()
    faults = list(faults_of_table(table))
    if sys.argv[1:2] in (["--write"], ["--update"]):
        results = said(sys.argv[2:])
        if sys.argv[1] == "--update":
            results = keep(table, results)
        for row in table:
            if result_of(row, results) in ("failed", "not run"):
                bad = [t for t in row["tests"].split() if results.get(t, "not run") in ("failed", "not run")]
                faults.append(f"{row['point']}: " + ", ".join(f"{t} {results.get(t, 'not run')}" for t in bad))
        PAGE.write_text(page(table, lambda row: result_of(row, results)), encoding="utf-8")
    else:
        shown = results_on_page() if PAGE.exists() else {}
        for row in table:
            if shown.get(row["point"]) not in ({row["note"]} if row["note"] else {"passed", "skipped"}):
                faults.append(f"{row['point']}: docs/conformance.md says {shown.get(row['point'])!r}; run make conformance")
        if not faults and PAGE.read_text(encoding="utf-8") != page(table, lambda row: shown[row["point"]]):
            faults.append("docs/conformance.md is not what points.csv says; run make conformance")
    print("\n".join(faults) if faults else f"{len(table)} points")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
