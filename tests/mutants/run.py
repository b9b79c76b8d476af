#!/usr/bin/env python3
"""Breaks one rule of the core at a time (tests/mutants/list), runs the core's tests on each, and says which were caught.

Usage: tests/mutants/run.py [ID ...]   (all without arguments)

All mutants are built at once, into a copy under target/mutants, so that the tree stays as it is: a function with
mutants becomes a choice among its bodies, and the number of the one to take is in the environment of the tests. So a
mutant costs what the tests take that are run on it, quick ones first, until one fails.

A mutant is caught when a test fails or does not end in time. One that does not compile, or finds nothing to change,
proves nothing of the tests: the run fails, for the list has to follow the code.

CARGO in the environment is the command to build with, if it is not `cargo`."""

import bisect
import json
import os
import re
import resource
import shlex
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
WORK = os.path.join(ROOT, "target/mutants")
TREE = os.path.join(WORK, "tree")
PACKAGE = "busyhour-controller-core"
CORE = "controller/core"
# A test that takes longer than it does without a mutant by so much has not ended.
SECONDS_MIN, TIMES_AS_LONG = 60, 10
# A mutant that allocates without end must not take the machine with it.
MEMORY_MAX = 8 << 30
SWITCH = """
/// Which mutant is in force: 0 for none.
pub(crate) fn mutant() -> u32 {
    static MUTANT: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *MUTANT.get_or_init(|| std::env::var("MUTANT").map_or(0, |number| number.parse().expect("a number")))
}
"""


class Mutant:
    def __init__(self, number, block):
        head, self.path, *changes = block.splitlines()
        self.number = number
        self.id, self.what = re.fullmatch(r"\[([a-z0-9-]+)\] (.+)", head).groups()
        self.old, self.new = (" ".join(line[2:] for line in changes if line.startswith(sign + " ")) for sign in "-+")


def mutants():
    with open(os.path.join(ROOT, "tests/mutants/list")) as file:
        blocks = re.split(r"\n\s*\n", "\n".join(line for line in file.read().splitlines() if not line.startswith("#")))
    blocks = filter(None, map(str.strip, blocks))
    return [Mutant(number, block) for number, block in enumerate(blocks, 1)]


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    """What is unchanged keeps its time, so that little is compiled again."""
    if not (os.path.exists(path) and read(path) == text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def copy_tree(mutated):
    """Brings the copy up to date, with these texts in place of the sources' own."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    used = ("Cargo.", "rust-toolchain", ".cargo/", "base/", CORE + "/")
    wanted = set()
    for name in filter(None, names.split("\0")):
        source = os.path.join(ROOT, name)
        # Of the other packages of the workspace only their being there matters.
        if os.path.isfile(source) and (name.startswith(used) or name.endswith((".rs", "Cargo.toml"))):
            wanted.add(name)
            write(os.path.join(TREE, name), mutated.get(name) or read(source))
    for folder, _, files in os.walk(TREE):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.relpath(path, TREE) not in wanted:
                os.remove(path)


def pattern(words):
    """Matches these words whatever the formatter made of the spaces between them."""
    tokens = re.findall(r"\w+|[^\w\s]", words)
    return re.compile(r",?\s*".join(map(re.escape, tokens)))


def blanked(source):
    """The source with its comments and literals blanked out, so that every brace left is one."""
    literal = r'//[^\n]*|r#*"(?:.|\n)*?"#*|"(?:\\.|[^"\\])*"|\'(?:\\.[^\']*|[^\\\'\n])\''
    return re.sub(literal, lambda found: re.sub(r"[^\n]", " ", found.group()), source)


def bodies(source):
    """Where the bodies of the functions begin and end: the innermost one comes last of those around a place."""
    plain, stack, found = blanked(source), [], []
    for at in re.finditer(r"[{}]", plain):
        if at.group() == "{":
            stack.append(at.start())
            continue
        begin = stack.pop()
        head = plain[max(plain.rfind(end, 0, begin) for end in "{}") + 1 : begin]
        head = head[head.rfind("fn ") :] if re.search(r"\bfn \w+", head) else ""
        # One without a body ends with a semicolon; one in brackets is an array's.
        if head and ";" not in re.sub(r"\[[^\]]*\]", "", head):
            found.append((begin, at.start() + 1))
    return sorted(found)


def body_around(source, found):
    around = [body for body in bodies(source) if body[0] < found.start() and found.end() < body[1]]
    return around[-1] if around else None


def choices(source, chosen):
    """The source with the bodies of those mutants beside its own, which of them stand in which lines, and which find
    nothing to change."""
    places, stale = {}, []
    for mutant in chosen:
        found = pattern(mutant.old).search(source)
        body = found and body_around(source, found)
        if not body:
            stale.append(mutant)
            continue
        text = source[body[0] : found.start()] + mutant.new + source[found.end() : body[1]]
        places.setdefault(body, []).append((mutant, text))
    for begin, end in sorted(places, reverse=True):
        arms = "".join(f"\n/*<{mutant.number}>*/{mutant.number} => {text}\n/*<>*/" for mutant, text in places[begin, end])
        choice = f"{{ match crate::mutant() {{{arms} _ => {source[begin:end]} }} }}"
        source = source[:begin] + choice + source[end:]
    return source, stale


def lines_of(source):
    """Where each mutant begins in a source that has choices, with its number, and where it ends, with 0."""
    marks = re.finditer(r"/\*<(\d*)>\*/", source)
    return [(source.count("\n", 0, at.start()) + 1, int(at.group(1) or 0)) for at in marks]


def not_const(sources):
    """A function that chooses is not constant, nor is one that calls it."""
    done = set()
    while True:
        calls = re.compile(r"\b(" + "|".join([r"mutant", *done]) + r")\(")
        more = set()
        for path, source in sources.items():
            for begin, end in bodies(source):
                head = re.search(r"const fn (\w+)[^{}]*$", source[:begin])
                if head and calls.search(source[begin:end]):
                    more.add((path, head.start(), head.group(1)))
        if not more:
            return
        for path, at, name in sorted(more, reverse=True):
            sources[path] = sources[path][:at] + sources[path][at + len("const ") :]
            done.add(name)


def plain_sources():
    sources = {}
    for folder, _, files in os.walk(os.path.join(ROOT, CORE, "src")):
        for name in filter(lambda name: name.endswith(".rs"), files):
            path = os.path.relpath(os.path.join(folder, name), ROOT)
            sources[path] = read(os.path.join(ROOT, path))
    return sources


def build_choices(chosen):
    """The test programs with these mutants in them, which of them find nothing to change, and which do not compile."""
    sources, stale = plain_sources(), []
    for path in sources:
        here = [mutant for mutant in chosen if os.path.join(CORE, "src", mutant.path) == path]
        sources[path], missed = choices(sources[path], here)
        stale += missed
    stale += [mutant for mutant in chosen if os.path.join(CORE, "src", mutant.path) not in sources]
    not_const(sources)
    sources[os.path.join(CORE, "src/lib.rs")] += SWITCH
    programs, messages = build(sources)
    return programs, stale, set() if programs else errors(messages, sources)


def build_alone(mutant):
    """The test programs with this mutant in its place, or what the compiler says."""
    sources, path = plain_sources(), os.path.join(CORE, "src", mutant.path)
    found = pattern(mutant.old).search(sources[path])
    sources[path] = sources[path][: found.start()] + mutant.new + sources[path][found.end() :]
    programs, messages = build(sources)
    said = (message["message"] for message in messages if message.get("message"))
    return programs, next((message["message"] for message in said if message["level"] == "error"), None)


def build(sources):
    """The test programs, or none, and what the compiler says."""
    copy_tree(sources)
    command = [*shlex.split(os.environ.get("CARGO", "cargo")), "test", "--locked", "-p", PACKAGE, "--lib", "--tests", "--no-run"]
    env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "build"), CARGO_PROFILE_TEST_DEBUG="0", CARGO_PROFILE_DEV_DEBUG="0")
    done = subprocess.run(command + ["--message-format=json"], cwd=TREE, env=env, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    programs = [message["executable"] for message in messages if message.get("executable")]
    return programs if done.returncode == 0 else None, messages


def errors(messages, sources):
    """The mutants that the compiler speaks against. What it says elsewhere ends the run."""
    against = set()
    for message in messages:
        said = message.get("message") or {}
        if said.get("level") != "error" or not said.get("spans"):
            continue
        span = next(span for span in said["spans"] if span["is_primary"])
        marks = lines_of(sources.get(span["file_name"], ""))
        at = bisect.bisect_right(marks, (span["line_start"], 1 << 32)) - 1
        if at < 0 or not marks[at][1]:
            sys.exit(f"outside of any mutant:\n{said['rendered']}")
        against.add(marks[at][1])
    return against or sys.exit("the tests do not build")


def name_of(program):
    return os.path.basename(program).rsplit("-", 1)[0]


def run(program, number, seconds):
    """None if the program's tests pass, or how they failed."""
    env = dict(os.environ, MUTANT=str(number), PROPTEST_MAX_SHRINK_ITERS="0", PROPTEST_DISABLE_FAILURE_PERSISTENCE="1")
    bound = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    try:
        done = subprocess.run(
            [program, "--quiet"], cwd=os.path.join(TREE, CORE), env=env, capture_output=True, text=True,
            errors="replace", timeout=seconds, preexec_fn=bound,
        )
    except subprocess.TimeoutExpired:
        return f"{name_of(program)} did not end in {seconds:.0f} s"
    if done.returncode == 0:
        return None
    names = sorted(set(re.findall(r"^---- (\S+) stdout ----$", done.stdout, re.M)))
    return f"{name_of(program)}: {', '.join(names[:3]) or 'ended with ' + str(done.returncode)}"


def timed(programs):
    """The programs with the time that each takes without a mutant, quick ones first."""
    taken = []
    for program in programs:
        began = time.monotonic()
        if broken := run(program, 0, None):
            sys.exit(f"without any mutant, {broken}")
        taken.append((time.monotonic() - began, program))
    return sorted(taken)


def attempt(number, programs):
    for seconds, program in programs:
        if caught := run(program, number, max(SECONDS_MIN, seconds * TIMES_AS_LONG)):
            return caught
    return None


class Verdicts:
    """What became of the mutants, told as it is found."""

    def __init__(self):
        self.of = {word: [] for word in ("caught", "survived", "stale", "does not compile")}

    def tell(self, word, mutant, why="", began=None):
        self.of[word].append(mutant.id)
        seconds = f" [{time.monotonic() - began:.0f} s]" if began is not None else ""
        print(f"{word if word == 'caught' else word.upper():<16}  {mutant.id} ({mutant.what}) {why}{seconds}", flush=True)

    def end(self):
        """Says how many were caught, and whether that is all."""
        caught, left = len(self.of["caught"]), {word: ids for word, ids in self.of.items() if word != "caught"}
        rest = "; ".join(f"{word}: {', '.join(ids) or 'none'}" for word, ids in left.items())
        print(f"{caught} of {sum(map(len, self.of.values()))} caught; {rest}")
        return not any(left.values())


def try_all(chosen):
    """Whether all of them are caught."""
    # Where a body's type is that of an iterator, two bodies never have the same.
    alone, programs, verdicts = set(), None, Verdicts()
    while programs is None:
        programs, stale, more = build_choices([mutant for mutant in chosen if mutant.number not in alone])
        alone |= more
    for mutant in stale:
        verdicts.tell("stale", mutant, f"nothing in {mutant.path} reads: {mutant.old}")
    programs = timed(programs)
    seconds_of = {name_of(program): seconds for seconds, program in programs}

    def tell(mutant, number, programs, began):
        caught = attempt(number, programs)
        verdicts.tell("caught" if caught else "survived", mutant, caught or "", began)

    for mutant in (mutant for mutant in chosen if mutant not in stale and mutant.number not in alone):
        tell(mutant, mutant.number, programs, time.monotonic())
    for mutant in (mutant for mutant in chosen if mutant.number in alone):
        began = time.monotonic()
        own, error = build_alone(mutant)
        if own is None:
            verdicts.tell("does not compile", mutant, error, began)
        else:
            tell(mutant, 0, sorted((seconds_of[name_of(program)], program) for program in own), began)
    return verdicts.end()


def main():
    only, known = set(sys.argv[1:]), mutants()
    if unknown := only - {mutant.id for mutant in known}:
        sys.exit(f"no such mutants: {', '.join(sorted(unknown))}")
    sys.exit(0 if try_all([mutant for mutant in known if not only or mutant.id in only]) else 1)


if __name__ == "__main__":
    main()
