"""Reads the manifests of a preview: files, folders, patterns and standard input."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Self

from services.connector.workers import Workers, processes_for
from services.normalizer.sources.kustomizations import Overlay, is_kustomization
from services.normalizer.sources.manifest_contents import overlay_of
from services.normalizer.sources.manifest_files import manifest_paths, read_bytes, read_file
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


class Reading:
    """Reads the files in and below some paths; a context manager. `overlay` is what kustomizations say of them.

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
                found |= dict.fromkeys(manifest_paths(_matching(written)))
        # Kustomizations say in which namespace the objects of the others are.
        self._kustomizations = {path: read_objects(path, read_file(path)) for path in found if is_kustomization(path)}
        self.overlay: Overlay = overlay_of(self._kustomizations)
        self._others = [path for path in found if path not in self._kustomizations]
        processes = processes_for(len(self._others), worth=_WORTH_PROCESSES)
        self._workers = Workers(self._read, self._others, processes=processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()

    @property
    def number(self) -> int:
        """The number of files, standard input included."""
        return len(self._kustomizations) + len(self._others) + self._reads_stdin

    def parts(self, progress: Progress = no_progress) -> Iterator[Mapping[Path, FileFacts]]:
        """Yield what the files say, by path and in the order of the paths, some at a time; `progress` counts them.

        Other processes read on while the caller works with a part.

        Raises:
            EmptyInput: standard input is read, and it is empty.
        """
        done = 0
        for part in self._parts():
            yield part
            for _ in part:
                done += 1
                progress(done, self.number)

    def _parts(self) -> Iterator[Mapping[Path, FileFacts]]:
        yield self._kustomizations
        if self._reads_stdin:
            piped = sys.stdin.buffer.read()
            if not piped.strip():
                raise EmptyInput(
                    "standard input is empty: the command before the pipe wrote nothing, so look at its error"
                )
            path = Path(STDIN)
            yield {path: read_objects(path, read_bytes(piped, STDIN))}
        paths = iter(self._others)
        for results in self._workers.results():
            yield dict(zip(islice(paths, len(results)), results, strict=True))

    def _read(self, path: Path) -> FileFacts:
        return read_objects(path, read_file(path), namespace=self.overlay.namespace(path))


def _matching(written: str) -> Sequence[Path]:
    if not any(sign in written for sign in "*?[") or os.path.lexists(written):
        return [Path(written)]
    found = sorted(glob(written, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise FileNotFoundError(f"no file matches {written}")
    return list(map(Path, found))
