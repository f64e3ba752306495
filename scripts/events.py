"""The ids of log events and problems: checks them in the code, and writes the table of them in docs/events.md.

`make events` writes the table; `python -m scripts.events --check`, part of `make check`, ends with status 1 when an id
in the code is not registered, one that is registered is not used, or the table is out of date.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from common.events import EVENTS
from common.problems import PROBLEMS, Meaning

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "events.md"
PLACES = ("common", "services")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
REGISTERS = {"event": ("common/events.py", EVENTS), "problem": ("common/problems.py", PROBLEMS)}
ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
BEGIN, END = "<!-- {}s: begin -->\n", "<!-- {}s: end -->\n"


class Use(NamedTuple):
    """A place in the code that logs an event or reports a problem; `id` is empty where it is not written out there."""

    kind: str
    place: str
    id: str


def uses(sources: Mapping[str, str]) -> Iterator[Use]:
    """Return the uses of ids in Python files, which are given by path.

    The id of an event is the first argument of `log.info` and the like. The id of a problem is the argument of the type
    `ProblemId` of whatever takes one.
    """
    trees = {path: ast.parse(text) for path, text in sources.items()}
    takers = dict(taker for tree in trees.values() for taker in _takers(tree))
    for path, tree in trees.items():
        loggers = set(_loggers(tree))
        passed_on = set(_passed_on(tree))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            place = f"{path}:{node.lineno}"
            if _logs(node.func, loggers):
                yield from (Use("event", place, each) for each in _literals(node.args[0] if node.args else None))
            elif (taker := takers.get(_name(node.func))) and not (
                isinstance(given := _argument(node, *taker), ast.Name) and given.id in passed_on
            ):
                yield from (Use("problem", place, each) for each in _literals(_argument(node, *taker)))


def faults(found: Iterable[Use]) -> Iterator[str]:
    """Return what is wrong with the uses, and with the registers, with what to do about it."""
    used: dict[str, set[str]] = {kind: set() for kind in REGISTERS}
    for kind, place, id_ in found:
        used[kind].add(id_)
        where, register = REGISTERS[kind]
        if not ID.fullmatch(id_):
            yield (
                f"{place}: the {kind} id {id_!r} is not a snake_case word written out here: "
                f"put values into fields of their own, and the sentence as meaning into {where}"
            )
        elif id_ not in register:
            yield f"{place}: the {kind} id {id_!r} is new: add it with its meaning to {where}, then run: make events"
    for kind, (where, register) in REGISTERS.items():
        yield from (f"{where}: nothing uses the {kind} id {id_!r}: remove it" for id_ in register.keys() - used[kind])
        if list(register) != sorted(register):
            yield f"{where}: sort the {kind} ids by the alphabet"


def page(former: str) -> str:
    """Return the page with the tables of events and problems renewed."""
    for kind, (_, register) in REGISTERS.items():
        before, begin, rest = former.partition(BEGIN.format(kind))
        _, end, after = rest.partition(END.format(kind))
        former = before + begin + _table(kind, register) + end + after
    return former


def _table(kind: str, register: Mapping[str, Meaning]) -> str:
    lines = [f"| {kind} | meaning | what to do |", "|---|---|---|"]
    lines += [f"| `{id_}` | {meaning} | {remedy or '-'} |" for id_, (meaning, remedy) in register.items()]
    return "\n".join(lines) + "\n"


def _loggers(tree: ast.AST) -> Iterator[str]:
    """Return the names that stand for methods of a logger: `tell = log.info if … else log.warning`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts = (part for part in ast.walk(node.value) if isinstance(part, ast.Attribute))
            if any(_logs(part, set()) for part in parts) and not isinstance(node.value, ast.Call):
                yield node.targets[0].id


def _logs(function: ast.expr, loggers: set[str]) -> bool:
    if isinstance(function, ast.Name):
        return function.id in loggers
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and isinstance(function.value, ast.Name)
        and function.value.id == "log"
    )


def _takers(tree: ast.AST) -> Iterator[tuple[str, tuple[int, str]]]:
    """Return the functions and classes with a `ProblemId`: its position among their arguments, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument for argument in node.args.args if argument.arg != "self"]
            annotated = [(argument.arg, argument.annotation) for argument in names]
        elif isinstance(node, ast.ClassDef):
            fields = [
                part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
            ]
            annotated = [(part.target.id, part.annotation) for part in fields if isinstance(part.target, ast.Name)]
        else:
            continue
        for position, (name, annotation) in enumerate(annotated):
            if isinstance(annotation, ast.Name) and annotation.id == "ProblemId":
                yield node.name, (position, name)


def _passed_on(tree: ast.AST) -> Iterator[str]:
    """Return the arguments of the type `ProblemId`: the caller has written the id out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id == "ProblemId":
            yield node.arg


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return named or (call.args[position] if position < len(call.args) else None)


def _literals(given: ast.expr | None) -> Iterator[str]:
    """Return the texts that an argument may be; an empty one where that is not written out."""
    if isinstance(given, ast.IfExp):
        yield from _literals(given.body)
        yield from _literals(given.orelse)
    else:
        yield given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr if not _logs(function, set()) else ""
    return function.id if isinstance(function, ast.Name) else ""


def _sources() -> dict[str, str]:
    paths = [path for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def main(arguments: list[str]) -> int:
    """Check or write; return the status to end with."""
    former = PAGE.read_text(encoding="utf-8")
    renewed = page(former)
    if "--check" not in arguments:
        PAGE.write_text(renewed, encoding="utf-8")
        return 0
    found = [
        *faults(uses(_sources())),
        *(["docs/events.md is out of date; run: make events"] if former != renewed else []),
    ]
    for fault in found:
        print(fault)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
