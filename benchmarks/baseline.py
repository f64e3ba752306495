"""The figures of an earlier run, kept as JSON, for later ones to be compared with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

FILE = Path(__file__).with_name("baseline.json")


def load(path: Path = FILE) -> Mapping[str, Mapping[str, Any]]:
    """Return the figures by id; none when there is no such file."""
    if not path.exists():
        return {}
    figures: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def save(figures: Sequence[Figure], machine: Mapping[str, str], path: Path = FILE) -> None:
    """Keep figures; those of rows that were not measured this time stay as they were."""
    merged = dict(load(path)) | {figure.id: figure.as_json() for figure in figures}
    path.write_text(json.dumps({"machine": machine, "figures": merged}, indent=1) + "\n", encoding="utf-8")
