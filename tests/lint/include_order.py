"""Each folder of src/ includes only itself and folders above it in the list of src/meson.build."""

import re

from tree import TOP, finish, short, tracked

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
FOLDER = re.compile(r"^\s*'([a-z]+)',\s*#")


def folder_order():
    text = (TOP / "src" / "meson.build").read_text(encoding="utf-8")
    order = [m.group(1) for line in text.splitlines() if (m := FOLDER.match(line))]
    return order + ["cmd"]


def faults_of(path, order):
    folder = path.relative_to(TOP / "src").parts[0]
    if folder not in order:
        return [f"{short(path)}: folder '{folder}' is not in the list of src/meson.build"]
    faults = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        m = INCLUDE.match(line)
        if not m:
            continue
        target = m.group(1).split("/")[0]
        if "/" not in m.group(1):
            faults.append(f'{short(path)}:{number}: "{m.group(1)}" lacks its folder')
        elif target not in order:
            faults.append(f"{short(path)}:{number}: '{target}' is not in the list of src/meson.build")
        elif order.index(target) > order.index(folder):
            faults.append(f"{short(path)}:{number}: '{folder}' stands above '{target}' and must not include from it")
    return faults


order = folder_order()
files = [p for p in tracked(".c", ".h") if (TOP / "src") in p.parents]
finish(len(files) if len(order) > 5 else 0, [fault for path in files for fault in faults_of(path, order)])
