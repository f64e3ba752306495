"""In which line of its file a problem is: that of the annotation, label or field that it is about."""

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from common import texts
from services.normalizer.sources.manifest_checks import Noticed
from services.normalizer.sources.manifest_files import Place

# What stands before the first key of an object in a line: blanks, and the signs of the lists that it is in.
_INDENTATION = re.compile(r"[ -]*")


class Lines:
    """The lines of files, each read once, to find the keys that problems name."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def pinpoint(self, each: Noticed) -> Noticed:
        """Return the problem with the line of the annotation, label or field that it is about, if that is found."""
        problem, place = each
        if not problem.key or not place.line or len(lines := self._of(place.path)) < place.line:
            return each
        number = _find(problem.key, lines, place.line)
        return Noticed(problem, Place(place.path, number)) if number else each

    def _of(self, path: str) -> list[str]:
        if path not in self._files:
            try:
                self._files[path] = texts.read_file(Path(path)).splitlines()
            except texts.UnreadableFile:  # it is no file, or has changed since it was read
                self._files[path] = []
        return self._files[path]


def _find(key: str, lines: Sequence[str], start: int) -> int:
    """Return the number of the first line with a key, from line `start` to the end of the document; 0 without one.

    A line where the key stands in the column of the object's first key comes first: deeper in the object, another field
    may have the same name.
    """
    pattern = re.compile(rf"[\s\"'{{,]{re.escape(key)}[\"']?\s*:")
    first, column = 0, _column(lines[start - 1])
    for number, line in enumerate(islice(lines, start - 1, None), start):
        if number > start and line.startswith("---"):
            break
        if pattern.search(f" {line}"):
            if _column(line) == column:
                return number
            first = first or number
    return first


def _column(line: str) -> int:
    found = _INDENTATION.match(line)
    return found.end() if found else 0
