#!/usr/bin/env python3
"""Breaks one rule of the core at a time (tests/mutants/list), runs the core's tests on each, and says which were caught.

Usage: tests/mutants/run.py [ID ...]   (all without arguments)

The work is done on a copy under target/mutants, so that the tree stays as it is. A mutant is caught when a test fails,
does not end in time, or when it no longer compiles because its types forbid it; the table says which. A mutant that
finds nothing to change is an error: the list has to follow the code."""

import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
WORK = os.path.join(ROOT, "target/mutants")
TREE = os.path.join(WORK, "tree")
CORE = "controller/core"
# Quick and likely ones first: a mutant is done with the first that fails.
FIRST = ["pacing", "shares", "orders", "reasons", "routes", "inbound", "messages", "reference", "bad_input", "histories"]
SECONDS_MAX = 300


def mutants():
    """(id, what it breaks, file, from, to) of each."""
    with open(os.path.join(ROOT, "tests/mutants/list")) as file:
        blocks = re.split(r"\n\s*\n", "\n".join(line for line in file.read().splitlines() if not line.startswith("#")))
    for block in filter(None, map(str.strip, blocks)):
        head, path, *changes = block.splitlines()
        id, what = re.fullmatch(r"\[([a-z0-9-]+)\] (.+)", head).groups()
        old, new = (" ".join(line[2:] for line in changes if line.startswith(sign + " ")) for sign in "-+")
        yield id, what, path, old, new


def copy_tree():
    """Brings the copy up to date; what is unchanged keeps its time, so that little is compiled again."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wanted = {name for name in names.split("\0") if name and os.path.exists(os.path.join(ROOT, name))}
    for name in wanted:
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        if os.path.isdir(source):
            continue
        with open(source, "rb") as file:
            content = file.read()
        if not (os.path.exists(target) and open(target, "rb").read() == content):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
    for folder, _, files in os.walk(TREE):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, TREE) not in wanted:
                os.remove(path)


def stages():
    tests = sorted(name[:-3] for name in os.listdir(os.path.join(TREE, CORE, "tests")) if name.endswith(".rs"))
    tests.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return [["--lib"], *(["--test", name] for name in tests)]


def cargo(stage, build):
    """None if the stage passes, or how it failed."""
    command = ["cargo", "test", "--quiet", "--locked", "-p", "busyhour-controller-core", *stage]
    env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "build"), CARGO_PROFILE_TEST_DEBUG="0", CARGO_PROFILE_DEV_DEBUG="0")
    try:
        done = subprocess.run(
            command + (["--no-run"] if build else []), cwd=TREE, env=env, capture_output=True, text=True,
            timeout=None if build else SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return f"{stage[-1]} did not end in {SECONDS_MAX} s"
    if done.returncode == 0:
        return None
    if build:
        return "does not compile: " + next((line for line in done.stderr.splitlines() if line.startswith("error")), "?")
    failed = re.findall(r"^test (\S+) \.\.\. FAILED|^    (\S+)$", done.stdout, re.M)
    names = sorted({name for pair in failed for name in pair if name})
    return f"{stage[-1]}: {', '.join(names[:3]) or 'ended with ' + str(done.returncode)}"


def attempt():
    for stage in stages():
        for build in [True, False]:
            if caught := cargo(stage, build):
                return caught
    return None


def pattern(words):
    """Matches these words whatever the formatter made of the spaces between them."""
    tokens = re.findall(r"\w+|[^\w\s]", words)
    return re.compile(r",?\s*".join(map(re.escape, tokens)))


def main():
    only = set(sys.argv[1:])
    chosen = [mutant for mutant in mutants() if not only or mutant[0] in only]
    if unknown := only - {mutant[0] for mutant in chosen}:
        sys.exit(f"no such mutants: {', '.join(sorted(unknown))}")
    copy_tree()
    if broken := attempt():
        sys.exit(f"without any mutant, {broken}")
    survived, stale = [], []
    for id, what, path, old, new in chosen:
        full = os.path.join(TREE, CORE, "src", path)
        source = open(full).read() if os.path.exists(full) else ""
        found = pattern(old).search(source)
        if not found:
            stale.append(id)
            print(f"STALE     {id}: nothing in {path} reads: {old}", flush=True)
            continue
        began = time.monotonic()
        with open(full, "w") as file:
            file.write(source[: found.start()] + new + source[found.end() :])
        try:
            caught = attempt()
        finally:
            with open(full, "w") as file:
                file.write(source)
        if not caught:
            survived.append(id)
        print(f"{'caught  ' if caught else 'SURVIVED'}  {id} ({what}) {caught or ''} [{time.monotonic() - began:.0f} s]", flush=True)
    print(f"{len(chosen) - len(survived) - len(stale)} of {len(chosen)} caught; survived: {survived or 'none'}; stale: {stale or 'none'}")
    sys.exit(1 if survived or stale else 0)


if __name__ == "__main__":
    main()
