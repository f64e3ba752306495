"""How the tests are laid out: tests/README.md describes it."""

import ast
from pathlib import Path

from tests.sourcecode import ROOT, imported, modules, name_of, parse


def test_no_test_module_is_imported_by_another() -> None:
    tests = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in modules("tests")}
    tests = {name for name in tests if name.rpartition(".")[2].startswith("test_")}
    found = {
        name_of(path): sorted(names) for path in modules("tests", "benchmarks") if (names := imported(path) & tests)
    }

    assert found == {}, "move what others need into a module of the same folder, without test_ in its name"


def test_nothing_outside_the_tests_imports_them() -> None:
    found = [
        path for path in modules("common", "services", "scripts") for name in imported(path) if name.startswith("tests")
    ]

    assert found == []


def test_every_folder_has_its_line_in_the_map() -> None:
    described = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}

    assert {name for name in folders if f"`{name}/`" not in described} == set()


def fixed_sleeps(path: Path) -> list[int]:
    """Return the lines in which a test sleeps for a fixed time, other than between the looks of a loop."""
    tree = parse(path)
    looks = {id(node) for loop in ast.walk(tree) if isinstance(loop, ast.While) for node in ast.walk(loop)}
    sleeps = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Await | ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith("sleep")
        and id(node) not in looks
    ]
    pauses = [node.value.args[0] for node in sleeps if isinstance(node.value, ast.Call)]
    return [each.lineno for each in pauses if isinstance(each, ast.Constant) and each.value != 0]


SIMULATED = {"tests.simulation.loop.simulate", "tests.simulation.loop.simulated"}


def test_no_test_sleeps_for_a_fixed_time() -> None:
    found = {
        name_of(path): lines
        for path in modules("tests")
        if not imported(path) & SIMULATED and (lines := fixed_sleeps(path))
    }

    assert found == {}, "wait for a condition (tests/waiting.py), or simulate time (tests/simulation/loop.py)"
