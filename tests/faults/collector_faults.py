#!/usr/bin/env python3
"""Faults against the collector: its receiver, its loader, their keeper; and the judge.

A sender sends numbered records to a collector as `weir collect` runs it. Then something happens to it. Then the store
has to have every record whose message was accepted (lay below the journal's watermark), each once, none that was not
sent, and, where nothing but death came between, no gap in what a sender sent; after a restart all of that is in
partitions, and a second restart changes nothing (collector_fault.c, collector_judge.c).

  kill    SIGKILL at a random moment: of all processes at once, of the receiver, of the loader first
  loader  a kill and each errno, and half a write, at every system call of the loader (seccomp user notification)
  sites   the same at each distinct system call (process, call, file) of all processes of the collector
  limit   files that may not grow beyond a random size (RLIMIT_FSIZE): real short writes and EFBIG in the loader
  power   the picture of an ext4 on a loop device as the disk has it, at a random moment (needs root)

First of all the judge itself is judged: faults are put into the loader (collector_mutants.c), and each has to be found.

usage: collector_faults.py PROGRAM MUTANT [--all] [--only NAME] [--seed N] [--count N]
Without --all a slice is run, for every day.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from journal_faults import Broken, copy_at_rest, loops_work, own_namespace

PICTURES = 10  # of one disk
STOPPED = 3  # the program's exit status when somebody else ended one of its processes


class Done:
    """What a test has done."""

    def __init__(self):
        self.runs, self.text, self.sites = 0, "", []


def campaign(options, folder, program, name, *numbers, environment=None):
    """One of the tests that the program does by itself."""
    ran = subprocess.run(
        [program, name, folder, str(options.seed), *map(str, numbers)],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    lines = ran.stdout.splitlines()
    if ran.returncode == 77:
        print(lines[-1])
        raise NotPossible
    done = Done()
    done.sites = [line[2:] for line in lines if line.startswith("@ ")]
    done.text = next((line[2:] for line in lines if line.startswith("= ")), "")
    done.runs = int(done.text.split()[0]) if done.text else 0
    if ran.returncode == STOPPED or ran.returncode in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
        raise SystemExit(f"{name}: stopped from outside after {done.runs} runs")
    if ran.returncode:
        said = [line[2:] for line in lines if line.startswith("# ")] or [f"it ended with {ran.returncode}"]
        broken = Broken("; ".join(said[-3:]))
        broken.runs = done.runs
        raise broken
    return done


class NotPossible(Exception):
    """Here."""


class Power:
    """A collector on a disk of its own."""

    def __init__(self, options, folder, program, environment):
        self.program, self.folder = program, folder
        self.environment = {**os.environ, **(environment or {})}
        self.random = random.Random(options.seed)
        self.disk, self.copy, self.live, self.after, self.book, self.seen = (
            os.path.join(folder, n) for n in ("disk", "copy", "live", "after", "book", "seen")
        )

    def ask(self, what, store, book):
        ran = subprocess.run([self.program, what, store, book], capture_output=True, text=True, env=self.environment, check=False)
        if ran.returncode:
            raise Broken(ran.stdout.strip().replace("# ", "").replace("\n", "; ") or f"{what} ended with {ran.returncode}")

    def picture(self, groups, store):
        """Everything stands still; the disk as it is, and what was promised until then."""
        for group in groups:
            os.killpg(group, signal.SIGSTOP)
        self.ask("mark", store, self.book)
        shutil.copyfile(self.book, self.seen)
        copy_at_rest(self.disk, self.copy)
        subprocess.run(["mount", "-o", "loop", self.copy, self.after], check=True)
        try:
            self.ask("check", os.path.join(self.after, "store"), self.seen)
        finally:
            subprocess.run(["umount", self.after], check=True)
        for group in groups:
            os.killpg(group, signal.SIGCONT)

    def disk_of_its_own(self, count):
        with open(self.disk, "wb") as f:
            f.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.disk], check=True)
        # Without the file system's own help for programs that rename before they sync.
        subprocess.run(["mount", "-o", "loop,noauto_da_alloc", self.disk, self.live], check=True)
        store = os.path.join(self.live, "store")
        if os.path.exists(self.book):
            os.unlink(self.book)
        process = subprocess.Popen(
            [self.program, "run", store, self.book, str(self.random.randrange(1 << 32))],
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        groups = [process.pid, int(process.stdout.readline().split()[1])]
        taken = 0
        try:
            while taken < count:
                time.sleep(self.random.uniform(0.01, 0.2))
                self.picture(groups, store)
                taken += 1
        finally:
            for group in groups:
                os.killpg(group, signal.SIGKILL)
            process.wait()
            for _ in range(1000):
                if subprocess.run(["umount", self.live], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.02)


def power(options, folder, program, count, environment=None):
    p = Power(options, folder, program, environment)
    os.makedirs(p.live)
    os.makedirs(p.after)
    done = Done()
    try:
        while done.runs < count:
            p.disk_of_its_own(min(PICTURES, count - done.runs))
            done.runs += min(PICTURES, count - done.runs)
    except Broken as broken:
        broken.runs = done.runs
        raise
    done.text = f"{done.runs} runs: {done.runs} power cuts, on ext4 on a loop device"
    return done


# What was put in, which test has to find it, and how long that test tries.
MUTANTS = {
    "position before the partitions": ("kill", (200,)),
    "position behind the partitions": ("kill", (200,)),
    "manifest left out": ("kill", (200,)),
    "short write taken for whole": ("loader", (1, "write /.manifest")),
    "fsync tried again": ("loader", (1, "fsync /parts")),
    "fsync left out": ("power", (60,)),
    "rename before fsync": ("power", (100,)),
}
SLICE = ["position before the partitions"]


def run_one(options, program, name, numbers, environment=None):
    """In a folder that stays when something was found in the real thing."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="weir-faults-", dir=base)
    try:
        if name == "power":
            return power(options, folder, program, *numbers, environment=environment)
        return campaign(options, folder, program, name, *numbers, environment=environment)
    except Broken as broken:
        broken.folder = folder
        if environment:
            shutil.rmtree(folder, ignore_errors=True)
        folder = None
        raise
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def judge_the_judge(options, able):
    missed = 0
    for mutant, (name, numbers) in MUTANTS.items():
        if name not in able or (not options.all and mutant not in SLICE):
            if name not in able:
                print(f"mutant {mutant!r}: not tried, {name} is not possible here")
            continue
        began = time.monotonic()
        try:
            done = run_one(options, options.mutant, name, numbers, {"MUTANT": mutant})
            missed += 1
            print(f"mutant {mutant!r}: NOT FOUND by {name} in {done.runs} runs")
        except NotPossible:
            continue
        except Broken as found:
            print(f"mutant {mutant!r}: found by {name} after {found.runs} runs, {time.monotonic() - began:.0f} s: {found}")
        sys.stdout.flush()
    return missed


def run_tests(options, able):
    tests = {"kill": (10000,), "loader": (1,), "sites": (2, 1), "limit": (1000,), "power": (1000,)}
    if not options.all:
        tests = {"kill": (25,), "loader": (241,), "sites": (1, 127), "limit": (3,), "power": (2,)}
    broken = 0
    for name, numbers in tests.items():
        if options.only and options.only != name:
            continue
        if name not in able:
            print(f"{name}: not possible here")
            continue
        if options.count:
            numbers = (options.count, *numbers[1:])
        began, sites = time.monotonic(), []
        try:
            done = run_one(options, options.program, name, numbers)
            verdict, text, sites = "0 lost, 0 doubled", done.text, done.sites
        except NotPossible:
            continue
        except Broken as found:
            broken += 1
            text, verdict = f"{found.runs} runs", f"BROKEN: {found} (kept: {found.folder})"
        print(f"{name}: {text}, seed {options.seed}, {time.monotonic() - began:.0f} s: {verdict}")
        for site in sorted(sites) if options.all else ():
            print("   ", site)
        sys.stdout.flush()
    return broken


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("mutant")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    able = {"kill", "loader", "sites", "limit"}
    if own_namespace() and loops_work():
        able.add("power")
    missed = 0 if options.only not in (None, "mutants") else judge_the_judge(options, able)
    return 1 if missed + run_tests(options, able) else 0


if __name__ == "__main__":
    sys.exit(main())
