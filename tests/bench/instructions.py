#!/usr/bin/env python3
"""Instructions a packet from a capture file to an IPFIX file, held against what was recorded.

instructions.py BUILD [--renew] [--profile]

Instructions do not depend on what else the machine does, as times do; a count over the recorded one by more than 10 %
fails. Callgrind counts user instructions of the whole program; those of a tiny capture (start, end, dynamic loading) are
taken off. Figures of A, B and C are in instructions.json beside this file, for the compiler that is named there: another
one, another kind of build or another processor counts something else, so the test is skipped there (exit status 77).

  --renew    write what was counted into instructions.json: to be done, and said in the commit, when a change is worth
             its instructions or has saved some
  --profile  leave callgrind's files in the build folder's captures/ for callgrind_annotate
"""

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

RECORDED = Path(__file__).with_suffix(".json")
CAPTURES = {"tiny": ("A", 100, 100), "A": ("A", 100_000, 2_000), "B": ("B", 100_000, 10_000), "C": ("C", 30_000, 30_000)}
TOLERATED = 1.10
SKIP = 77


def compiler_of(build):
    """'gcc 12' and the like, and the options that change what is compiled."""
    command = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))[0]["command"].split()
    compiler = command[1 if command[0].endswith("ccache") else 0]
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    kind = "clang" if "clang" in said else "gcc" if "Free Software Foundation" in said else "unknown"
    options = json.loads((build / "meson-info" / "intro-buildoptions.json").read_text(encoding="utf-8"))
    return f"{kind} {re.search(r'([0-9]+)[.]', said)[1]}", {o["name"]: o["value"] for o in options}


def reason_to_skip(build, recorded):
    compiler, options = compiler_of(build)
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    if compiler != recorded["compiler"]:
        return f"recorded for {recorded['compiler']}, this is {compiler}"
    if options["buildtype"] != "release" or options["b_sanitize"] not in ("none", "", []):
        return "only a release build without sanitizers is counted"
    if options["b_lto"] or options["b_coverage"] or options["b_pgo"] != "off":
        return "only a build without link-time optimization, profiles and coverage is counted"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    if platform.machine() != "x86_64" or not {"aes", "avx2"} <= set(flags.split()):
        return "recorded for x86_64 with AES and AVX2"
    return None


def count(build, name, keep):
    workload, packets, flows = CAPTURES[name]
    folder = build / "captures"
    folder.mkdir(exist_ok=True)
    path = folder / f"instructions-{name}.pcap"
    made = subprocess.run(
        [build / "tests" / "bench" / "generate", workload, path, str(packets), str(flows)], capture_output=True, text=True, check=True
    )
    profile = folder / f"instructions-{name}.callgrind" if keep else "/dev/null"
    weir = [build / "src" / "cmd" / "weir", "probe", "-q", "-r", path, "-w", path.with_suffix(".ipfix")]
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", *weir], capture_output=True, text=True, check=False
    )
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not counted:
        sys.exit(f"valgrind and weir answered {run.returncode}\n{run.stderr[-3000:]}")
    path.unlink()
    path.with_suffix(".ipfix").unlink()
    return int(counted[1]), json.loads(made.stderr)["packets"]


def count_all(build, keep):
    tiny, tiny_packets = count(build, "tiny", keep)
    figures = {}
    for name in ("A", "B", "C"):
        total, packets = count(build, name, keep)
        figures[name] = round((total - tiny) / (packets - tiny_packets), 1)
    return figures


def compare(figures, recorded):
    worse = False
    for name, figure in figures.items():
        was = recorded[name]
        verdict = "more than 10 % over: fails" if figure > was * TOLERATED else ""
        if figure < was / TOLERATED:
            verdict = "better: record it with --renew"
        worse = worse or figure > was * TOLERATED
        print(f"{name}: {figure:7.1f} instructions a packet, recorded {was:7.1f} ({figure / was - 1:+.1%}) {verdict}")
    if worse:
        print("What costs them: instructions.py BUILD --profile, then callgrind_annotate BUILD/captures/instructions-A.callgrind")
    return worse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    build = args.build.resolve()
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    if args.renew:
        recorded["compiler"] = compiler_of(build)[0]
    reason = reason_to_skip(build, recorded)
    if reason:
        print(f"SKIP: {reason}")
        return SKIP
    figures = count_all(build, args.profile)
    if args.renew:
        recorded["instructions"] = figures
        RECORDED.write_text(json.dumps(recorded, indent="\t") + "\n", encoding="utf-8")
    return compare(figures, recorded["instructions"])


if __name__ == "__main__":
    sys.exit(main())
