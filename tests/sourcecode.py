"""Reads the project's own source code, for tests of rules that hold for all of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules(*folders: str) -> list[Path]:
    """Return the Python files of these folders, which are relative to the root of the project."""
    foreign = ("node_modules", ".hypothesis")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in paths if not set(foreign) & set(path.parts))


def name_of(path: Path) -> str:
    """Return a file's path from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, `from package import module` as both."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def uses(tree: ast.AST, *dotted: str) -> Iterator[ast.expr]:
    """Yield where these functions are named, called or not: `time.time` wherever the code says `time.time`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in dotted:
            yield node
