"""Functions of at most 60 lines and files of at most 600: longer ones are listed, those over 80 and 700 fail."""

from tree import finish, short, tracked

FUNCTION_AIM, FUNCTION_MAX = 60, 80
FILE_AIM, FILE_MAX = 600, 700


def functions(lines):
    """(first line number, length, signature): a function's braces stand alone in the first column."""
    opened = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            opened = number
        elif line == "}" and opened:
            yield opened, number - opened + 1, lines[opened - 2].strip()
            opened = None


checked = 0
faults = []
for path in tracked(".c", ".h"):
    lines = path.read_text(encoding="utf-8").splitlines()
    checked += 1
    if len(lines) > FILE_AIM:
        text = f"{short(path)}: {len(lines)} lines (aim {FILE_AIM}, at most {FILE_MAX})"
        faults.append(text) if len(lines) > FILE_MAX else print("long:", text)
    for number, length, signature in functions(lines):
        if length > FUNCTION_AIM:
            text = f"{short(path)}:{number}: {length} lines (aim {FUNCTION_AIM}, at most {FUNCTION_MAX}): {signature}"
            faults.append(text) if length > FUNCTION_MAX else print("long:", text)
finish(checked, faults)
