#!/usr/bin/env python3
"""Make the element registry from the CSV tables: generate.py header|source OUT PEN=FILE…

One row of a table becomes one entry; entries are sorted by (PEN, id) so that a look-up can bisect."""
import csv
import re
import sys


def constant(word):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).replace("-", "_").replace(" ", "_").upper()


def rows(tables):
    for table in tables:
        pen, path = table.split("=", 1)
        with open(path, newline="", encoding="utf-8") as f:
            for row in csv.DictReader(f):
                yield int(pen), int(row["id"]), row


def bounds(text):
    """The registry writes ranges as "0-255" or "The valid range is 0-255." or hexadecimal."""
    found = re.search(r"(0x[0-9a-fA-F]+|\d+)\s*-\s*(0x[0-9a-fA-F]+|\d+)", text or "")
    return (int(found[1], 0), int(found[2], 0)) if found else (0, 0)


def header(entries):
    yield "/* Made by generate.py: the number of every element in the registry. */"
    yield "#pragma once"
    yield "enum {"
    for pen, number, row in entries:
        yield f"\tIE_{row['name']} = {number},"
    yield "};"


def source(entries):
    yield "/* Made by generate.py, sorted by (pen, id). */"
    yield '#include "ie/ie.h"'
    yield "const struct information_element ie_registry[] = {"
    for pen, number, row in entries:
        semantics = constant(row["semantics"] or "default")
        units = constant(row["units"] or "none")
        units = {"4_OCTET_WORDS": "FOUR_OCTET_WORDS"}.get(units, units)
        low, high = bounds(row["range"])
        yield (
            f"\t{{.pen = {pen}, .id = {number}, .name = \"{row['name']}\", .type = IE_{constant(row['type'])}, "
            f".semantics = IE_SEMANTICS_{semantics}, .units = IE_UNITS_{units}, "
            f".deprecated = {'true' if row['status'] == 'deprecated' else 'false'}, "
            f".range_begin = {low}U, .range_end = {high}U}},"
        )
    yield "};"
    yield f"const size_t ie_registry_count = {len(entries)};"


def main(what, out, *tables):
    entries = sorted(rows(tables), key=lambda e: (e[0], e[1]))
    with open(out, "w", encoding="utf-8") as f:
        for line in {"header": header, "source": source}[what](entries):
            f.write(line + "\n")


main(*sys.argv[1:])
