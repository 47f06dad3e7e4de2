"""Golden pairs of policies: policy/NAME.policy is read by `weir policy show`, policy/NAME.expect is all it prints: the
commands for nftables of a good one, one a line; the complaint about a bad one.

WEIR_GOLDEN_WRITE=1 writes those anew that differ."""
import json
import os
import pathlib
import subprocess
import sys

weir, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
write = os.environ.get("WEIR_GOLDEN_WRITE") == "1"


def check(name):
    done = subprocess.run([weir, "policy", "show", name], cwd=folder, capture_output=True, timeout=60)
    out, err = done.stdout.decode(), done.stderr.decode()
    if done.returncode == 0 and not err:
        commands = json.loads(out)["nftables"]
        return "".join(json.dumps(c) + "\n" for c in commands)
    if done.returncode == 2 and not out and err.count("\n") == 1:
        return err
    return f"exit status {done.returncode}\n{out}{err}"


names = sorted({p.stem for p in folder.iterdir() if p.suffix in (".policy", ".expect")})
failed = 0
for name in names:
    got = check(name + ".policy")
    expectation = folder / (name + ".expect")
    expected = expectation.read_text(encoding="utf-8") if expectation.exists() else "(no such file)\n"
    if got != expected and write:
        expectation.write_text(got, encoding="utf-8")
    elif got != expected:
        failed += 1
        print(f"FAIL {name}\n--- expected\n{expected}--- got\n{got}")
print(f"{len(names) - failed} of {len(names)} policies as expected")
sys.exit(1 if failed or len(names) < 20 else 0)
