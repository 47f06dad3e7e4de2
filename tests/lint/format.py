"""Every C file is as clang-format leaves it."""

import shutil
import subprocess
import sys

from tree import finish, short, tracked

if not shutil.which("clang-format"):
    print("SKIP: clang-format is not installed")
    sys.exit(77)

files = tracked(".c", ".h")
out = subprocess.run(
    ["clang-format", "--dry-run", *map(str, files)], capture_output=True, text=True, check=True
).stderr
named = sorted({line.split(":")[0] for line in out.splitlines() if "[-Wclang-format-violations]" in line})
finish(len(files), [f"{short(name)}: run 'make format'" for name in named])
