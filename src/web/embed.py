"""Build the page and put its files into a C file, compressed: embed.py NPM SOURCE BUILD OUTPUT.

What npm cannot do (no network, an old Node) is said, and the output is a table without files: weir is whole without
its page. With WEIR_PAGE=required that is an error instead."""

import gzip
import os
import pathlib
import shutil
import subprocess
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
LEFT_OUT = ("node_modules", "dist")
MOST = 100 * 1024


def build(npm, source, folder):
    """The folder with the built page; None: it cannot be built here."""
    work = folder / "page"
    modules = work / "node_modules"
    work.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.name in LEFT_OUT:
            continue
        target = work / entry.name
        if entry.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(entry, target)
        else:
            shutil.copyfile(entry, target)
    lock = (source / "package-lock.json").read_bytes()
    mark = work / "installed-lock.json"
    steps = []
    if not modules.is_dir() or not mark.is_file() or mark.read_bytes() != lock:
        steps.append([npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"])
    steps.append([npm, "run", "--silent", "build"])
    environment = {**os.environ, "WEIR_PAGE_OUT": str(work / "dist"), "NO_UPDATE_NOTIFIER": "1", "CI": "1"}
    for words in steps:
        try:
            done = subprocess.run(words, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as e:
            print(f"the page is left out: {e}", file=sys.stderr)
            return None
        if done.returncode:
            print(f"the page is left out: {' '.join(words)}: {(done.stderr or done.stdout).strip()[-2000:]}", file=sys.stderr)
            return None
        mark.write_bytes(lock)
    return work / "dist"


def squeeze(data):
    return gzip.compress(data, 9, mtime=0)


def main():
    if sys.argv[1] == "--list":
        root = pathlib.Path(sys.argv[2])
        print(*sorted(str(p) for p in root.rglob("*") if p.is_file() and not set(LEFT_OUT) & set(p.relative_to(root).parts)), sep="\n")
        return
    npm, source, folder, output = sys.argv[1:]
    dist = build(npm, pathlib.Path(source), pathlib.Path(folder)) if npm else None
    if dist is None and os.environ.get("WEIR_PAGE") == "required":
        sys.exit(1)
    lines = ["/* Made by embed.py. */", '#include "web/page.h"', ""]
    rows = []
    total = 0
    for i, path in enumerate(sorted(p for p in dist.rglob("*") if p.is_file()) if dist else []):
        data = squeeze(path.read_bytes())
        total += len(data)
        name = path.relative_to(dist).as_posix()
        url = "/" if name == "index.html" else f"/{name}"
        lines.append(f"static const uint8_t file_{i}[] = {{")
        lines += [f"\t{','.join(map(str, data[at : at + 32]))}," for at in range(0, len(data), 32)]
        lines.append("};")
        rows.append(f'\t{{"{url}", "{TYPES[path.suffix]}", {{file_{i}, sizeof file_{i}}}, {"false" if url == "/" else "true"}}},')
    if total > MOST:
        sys.exit(f"the page is {total} octets compressed, {MOST} are allowed")
    lines += ["", "const struct page_file page_files[] = {", *rows, "\t{0},", "};", ""]
    text = "\n".join(lines)
    target = pathlib.Path(output)
    if not target.is_file() or target.read_text() != text:
        target.write_text(text)
    if dist:
        print(f"page: {len(rows)} files, {total} octets compressed", file=sys.stderr)


main()
