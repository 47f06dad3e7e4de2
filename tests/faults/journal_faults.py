#!/usr/bin/env python3
"""Faults against the journal, and the judge.

A writer appends numbered messages and says what it promises (journal_fault.c has the lines). Then something happens
to it. Then the journal is recovered, and everything that was promised has to be in it: each message once, its octets
as they were; what was refused is not in it; a second recovery changes nothing.

  kill    SIGKILL at a random moment, again and again over the same store
  inject  a kill or an errno at each call of each system call of the journal (strace -e inject)
  limit   files that may not grow (RLIMIT_FSIZE): real short writes, EFBIG
  full    a file system without room, and room again (needs root: a small tmpfs in a mount namespace of its own)
  power   the picture of an ext4 on a loop device as the disk has it, at a random moment (needs root)

First of all the judge itself is judged: faults are put into the writer (journal_mutants.c), and each has to be found.

usage: journal_faults.py WRITER MUTANT [--all] [--only NAME] [--seed N]
Without --all a slice is run, for every day.
"""

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BATCH = 64
CALLS = {  # which faults make sense where
    "pwritev": ["SIGKILL", "EIO", "ENOSPC", "EINTR"],
    "pwrite64": ["SIGKILL", "EIO", "ENOSPC", "EINTR"],
    "fdatasync": ["SIGKILL", "EIO", "ENOSPC", "EINTR"],
    "fsync": ["SIGKILL", "EIO"],
    "ftruncate": ["SIGKILL", "EIO"],
    "openat": ["SIGKILL", "EMFILE", "ENOSPC", "EIO"],
    "renameat": ["SIGKILL", "EIO", "ENOSPC"],
    "unlinkat": ["SIGKILL", "EIO"],
    "mkdirat": ["SIGKILL", "ENOSPC"],
    "pread64": ["SIGKILL", "EIO", "EINTR"],
    "getdents64": ["SIGKILL", "EIO"],
    "flock": ["SIGKILL", "EINTR"],
    "close": ["SIGKILL", "EIO"],
}


class Broken(Exception):
    """A promise was not kept."""


class Promises:
    """What the writers of one store have said so far."""

    def __init__(self):
        self.stored = []  # (first, last, segment, from, to)
        self.refused = set()
        self.mark = (0, 0)
        self.holes = set()
        self.released = 0
        self.alarms = 0
        self.ended = False
        self.next = 0

    def hear(self, text):
        self.ended = False
        for line in text.split("\n")[:-1]:  # what follows the last newline is half a line
            word, *rest = line.split()
            if word == "#":
                continue
            numbers = tuple(int(n) for n in rest)
            if word == "S":
                self.stored.append(numbers)
                self.next = max(self.next, numbers[1] + 1)
            elif word == "N":
                self.refused.update(range(numbers[0], numbers[1] + 1))
                self.next = max(self.next, numbers[1] + 1)
            elif word == "U":
                self.next = max(self.next, numbers[1] + 1)
            elif word == "W":
                self.mark = max(self.mark, numbers)
            elif word == "H":
                self.holes.add(numbers)
            elif word == "R":
                self.released = max(self.released, numbers[0])
            elif word == "A":
                self.alarms = max(self.alarms, numbers[0])
            elif word == "E":
                self.ended = True

    def accepted(self):
        numbers = set()
        for first, last, segment, begin, end in self.stored:
            if segment < self.released or (segment, end) > self.mark:
                continue
            if any(h == segment and begin < to and end > at for h, at, to in self.holes):
                continue
            numbers.update(range(first, last + 1))
        return numbers

    def judge(self, present):
        lost = self.accepted() - present
        if lost:
            raise Broken(f"{len(lost)} accepted messages are gone, {min(lost)} the first")
        back = self.refused & present
        if back:
            raise Broken(f"{len(back)} refused messages are there, {min(back)} the first")
        if present and max(present) >= self.next + BATCH:
            raise Broken(f"message {max(present)} was never sent")
        self.next = max(self.next, max(present, default=0)) + BATCH + 1


class Bench:
    def __init__(self, options, writer):
        self.options, self.writer = options, writer
        self.random = random.Random(options.seed)
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="weir-faults-", dir=base)
        self.said = os.path.join(self.folder, "said")
        self.log = os.path.join(self.folder, "strace")
        self.store = os.path.join(self.folder, "store")
        self.accepted = self.runs = 0
        self.sites = set()

    def fresh(self, store=None):
        shutil.rmtree(store or self.store, ignore_errors=True)
        return Promises()

    def start(self, promises, batches=0, before=(), store=None, limit=None, environment=None):
        """A writer that says into a file: what it said outlives it."""
        self.out = open(self.said, "wb")
        seed = self.random.randrange(1 << 32)
        command = [*before, self.writer, "write", store or self.store, str(seed), str(promises.next), str(batches)]

        def lower():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        return subprocess.Popen(command, stdout=self.out, stderr=subprocess.DEVNULL,
                                env={**os.environ, **(environment or {})}, preexec_fn=lower if limit else None)

    def hear(self, promises):
        with open(self.said, "rb") as f:
            promises.hear(f.read().decode())

    def stop(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.out.close()

    def check(self, promises, store=None, environment=None):
        """Recover and compare; raises Broken."""
        done = subprocess.run([self.writer, "check", store or self.store], capture_output=True, text=True,
                              env={**os.environ, **(environment or {})}, check=False)
        if done.returncode:
            raise Broken(done.stdout.strip().split("\n")[-1] or f"check ended with {done.returncode}")
        present = set()
        for line in done.stdout.split("\n"):
            if line.startswith("J "):
                first, last = line.split()[1:]
                present.update(range(int(first), int(last) + 1))
        accepted = len(promises.accepted())
        promises.judge(present)
        self.accepted += accepted
        self.runs += 1

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def kill(bench, count, environment=None):
    promises = bench.fresh()
    for i in range(count):
        if i % 20 == 0:
            promises = bench.fresh()
        process = bench.start(promises, environment=environment)
        time.sleep(bench.random.uniform(0.001, 0.03))
        bench.stop(process)
        bench.hear(promises)
        bench.check(promises, environment=environment)


def site_of(bench, call):
    """Where strace struck: the call and what it was about; None if it did not."""
    last = None
    with open(bench.log, encoding="utf-8", errors="replace") as f:
        for line in f:
            if "INJECTED" in line or "+++ killed" in line:
                break
            last = line
        else:
            return None
    text = line if "INJECTED" in line else last or ""
    about = re.findall(r"\.ipfix|\.side|watermark|journal/0\b|journal\b|store\b|\.so\b|/etc\b", text)
    return call, about[-1] if about else "other"


def inject_one(bench, promises, call, fault, number, environment=None):
    what = "signal=SIGKILL" if fault == "SIGKILL" else f"error={fault}"
    before = ["strace", "-qq", "-y", "-o", bench.log, "-e", f"trace={call}",
              "-e", f"inject={call}:{what}:when={number}"]
    process = bench.start(promises, batches=24, before=before, environment=environment)
    process.wait()
    bench.out.close()
    bench.hear(promises)
    return site_of(bench, call)


def inject(bench, everything, environment=None, calls=None):
    for call, faults in (calls or CALLS).items():
        for fault in faults:
            promises = bench.fresh()
            number, step = 1, 1
            while True:
                if bench.runs % 8 == 0:
                    promises = bench.fresh()
                alarms = promises.alarms = 0
                site = inject_one(bench, promises, call, fault, number, environment)
                if not site:
                    break
                bench.sites.add((*site, fault))
                try:
                    bench.check(promises, environment=environment)
                except Broken as found:
                    raise Broken(f"{fault} at {call} number {number} ({site[1]}): {found}") from found
                if call == "fdatasync" and fault != "SIGKILL" and site[1] in (".ipfix", ".side") and \
                        promises.ended and promises.alarms == alarms:
                    raise Broken(f"{fault} of fdatasync number {number} raised no alarm")
                number += step
                if not everything:
                    step = step * 3 if step < 27 else step + 27


def limit(bench, count, environment=None):
    promises = bench.fresh()
    for i in range(count):
        if i % 5 == 0:
            promises = bench.fresh()
        process = bench.start(promises, batches=30, limit=bench.random.randrange(1600, 26000),
                              environment=environment)
        process.wait()
        bench.out.close()
        bench.hear(promises)
        bench.check(promises, environment=environment)


def wait_for(bench, promises, true, what):
    for _ in range(2000):
        bench.hear(promises)
        if true():
            return
        time.sleep(0.005)
    raise Broken(f"{what} did not happen")


def full(bench, count):
    """No room: refused, and said so; room: it goes on."""
    place = os.path.join(bench.folder, "small")
    os.makedirs(place, exist_ok=True)
    for _ in range(count):
        promises = Promises()
        size = bench.random.randrange(40, 120) * 4096
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "weir-faults", place], check=True)
        try:
            with open(os.path.join(place, "ballast"), "wb") as f:
                f.write(bytes(max(0, size - bench.random.randrange(16, 30) * 4096)))
            store = os.path.join(place, "store")
            process = bench.start(promises, store=store)
            try:
                wait_for(bench, promises, lambda: promises.refused, "a refusal")
                refused = max(promises.refused)
                os.unlink(os.path.join(place, "ballast"))
                wait_for(bench, promises, lambda: promises.stored and promises.stored[-1][0] > refused, "going on")
            finally:
                bench.stop(process)
            bench.hear(promises)
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)  # for the judge
            bench.check(promises, store=store)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def copy_at_rest(source, target):
    """The picture as it was at one moment: again, until nothing was written meanwhile."""
    while True:
        shutil.copyfile(source, target)
        if subprocess.run(["cmp", "-s", source, target], check=False).returncode == 0:
            return


def power(bench, count, environment=None):
    disk, copy = (os.path.join(bench.folder, n) for n in ("disk", "copy"))
    live, after = (os.path.join(bench.folder, n) for n in ("live", "after"))
    os.makedirs(live, exist_ok=True)
    os.makedirs(after, exist_ok=True)
    for start in range(0, count, 10):
        with open(disk, "wb") as f:
            f.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, live], check=True)
        store, promises = os.path.join(live, "store"), Promises()
        process = bench.start(promises, store=store, environment=environment)
        try:
            for _ in range(min(10, count - start)):
                time.sleep(bench.random.uniform(0.01, 0.06))
                process.send_signal(signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
                seen = Promises()
                bench.hear(seen)
                # What any other process could see at this moment counts as promised, too.
                seen.hear(subprocess.run([bench.writer, "mark", store], capture_output=True, text=True,
                                         check=True).stdout)
                copy_at_rest(disk, copy)
                process.send_signal(signal.SIGCONT)
                subprocess.run(["mount", "-o", "loop", copy, after], check=True)
                try:
                    bench.check(seen, store=os.path.join(after, "store"))
                finally:
                    subprocess.run(["umount", after], check=True)
        finally:
            bench.stop(process)
            subprocess.run(["umount", live], check=True)


def loops_work():
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control") and shutil.which("mkfs.ext4") is not None


MUTANTS = {  # what was put in, and which test has to find it
    "fsync left out": ("power", lambda b, e: power(b, 20, e)),
    "watermark before fsync": ("power", lambda b, e: power(b, 40, e)),
    "tail not cut": ("kill", lambda b, e: kill(b, 400, e)),
    "fsync tried again": ("inject", lambda b, e: inject(b, True, e, {"fdatasync": ["EIO"]})),
    "short write taken for whole": ("limit", lambda b, e: limit(b, 60, e)),
}


def judge_the_judge(options, able):
    missed = 0
    for mutant, (name, run) in MUTANTS.items():
        if name not in able:
            print(f"mutant {mutant!r}: not tried, {name} is not possible here")
            continue
        bench = Bench(options, options.mutant)
        try:
            run(bench, {"MUTANT": mutant})
            missed += 1
            print(f"mutant {mutant!r}: NOT FOUND by {name} in {bench.runs} runs")
        except Broken as found:
            print(f"mutant {mutant!r}: found by {name} after {bench.runs + 1} runs: {found}")
        finally:
            bench.close()
        sys.stdout.flush()
    return missed


def run_tests(options, able):
    n = {"kill": 10000, "limit": 1000, "full": 100, "power": 1000} if options.all else \
        {"kill": 100, "limit": 30, "full": 3, "power": 10}
    tests = {
        "kill": lambda b: kill(b, n["kill"]),
        "inject": lambda b: inject(b, options.all),
        "limit": lambda b: limit(b, n["limit"]),
        "full": lambda b: full(b, n["full"]),
        "power": lambda b: power(b, n["power"]),
    }
    broken = 0
    for name, run in tests.items():
        if options.only and options.only != name:
            continue
        if name not in able:
            print(f"{name}: not possible here")
            continue
        bench, begin = Bench(options, options.writer), time.monotonic()
        try:
            run(bench)
            verdict = "0 lost, 0 doubled"
        except Broken as found:
            broken += 1
            verdict = f"BROKEN: {found} (kept: {bench.folder})"
        took = time.monotonic() - begin
        sites = f", {len(bench.sites)} distinct sites hit" if bench.sites else ""
        print(f"{name}: {bench.runs} runs, seed {options.seed}{sites}, {bench.accepted} accepted messages "
              f"looked for, {took:.0f} s: {verdict}")
        for site in sorted(bench.sites) if options.all else ():
            print("   ", *site)
        if not verdict.startswith("BROKEN"):
            bench.close()
        sys.stdout.flush()
    return broken


def own_namespace():
    """Mounts of ours are seen by nobody and are gone with us."""
    if os.geteuid() == 0 and "WEIR_FAULTS_INSIDE" not in os.environ and shutil.which("unshare"):
        os.environ["WEIR_FAULTS_INSIDE"] = "1"
        if subprocess.run(["unshare", "-m", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])
        del os.environ["WEIR_FAULTS_INSIDE"]
    return "WEIR_FAULTS_INSIDE" in os.environ


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("writer")
    parser.add_argument("mutant")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    able = {"kill", "limit"}
    if own_namespace():
        able.add("full")
        if loops_work():
            able.add("power")
    if shutil.which("strace"):
        able.add("inject")
    missed = 0 if options.only not in (None, "mutants") else judge_the_judge(options, able)
    return 1 if missed + run_tests(options, able) else 0


if __name__ == "__main__":
    sys.exit(main())
