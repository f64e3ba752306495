"""Reads the manifests of a preview: files, folders, patterns and standard input."""

import sys
from collections.abc import Callable, Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

from services.normalizer.sources.kustomizations import Overlay, is_kustomization
from services.normalizer.sources.manifest_contents import overlay_of
from services.normalizer.sources.manifest_files import find_manifests, read_bytes, read_file
from services.normalizer.sources.manifest_objects import FileFacts, read_objects

STDIN = "-"

Progress = Callable[[int, int], None]
"""Called with the number of files that are done, and of all files."""


def no_progress(_done: int, _of: int) -> None:
    """Show no progress."""


class Files(NamedTuple):
    """The facts in files, by path, and what kustomizations among them say of the others."""

    facts: dict[Path, FileFacts]
    overlay: Overlay


def read_paths(paths: Iterable[str | Path], progress: Progress = no_progress) -> Files:
    """Return the facts in the files in and below `paths`; `progress` is called for each file.

    Raises:
        FileNotFoundError: one of `paths` does not exist, or a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for written in map(str, paths):
        found |= dict.fromkeys([Path(STDIN)] if written == STDIN else find_manifests(_matching(written)))
    facts: dict[Path, FileFacts] = {}
    for path in filter(is_kustomization, found):  # they say in which namespace the objects of the others are
        progress(len(facts), len(found))
        facts[path] = read_objects(path, read_file(path))
    overlay = overlay_of(facts)
    for path in found:
        if path not in facts:
            progress(len(facts), len(found))
            contents = read_bytes(sys.stdin.buffer.read(), STDIN) if path == Path(STDIN) else read_file(path)
            facts[path] = read_objects(path, contents, namespace=overlay.namespace(path))
    return Files(facts, overlay)


def _matching(written: str) -> Sequence[Path]:
    if Path(written).exists() or not any(sign in written for sign in "*?["):
        return [Path(written)]
    found = sorted(glob(written, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise FileNotFoundError(f"no file matches {written}")
    return list(map(Path, found))
