"""What `run.py` says of mutants whose tests pass, fail, or do not even build, without building anything."""

import contextlib
import importlib.util
import io
import os
import unittest

spec = importlib.util.spec_from_file_location("run", os.path.join(os.path.dirname(__file__), "run.py"))
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)

SOURCE = "fn add(a: u32, b: u32) -> u32 { a + b }\n\nfn name() -> &'static str { \"a { brace\" }\n"


def mutant(number, name, old, new):
    return run.Mutant(number, f"[{name}] what it breaks\nadd.rs\n- {old}\n+ {new}")


SOUND = mutant(1, "sound", "a + b", "a - b")
UNNOTICED = mutant(2, "unnoticed", "a + b", "b + a")
BROKEN = mutant(3, "broken", "a + b", "a.plus(b)")
STALE = mutant(4, "stale", "a * b", "a / b")


def compiler(sources):
    """A build in which `plus` is not known."""
    path, source = next((path, source) for path, source in sources.items() if path.endswith("add.rs"))
    if "plus" not in source:
        return ["tests-0"], []
    line = source.count("\n", 0, source.index("plus")) + 1
    span = {"is_primary": True, "file_name": path, "line_start": line}
    said = {"level": "error", "message": "no method named `plus`", "spans": [span], "rendered": "plus?"}
    return None, [{"message": said}]


class Verdicts(unittest.TestCase):
    def setUp(self):
        core = os.path.join(run.CORE, "src")
        run.plain_sources = lambda: {os.path.join(core, "add.rs"): SOURCE, os.path.join(core, "lib.rs"): ""}
        run.build = compiler
        run.run = lambda program, number, seconds: "tests: sums" if number == SOUND.number else None

    def says(self, *chosen):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            passed = run.try_all(list(chosen))
        return passed, out.getvalue()

    def test_all_caught_is_success(self):
        passed, out = self.says(SOUND)
        self.assertTrue(passed)
        self.assertIn("1 of 1 caught; survived: none; stale: none; does not compile: none", out)

    def test_one_that_does_not_compile_is_not_caught_and_is_told_with_the_reason(self):
        passed, out = self.says(SOUND, BROKEN)
        self.assertFalse(passed)
        self.assertRegex(out, r"DOES NOT COMPILE +broken .* no method named `plus`")
        self.assertIn("1 of 2 caught; survived: none; stale: none; does not compile: broken", out)

    def test_one_that_survives_and_one_that_finds_nothing_fail_as_well(self):
        passed, out = self.says(UNNOTICED, STALE)
        self.assertFalse(passed)
        self.assertIn("0 of 2 caught; survived: unnoticed; stale: stale; does not compile: none", out)


if __name__ == "__main__":
    unittest.main()
