"""How the tests are laid out: tests/README.md describes it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, `from package import module` as both."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def modules(*folders: str) -> list[Path]:
    foreign = ("node_modules", ".hypothesis")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in paths if not set(foreign) & set(path.parts))


def test_no_test_module_is_imported_by_another() -> None:
    tests = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in modules("tests")}
    tests = {name for name in tests if name.rpartition(".")[2].startswith("test_")}
    found = {
        str(path.relative_to(ROOT)): sorted(names)
        for path in modules("tests", "benchmarks")
        if (names := imported(path) & tests)
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
