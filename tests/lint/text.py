"""Tracked text: no path of the machine it was written on, no stray white space."""

import re

from tree import TOP, finish, short, tracked

BINARY = {".pcap", ".pcapng", ".ipfix", ".bin", ".png", ".gz"}
# Not behind something that makes it the end of another path: /etc/weir is not /weir.
PATHS = re.compile(rf"(?<![\w.~)}}*-])(?:/(?:home|Users|root|work)/[\w.-]+|{re.escape(str(TOP))}(?![\w.-]))")


def faults_of(path):
    data = path.read_bytes()
    if b"\0" in data or path.suffix in BINARY:
        return []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return [] if "corpus" in path.parts else [f"{short(path)}: not UTF-8"]
    if "corpus" in path.parts or "data" in path.relative_to(TOP).parts[:1]:
        return []
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if PATHS.search(line):
            faults.append(f"{short(path)}:{number}: a path of somebody's machine: {line.strip()[:80]}")
        if line != line.rstrip():
            faults.append(f"{short(path)}:{number}: white space at the end")
    if text and not text.endswith("\n"):
        faults.append(f"{short(path)}: no newline at the end")
    return faults


files = tracked()
finish(len(files), [fault for path in files for fault in faults_of(path)])
