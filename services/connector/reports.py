"""The output formats of `connector preview`."""

import json
import os
import shutil
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import click
from pydantic_core import from_json

from common import __version__
from common.problems import PROBLEMS, ProblemId, Severity
from common.words import counted, listed
from services.connector.entities import entities_of
from services.connector.preview import Preview, Shown
from services.connector.reading import STDIN
from services.normalizer.sources.manifest_checks import Noticed
from services.normalizer.sources.manifest_files import SUFFIXES, Place

if TYPE_CHECKING:
    from services.connector.comparison import Difference

Differences: TypeAlias = "Sequence[Difference] | None"
"""The differences from a running connector, None without `--diff`."""
Report = Callable[[Preview, Differences], str]

_COLOURS: Mapping[Severity, str] = {"error": "red", "warning": "yellow", "info": "blue"}
_GITHUB: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_WIDTH = 80
_GAP = 2


def table(result: Preview, differences: Differences = None) -> str:
    """Return a row for each document, then the problems and a summary; on a terminal, fitted to its width and coloured.

    With differences, these replace the rows. Empty if there is nothing to tell.
    """
    if not (result.shown or result.hidden or differences):
        return ""
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else 0
    rows = _rows(result, width) if differences is None else _differing(differences)
    lines = [*rows, *_problem_lines(result, width), "", _summary(result)]
    return "\n".join(lines).lstrip("\n")


def nothing_found(result: Preview, paths: Sequence[str], elsewhere: Sequence[str]) -> str:
    """Return, for a preview without any model or problem, where was looked and what to do.

    `paths` and `elsewhere` are what was given: files and folders, and other places.
    """
    where = " and ".join(["standard input" if each == STDIN else each for each in paths] + list(elsewhere))
    if not result.files and not elsewhere:
        return (
            f"no Kubernetes objects were found: there is no file named {', '.join(f'*{each}' for each in SUFFIXES)} in "
            f"{where} or below.\nGive the path of your manifests: connector preview PATH"
        )
    looked = f" ({counted(result.files, 'file')} read)" if paths else ""
    return (
        f"no InferenceService or LLMInferenceService was found in {where}{looked}.\n"
        "Give the path of manifests that have one. What is generated has to be rendered first, for example:\n"
        "  kustomize build DIR | connector preview -\n"
        "  helm template CHART | connector preview -\n"
        "  argocd app manifests APPLICATION | connector preview -"
    )


def as_json(result: Preview, differences: Differences = None) -> str:
    """Return an array with an entry for each document, then one for each object without (its document is null).

    With differences, each entry has `change` and `served`, and there are entries for documents that are only served.
    """
    return json.dumps(list(_entries(result, differences)), indent=2, ensure_ascii=False)


def as_yaml(result: Preview, differences: Differences = None) -> str:
    """Return the same entries as YAML documents."""
    import yaml  # slow to import

    return yaml.safe_dump_all(
        _entries(result, differences), sort_keys=False, allow_unicode=True, explicit_start=True
    ).rstrip("\n")


def entities(result: Preview, _differences: Differences = None) -> str:
    """Return, as YAML, the entities that readers make of the documents."""
    import yaml  # slow to import

    found = [entity for shown in result.shown for entity in entities_of(shown.upsert)]
    return yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True, explicit_start=True).rstrip("\n")


def github(result: Preview, _differences: Differences = None) -> str:
    """Return the problems as annotations of GitHub Actions (GitHub: "Workflow commands")."""
    return "\n".join(map(_command, result.noticed))


def sarif(result: Preview, _differences: Differences = None) -> str:
    """Return the problems as SARIF 2.1.0, for code scanning."""
    run = {
        "tool": {
            "driver": {
                "name": "connector",
                "semanticVersion": __version__,
                "rules": [_sarif_rule(id_) for id_ in sorted({each.problem.id for each in result.noticed})],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": list(map(_sarif_result, result.noticed)),
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rows(result: Preview, width: int) -> Iterator[str]:
    if not result.shown:
        return
    rows: list[tuple[str, ...]] = [("KEY", "MODEL", "API"), *map(_row, result.shown)]
    if width and _total(rows) > width:
        rows = [(key, api) for key, _, api in rows]  # the model's name is similar to the key
    *widths, last = _widths(rows)
    if width:
        last = max(len(rows[0][-1]), min(last, width - sum(widths) - _GAP * len(widths)))
    for row in rows:
        cells = (_fitted(cell, size).ljust(size) for cell, size in zip(row, [*widths, last], strict=True))
        yield (" " * _GAP).join(cells).rstrip()


def _differing(differences: "Sequence[Difference]") -> Iterator[str]:
    from services.connector.comparison import lines_of  # imports the HTTP client

    return lines_of(differences)


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _total(rows: Sequence[tuple[str, ...]]) -> int:
    widths = _widths(rows)
    return sum(widths) + _GAP * (len(widths) - 1)


def _row(shown: Shown) -> tuple[str, str, str]:
    server = from_json(shown.document).get("modelServer")
    return shown.key, shown.upsert.model_name, server["API"]["url"] if server else "-"


def _fitted(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return f"{text[: width - 1]}…"


def problems(result: Preview) -> str:
    """Return the problems and a summary, for output that has none of them; empty without any."""
    return "\n".join([*_problem_lines(result, 0), "", _summary(result)]).lstrip("\n") if result.noticed else ""


def _problem_lines(result: Preview, width: int) -> Iterator[str]:
    """Yield the problems with their remedies; what is only noted, of many objects, is written once."""
    noted: defaultdict[tuple[str, str], list[Place]] = defaultdict(list)
    for problem, place in (each for each in result.noticed if each.problem.severity == "info"):
        noted[problem.message, problem.remedy].append(place)
    for problem, place in result.noticed:
        if problem.severity == "info" and not (alike := noted.pop((problem.message, problem.remedy), [])):
            continue
        yield ""
        subject = "" if problem.object == str(place) else f"{problem.object}: "
        where = f"{place}: " if place.path else ""
        coloured = click.style(problem.severity, fg=_COLOURS[problem.severity], bold=True)
        lines = _wrapped(f"{where}{problem.severity}: {subject}{problem.message}", width, "")
        yield "\n".join(lines).replace(f"{problem.severity}:", f"{coloured}:", 1)
        yield from _wrapped(problem.remedy, width, "  ")
        if problem.severity == "info" and len(alike) > 1:
            yield from _wrapped(f"the same is noted at {listed(map(str, alike[1:]), 3)}", width, "  ")


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    if not width:
        return [indent + text]
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _summary(result: Preview) -> str:
    count = Counter(each.problem.severity for each in result.noticed)
    parts = [counted(len(result.shown), "model is shown", "models are shown")]
    parts += [counted(count[severity], severity) for severity in ("error", "warning") if count[severity]]
    if count["info"]:
        parts.append(counted(count["info"], "note"))
    return f"{', '.join(parts)} in {counted(result.files, 'file')}"


def _entries(result: Preview, differences: Differences) -> Iterator[dict[str, Any]]:
    compared = {each.key: {"change": each.change, "served": each.served} for each in differences or ()}
    for shown in result.shown:
        yield {
            "key": shown.key,
            "uri": shown.upsert.uri,
            "object": shown.object,
            "file": shown.place.shown,
            "line": shown.place.line,
            "document": json.loads(shown.document),
            "details": json.loads(shown.upsert.details or b"{}"),
            "problems": [_problem(each) for each in shown.noticed],
            **compared.pop(shown.key, {}),
        }
    for key, change in compared.items():
        yield {**_nothing("", Place(""), []), "key": key, **change}
    for problems in result.hidden:
        yield _nothing(problems[0].problem.object, problems[0].place, problems)


def _nothing(subject: str, place: Place, problems: Sequence[Noticed]) -> dict[str, Any]:
    """Return the entry of an object without a document."""
    return {
        "key": None,
        "uri": None,
        "object": subject,
        "file": place.shown,
        "line": place.line,
        "document": None,
        "details": {},
        "problems": [_problem(each) for each in problems],
    }


def _problem(each: Noticed) -> dict[str, Any]:
    problem, place = each
    return {
        "id": problem.id,
        "severity": problem.severity,
        "object": problem.object,
        "message": problem.message,
        "remedy": problem.remedy,
        "file": place.shown,
        "line": place.line,
    }


def _command(each: Noticed) -> str:
    problem, place = each
    at = {"file": place.shown, "line": str(place.line)} if place.path not in ("", STDIN) else {}
    at["title"] = problem.object
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in at.items() if value != "0")
    return f"::{_GITHUB[problem.severity]} {properties}::{_escaped(_told(each, with_object=False))}"


def _told(each: Noticed, *, with_object: bool) -> str:
    """Return message and remedy in one line; an object that is only called after its place is not repeated."""
    problem, place = each
    subject = f"{problem.object}: " if with_object and problem.object != str(place) else ""
    end = " " if problem.message.endswith("?") else ". "
    return f"{subject}{problem.message}{end}{problem.remedy}".rstrip()


def _escaped(text: str, further: str = "") -> str:
    for sign in "%\r\n" + further:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def _sarif_rule(id_: ProblemId) -> dict[str, Any]:
    meaning, remedy = PROBLEMS[id_]
    return {"id": id_, "shortDescription": {"text": meaning}, "help": {"text": remedy or "Nothing needs to be done."}}


def _sarif_result(each: Noticed) -> dict[str, Any]:
    problem, place = each
    location: dict[str, Any] = {"artifactLocation": {"uri": _relative_reference(place.path) or "unknown"}}
    if place.line:
        location["region"] = {"startLine": place.line}
    return {
        "ruleId": problem.id,
        "level": _SARIF[problem.severity],
        "message": {"text": _told(each, with_object=True)},
        "locations": [{"physicalLocation": location}],
    }


def _relative_reference(path: str) -> str:
    """Return a path as a relative reference (RFC 3986), which an artifactLocation has (SARIF 2.1.0, 3.4.3)."""
    return quote(os.fsencode(path.replace("\\", "/")), safe="/:!$&'()*+,;=@")


FORMATS: Mapping[str, Report] = {
    "table": table,
    "json": as_json,
    "yaml": as_yaml,
    "entities": entities,
    "github": github,
    "sarif": sarif,
}
