"""Packages of npm that tests use, in the versions of a package-lock.json in the tree."""

import fcntl
import functools
import shutil
import subprocess

import lib


@functools.cache
def folder(name):
    """.cache/NAME-tests: what is in tests/NAME, and the packages of its lock file, fetched once. None: they cannot be had."""
    source, made = lib.SOURCE / "tests" / name, lib.SOURCE / ".cache" / f"{name}-tests"
    made.mkdir(parents=True, exist_ok=True)
    with open(made / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, have = source / "package-lock.json", made / "package-lock.json"
        # npm writes the second one last.
        there = have.exists() and have.read_bytes() == wanted.read_bytes() and (made / "node_modules" / ".package-lock.json").exists()
        for path in source.iterdir():
            if path.is_file() and not (path.name == have.name and there):
                shutil.copyfile(path, made / path.name)
        if not there:
            shutil.rmtree(made / "node_modules", ignore_errors=True)
            command = ["npm", "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--fetch-retries=1"]
            try:
                subprocess.run(command, cwd=made, capture_output=True, timeout=120, check=True)
            except subprocess.SubprocessError:
                return None
    return made
