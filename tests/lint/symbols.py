"""What the compiled objects hold: no variable that can be written at file scope, no call of a function we forbid.

Run on a plain build: sanitizers add symbols of their own. The argument is the build folder. The sources are read for
the forbidden calls as well, since the C library's headers turn some of them into others.
"""

import re
import subprocess
import sys
from pathlib import Path

from tree import TOP, finish, short, tracked

MUTABLE_ALLOWED = set()  # "object:symbol"; empty, and meant to stay so

FORBIDDEN = {
    "system": "a shell; use uv_spawn or posix_spawn",
    "popen": "a shell; use uv_spawn or posix_spawn",
    "strcpy": "no bound; use snprintf or memcpy with a checked length",
    "strcat": "no bound; use snprintf",
    "sprintf": "no bound; use snprintf",
    "vsprintf": "no bound; use vsnprintf",
    "gets": "no bound; use getline",
    "atoi": "no error; use strtol and look at the end",
    "atol": "no error; use strtol and look at the end",
    "gethostbyname": "not reentrant, IPv4 only; use getaddrinfo",
    "rand": "guessable; use getrandom",
    "srand": "guessable; use getrandom",
    "tmpnam": "a race; use mkstemp",
    "mktemp": "a race; use mkstemp",
}

# objdump -t: value, 7 flag characters, section, size, name.
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$")


def is_writable(section):
    if section.startswith(".data.rel.ro"):
        return False
    return section == "*COM*" or section.startswith((".data", ".bss", ".tdata", ".tbss"))


def faults_of(container):
    faults = []
    member = container.name
    out = subprocess.run(["objdump", "-t", str(container)], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        if ":     file format" in line:
            member = Path(line.split(":     file format")[0]).name
        m = SYMBOL.match(line)
        if not m:
            continue
        flags, section, name = m.groups()
        if "O" in flags and is_writable(section) and f"{member}:{name}" not in MUTABLE_ALLOWED:
            faults.append(f"{member}: '{name}' in {section} can be written; state hangs off what main makes")
        plain = name.removeprefix("__").removesuffix("_chk") if name.endswith("_chk") else name
        if section == "*UND*" and plain in FORBIDDEN:
            faults.append(f"{member}: calls {plain}: {FORBIDDEN[plain]}")
    return faults


def calls_in(path):
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        for name in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
            if name in FORBIDDEN:
                faults.append(f"{short(path)}:{number}: calls {name}: {FORBIDDEN[name]}")
    return faults


# What may be missing in a module until its command loads the library: functions alone, looked for when they are called.
LEFT_OPEN = {"weir-query.so": "duckdb_"}


def left_open(module, prefix):
    """Symbols that nothing resolves, and those that would be looked for before anybody has loaded their library."""
    said = subprocess.run(["ldd", "-r", str(module)], capture_output=True, text=True, check=False)
    missing = re.findall(r"undefined symbol: (\w+)", said.stdout + said.stderr)
    faults = [f"{module.name}: '{name}' is in none of its libraries" for name in missing if not name.startswith(prefix)]
    relocations = subprocess.run(["readelf", "-rW", str(module)], capture_output=True, text=True, check=True).stdout
    for kind, name in re.findall(r"(R_\w+)\s+\w+\s+(\w+)", relocations):
        if name.startswith(prefix) and "JUMP_SLO" not in kind:
            faults.append(f"{module.name}: '{name}' is wanted at load ({kind}): call it, do not point at it")
    return faults if missing else [*faults, f"{module.name}: nothing is left open: is it linked with all?"]


build = Path(sys.argv[1])
containers = sorted((build / "src").glob("lib*.a")) + sorted((build / "src" / "cmd").glob("*.p/*.o"))
sources = [p for p in tracked(".c", ".h") if (TOP / "src") in p.parents]
faults = [fault for container in containers for fault in faults_of(container)]
faults += [fault for path in sources for fault in calls_in(path)]
for name, prefix in LEFT_OPEN.items():
    if (build / "src/cmd" / name).exists():
        faults += left_open(build / "src/cmd" / name, prefix)
finish(len(containers) and len(containers) + len(sources), faults)
