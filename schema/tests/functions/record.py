#!/usr/bin/env python3
"""Writes PostgreSQL's answers behind the arrows of the case files.

Usage: record.py DATABASE_URL FILE...    Lines without an arrow get one; lines with an arrow are asked again only
with --all before the URL.
"""
import re
import subprocess
import sys

SETRETURNING = {"generate_series", "unnest", "generate_subscripts", "regexp_split_to_table", "regexp_matches",
                "string_to_table", "json_array_elements", "jsonb_array_elements", "json_array_elements_text",
                "jsonb_array_elements_text", "json_each", "jsonb_each", "json_each_text", "jsonb_each_text",
                "json_object_keys", "jsonb_object_keys"}


def ask(url, expressions):
    script = ["\\set VERBOSITY verbose", "\\pset null '\\\\N'", "set timezone = 'Europe/Berlin';", "\\pset tuples_only on", "\\pset format unaligned",
              "\\pset fieldsep '\\t'"]
    for at, expression in enumerate(expressions):
        name = expression.split("(")[0].strip()
        script.append(f"\\echo @@@{at}")
        aggregate = re.match(r"aggregate (\w+): (.*)", expression)
        if aggregate:
            columns = aggregate.group(2).split(" | ")
            names = ", ".join("abc"[: len(columns)])
            call = f"{aggregate.group(1)}({names})"
            script.append(f"select pg_typeof({call}), {call} from rows from (unnest({'), unnest('.join(columns)})) t({names});")
        elif name in SETRETURNING:
            script.append(f"select pg_typeof(array_agg(x)), array_agg(x) from {expression} x;")
        else:
            script.append(f"select pg_typeof({expression}), {expression};")
    run = subprocess.run(["psql", "-X", "-q", url], input="\n".join(script), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=True)
    answers = {}
    for part in run.stdout.split("@@@")[1:]:
        at, _, body = part.partition("\n")
        answers[int(at)] = body.rstrip("\n")
    return answers


def show(body):
    error = re.search(r"ERROR:  (\w{5}): (.*)", body)
    if error:
        return f"{error.group(1)} {error.group(2)}"
    kind, _, value = body.partition("\t")
    if value == "\\N":
        return "NULL"
    return f"{kind} {value}".replace("\n", "\\n").replace("unknown ", "text ", 1 if kind == "unknown" else 0)


def main():
    args = sys.argv[1:]
    everything = "--all" in args
    url, *files = [arg for arg in args if arg != "--all"]
    for path in files:
        lines = open(path).read().split("\n")
        wanted = {}
        for at, line in enumerate(lines):
            if line.strip() and not line.startswith("#") and (everything or " => " not in line):
                wanted[at] = line.split(" => ")[0]
        answers = ask(url, list(wanted.values()))
        for order, (at, expression) in enumerate(wanted.items()):
            lines[at] = f"{expression} => {show(answers[order])}"
        open(path, "w").write("\n".join(lines))


main()
