"""Objects from YAML and JSON files: several documents, Lists, whole directories."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")


def load(path: Path) -> list[dict[str, Any]]:
    """The objects of a file, or of the files of a directory in the order of their names."""
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
    return [obj for file in files for document in yaml.safe_load_all(file.read_text()) for obj in _items(document)]


def _items(document: Any) -> Iterator[dict[str, Any]]:
    if not document:
        return
    if document["kind"].endswith("List") and "items" in document:
        yield from document["items"]
    else:
        yield document
