"""What the lint tests share: the tracked files, and one way to end."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


def tracked(*suffixes):
    """Files that belong to the project, by git where there is one."""
    listed = subprocess.run(["git", "-C", str(TOP), "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode == 0:
        paths = [TOP / name.decode() for name in listed.stdout.split(b"\0") if name]
    else:
        paths = [p for p in TOP.rglob("*") if not any(s.startswith((".", "build")) for s in p.relative_to(TOP).parts)]
    return sorted(p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes))


def short(path):
    return str(Path(path).resolve().relative_to(TOP))


def finish(checked, faults):
    """Say what was looked at; a lint that looked at nothing has failed."""
    for fault in faults:
        print(fault)
    print(f"{checked} checked, {len(faults)} faults")
    sys.exit(1 if faults or not checked else 0)
