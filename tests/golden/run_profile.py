"""Golden pairs of profiles: profile/NAME.profile is read by `weir check`, profile/NAME.expect is all it prints.

A good profile prints to standard output and exits 0, a bad one to standard error and exits 2. A line of the
expectation that ends in "…" is compared up to there. WEIR_GOLDEN_WRITE=1 writes those anew that differ."""
import os
import pathlib
import subprocess
import sys

weir, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
write = os.environ.get("WEIR_GOLDEN_WRITE") == "1"


def check(name):
    """What weir prints about one profile, or a complaint about how it printed it."""
    done = subprocess.run([weir, "check", name], cwd=folder, capture_output=True, timeout=60)
    out, err = done.stdout.decode(), done.stderr.decode()
    if done.returncode not in (0, 2):
        return f"exit status {done.returncode}\n{out}{err}"
    if bool(out) == bool(err) or (done.returncode == 2) != bool(err):
        return f"exit status {done.returncode} with {len(out)} octets of output and {len(err)} of errors\n{out}{err}"
    return out + err


def same(expected, got):
    expected, got = expected.splitlines(), got.splitlines()
    return len(expected) == len(got) and all(
        g.startswith(e[:-1]) if e.endswith("…") else g == e for e, g in zip(expected, got)
    )


names = sorted({p.stem for p in folder.iterdir() if p.suffix in (".profile", ".expect")})
failed = 0
for name in names:
    got = check(name + ".profile")
    expectation = folder / (name + ".expect")
    expected = expectation.read_text(encoding="utf-8") if expectation.exists() else "(no such file)\n"
    if not same(expected, got) and write:
        expectation.write_text(got, encoding="utf-8")
    elif not same(expected, got):
        failed += 1
        print(f"FAIL {name}\n--- expected\n{expected}--- got\n{got}")
print(f"{len(names) - failed} of {len(names)} profiles as expected")
sys.exit(1 if failed or len(names) < 40 else 0)
