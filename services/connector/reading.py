"""Reads the manifests of a preview: files, folders, patterns and standard input."""

import sys
from collections.abc import Callable, Iterable, Sequence
from glob import glob
from itertools import count
from pathlib import Path
from typing import NamedTuple, Self

from services.connector.workers import Workers, processes_for
from services.normalizer.sources.kustomizations import Overlay, is_kustomization
from services.normalizer.sources.manifest_contents import overlay_of
from services.normalizer.sources.manifest_files import find_manifests, read_bytes, read_file
from services.normalizer.sources.manifest_objects import FileFacts, read_objects

STDIN = "-"
_WORTH_PROCESSES = 200
"""The number of files from which on reading them in several processes takes less time."""

Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all files."""


def no_progress(_done: int, _of: int) -> None:
    """Show no progress."""


class EmptyInput(Exception):
    """Nothing came through standard input, so the command before the pipe has failed."""


class Files(NamedTuple):
    """The facts in files, by path, and what kustomizations among them say of the others."""

    facts: dict[Path, FileFacts]
    overlay: Overlay


class Reading:
    """Reads the files in and below some paths; a context manager.

    Where there are many, other processes begin at once, while this one may load what it needs later.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        """Find the files.

        Raises:
            FileNotFoundError: one of `paths` does not exist, or a pattern matches nothing.
        """
        found: dict[Path, None] = {}
        given = list(map(str, paths))
        self._reads_stdin = STDIN in given
        for written in given:
            if written != STDIN:
                found |= dict.fromkeys(find_manifests(_matching(written)))
        # Kustomizations say in which namespace the objects of the others are.
        self._kustomizations = {path: read_objects(path, read_file(path)) for path in found if is_kustomization(path)}
        self._overlay = overlay_of(self._kustomizations)
        self._others = [path for path in found if path not in self._kustomizations]
        processes = processes_for(len(self._others), worth=_WORTH_PROCESSES)
        self._workers = Workers(self._read, self._others, processes=processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    def files(self, progress: Progress = no_progress) -> Files:
        """Return what all files say; `progress` is called for each file.

        Raises:
            EmptyInput: standard input is read, and it is empty.
        """
        facts = dict(self._kustomizations)
        of = len(facts) + len(self._others) + self._reads_stdin
        done = count(len(facts))
        if self._reads_stdin:
            path = Path(STDIN)
            piped = sys.stdin.buffer.read()
            if not piped.strip():
                raise EmptyInput(
                    "standard input is empty: the command before the pipe wrote nothing, so look at its error"
                )
            facts[path] = read_objects(path, read_bytes(piped, STDIN))
            progress(next(done), of)
        read = self._workers.results(lambda: progress(next(done), of))
        return Files(facts | dict(zip(self._others, read, strict=True)), self._overlay)

    def _read(self, path: Path) -> FileFacts:
        return read_objects(path, read_file(path), namespace=self._overlay.namespace(path))


def _matching(written: str) -> Sequence[Path]:
    if Path(written).exists() or not any(sign in written for sign in "*?["):
        return [Path(written)]
    found = sorted(glob(written, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise FileNotFoundError(f"no file matches {written}")
    return list(map(Path, found))
