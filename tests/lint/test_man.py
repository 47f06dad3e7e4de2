"""The man pages say what the program says.

- Every command's --help and its page name the same options: letter, long name, with or without argument.
- weir.json(5) and the table of properties agree in names, allowed values and defaults. The table is asked
  through `weir check`: defaults by an empty profile, allowed values by giving each property an object.
- Profiles in the examples of weir.json(5) are good.
- weir-query(1) has the words of `weir query --words`, each with its help."""
import json
import pathlib
import re
import subprocess
import sys

weir, man = sys.argv[1], pathlib.Path(sys.argv[2])
complaints = []


def run(*words, text=None):
    return subprocess.run([weir, *words], input=text, capture_output=True, text=True, timeout=60)


def compare(what, page, program):
    for key in sorted(page.keys() | program.keys()):
        if page.get(key) != program.get(key):
            complaints.append(f"{what}: {key}: page has {page.get(key)}, program has {program.get(key)}")


def help_options(text):
    """{long name: (letter, takes an argument)}"""
    rows = re.findall(r"^  (?:-(\w), |    |)--([a-z][a-z-]*)( \S+)?", text, re.M)
    return {name: (letter, bool(argument)) for letter, name, argument in rows}


def page_options(text):
    rows = re.findall(r"^(?:\*-(\w)\*, )?\*--([a-z][a-z-]*)\*( _\S+_)?$", text, re.M)
    return {name: (letter, bool(argument)) for letter, name, argument in rows}


def check_commands():
    commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.M)
    if "check" not in commands:
        complaints.append(f"weir --help lists {commands}")
    overview = (man / "weir.1.scd").read_text(encoding="utf-8")
    for command in commands:
        pages = list(man.glob(f"weir-{command}.[18].scd"))
        if len(pages) != 1:
            complaints.append(f"weir {command}: {len(pages)} pages")
            continue
        options = help_options(run(command, "--help").stdout)
        if "help" not in options:
            complaints.append(f"weir {command} --help could not be read")
        compare(pages[0].name, page_options(pages[0].read_text(encoding="utf-8")), options)
        if f"*{command}*\n" not in overview:
            complaints.append(f"weir.1: no word of {command}")


def page_properties(text):
    """{name: (allowed values, default)}"""
    rows = re.findall(r"^\*([\w.]+)\*\n\t(.+)\. Default: (.+)\.$", text, re.M)
    return {name: (allowed, default) for name, allowed, default in rows}


def program_properties():
    found = {}
    for line in run("check", "-", text='{"FlowMetadata":{}}').stdout.splitlines():
        row = re.match(r"([A-Z][\w.]+) +(\S+)", line)
        if not row:
            continue
        name, default = row.groups()
        profile = {}
        for part in reversed(name.split(".")):
            profile = {part: profile}
        wrong = run("check", "-", text=json.dumps({"FlowMetadata": profile})).stderr
        allowed = re.search(r"an object seen; (.+) allowed$", wrong.strip())
        allowed = allowed[1] if allowed else wrong
        found[name] = (allowed, f'"{default}"' if f'"{default}"' in allowed else default)
    return found


def check_profile_page():
    text = (man / "weir.json.5.scd").read_text(encoding="utf-8")
    program = program_properties()
    if len(program) < 16:
        complaints.append(f"weir check names only {sorted(program)}")
    compare("weir.json.5", page_properties(text), program)
    examples = re.findall(r"^```\n(\{.+?)^```", text, re.M | re.S)
    if len(examples) < 3:
        complaints.append(f"weir.json.5: {len(examples)} examples")
    for example in examples:
        done = run("check", "-", text=example)
        if done.returncode != 0:
            complaints.append(f"weir.json.5: an example is refused: {done.stderr}{example}")


def check_words():
    """{"[src|dst] host, ip": help}, in the order of both"""
    text = run("query", "--words").stdout
    if not text:  # built without its store
        return
    program = re.findall(r"^  (\S.*?)  +(\S.*)$|^  (\S.{26,}?) (\S.*)$", text, re.M)
    program = [(a or c, b or d) for a, b, c, d in program]
    part = (man / "weir-query.1.scd").read_text(encoding="utf-8").partition("These are the words")[2]
    page = re.findall(r"^(\*.+\*)\n\t(.+)\.$", part.partition("Besides")[0], re.M)
    page = [(word.replace("*", ""), help[0].lower() + help[1:]) for word, help in page]
    program = [(word, help[0].lower() + help[1:]) for word, help in program]
    if len(program) < 30:
        complaints.append(f"weir query --words names only {program}")
    compare("weir-query.1", dict(page), dict(program))
    if [word for word, _ in page] != [word for word, _ in program]:
        complaints.append("weir-query.1: the words stand in another order")


check_commands()
check_profile_page()
check_words()
print("\n".join(complaints) or "pages and program agree")
sys.exit(1 if complaints else 0)
